"""Texts dealt into blocks: all of them, once, in order, whoever reads them, or not at all."""

from __future__ import annotations

import json
import logging
import os
import pickle
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from staged.detectors.bulk import inputs as module
from staged.detectors.bulk.inputs import InputReader, Inputs, block_size, given, look_at
from staged.detectors.inputs import read_texts
from staged.errors import CorpusError
from staged.storage.digests import digest
from tests.files.test_extract import word_file


@pytest.fixture(params=[2**24, 0], ids=["kept", "read again"])
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_BYTES", request.param)


@pytest.fixture
def places(tmp_path: Path) -> list[str]:
    """Rows in row groups of 7, lines with empty ones between, plain texts, a Word file."""
    rows = [{"n": i, "text": f"Row {i}.", "id": f"r{i}"} for i in range(50)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=7)
    lines = [json.dumps({"text": f"Line {i}."}) for i in range(40)]
    (tmp_path / "b.jsonl").write_text("\n\n".join(lines), encoding="utf-8")
    (tmp_path / "wide.jsonl").write_text("\n".join(lines[:5]), encoding="utf-16")
    (tmp_path / "folder").mkdir()
    for i in range(20):
        (tmp_path / "folder" / f"{i:02d}.txt").write_text(f"File {i}.")
    (tmp_path / "folder" / "w.docx").write_bytes(word_file())
    return [str(tmp_path / name) for name in ("a.parquet", "b.jsonl", "folder", "wide.jsonl")]


def read(inputs: Inputs) -> list[tuple[str, str]]:
    """All texts, by readers that have every third block each, as workers have."""
    blocks: dict[int, list[tuple[str, str]]] = {}
    for worker in range(3):
        reader = InputReader(pickle.loads(pickle.dumps(inputs)))
        for number in range(worker, len(inputs.blocks), 3):
            blocks[number] = list(reader.texts(number))
            assert len(blocks[number]) == inputs.blocks[number].count
    return [text for number in sorted(blocks) for text in blocks[number]]


def test_sizes_grow_with_what_lies_before() -> None:
    first, sizes = 0, list[int]()
    while len(sizes) < 2200:
        sizes.append(block_size(first))
        first += sizes[-1]
    assert sizes[:256] == [16] * 256
    assert sizes == sorted(sizes)
    assert all(sizes.count(16 << level) == 256 for level in range(8))
    assert sizes[-1] == 4096


@pytest.mark.usefixtures("kept")
def test_every_text_once_and_in_order(places: list[str]) -> None:
    inputs = look_at(places)
    assert read(inputs) == list(read_texts(places))
    assert inputs.count == 116
    assert [block.count for block in inputs.blocks] == [16] * 7 + [4]
    texts = list(read_texts(places))
    assert inputs.blocks[1].digest == digest(part for text in texts[16:32] for part in text)


def test_blocks_are_the_same_whether_texts_were_kept(
    places: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = look_at(places)
    monkeypatch.setattr(module, "KEPT_BYTES", 100)
    many = look_at(places)
    assert few.kept is not None
    assert many.kept is None
    assert few.blocks == many.blocks


def test_row_groups_do_not_matter(tmp_path: Path) -> None:
    table = pa.table({"text": [f"Row {i}." for i in range(100)]})
    names = list[list[str]]()
    for group in (3, 100):
        pq.write_table(table, tmp_path / "a.parquet", row_group_size=group)
        names.append([block.name for block in look_at([str(tmp_path / "a.parquet")]).blocks])
    assert names[0] == names[1]


@pytest.mark.usefixtures("kept")
def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "b.txt").write_text("two")
    writer = threading.Thread(target=pipe.write_text, args=("one",))
    writer.start()
    inputs = look_at([str(pipe), str(tmp_path / "b.txt")])
    writer.join()
    assert [text for _, text in read(inputs)] == ["one", "two"]


@pytest.mark.usefixtures("kept")
def test_all_faults_are_said_before_anything_is_judged(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff")
    (tmp_path / "b.jsonl").write_text('{"text": "a"}\n' * 40 + '{"text": 3}')
    pq.write_table(pa.table({"id": [1]}), tmp_path / "c.parquet")
    with pytest.raises(
        CorpusError,
        match=r'(?s)a\.txt: byte 0 .*b\.jsonl, row 41: no string under "text".*c\.parquet, row 1: no',
    ):
        look_at([str(tmp_path)])
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(CorpusError, match="holds no row"):
        look_at([str(tmp_path / "empty.jsonl")])


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.txt"])
def test_a_file_that_changes_is_not_judged_as_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(module, "KEPT_BYTES", 0)
    path = tmp_path / name

    def write(texts: list[str]) -> None:
        if name == "a.parquet":
            pq.write_table(pa.table({"text": texts}), path)
        elif name == "a.jsonl":
            path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        else:
            path.write_text(texts[0])

    write(["one", "two"])
    inputs = look_at([str(path)])
    for texts in (["two", "one"], ["on", "two"]):
        write(texts)
        with pytest.raises(CorpusError, match=rf"{name}: was changed while its texts were judged"):
            list(InputReader(inputs).texts(0))


@pytest.mark.usefixtures("kept")
def test_what_is_left_out_of_a_file_is_noted_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.docx"
    path.write_bytes(word_file())
    noted = logging.getLogger("staged")
    monkeypatch.setattr(
        "staged.files.texts._opened", lambda *given: (noted.warning("2 pictures"), "Text.")[1]
    )
    assert read(look_at([str(path)])) == [(str(path), "Text.")]
    assert caplog.messages == ["2 pictures"]


def test_texts_at_hand_have_the_blocks_of_a_file(tmp_path: Path) -> None:
    texts = [(f"t{i}", f"Text {i}.") for i in range(40)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in texts))
    assert [block.name for block in given(texts).blocks] == [
        block.name for block in look_at([str(path)]).blocks
    ]
