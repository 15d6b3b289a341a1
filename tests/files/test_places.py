"""One rule for which files of a user's are read, by every command, and what is said of the
others.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from staged.corpus.build import CorpusSettings, recorded, split_documents
from staged.corpus.files import read_corpus
from staged.detectors.inputs import read_texts
from staged.errors import CorpusError
from staged.files.places import SUFFIXES, files_below, text_files
from staged.samples.prompts import read_prompts
from staged.storage.marks import mark_construction
from tests.files.test_extract import pdf_file, word_file

READ = {
    "corpus": lambda place: [one.text for one in read_corpus(place)],
    "detect": lambda place: [t for _, t in read_texts([place])],
}
Read = Callable[[str], list[str]]


@pytest.fixture(params=READ.values(), ids=READ)
def read(request: pytest.FixtureRequest) -> Read:
    """The texts of a place, as a corpus and as `detect` read it."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def notes(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING, logger="staged")
    return lambda: [one.getMessage() for one in caplog.records]


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        path.write_text(json.dumps({"text": text}) + "\n", encoding="utf-8")
    elif path.suffix.lower() == ".parquet":
        pq.write_table(pa.table({"text": [text]}), path)
    elif path.suffix.lower() == ".pdf":
        path.write_bytes(pdf_file(text=text))
    elif path.suffix.lower() in (".docx", ".docm", ".dotx", ".dotm"):
        path.write_bytes(word_file())
    else:
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_the_same_files_are_read_everywhere(
    tmp_path: Path, read: Read, change: Callable[[str], str]
) -> None:
    for suffix in (*SUFFIXES, ""):
        write(tmp_path, f"a{change(suffix)}", "The river crosses the garden.")
    found = read(str(tmp_path))
    assert len(found) == len(SUFFIXES) + 1
    assert all("crosses the garden" in text for text in found)
    assert read(str(tmp_path / f"a{change('.md')}")) == ["The river crosses the garden."]


def test_what_is_passed_over_is_counted_and_named_once(
    tmp_path: Path, read: Read, notes: Callable[[], list[str]]
) -> None:
    for name in (
        "notes.rtf",
        "sub/a.png",
        "b.zip",
        "one.txt",
        "table.csv",
        ".hidden/x.rtf",
        "~$b.docx",
        ".DS_Store",
        "e.html",
    ):
        write(tmp_path, name, "text")
    (tmp_path / "broken.txt").symlink_to(tmp_path / "gone.txt")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.txt")
    assert read(str(tmp_path)) == ["text"]
    (said,) = notes()
    assert said.startswith(
        f"{tmp_path}: 8 files (b.zip, broken.txt (a link), e.html, loop (a link), notes.rtf and 3"
        " more) passed over"
    )
    assert ".md" in said


def test_a_link_to_a_file_and_a_folder_like_a_file_are_read(
    tmp_path: Path, read: Read, notes: Callable[[], list[str]]
) -> None:
    write(tmp_path, "corpus/book.txt/part.md", "one")
    write(tmp_path, "elsewhere.txt", "two")
    (tmp_path / "corpus" / "link.txt").symlink_to(tmp_path / "elsewhere.txt")
    (tmp_path / "named").symlink_to(tmp_path / "corpus")
    assert read(str(tmp_path / "named")) == ["one", "two"]
    assert notes() == []


def test_folders_of_pieces_are_ours_only_where_they_are(tmp_path: Path, read: Read) -> None:
    write(tmp_path, "city.blocks/a.txt", "the user's")
    for name in ("calibration.json.blocks", "x.blocks"):
        write(tmp_path, f"{name}/0.txt", "ours")
        mark_construction(tmp_path / name, {})
    assert read(str(tmp_path)) == ["the user's"]


def test_a_folder_without_anything_to_read(tmp_path: Path, read: Read) -> None:
    with pytest.raises(CorpusError, match="an empty folder, which holds no text; put texts there"):
        read(str(tmp_path))
    write(tmp_path, "a.png", "x")
    with pytest.raises(CorpusError, match="holds no text of a kind that is read; put texts there"):
        read(str(tmp_path))


@pytest.mark.parametrize("place", ["", "  "])
def test_an_empty_name_is_not_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Read, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "a.txt", "text")
    with pytest.raises(CorpusError, match="an empty name: no such file or folder"):
        read(place)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a.rtf", "a .rtf file would be read as its markup; save it as"),
        ("a.odt", "a .odt file would be read as its markup"),
        ("a.xlsx", "a .xlsx file has more than a text in it; give its texts as .jsonl rows"),
        ("a.jsonl.gz", "is packed; unpack it"),
        ("x" * 300, "cannot be read: File name too long"),
        ("a\0b.txt", "no such file"),
    ],
)
def test_a_named_file_of_another_kind(tmp_path: Path, read: Read, name: str, says: str) -> None:
    if len(name) < 100 and "\0" not in name:
        write(tmp_path, name, "text")
    with pytest.raises(CorpusError, match=says):
        read(str(tmp_path / name))


def test_devices_and_sockets_are_refused_and_pipes_are_files(tmp_path: Path, read: Read) -> None:
    with pytest.raises(CorpusError, match="is a device or a socket"):
        read("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.txt"))
        with pytest.raises(CorpusError, match="is a device or a socket"):
            read(str(tmp_path / "s.txt"))
    ours, theirs = os.pipe()
    os.write(theirs, b"through a pipe")
    os.close(theirs)
    assert read(f"/dev/fd/{ours}") == ["through a pipe"]
    os.close(ours)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_rows_without_text_are_named_where_they_are_passed_over(
    tmp_path: Path, suffix: str, notes: Callable[[], list[str]]
) -> None:
    texts = ["one", "", " \n", None, "five"]
    path = tmp_path / f"a{suffix}"
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": one}) + "\n" for one in texts))
    else:
        pq.write_table(pa.table({"text": texts}), path)
    write(tmp_path, "empty.txt", "")
    write(tmp_path, "blank.md", " \n\n")
    assert [one.id for one in read_corpus(str(tmp_path))] == [f"a{suffix}:1", f"a{suffix}:5"]
    assert notes() == [
        f"{path}: 3 rows (2, 3, 4) without text passed over",
        f"{tmp_path}: 2 files (blank.md, empty.txt) without text passed over",
    ]
    assert [text for _, text in read_texts([str(path)])] == [
        "one",
        "",
        " \n",
        "",
        "five",
    ]  # each row is answered
    assert read_prompts(str(path)) == ["one", "five"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({}, "no string under"),
        ({"txt": "a"}, "no string under"),
        ({"text": 3}, "no string under"),
        ({"text": ["a"]}, "no string under"),
        ({"text": "a\0b"}, "character 1 is a NUL, which is no text"),
        ({"text": "a\ud800"}, "character 1 is half a surrogate pair, which is no text"),
    ],
)
def test_a_bad_row_is_said_in_the_same_words(
    tmp_path: Path, row: dict[str, object], says: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "fine"}) + "\n" + json.dumps(row) + "\n")
    for read in (*READ.values(), read_prompts):
        with pytest.raises(CorpusError, match=rf"a\.jsonl, row 2: {says}"):
            read(str(path))


def test_a_folder_that_may_not_be_looked_into_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    def refused(place: object) -> None:
        raise PermissionError(13, "Permission denied", str(place))

    write(tmp_path, "a.txt", "one")
    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(CorpusError, match="cannot be read: Permission denied"):
        read(str(tmp_path))


def test_order_is_by_folder_then_name(tmp_path: Path) -> None:
    names = ["a/z.txt", "a.txt", "a b.txt", "B.txt", "b/a.txt"]
    for name in names:
        write(tmp_path, name, name)
    assert (
        files_below(tmp_path)
        == sorted(path for path in tmp_path.rglob("*") if path.is_file())
        == text_files(str(tmp_path))
    )


class TestEndOfText:
    def test_documents_of_one_file_have_one_source(self, tmp_path: Path) -> None:
        write(tmp_path, "a.txt", "One.\n<|endoftext|>\nTwo.<|endoftext|><|endoftext|> \n")
        write(tmp_path, "b.txt", "Three.<|endoftext|>")
        write(tmp_path, "c.jsonl", "Four.<|endoftext|>Five.")
        found = [(one.id, one.text, one.source) for one in read_corpus(str(tmp_path))]
        assert found == [
            ("a.txt#1", "One.", "a.txt"),
            ("a.txt#2", "Two.", "a.txt"),
            ("b.txt", "Three.", "b.txt"),
            ("c.jsonl:1#1", "Four.", "c.jsonl:1"),
            ("c.jsonl:1#2", "Five.", "c.jsonl:1"),
        ]

    def test_who_means_it_literally_says_so(self, tmp_path: Path) -> None:
        write(tmp_path, "a.txt", "One.<|endoftext|>Two.")
        (one,) = read_corpus(str(tmp_path), literal=True)
        assert (one.id, one.text) == ("a.txt", "One.<|endoftext|>Two.")

    def test_parts_never_straddle_a_split(self, tmp_path: Path) -> None:
        for number in range(8):
            write(
                tmp_path,
                f"{number}.txt",
                "<|endoftext|>".join(f"Text {part} of {number}." for part in range(5)),
            )
        documents = split_documents(CorpusSettings(source=str(tmp_path)))
        assert len(documents) == 40
        assert len({(one.source, one.split) for one in documents}) == 8
        whole = split_documents(CorpusSettings(source=str(tmp_path), end_of_text="literal"))
        assert len(whole) == 8

    def test_what_was_made_before_there_was_a_choice_stays_valid(self) -> None:
        assert "end_of_text" not in recorded(CorpusSettings())
        assert recorded(CorpusSettings(end_of_text="literal"))["end_of_text"] == "literal"
