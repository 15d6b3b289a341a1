"""`staged detect`, from the command line to the verdict: inputs, outputs, resuming, odd texts."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shutil
import sys
import threading
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from staged.cli import app
from staged.corpus.files import read_corpus
from staged.detectors import examiner as examining
from staged.detectors import opening
from staged.detectors.bulk.blocks import write_verdicts
from staged.detectors.bulk.inputs import given
from staged.detectors.calibration.calibration import fit_calibration
from staged.detectors.calibration.calibration_file import load_calibration
from staged.detectors.examiner import Examiner, segment_spans
from staged.detectors.identity import detector_files, known_by
from staged.detectors.inputs import read_texts
from staged.detectors.kinds.evidence import EvidenceDetector, Weights
from staged.detectors.kinds.features import FEATURES
from staged.detectors.names import parse_name
from staged.detectors.opening import ExaminerSettings, open_examiner
from staged.detectors.verdicts import judged
from staged.errors import CheckpointError, CorpusError, PlanError
from staged.model.causal import load_causal
from staged.storage.marks import mark_construction
from tests.conftest import prose
from tests.files.test_extract import pdf_file, word_file

WORDS = 60
NOUNS = (
    "window garden ladder engine market bridge orchard letter winter captain kettle meadow parcel"
    " violin saddle"
)
VERBS = (
    "opens paints keeps follows counts repairs carries measures remembers wanted liked heard knew"
    " sold found"
)


class CountsHarbours:
    """Scores the share of the word harbour, in percent."""

    name = "harbours"

    def __init__(self) -> None:
        self.asked = 0

    def score(self, texts: Sequence[str]) -> list[float]:
        self.asked += len(texts)
        return [100 * text.count("harbour") / max(len(text.split()), 1) for text in texts]


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> CountsHarbours:
    one = CountsHarbours()
    monkeypatch.setattr(opening, "open_detector", lambda name, **_: one)
    monkeypatch.setattr(opening, "calibration_file", lambda name: None)
    return one


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    """Two hundred human scores 0 … 2 and as many of machines, 1 … 6, at every length."""
    human = [(i / 100, words) for i in range(200) for words in (WORDS, 150, 300, 500)]
    machine = [(1 + i / 40, words) for i in range(200) for words in (WORDS, 150, 300, 500)]
    path = tmp_path / "calibration.json"
    fit_calibration("harbours", human, machine).save(path)
    return path


def text_with(harbours: int, words: int = WORDS) -> str:
    """Prose of so many words, so many of which are `harbour` and none is twice in the same
    company.
    """
    stream, found = random.Random(harbours + words), list[str]()
    while len(found) < words:
        a, b = stream.sample(NOUNS.split(), 2)
        found += f"The {a} that she {stream.choice(VERBS.split())} is in the {b}".split()
    found = found[:words]
    found[5 : 5 + 9 * harbours : 9] = ["harbour"] * len(found[5 : 5 + 9 * harbours : 9])
    return " ".join(found) + "."


def run(*arguments: str, stdin: str | bytes | None = None) -> str:
    result = CliRunner().invoke(app, ["detect", *arguments], input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


class TestVerdicts:
    def test_three_verdicts(self, detector: CountsHarbours, calibration: Path) -> None:
        examiner = open_examiner("harbours", calibration=calibration)
        texts = [
            ("m", text_with(6)),
            ("h", text_with(0)),
            ("o", text_with(1)),
            ("short", "harbour " * 9),
            ("empty", " \u200b "),
        ]
        found = {one.id: one for one in examiner.examine(texts)}
        assert [found[i].verdict for i in ("m", "h")] == ["machine", "human-like"]
        assert all(found[i].verdict == "not enough evidence" for i in ("o", "short", "empty"))
        assert found["m"].p_value == pytest.approx(1 / 201)
        assert found["m"].n_human == 200
        assert found["empty"].score is None
        assert found["empty"].p_value is None

    @pytest.mark.parametrize("more", [-1, 1])
    def test_as_many_scores_as_texts(
        self, detector: CountsHarbours, calibration: Path, more: int
    ) -> None:
        detector.score = lambda texts: [0.0] * (len(texts) + more)  # type: ignore[method-assign]
        with pytest.raises(
            CheckpointError,
            match=rf"harbours: gave {3 + more} scores for 3 texts; the detector is broken",
        ):
            open_examiner("harbours", calibration=calibration).examine(
                [(str(i), text_with(i)) for i in range(3)]
            )

    def test_what_is_not_covered_is_not_scored(
        self, detector: CountsHarbours, calibration: Path
    ) -> None:
        russian = (
            "Гавань открыта каждое утро, и паром уходит в семь часов, хотя ветер с моря бывает"
            " сильным. " * 9
        )
        first, other, last = open_examiner("harbours", calibration=calibration).examine(
            [("a", text_with(6)), ("b", russian), ("c", text_with(0))]
        )
        assert [first.verdict, last.verdict] == ["machine", "human-like"]
        assert (other.verdict, other.score, other.p_value, other.n_human) == (
            "not enough evidence",
            None,
            None,
            0,
        )
        assert "Cyrillic" in other.reason
        assert detector.asked == 2

    def test_repetition_is_read_once(self, detector: CountsHarbours, calibration: Path) -> None:
        text = text_with(6)
        once, four, loop = open_examiner("harbours", calibration=calibration).examine(
            [("a", text), ("b", f"{text}\n\n" * 4), ("c", "The harbour opens before noon. " * 40)]
        )
        assert (four.score, four.p_value, four.verdict, four.words) == (
            once.score,
            once.p_value,
            once.verdict,
            once.words,
        )
        assert "read once" in four.reason
        assert (loop.verdict, loop.score) == ("not enough evidence", None)
        assert "repeats itself" in loop.reason

    def test_what_the_model_knows_by_heart_is_not_accused(
        self, calibration: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Knows(CountsHarbours):
            scorer, most_tokens = None, 1024

        monkeypatch.setattr(opening, "open_detector", lambda name, **_: Knows())
        monkeypatch.setattr(opening, "calibration_file", lambda name: None)
        for known, said in ((True, "not enough evidence"), (False, "machine")):
            monkeypatch.setattr(examining, "is_recited", lambda detector, text, known=known: known)
            one, human = open_examiner("harbours", calibration=calibration).examine(
                [("a", text_with(6)), ("b", text_with(0))]
            )
            assert (one.verdict, one.p_value is None) == (said, known)
            assert human.verdict == "human-like"

    def test_normalised_before_it_is_scored(
        self, detector: CountsHarbours, calibration: Path
    ) -> None:
        plain = text_with(6)
        hidden = plain.replace(
            "harbour", "h\u200barb\u043eur"
        )  # a zero-width space and a Cyrillic о
        before, after = open_examiner("harbours", calibration=calibration).examine(
            [("a", plain), ("b", hidden)]
        )
        assert after.score == before.score
        assert {change.count for change in after.changes} == {6}
        assert not before.changes

    def test_without_a_calibration_nothing_is_claimed(self, detector: CountsHarbours) -> None:
        (one,) = open_examiner("harbours").examine([("m", text_with(6))])
        assert (one.verdict, one.p_value) == ("not enough evidence", None)
        assert "staged calibrate" in one.reason

    def test_another_detectors_calibration(self, detector: CountsHarbours, tmp_path: Path) -> None:
        path = tmp_path / "other.json"
        fit_calibration("other", [(0.0, WORDS)]).save(path)
        with pytest.raises(CheckpointError, match="calibrates the detector 'other'"):
            open_examiner("harbours", calibration=path)

    def test_a_folders_calibration_is_not_another_folders_of_that_name(
        self, tiny: Path, tmp_path: Path
    ) -> None:
        n = len(FEATURES)
        for name, sign in (("one", 1.0), ("two", -1.0)):
            (tmp_path / name).mkdir()
            weights = Weights(np.zeros(n), np.ones(n), np.full(n, sign), np.zeros(n), (0.0, -50.0))
            EvidenceDetector(load_causal(str(tiny)), weights, name="mine").save(tmp_path / name)
            fit_calibration("mine", [(0.0, WORDS)]).save(tmp_path / name / "calibration.json")
        one, two = str(tmp_path / "one"), str(tmp_path / "two")
        assert (
            open_examiner(one).calibration
            == open_examiner(one, calibration=Path(one, "calibration.json")).calibration
        )
        fit_calibration(one, [(0.0, WORDS)], known_by=known_by(parse_name(one))).save(
            tmp_path / "c.json"
        )
        shutil.copytree(one, tmp_path / "copy")
        assert open_examiner(
            str(tmp_path / "copy"), calibration=tmp_path / "c.json"
        ).calibration  # its files are what it is
        assert load_calibration(tmp_path / "c.json").known_by == known_by(parse_name(one))
        with pytest.raises(CheckpointError, match=r"not .*two' as it is now"):
            open_examiner(two, calibration=tmp_path / "c.json")
        for path in Path(two).iterdir():
            shutil.copy(path, one)  # trained again in the same place
        with pytest.raises(CheckpointError, match=r"not .*one' as it is now"):
            open_examiner(one, calibration=tmp_path / "c.json")
        shutil.copytree(tmp_path / "copy", one, dirs_exist_ok=True)
        with pytest.raises(CheckpointError, match="calibrates the detector 'mine', not "):
            open_examiner(two, calibration=Path(one, "calibration.json"))

    @pytest.mark.parametrize("fpr", [0.0, 1.0, -0.1, float("nan")])
    def test_rate_out_of_range(self, detector: CountsHarbours, fpr: float) -> None:
        with pytest.raises(PlanError, match="between 0 and 1"):
            open_examiner("harbours", fpr=fpr)


class TestSegments:
    def test_cover_the_text_in_whole_sentences(self) -> None:
        text = prose(3, 80)
        spans = segment_spans(text)
        assert len(spans) > 3
        assert spans[0][0] == 0
        assert spans[-1][1] == len(text)
        for (_, before), (start, _) in pairwise(spans):
            assert not text[before:start].strip()
            assert text[before - 1] in ".!?"
        assert all(len(text[a:b].split()) >= examining.SEGMENT_WORDS for a, b in spans)

    def test_short_and_empty_texts(self) -> None:
        assert segment_spans("") == []
        assert segment_spans("One. Two.") == [(0, 9)]
        assert segment_spans("no end in sight " * 200) == [(0, 3199)]

    def test_a_script_without_spaces_is_said(
        self, detector: CountsHarbours, calibration: Path
    ) -> None:
        examiner = open_examiner("harbours", calibration=calibration)
        chinese, quoted = (
            "港口的渡轮早上七点离开，中午之前返回。 " * 60,
            text_with(6) + " 港口的渡轮早上七点离开",
        )
        for text, unspaced in (
            (chinese, True),
            ("สวัสดีครับ " * 60, True),
            (quoted, False),
            ("https://example.org/" + "a" * 90, False),
        ):
            (one,) = examiner.examine([("a", text)])
            assert ("script without spaces" in one.reason) == unspaced
            assert not unspaced or (one.verdict, one.p_value) == ("not enough evidence", None)

    def test_two_authors(self, detector: CountsHarbours, calibration: Path) -> None:
        human = " ".join(f"The window opens {i} times." for i in range(40))
        machine = " ".join(f"The harbour opens {i} times." for i in range(40))
        examiner = open_examiner("harbours", calibration=calibration)
        verdicts = [part.verdict for part in examiner.segments(human + "\n\n" + machine)]
        assert verdicts[0] == "human-like"
        assert verdicts[-1] == "machine"


class TestInputs:
    def test_files_folders_rows(self, tmp_path: Path) -> None:
        (tmp_path / "f").mkdir()
        (tmp_path / "f" / "b.txt").write_text("two", encoding="utf-8-sig")
        (tmp_path / "f" / "a.md").write_text("one", encoding="utf-8")
        rows = [{"id": "x", "text": "three"}, {"text": "four\u2028still four"}]
        (tmp_path / "r.jsonl").write_text(
            "\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8"
        )
        pq.write_table(pa.Table.from_pylist([{"id": 7, "text": "five"}]), tmp_path / "p.parquet")
        found = list(
            read_texts(
                [str(tmp_path / "f"), str(tmp_path / "r.jsonl"), str(tmp_path / "p.parquet")]
            )
        )
        assert [text for _, text in found] == [
            "one",
            "two",
            "three",
            "four\u2028still four",
            "five",
        ]
        assert [name for name, _ in found[2:]] == ["x", f"{tmp_path}/r.jsonl:2", "7"]

    def test_word_files_and_pdfs(self, tmp_path: Path) -> None:
        (tmp_path / "~$b.docx").write_bytes(b"\x05Anna\xff")  # Word keeps it while b.docx is open
        (tmp_path / "b.docx").write_bytes(word_file())
        (tmp_path / "a.PDF").write_bytes(pdf_file())
        (tmp_path / "c").write_bytes(pdf_file(text="Known by its first bytes."))
        found = list(read_texts([str(tmp_path)]))
        assert [Path(name).name for name, _ in found] == ["a.PDF", "b.docx", "c"]
        assert found[0][1] == "The river crosses the garden."
        assert found[1][1].startswith("On harbours\n\nThe river")
        assert found[2][1] == "Known by its first bytes."

    def test_what_no_one_means_is_left_out_of_a_folder(self, tmp_path: Path) -> None:
        for name in (".git/config", "sub/.hidden", "found.jsonl.blocks/000.jsonl", "sub/a.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(b"\xff" if name != "sub/a.txt" else b"one")
        mark_construction(tmp_path / "found.jsonl.blocks", {})
        (tmp_path / "found.jsonl").write_text('{"id": "a", "verdict": "machine"}\n')
        found = list(read_texts([str(tmp_path)], out=tmp_path / "sub" / ".." / "found.jsonl"))
        assert [text for _, text in found] == ["one"]

    def test_rows_of_several_files_are_told_apart(self, tmp_path: Path) -> None:
        for name in "ab":
            (tmp_path / f"{name}.jsonl").write_text('{"text": "one"}\n{"id": 7, "text": "two"}\n')
        found = [
            name for name, _ in read_texts([str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")])
        ]
        assert found == [f"{tmp_path}/a.jsonl:1", "7", f"{tmp_path}/b.jsonl:1", "7"]

    def test_all_files_are_looked_at_before_the_first_fault_is_said(self, tmp_path: Path) -> None:
        for name in ("a.txt", "b", "c.pdf"):
            (tmp_path / name).write_bytes(b"%PDF-1.7" if name == "c.pdf" else b"\xff")
        for read in (lambda place: list(read_texts([place])), read_corpus):
            with pytest.raises(
                CorpusError,
                match=r"(?s)a\.txt: byte 0 is not UTF-8 .*\n.*b: byte 0 is .*\n.*c\.pdf: this PDF",
            ):
                read(str(tmp_path))

    def test_a_locked_pdf_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "a.pdf").write_bytes(pdf_file(password="secret"))
        with pytest.raises(CorpusError, match=r"a\.pdf: this PDF is locked with a password"):
            list(read_texts([str(tmp_path)]))

    @pytest.mark.parametrize(
        ("name", "data", "said"),
        [
            ("a.txt", b"caf\xe9", "byte 3 is not UTF-8"),
            (
                "a.doc",
                b"\xd0\xcf\x11\xe0",
                "an old Office file, damaged or of another program than Word; save it as .docx",
            ),
            (
                "a.csv",
                b"id,text\n",
                "a .csv file has more than a text in it; give its texts as .jsonl rows",
            ),
            ("a.txt", b"PK\x03\x04 and no more", "this Word file is damaged"),
            ("a.jsonl", b'{"id": 1}', 'row 1: no string under "text"'),
            ("a.jsonl", b'{"text": "a"}\n{"text": 3}', 'row 2: no string under "text"'),
            ("a.jsonl", b'{"text": "a"}\nnot json', "line 2: not JSON"),
            ("a.parquet", b"PAR1 no", "not a readable Parquet file"),
            ("a.txt", b"abc\0def", "byte 3 is not UTF-8 text"),
            ("a.jsonl", b"[" * 100_000, "line 1: not JSON"),
            ("a.jsonl", b'{"text": "a", "id": ' + b"1" * 5000 + b"}", "line 1: not JSON"),
        ],
    )
    def test_bad_files_say_where(self, tmp_path: Path, name: str, data: bytes, said: str) -> None:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(CorpusError, match=said):
            list(read_texts([str(tmp_path / name)]))

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match="no such file"):
            list(read_texts([str(tmp_path / "none")]))
        with pytest.raises(CorpusError, match="empty folder"):
            list(read_texts([str(tmp_path)]))
        with pytest.raises(CorpusError, match="an empty name: no such file"):
            list(read_texts([""]))

    def test_no_row_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a.jsonl").write_text("\n")
        with pytest.raises(CorpusError, match=r": holds no row, so there is nothing to judge"):
            list(read_texts([str(tmp_path)]))
        (tmp_path / "b.txt").write_text("one")
        assert [text for _, text in read_texts([str(tmp_path)])] == ["one"]

    @pytest.mark.parametrize(("encoding", "byte"), [("utf-16-le", 4), ("utf-16-be", 4)])
    def test_binary_data_behind_a_utf_16_mark(
        self, tmp_path: Path, encoding: str, byte: int
    ) -> None:
        (tmp_path / "a.txt").write_bytes("\ufeffa\0b".encode(encoding))
        with pytest.raises(CorpusError, match=f"byte {byte} is not UTF-8"):
            list(read_texts([str(tmp_path / "a.txt")]))

    def test_utf_16_with_a_mark_is_text(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("naïve", encoding="utf-16")
        assert [text for _, text in read_texts([str(tmp_path / "a.txt")])] == ["naïve"]

    def test_ids_fit_into_any_output(self, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_text(
            '{"id": "\\ud800", "text": "a"}\n{"id": null, "text": "b"}\n'
        )
        assert [name for name, _ in read_texts([str(tmp_path / "a.jsonl")])] == ["\\ud800", "2"]

    def test_a_pipe_is_a_file(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_text, args=("one",))
        writer.start()
        assert list(read_texts([str(pipe)])) == [(str(pipe), "one")]
        writer.join()

    def test_a_folder_that_cannot_be_walked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(self: Path) -> bool:
            raise PermissionError(13, "Permission denied", str(self))

        (tmp_path / "a.txt").write_text("one")
        monkeypatch.setattr(Path, "is_file", refused)
        with pytest.raises(CorpusError, match=r"a\.txt: cannot be read: Permission denied"):
            list(read_texts([str(tmp_path)]))


class TestCommand:
    def test_json_lines_in_input_order(
        self, detector: CountsHarbours, calibration: Path, tmp_path: Path
    ) -> None:
        rows = [{"id": f"t{i}", "text": text_with(i % 7)} for i in range(150)]
        path = tmp_path / "texts.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        lines = run(str(path), "--json", "--calibration", str(calibration)).splitlines()
        found = [json.loads(line) for line in lines]
        assert [one["id"] for one in found] == [row["id"] for row in rows]
        assert {"id", "score", "p_value", "verdict", "detector"} <= found[0].keys()

    def test_standard_input_as_text_and_as_rows(
        self, detector: CountsHarbours, calibration: Path
    ) -> None:
        one = json.loads(run("-", "--json", "--calibration", str(calibration), stdin=text_with(6)))
        assert (one["id"], one["verdict"]) == ("-", "machine")
        rows = "".join(json.dumps({"id": i, "text": text_with(i)}) + "\n" for i in range(3))
        assert [json.loads(line)["id"] for line in run("-", "--json", stdin=rows).splitlines()] == [
            "0",
            "1",
            "2",
        ]

    def test_csv(self, detector: CountsHarbours, calibration: Path) -> None:
        rows = list(
            csv.DictReader(
                io.StringIO(
                    run("-", "--csv", "--calibration", str(calibration), stdin=text_with(6))
                )
            )
        )
        assert rows[0]["verdict"] == "machine"
        assert float(rows[0]["p_value"]) == pytest.approx(1 / 201)

    def test_words_and_table_and_parts(
        self, detector: CountsHarbours, calibration: Path, tmp_path: Path
    ) -> None:
        shown = run(
            "-",
            "--segments",
            "--calibration",
            str(calibration),
            stdin=f"{text_with(6)}. Window {text_with(6)}.\n\n" * 2,
        )
        assert "machine" in shown
        assert "no ground to accuse" in shown
        assert "parts would be called machine by chance" in shown
        assert "by chance" not in run(
            "-", "--segments", "--calibration", str(calibration), stdin=text_with(6)
        )
        for name in "ab":
            (tmp_path / f"{name}.txt").write_text(text_with(6), encoding="utf-8")
        assert (
            run(str(tmp_path / "a.txt"), str(tmp_path / "b.txt")).count("not enough evidence") == 2
        )

    def test_a_table_says_why_there_is_no_verdict(
        self, detector: CountsHarbours, tmp_path: Path
    ) -> None:
        for name in ("a", "b", "c"):
            (tmp_path / f"{name}.txt").write_text("" if name == "c" else text_with(6))
        said = " ".join(
            CliRunner()
            .invoke(app, ["detect", str(tmp_path), "--detector", "harbours"])
            .stdout.split()
        )
        assert (
            "2 texts of which nothing can be said: The detector harbours has not been calibrated"
            in said
        )
        assert "1 text of which nothing can be said: The text is empty." in said

    def test_short_texts_are_one_reason_and_a_rare_rate_is_another(
        self, detector: CountsHarbours, calibration: Path, tmp_path: Path
    ) -> None:
        texts = tmp_path / "texts"
        texts.mkdir()
        for words in (1, 2, 3):
            (texts / f"{words}.txt").write_text("word " * words)
        (texts / "long.txt").write_text(text_with(3))
        asked = [
            "detect",
            str(texts),
            "--detector",
            "harbours",
            "--calibration",
            str(calibration),
            "--fpr",
            "0.00001",
        ]
        said = " ".join(CliRunner().invoke(app, asked).stdout.split())
        assert (
            "3 texts of which nothing can be said: below 50 words there is too little to judge by."
            in said
        )
        assert "1 text of which nothing can be said: There are" in said

    def test_a_table_shows_how_texts_begin_where_there_is_room(
        self, detector: CountsHarbours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a.jsonl"
        texts = [f"Text\n{name} [b]\x1b[31m{'long ' * 99}" for name in "XY"] + [
            "東京の川" * 99
        ]  # signs two columns wide
        path.write_text(
            "".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8"
        )
        for width, shown in ((60, 0), (100, 1)):
            monkeypatch.setattr("staged.commands.printed.verdicts.screen", Console(width=width))
            table = run(str(path))
            assert (table.count("Text X [b][31mlong"), table.count("Text Y [b][31mlong")) == (
                shown,
                shown,
            )
            assert ("東京の川" in table) == bool(shown)
            assert table.count("not enough evidence") == 3
            assert "\x1b[31m" not in table

    def test_page(
        self,
        detector: CountsHarbours,
        calibration: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(Examiner, "tokens", lambda self, text: [])
        page = tmp_path / "page.html"
        shown = run(
            "-",
            "--html",
            str(page),
            "--calibration",
            str(calibration),
            stdin=text_with(6) + " <script>alert(1)</script>",
        )
        assert "machine · 61 words" in " ".join(shown.split())
        assert f"page: {page}" in "".join(shown.split("\n"))
        html = page.read_text(encoding="utf-8")
        assert "scores like machine-written text" in html
        assert "<script>alert" not in html
        assert "What this cannot tell" in html
        assert "/static/" not in html

    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (["--json", "--csv"], "one of"),
            (["--csv", "--segments"], "--csv has no place for parts"),
            (["--out", "a.txt"], "ends in .jsonl"),
            (["--workers", "2"], "give --out"),
            (["--fpr", "2"], "between 0 and 1"),
        ],
    )
    def test_bad_flags(self, detector: CountsHarbours, flags: list[str], said: str) -> None:
        result = CliRunner().invoke(app, ["detect", "-", *flags], input="text")
        assert isinstance(result.exception, PlanError)
        assert said in str(result.exception)

    def test_what_is_read_is_not_replaced(self, detector: CountsHarbours, tmp_path: Path) -> None:
        path = tmp_path / "texts.jsonl"
        path.write_text('{"text": "one"}\n')
        result = CliRunner().invoke(
            app, ["detect", str(path), "--out", str(tmp_path / "." / "texts.jsonl")]
        )
        assert isinstance(result.exception, PlanError)
        assert "is read here and would be replaced" in str(result.exception)
        assert path.read_text() == '{"text": "one"}\n'

    def test_a_text_among_the_others_is_not_taken_for_verdicts(
        self, detector: CountsHarbours, calibration: Path, tmp_path: Path
    ) -> None:
        texts, out = tmp_path / "texts", tmp_path / "texts" / "x.jsonl"
        texts.mkdir()
        (texts / "a.txt").write_text("one")
        out.write_text('{"text": "two"}\n')
        result = CliRunner().invoke(app, ["detect", str(texts), "--out", str(out)])
        assert "is read here and would be replaced" in str(result.exception)
        assert out.read_text() == '{"text": "two"}\n'
        out.unlink()
        for _ in range(2):  # the second time what the first one wrote stands there
            assert CliRunner().invoke(app, ["detect", str(texts), "--out", str(out)]).exit_code == 0
            assert len(out.read_text().splitlines()) == 1

    @pytest.mark.parametrize("kind", ["folder", "pipe"])
    def test_only_a_file_is_replaced(
        self, detector: CountsHarbours, tmp_path: Path, kind: str
    ) -> None:
        (tmp_path / "a.txt").write_text("one")
        out = tmp_path / "out.jsonl"
        out.mkdir() if kind == "folder" else os.mkfifo(out)
        result = CliRunner().invoke(app, ["detect", str(tmp_path / "a.txt"), "--out", str(out)])
        assert isinstance(result.exception, PlanError)
        assert out.is_dir() if kind == "folder" else out.is_fifo()


class TestResuming:
    def test_continues_with_what_is_missing(
        self, detector: CountsHarbours, calibration: Path, tmp_path: Path
    ) -> None:
        texts = given([(f"t{i}", text_with(i % 7)) for i in range(200)])
        settings = ExaminerSettings("harbours", calibration=calibration)
        whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
        write_verdicts(whole, texts, settings)
        detector.asked = 0

        def stop(done: int, total: int) -> None:
            if done >= 128:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_verdicts(out, texts, settings, progress=stop)
        assert not out.exists()
        write_verdicts(out, texts, settings)
        assert detector.asked == texts.count
        assert out.read_bytes() == whole.read_bytes()
        assert not out.with_name("out.jsonl.blocks").exists()

    def test_a_class_of_essays_is_kept_as_it_goes(
        self, detector: CountsHarbours, calibration: Path, tmp_path: Path
    ) -> None:
        texts, seen = [(str(i), text_with(i)) for i in range(40)], list[int]()

        def stop(done: int, total: int) -> None:
            seen.append(done)
            if done >= 32:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_verdicts(
                tmp_path / "o.jsonl",
                given(texts),
                ExaminerSettings("harbours", calibration=calibration),
                progress=stop,
            )
        assert seen == [0, 16, 32]
        assert len(list((tmp_path / "o.jsonl.blocks").glob("*.jsonl"))) == 2

    def test_other_texts_are_not_taken_for_these(
        self, detector: CountsHarbours, calibration: Path, tmp_path: Path
    ) -> None:
        out, settings = tmp_path / "out.jsonl", ExaminerSettings("h", calibration=calibration)
        with pytest.raises(KeyboardInterrupt):
            write_verdicts(out, given([("a", text_with(6))]), settings, progress=_interrupt)
        write_verdicts(out, given([("a", text_with(0))]), settings)
        assert json.loads(out.read_text(encoding="utf-8"))["verdict"] == "human-like"

    def test_a_detector_that_was_trained_again_is_another(self, tmp_path: Path) -> None:
        folder = tmp_path / "harbours"
        folder.mkdir()
        (folder / "detector.json").write_text("{}", encoding="utf-8")
        (folder / "weights.npy").write_text("1", encoding="utf-8")
        before = detector_files(parse_name(str(folder)))
        (folder / "calibration.json").write_text("what is not of its scores", encoding="utf-8")
        assert before == detector_files(parse_name(str(folder)))
        (folder / "weights.npy").write_text("2", encoding="utf-8")
        assert before.keys() == detector_files(parse_name(str(folder))).keys()
        assert before != detector_files(parse_name(str(folder)))
        assert {"readers.json", "lexical.npz", "encoder.safetensors"} < detector_files(
            parse_name("evidence")
        ).keys()
        assert not detector_files(parse_name("nowhere"))


def _interrupt(done: int, total: int) -> None:
    raise KeyboardInterrupt


def test_judged_reads_as_it_goes(detector: CountsHarbours) -> None:
    taken = []

    def texts() -> object:
        for i in range(10):
            taken.append(i)
            yield str(i), text_with(1)

    rows = judged(open_examiner("harbours"), texts(), at_once=2)  # type: ignore[arg-type]
    next(rows)
    assert taken == [0, 1]


def test_no_models_for_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_detector", lambda name, **_: sys.exit("a model was loaded"))
    result = CliRunner().invoke(app, ["detect", str(tmp_path / "none.txt")])
    assert isinstance(result.exception, CorpusError)
