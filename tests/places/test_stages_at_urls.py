"""Stages and blocks in a bucket: whole or not there, and nobody else's."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from staged.engines.blocks import Blocks, blocks_left, computed
from staged.engines.worker import Worker
from staged.errors import ArtifactError
from staged.pipeline.run import is_current, run_here
from staged.pipeline.stage import Inputs, SplitStage, Stage, StageBlocks
from staged.places import objects
from staged.places.blocks import claimed
from staged.places.mirror import Mirror, place, url_of
from staged.places.stages import check_free
from staged.progress import Progress
from staged.storage.marks import MANIFEST, MARK
from staged.storage.stage_folders import begin
from tests.places.conftest import Bucket


@dataclass(frozen=True, kw_only=True)
class Letters(Stage):
    """Two files of one letter each."""

    letter: str

    @property
    def name(self) -> str:
        return "letters"

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        (folder / "below").mkdir(exist_ok=True)
        (folder / "a.txt").write_text(self.letter)
        (folder / "below" / "b.txt").write_text(self.letter)


@dataclass(frozen=True, kw_only=True)
class Doubled(SplitStage):
    """A block a number: the letter of another stage, so many times."""

    letters: Letters

    @property
    def name(self) -> str:
        return "doubled"

    @property
    def blocks(self) -> Sequence[str]:
        return tuple(f"{number}.json" for number in range(3))

    @contextmanager
    def opened(self, inputs: Inputs) -> Iterator[Callable[[int], str]]:
        letter = (inputs["letters"] / "a.txt").read_text()
        yield lambda number: letter * number

    def join(self, folder: Path, values: Iterator[Any], inputs: Inputs) -> None:
        (folder / "all.txt").write_text("".join(values))


A, B = Letters(letter="a"), Letters(letter="b")


def files_of(bucket: Bucket) -> dict[str, str]:
    return {
        key.removeprefix("study/"): data.decode()
        for key, data in bucket.all().items()
        if not key.endswith(MANIFEST)
    }


def test_a_stage_of_other_settings_takes_the_place_of_ours(bucket: Bucket) -> None:
    assert run_here(bucket.study, A)
    bucket.on_another_machine()
    assert is_current(bucket.study, A)
    assert (bucket.study / "letters" / "below" / "b.txt").read_text() == "a"
    bucket.on_another_machine()
    assert run_here(bucket.study, B)
    assert files_of(bucket) == {"letters/a.txt": "b", "letters/below/b.txt": "b"}


def test_a_stage_that_its_user_has_changed_stays(bucket: Bucket) -> None:
    run_here(bucket.study, A)
    bucket.put("study/letters/a.txt", "mine")
    bucket.on_another_machine()
    with pytest.raises(ArtifactError, match=r"a\.txt: is not as the manifest beside it says"):
        is_current(bucket.study, A)
    with pytest.raises(ArtifactError, match=r"a\.txt: was not written by staged, or was changed"):
        run_here(bucket.study, B)
    bucket.put("study/letters/c.txt", "mine, too")
    bucket.on_another_machine()
    with pytest.raises(ArtifactError, match=r"c\.txt: was not written by staged"):
        run_here(bucket.study, B)
    assert files_of(bucket) == {
        "letters/a.txt": "mine",
        "letters/below/b.txt": "a",
        "letters/c.txt": "mine, too",
    }


@pytest.mark.parametrize("calls", range(1, 8))
def test_a_stage_that_is_half_sent_is_none_and_is_sent_again(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """A death before each of the calls that change something in the bucket."""
    run_here(bucket.study, A)
    left = calls

    def dying(call: Callable[..., None]) -> Callable[..., None]:
        def called(*arguments: Any) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise KeyboardInterrupt
            call(*arguments)

        return called

    with monkeypatch.context() as patch:
        for name in ("write", "upload", "delete"):
            patch.setattr(objects, name, dying(getattr(objects, name)))
        try:
            run_here(bucket.study, B)
            assert calls == 7
        except KeyboardInterrupt:
            pass
    bucket.on_another_machine()
    # whole, of one or of the other settings, or not there
    there = is_current(bucket.study, A), is_current(bucket.study, B)
    assert there == {1: (True, False), 2: (True, False), 6: (False, True), 7: (False, True)}.get(
        calls, (False, False)
    )
    run_here(bucket.study, B)
    assert files_of(bucket) == {"letters/a.txt": "b", "letters/below/b.txt": "b"}


def begun(bucket: Bucket, stage: SplitStage) -> tuple[Path, StageBlocks]:
    root = bucket.study
    inputs = stage.inputs(root)
    folder = begin(root / stage.name, settings=stage.settings, inputs=inputs)
    assert folder
    return claimed(folder), StageBlocks(stage, inputs)


def test_a_worker_of_another_machine_reads_and_sends_what_is_in_the_bucket(bucket: Bucket) -> None:
    stage = Doubled(letters=A)
    run_here(bucket.study, A)
    store, job = begun(bucket, stage)
    sent, url = pickle.dumps(Blocks(store, job)), url_of(store)
    bucket.on_another_machine()
    away: Blocks[Any] = pickle.loads(sent)
    assert away.folder != store
    assert url_of(away.folder) == url
    Worker().do(away, 2, lambda share: None)
    assert not away.folder.exists()
    assert (bucket.study / "letters" / "a.txt").read_text() == "a"
    assert json.loads(objects.read(f"{url}/2.json") or b"") == "aa"
    bucket.on_another_machine()
    run_here(bucket.study, A)
    store, job = begun(bucket, stage)
    assert blocks_left(store, job) == [0, 1]
    assert list(computed(store, job)) == ["", "a", "aa"]


def test_blocks_of_a_driver_with_another_plan_are_elsewhere(bucket: Bucket) -> None:
    """Its workers may still be at it."""
    run_here(bucket.study, A)
    store, _ = begun(bucket, Doubled(letters=A))
    url = url_of(store)
    bucket.on_another_machine()
    run_here(bucket.study, B)
    other, other_job = begun(bucket, Doubled(letters=B))
    objects.write(f"{url}/1.json", b'"a"')
    assert blocks_left(other, other_job) == [0, 1, 2]
    assert run_here(bucket.study, Doubled(letters=B))
    assert files_of(bucket)["doubled/all.txt"] == "bbb"
    assert not any(".partial/" in key for key in bucket.all())


def test_blocks_of_a_worker_whose_driver_is_gone_are_in_nobodys_way(bucket: Bucket) -> None:
    run_here(bucket.study, A)
    store, _ = begun(bucket, Doubled(letters=A))
    url = url_of(store)
    run_here(bucket.study, Doubled(letters=A))
    objects.write(f"{url}/1.json", b'"a"')
    run_here(bucket.study, B)
    run_here(bucket.study, Doubled(letters=B))
    assert files_of(bucket) == {
        "letters/a.txt": "b",
        "letters/below/b.txt": "b",
        "doubled/all.txt": "bbb",
    }


def test_a_stage_that_is_sent_while_somebody_looks_is_ours(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, study = objects.listed, bucket.study

    def sent_before(url: str) -> dict[str, str]:
        monkeypatch.setattr(objects, "listed", listed)
        run_here(study, A)
        return listed(url)

    monkeypatch.setattr(objects, "listed", sent_before)
    check_free(study / "letters")
    assert objects.listed is listed
    assert is_current(study, A)


def test_a_joined_stage_leaves_no_blocks(bucket: Bucket) -> None:
    run_here(bucket.study, A)
    run_here(bucket.study, Doubled(letters=A))
    assert files_of(bucket) == {
        "letters/a.txt": "a",
        "letters/below/b.txt": "a",
        "doubled/all.txt": "aaa",
    }


def test_blocks_are_not_put_where_there_is_no_mark(bucket: Bucket) -> None:
    run_here(bucket.study, A)
    bucket.put("study/doubled.partial/letter.txt", "to keep")
    with pytest.raises(ArtifactError, match=r"doubled\.partial: holds letter\.txt, and is no work"):
        begun(bucket, Doubled(letters=A))
    bucket.put(f"study/doubled.partial/{MARK}", '{"a": "letter"}')
    with pytest.raises(ArtifactError, match="is no work in progress of staged"):
        begun(bucket, Doubled(letters=A))
    assert bucket.get("study/doubled.partial/letter.txt") == b"to keep"


@pytest.mark.parametrize("key", ["in/../../x", "in//x", "in/./x"])
def test_names_that_lead_elsewhere_are_refused(bucket: Bucket, key: str) -> None:
    with pytest.raises(ArtifactError, match="has a name that no file here can have"):
        objects.download({bucket.url(key): bucket.study / "x"})
    assert not bucket.study.exists()


def test_names_with_signs_of_patterns_are_names(bucket: Bucket) -> None:
    for name in ("a*", "a[b]", "ab", "a?"):
        bucket.put(f"names/{name}", "x")
    assert set(objects.listed(bucket.url("names"))) == {"a*", "a[b]", "ab", "a?"}
    objects.delete([bucket.url("names/a*"), bucket.url("names/gone")])
    assert bucket.keys() == {"names/a[b]", "names/ab", "names/a?"}


def test_a_copy_is_said_by_its_url_and_sent_by_it(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = (bucket.study / "a.jsonl").with_name("b.jsonl")
    assert f"{path}" == bucket.url("study/b.jsonl")
    assert "://" not in str(path)
    data = pickle.dumps(path)
    bucket.on_another_machine()
    again = pickle.loads(data)
    assert isinstance(again, Mirror)
    assert again != path
    assert f"{again}" == bucket.url("study/b.jsonl")
    assert place(Path(bucket.url("study/b.jsonl"))) == again
