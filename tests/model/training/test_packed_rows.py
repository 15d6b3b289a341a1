"""Packed tokens: written whole after any kill, read by rows whose order the step alone decides, and
learned from in memory that stays as it is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from staged.cli import app
from staged.corpus.build import CorpusSettings
from staged.corpus.files import read_corpus
from staged.corpus.learned import model_learned, text_words_digest
from staged.errors import ArtifactError, CorpusError, PlanError
from staged.model.causal import load_tokenizer
from staged.model.training.plan import TrainSettings
from staged.model.training.rows import writing
from staged.model.training.rows.order import shuffled, step_positions
from staged.model.training.rows.packed import PackedRows, PackedTokens, is_packed, token_file
from staged.model.training.rows.writing import PackSettings, pack
from staged.model.training.train import train


@given(rows=st.integers(1, 3000), seed=st.integers(0, 2**40), epoch=st.integers(0, 9))
def test_an_order_has_every_row_once(rows: int, seed: int, epoch: int) -> None:
    moved = shuffled(np.arange(rows, dtype=np.uint64), rows, key=(seed, epoch))
    assert sorted(moved.tolist()) == list(range(rows))


def test_an_order_is_another_for_every_seed_and_leaves_no_pattern() -> None:
    places = np.arange(10_000, dtype=np.uint64)
    first, second = (shuffled(places, 10_000, key=(seed, 0)).astype(float) for seed in (1, 2))
    for one, two in ((first, places), (second, places), (first, second), (first[1:], first[:-1])):
        assert abs(np.corrcoef(one, two)[0, 1]) < 0.04  # four standard errors
    assert 0 <= int(shuffled(np.array([0], np.uint64), 2**40 + 7, key=(1, 0))[0]) < 2**40 + 7


def test_steps_see_every_row_once_an_epoch_whatever_the_batch() -> None:
    steps = [step_positions(step, rows=25, batch=10, seed=3) for step in range(5)]
    seen = [row for step in steps for row in step]
    assert sorted(seen[:25]) == sorted(seen[25:]) == list(range(25))
    assert seen[:25] != seen[25:]
    assert step_positions(3, rows=25, batch=10, seed=3) == steps[3]
    assert [
        row for step in range(10) for row in step_positions(step, rows=25, batch=5, seed=3)
    ] == seen


@pytest.fixture(scope="module")
def given_settings(human_folder: Path, tiny: Path) -> PackSettings:
    return PackSettings(str(human_folder), str(tiny), valid_share=0.2)


@pytest.fixture(scope="module")
def tokens(given_settings: PackSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed") / "tokens"
    pack(folder, given_settings)
    return folder


def stored(folder: Path, split: str) -> list[int]:
    ids: list[int] = np.fromfile(token_file(folder, split), "<u2").tolist()
    return ids


def test_the_files_are_the_documents_joined_by_the_end_of_text(
    tokens: Path, human_folder: Path, tiny: Path
) -> None:
    tokenizer = load_tokenizer(str(tiny))
    texts = {document.text for document in read_corpus(str(human_folder))}
    for split in ("pretrain", "valid"):
        ids = stored(tokens, split)
        ends = [i for i, token in enumerate(ids) if token == tokenizer.end_of_text]
        assert (ends[0], ends[-1]) == (0, len(ids) - 1)
        parts = {tokenizer.decode(ids[a + 1 : b]) for a, b in pairwise(ends)}
        assert parts
        assert parts <= texts
        texts -= parts
    assert not texts


def test_rows_overlap_by_the_token_that_is_a_target_first_and_an_input_then(tokens: Path) -> None:
    ids = stored(tokens, "pretrain")
    rows = PackedRows(token_file(tokens, "pretrain"), "uint16", 16, len(ids))
    assert len(rows) == (len(ids) - 1) // 16
    inputs = [token for i in range(len(rows)) for token in rows[i][:-1]]
    targets = [token for i in range(len(rows)) for token in rows[i][1:]]
    assert inputs == ids[: len(inputs)]
    assert targets == ids[1 : len(inputs) + 1]


class KilledError(Exception):
    pass


@pytest.mark.parametrize("kill_after", [1, 3])
def test_killed_while_it_writes_it_ends_with_the_same_bytes(
    tokens: Path,
    given_settings: PackSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kill_after: int,
) -> None:
    monkeypatch.setattr(writing, "BLOCK_CHARACTERS", 3000)
    whole = writing._append

    def torn(path: Path, data: bytes, calls: list[int] = []) -> None:  # noqa: B006
        calls.append(1)
        if len(calls) == 3 * kill_after + 2:  # of a block's three files the second
            whole(path, data[:5])
            raise KilledError
        whole(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "_append", torn)
        with pytest.raises(KilledError):
            pack(tmp_path / "tokens", given_settings)
    assert not is_packed(tmp_path / "tokens")
    read: list[int] = []
    pack(tmp_path / "tokens", given_settings, progress=lambda done, _: read.append(done))
    assert read[0] > kill_after
    assert {path.name: path.read_bytes() for path in tokens.iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "tokens").iterdir()
    }


@pytest.fixture(scope="module")
def settings(tokens: Path, tiny: Path) -> TrainSettings:
    return TrainSettings(
        corpus=CorpusSettings(source=str(tokens)),
        tokenizer=str(tiny),
        n_ctx=32,
        n_embd=16,
        n_head=2,
        n_layer=1,
        steps=12,
        batch=8,
        micro_batch=4,
        warmup_steps=2,
        learning_rate=5e-3,
        valid_every=4,
        valid_rows=20,
        checkpoint_every=2,
        precision="fp32",
    )


def curve(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "loss.jsonl").read_text().splitlines()]


def test_a_model_learns_from_them_and_goes_on_at_the_same_batch(
    settings: TrainSettings, tokens: Path, tmp_path: Path
) -> None:
    train(tmp_path / "whole", settings)

    def stop(at: object, calls: list[int] = []) -> None:  # noqa: B006
        calls.append(1)
        if len(calls) == 5:
            raise KilledError

    with pytest.raises(KilledError):
        train(tmp_path / "killed", settings, report=stop)
    train(tmp_path / "killed", settings)
    for name in ("loss.jsonl", "model.safetensors", "training.json", "manifest.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    losses = curve(tmp_path / "whole")
    assert losses[-1]["valid"] < losses[3]["valid"] < losses[0]["train"]
    facts = json.loads((tmp_path / "whole" / "training.json").read_text())
    assert facts["tokens_seen"] == 12 * 8 * 32
    assert facts["corpus"]["tokens"]["pretrain"] == len(stored(tokens, "pretrain"))


def test_what_was_learned_is_known_by_its_texts(
    settings: TrainSettings, tokens: Path, human_folder: Path, tmp_path: Path
) -> None:
    train(tmp_path / "m", replace(settings, steps=1))
    learned = model_learned(tmp_path / "m")
    assert learned is not None
    known = learned.among(read_corpus(str(human_folder)))
    packed = json.loads((tokens / "tokens.json").read_text())
    assert len(known) == packed["documents"]["pretrain"] > 0
    assert packed["documents"]["valid"] > 0
    assert learned.texts == {text_words_digest(document.text) for document in known}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tokenizer": ""}, "its tokens are those of tiny; say so in the plan, as `tokenizer`"),
        ({"tokenizer": "mini-s"}, "and the model has another tokenizer; pack them again"),
        ({"objective": "masked"}, "packed tokens are for a causal objective"),
        ({"n_ctx": 200_000}, "pretrain has .* tokens, fewer than a row of 200,000"),
    ],
)
def test_what_does_not_fit_is_refused(
    settings: TrainSettings, tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    with pytest.raises(PlanError, match=says):
        train(tmp_path / "m", replace(settings, **changes))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_cut_short_is_named(
    settings: TrainSettings, given_settings: PackSettings, tmp_path: Path
) -> None:
    pack(tmp_path / "tokens", given_settings)
    with open(token_file(tmp_path / "tokens", "valid"), "ab") as file:
        file.truncate(10)
    corpus = CorpusSettings(source=str(tmp_path / "tokens"))
    with pytest.raises(ArtifactError, match=r"valid\.bin: is cut short or missing"):
        train(tmp_path / "m", replace(settings, corpus=corpus))


def test_both_splits_need_a_document(given_settings: PackSettings, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no document of .* came into valid"):
        pack(tmp_path / "tokens", replace(given_settings, valid_share=1e-9))
    for share in (0.0, 1.0):
        with pytest.raises(PlanError, match=r"valid_share must lie in \(0, 1\)"):
            replace(given_settings, valid_share=share)


def test_the_command_writes_them(human_folder: Path, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "tokens"
    command = ["tokenize", str(human_folder), "--tokenizer", str(tiny), "--valid-share", "0.2"]
    done = CliRunner().invoke(app, [*command, "--out", str(out)])
    assert done.exit_code == 0, done.output
    packed = PackedTokens(**json.loads((out / "tokens.json").read_text()))
    assert f"pretrain: {packed.documents['pretrain']:,} documents" in done.output
    written = (out / "pretrain.bin").stat()
    assert CliRunner().invoke(app, [*command, "--out", str(out)]).exit_code == 0
    assert (out / "pretrain.bin").stat().st_mtime_ns == written.st_mtime_ns


MEMORY = """
import sys
import numpy as np
from staged.model.memory import forget_peak, peak_memory_mb
from staged.model.training.rows.packed import PackedRows
rows = PackedRows(sys.argv[1], "uint16", 1024, int(sys.argv[2]))
peaks = []
for steps in (range(20), range(20, 150)):
    forget_peak()
    for step in steps:
        rows.of_step(step, batch=64, seed=1)
    peaks.append(peak_memory_mb("cpu"))
print(*peaks)
"""


def test_memory_does_not_grow_with_what_was_read(tmp_path: Path) -> None:
    """17 MB of rows are read; without unmapping them they would all be held."""
    tokens = 10_000_000
    np.arange(tokens, dtype=np.uint16).tofile(tmp_path / "pretrain.bin")
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "pretrain.bin"), str(tokens)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    first, later = map(float, shown.split())
    assert later < first + 4


def test_no_more_than_a_block_is_held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Documents are read as they are written: the reader is never ahead by more than a block."""
    monkeypatch.setattr(writing, "BLOCK_CHARACTERS", 500)
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps({"text": f"row {i} " * 10}) + "\n" for i in range(200)))
    ahead, asked, done = [0], [0], [0]
    real = writing.each_document

    def counted(*args: object, **options: object) -> Iterator[object]:
        for document in real(*args, **options):  # type: ignore[arg-type]
            asked[0] += 1
            ahead[0] = max(ahead[0], asked[0] - done[0])
            yield document

    monkeypatch.setattr(writing, "each_document", counted)
    settings = PackSettings(str(source), "mini-s", valid_share=0.2)

    def progress(documents: int, _: int) -> None:
        done[0] = documents

    pack(tmp_path / "tokens", settings, progress=progress)
    assert done[0] == 200
    assert ahead[0] < 12
