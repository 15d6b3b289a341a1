"""Only what carries our own mark, unchanged, is removed or replaced; anything else is refused by
name and stays as it is.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from staged.errors import ArtifactError
from staged.files.places import files_below
from staged.storage import stage_folders
from staged.storage.forms import is_sealed, rows_have_keys, sealed
from staged.storage.gate import (
    check_fillable,
    check_replaceable,
    check_stage,
    is_work,
    start_ledger,
)
from staged.storage.json_files import read_json, write_json
from staged.storage.ledger import LEDGER
from staged.storage.marks import MANIFEST, MARK, mark_construction
from staged.storage.pieces import continued
from staged.storage.stage_folders import build, is_complete
from staged.storage.writing import write_atomic


def tree(folder: Path) -> dict[str, bytes | str]:
    """Every file and link below a folder, with its bytes."""
    return {
        path.relative_to(folder).as_posix(): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def write_piece(folder: Path) -> None:
    (folder / "piece.txt").write_text("made", encoding="utf-8")


def stage(folder: Path, seed: int = 1) -> bool:
    return build(folder, write_piece, settings={"seed": seed})


def refused(work: Callable[[], object], folder: Path, *, naming: str) -> None:
    before = tree(folder)
    with pytest.raises(ArtifactError, match=naming):
        work()
    assert tree(folder) == before


# Finished stages


def test_our_own_stage_is_made_again(tmp_path: Path) -> None:
    assert stage(tmp_path / "a")
    assert not stage(tmp_path / "a")
    assert stage(tmp_path / "a", seed=2)
    assert read_json(tmp_path / "a" / MANIFEST)["settings"] == {"seed": 2}


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert stage(tmp_path / "a")


@pytest.mark.parametrize("name", ["notes.txt", "piece.txt", "deep/notes.txt", ".hidden", MANIFEST])
def test_a_folder_of_others_is_refused(tmp_path: Path, name: str) -> None:
    place = tmp_path / "mine" / name
    place.parent.mkdir(parents=True)
    place.write_text('{"settings": 1}', encoding="utf-8")
    refused(
        lambda: stage(tmp_path / "mine"),
        tmp_path,
        naming=r"mine: holds .*nothing here was made by staged",
    )


@pytest.mark.parametrize("name", ["notes.txt", "deep/notes.txt", ".hidden"])
def test_a_stage_with_a_file_of_others_is_refused(tmp_path: Path, name: str) -> None:
    stage(tmp_path / "a")
    place = tmp_path / "a" / name
    place.parent.mkdir(exist_ok=True)
    place.write_text("mine", encoding="utf-8")
    refused(lambda: stage(tmp_path / "a", seed=2), tmp_path, naming=name)


def test_a_stage_whose_file_was_changed_is_refused(tmp_path: Path) -> None:
    stage(tmp_path / "a")
    (tmp_path / "a" / "piece.txt").write_text("corrected by hand", encoding="utf-8")
    assert not stage(tmp_path / "a")  # nothing to do, and nothing is looked at
    refused(lambda: stage(tmp_path / "a", seed=2), tmp_path, naming=r"piece\.txt: .*changed since")


def test_what_a_look_into_a_folder_leaves_is_nobodys(tmp_path: Path) -> None:
    stage(tmp_path / "a")
    (tmp_path / "a" / ".DS_Store").write_bytes(b"\0")
    assert stage(tmp_path / "a", seed=2)


@pytest.mark.parametrize("step", range(6))
def test_a_kill_while_the_old_stage_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """At any of the calls by which it goes: the next run ends with the new one, and takes no half
    for a whole.
    """
    stage(tmp_path / "a")
    calls = iter(range(100))
    acts = {"replace": Path.replace, "unlink": Path.unlink, "rmdir": Path.rmdir}

    def counted(name: str) -> Callable[..., object]:
        def act(path: Path, *given: object, **named: object) -> object:
            if (path.parent == tmp_path / "a" or path == tmp_path / "a") and next(calls) == step:
                raise KeyboardInterrupt
            return acts[name](path, *given, **named)

        return act

    with monkeypatch.context() as patched:
        for name in acts:
            patched.setattr(Path, name, counted(name))
        if step < 5:
            with pytest.raises(KeyboardInterrupt):
                stage(tmp_path / "a", seed=2)
        else:
            stage(tmp_path / "a", seed=2)
    stage(tmp_path / "a", seed=2)
    assert set(tree(tmp_path)) == {"a/piece.txt", f"a/{MANIFEST}"}
    assert read_json(tmp_path / "a" / MANIFEST)["settings"] == {"seed": 2}


def test_a_link_or_a_file_in_a_stages_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for name in ("link", "file"):
        refused(
            lambda name=name: stage(tmp_path / name),
            tmp_path,
            naming=f"{name}: is no folder of ours",
        )


def test_what_comes_during_the_work_stays_too(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        write_piece(folder)
        (tmp_path / "a" / "late.txt").write_text("mine", encoding="utf-8")

    stage(tmp_path / "a")
    with pytest.raises(ArtifactError, match=r"late\.txt"):
        build(tmp_path / "a", write, settings={"seed": 2})
    assert (tmp_path / "a" / "late.txt").read_text(encoding="utf-8") == "mine"


# Folders under construction


@pytest.mark.parametrize("name", ["notes.txt", "deep/notes.txt", MARK])
def test_a_partial_folder_of_others_is_refused(tmp_path: Path, name: str) -> None:
    place = tmp_path / "a.partial" / name
    place.parent.mkdir(parents=True)
    place.write_text('{"anything": 1}', encoding="utf-8")
    refused(
        lambda: stage(tmp_path / "a"), tmp_path, naming=r"a\.partial: holds .*no work in progress"
    )


def test_a_partial_folder_of_ours_is_emptied_for_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Path) -> None:
        write_piece(folder)
        (folder / "link").symlink_to(tmp_path / "elsewhere")
        raise KeyboardInterrupt

    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "a", killed, settings={"seed": 1})
    with monkeypatch.context() as patched:  # killed again, while it is emptied
        patched.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            stage(tmp_path / "a", seed=2)
    assert stage(tmp_path / "a", seed=2)
    assert set(tree(tmp_path / "a")) == {"piece.txt", MANIFEST}
    assert (tmp_path / "elsewhere" / "notes.txt").is_file()


def test_a_partial_folder_without_its_mark_yet_is_ours(tmp_path: Path) -> None:
    (tmp_path / "a.partial").mkdir()
    (tmp_path / "a.partial" / f".{MARK}.staged-tmp").write_text('{"mark": "sta', encoding="utf-8")
    assert stage(tmp_path / "a")


def test_a_partial_folder_of_the_version_before_is_continued(tmp_path: Path) -> None:
    (tmp_path / "a.partial").mkdir()
    (tmp_path / "a.partial" / MARK).write_text(
        json.dumps({"settings": {"seed": 1}, "inputs": {}}), encoding="utf-8"
    )
    (tmp_path / "a.partial" / "earlier.txt").write_text("made", encoding="utf-8")
    assert stage(tmp_path / "a")
    assert (tmp_path / "a" / "earlier.txt").is_file()


@pytest.mark.parametrize("name", ["000000000.jsonl", "notes.txt", MARK])
def test_blocks_of_others_are_refused(tmp_path: Path, name: str) -> None:
    out = tmp_path / "s.jsonl"
    (tmp_path / "s.jsonl.blocks").mkdir()
    (tmp_path / "s.jsonl.blocks" / name).write_text("{}", encoding="utf-8")

    def work() -> None:
        with continued(out, {"seed": 1}, pieces="?????????.jsonl"):
            raise AssertionError

    refused(work, tmp_path, naming="no work in progress of staged")


def test_a_file_of_others_among_our_blocks_stays(tmp_path: Path) -> None:
    with continued(tmp_path / "s.jsonl", {}, pieces="*.jsonl") as blocks:
        (blocks / "1.jsonl").write_text("made", encoding="utf-8")
        (blocks / "notes.txt").write_text("mine", encoding="utf-8")
    assert tree(tmp_path) == {"s.jsonl.blocks/notes.txt": b"mine"}


# Folders filled file by file


def test_a_marked_folder_knows_what_was_written_there(tmp_path: Path) -> None:
    start_ledger(tmp_path, "probe")
    write_json(tmp_path / "a.json", {"n": 1})
    write_atomic(tmp_path / "a.md", b"one")
    write_json(tmp_path / "a.json", {"other": "keys"})
    write_atomic(tmp_path / "a.md", b"two")
    before = (tmp_path / LEDGER).read_bytes()
    write_atomic(tmp_path / "a.md", b"two")
    assert (tmp_path / LEDGER).read_bytes() == before  # it tells the present, not the past
    (tmp_path / "a.md").write_text("with my remarks", encoding="utf-8")
    (tmp_path / "a.json").write_text('{"other": "by hand"}', encoding="utf-8")
    refused(
        lambda: write_atomic(tmp_path / "a.md", b"three"),
        tmp_path,
        naming=r"a\.md: was not written by staged",
    )
    refused(lambda: write_json(tmp_path / "a.json", {"other": 1}), tmp_path, naming=r"a\.json")


def test_a_kill_between_ledger_and_file_loses_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_ledger(tmp_path, "probe")
    write_atomic(tmp_path / "a.md", b"one")
    rename = Path.replace

    def killed(source: Path, target: Path) -> Path:
        if target.name == LEDGER:
            return rename(source, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write_atomic(tmp_path / "a.md", b"two")
    assert (tmp_path / "a.md").read_bytes() == b"one"
    write_atomic(tmp_path / "a.md", b"three")
    assert (tmp_path / "a.md").read_bytes() == b"three"


def test_a_folder_holds_one_kind_of_work(tmp_path: Path) -> None:
    start_ledger(tmp_path, "release study")
    start_ledger(tmp_path, "release study")
    with pytest.raises(
        ArtifactError, match="holds a release study, and this would be a fine-tuning study"
    ):
        start_ledger(tmp_path, "fine-tuning study")


def test_a_folder_may_hold_one_set_of_settings(tmp_path: Path) -> None:
    start_ledger(tmp_path, "questionnaire", of="a")
    start_ledger(tmp_path, "questionnaire")
    with pytest.raises(ArtifactError, match="of other settings"):
        start_ledger(tmp_path, "questionnaire", of="b")


def test_another_ledger_is_no_mark(tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_text("[]", encoding="utf-8")
    assert not is_work(tmp_path)
    refused(lambda: start_ledger(tmp_path, "probe"), tmp_path, naming=LEDGER)


# Single files


@pytest.mark.parametrize(
    "there", ["notes", "{}", '{"n": 2, "more": 3}', "[]", "{" * 100_000, '"n"']
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, there: str) -> None:
    (tmp_path / "a.json").write_text(there, encoding="utf-8")
    refused(
        lambda: write_json(tmp_path / "a.json", {"n": 1}),
        tmp_path,
        naming=r"a\.json: was not written by staged",
    )


def test_a_file_of_the_same_form_is_replaced(tmp_path: Path) -> None:
    for value in ({"n": 1}, {"n": 2}):
        write_json(tmp_path / "a.json", value)
    for rows in ([{"n": 1}], [{"n": 2}, {"n": 3}]):
        write_json(tmp_path / "rows.json", rows)
    assert read_json(tmp_path / "a.json") == {"n": 2}


def test_an_empty_file_holds_nothing_to_lose(tmp_path: Path) -> None:
    (tmp_path / "a.md").touch()
    write_atomic(tmp_path / "a.md", b"one")
    assert (tmp_path / "a.md").read_bytes() == b"one"


def test_rows_of_ours_have_our_columns_and_no_other(tmp_path: Path) -> None:
    form, file = rows_have_keys("id", "score", also=("parts",)), tmp_path / "a.jsonl"
    for text, ours in (
        ('{"id": 1, "score": 2}\n{"id": 1, "score": 2, "parts": []}\n', True),
        ('{"id": 1, "score": 2}\n{"id": 1}\n', False),
        ('{"id": 1, "score": 2, "remark": "mine"}\n', False),
        ("notes", False),
    ):
        file.write_text(text, encoding="utf-8")
        assert form(file) is ours


def test_a_page_is_ours_while_its_digest_holds(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(sealed("# A page\n\nOf words.\n"), encoding="utf-8")
    assert is_sealed(page)
    check_replaceable(page, is_sealed)
    for changed in (
        page.read_text(encoding="utf-8").replace("words", "more words"),
        "# A page\n",
        "one line",
    ):
        page.write_text(changed, encoding="utf-8")
        assert not is_sealed(page)
        with pytest.raises(ArtifactError, match="changed since"):
            check_replaceable(page, is_sealed)


def test_a_link_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text('{"n": 1}', encoding="utf-8")
    (tmp_path / "a.json").symlink_to(tmp_path / "real.json")
    refused(lambda: write_json(tmp_path / "a.json", {"n": 1}), tmp_path, naming=r"a\.json")


def test_a_place_outside_a_folder_is_not_in_it(tmp_path: Path) -> None:
    stage_of, mine = tmp_path / "x.partial", tmp_path / "mine.json"
    stage_of.mkdir()
    mark_construction(stage_of, {})
    mine.write_text("mine", encoding="utf-8")
    refused(
        lambda: write_atomic(stage_of / ".." / "mine.json", b"ours"), tmp_path, naming=r"mine\.json"
    )


def test_a_users_temporary_file_is_no_place_to_write(tmp_path: Path) -> None:
    (tmp_path / ".a.json.tmp").write_text("mine", encoding="utf-8")
    write_json(tmp_path / "a.json", {"n": 1})
    assert (tmp_path / ".a.json.tmp").read_text(encoding="utf-8") == "mine"


# Folders that are read


def test_our_work_is_not_read_as_a_users_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("mine", encoding="utf-8")
    stage(tmp_path / "out" / "samples" / "mini")
    (tmp_path / "study").mkdir()
    start_ledger(tmp_path / "study", "release study")
    (tmp_path / "study" / "notes.txt").write_text("in the study's folder", encoding="utf-8")
    with continued(tmp_path / "v.jsonl", {}, pieces="*.jsonl") as blocks:
        (blocks / "1.jsonl").write_text("made", encoding="utf-8")
        assert files_below(tmp_path) == [tmp_path / "a.txt"]


def test_our_work_is_read_by_who_names_it(tmp_path: Path) -> None:
    start_ledger(tmp_path, "release study")
    stage(tmp_path / "samples" / "mini")
    assert files_below(tmp_path / "samples") == [
        tmp_path / "samples" / "mini" / MANIFEST,
        tmp_path / "samples" / "mini" / "piece.txt",
    ]
    assert files_below(tmp_path / "samples" / "mini")
    assert files_below(tmp_path) == []


def test_a_stage_of_before_is_known(tmp_path: Path) -> None:
    stage(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    check_stage(tmp_path / "b")
    assert is_complete(tmp_path / "b")
    assert stage_folders.partial_of(tmp_path / "b").name == "b.partial"


def test_processes_that_come_to_a_folder_at_the_same_moment_mark_it_once(tmp_path: Path) -> None:
    """As the shards of a job array do; what one of them has entered stays."""
    gate, faults = threading.Barrier(8), list[Exception]()

    def start(folder: Path, name: str) -> None:
        gate.wait()
        try:
            start_ledger(folder, "study")
            if name == "0":
                write_atomic(folder / "report.html", b"made")
        except Exception as error:
            faults.append(error)

    for turn in range(10):
        folder = tmp_path / f"{turn}"
        folder.mkdir()
        threads = [threading.Thread(target=start, args=(folder, f"{i}")) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        assert tree(folder).keys() == {LEDGER, "report.html"}
        check_replaceable(folder / "report.html")


def test_a_mark_that_a_kill_cut_short_stands_in_nobodys_way(tmp_path: Path) -> None:
    for left in (f".{LEDGER}.staged-tmp", f".{LEDGER}.0123456789abcdef.staged-tmp"):
        (tmp_path / left).write_text("{")
    check_fillable(tmp_path, "study")
    (tmp_path / f".{LEDGER}.txt").write_text("mine")
    refused(lambda: check_fillable(tmp_path, "study"), tmp_path, naming=r"\.txt, and nothing here")
