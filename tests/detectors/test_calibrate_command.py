"""`staged calibrate`: passages of every length, sources kept whole, what it prints, what it
refuses.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from staged.cli import app
from staged.corpus.files import read_corpus
from staged.detectors.calibration import fit, parts, scoring
from staged.detectors.calibration.calibration import fit_calibration
from staged.detectors.calibration.calibration_file import load_calibration
from staged.errors import CheckpointError, CorpusError, PlanError, StagedError
from staged.records import HUMAN, MACHINE, Document, count_words
from staged.samples.dataset import SampleSettings, write_samples
from staged.samples.methods import method
from tests.conftest import plug, prose


class Counting:
    """A detector that needs no model: the share of letters that are e."""

    name = "counting"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def score(self, texts: Sequence[str]) -> list[float]:
        self.seen += texts
        return [text.count("e") / max(len(text), 1) for text in texts]


def document(seed: int, sentences: int, name: str = "") -> Document:
    return Document(name or f"news/{seed}.txt", prose(seed, sentences), HUMAN, name or str(seed))


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    detector = Counting()
    plug(monkeypatch, "counting", lambda: detector)
    return detector


class TestPassages:
    @pytest.mark.parametrize(
        ("sentences", "bins"), [(2, []), (8, [50]), (15, [50, 100]), (200, [50, 100, 200, 400])]
    )
    def test_one_text_for_every_length_that_the_document_has(
        self, sentences: int, bins: list[int]
    ) -> None:
        whole = document(1, sentences)
        found = parts.passages(whole, seed=1)
        words = [count_words(one.text) for one in found]
        assert len(words) == len(bins)
        assert all(
            low <= n < (2 * low if low < 400 else 801) for low, n in zip(bins, words, strict=True)
        )
        assert all(" ".join(one.text.split()) in " ".join(whole.text.split()) for one in found)

    def test_in_its_own_bin_a_document_stands_as_it_is(self) -> None:
        whole = document(1, 15)
        assert parts.passages(whole, seed=1)[-1] is whole

    def test_lengths_vary_and_depend_on_the_seed_alone(self) -> None:
        texts = [document(seed, 200) for seed in range(12)]
        once, again, other = (
            [p.text for one in texts for p in parts.passages(one, seed=seed)] for seed in (1, 1, 2)
        )
        assert once == again != other
        assert len({count_words(text) for text in once[::4]}) > 3

    def test_domains(self) -> None:
        named = {
            "news/a/1.txt": "news",
            "1.txt": "text",
            "wiki.jsonl:3": "wiki",
            "news/x.jsonl:3#0001": "news",
            "w.jsonl:3#0001": "w",
        }
        assert {one: parts.domain_of(document(1, 1, one)) for one in named} == named


class TestCalibrate:
    def test_a_source_never_stands_on_both_sides(self, tmp_path: Path) -> None:
        texts = [document(seed, 60) for seed in range(40)]
        texts = [
            Document(one.id, one.text, HUMAN, f"author {i // 4}") for i, one in enumerate(texts)
        ]
        detector = Counting()
        fitted = fit.calibrate(
            tmp_path / "c.json", "counting", lambda: detector, texts, fpr=0.1, identity={}
        )
        n_fit = sum(map(len, fitted.calibration.human))
        held_out = set(detector.seen[n_fit:])
        authors = [
            {one.source for one in texts if set(fitted_texts(one)) & part}
            for part in (set(detector.seen[:n_fit]), held_out)
        ]
        assert authors[0] & authors[1] == set()
        assert all(authors)
        assert 0.15 < len(held_out) / len(detector.seen) < 0.5

    def test_held_out_texts_of_ones_own(self, tmp_path: Path) -> None:
        texts = [document(seed, 60) for seed in range(8)]
        fitted = fit.calibrate(
            tmp_path / "c.json",
            "c",
            Counting,
            texts[:5],
            fpr=0.2,
            held_out=texts[5:],
            identity={},
        )
        assert [len(one) for one in fitted.calibration.human] == [5, 5, 5, 5]
        assert fitted.achieved[0].n == 12
        with pytest.raises(CorpusError, match="2 of the held-out texts are among the human texts"):
            fit.calibrate(
                tmp_path / "c.json",
                "c",
                Counting,
                texts[:5],
                fpr=0.2,
                held_out=texts[3:],
                identity={},
            )
        with pytest.raises(
            CorpusError, match="5 of the machine-written texts are among the human ones"
        ):
            fit.calibrate(
                tmp_path / "c.json", "c", Counting, texts, fpr=0.2, machine=texts[:5], identity={}
            )
        with pytest.raises(
            CorpusError, match="3 of the machine-written texts are among the human ones"
        ):
            fit.calibrate(
                tmp_path / "c.json",
                "c",
                Counting,
                texts[:5],
                fpr=0.2,
                machine=texts[5:],
                held_out=texts[5:],
                identity={},
            )

    def test_one_source_cannot_be_split(self, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match="a single source, so none can be held out"):
            fit.calibrate(
                tmp_path / "c.json", "c", Counting, [document(1, 60)], fpr=0.2, identity={}
            )

    def test_a_text_that_stands_there_twice_counts_once(self, tmp_path: Path) -> None:
        texts = [document(seed, 60) for seed in range(20)]
        twice = texts + [
            replace(one, id=f"again/{one.id}", source=f"again {one.source}") for one in texts
        ]
        out = tmp_path / "c.json"
        once, again = (
            fit.calibrate(out, "c", Counting, some, fpr=0.2, identity={}) for some in (texts, twice)
        )
        assert once == again
        others = [document(seed, 60) for seed in range(50, 56)]
        for part in ("held_out", "machine"):
            once, again = (
                fit.calibrate(out, "c", Counting, texts, fpr=0.2, identity={}, **{part: some})  # type: ignore[arg-type]
                for some in (others, others * 3)
            )
            assert once == again

    def test_a_score_that_is_not_finite_is_one_sentence(self, tmp_path: Path) -> None:
        class Broken(Counting):
            def score(self, texts: Sequence[str]) -> list[float]:
                return [float("nan")] * len(texts)

        texts = [document(seed, 60) for seed in range(8)]
        with pytest.raises(
            CheckpointError, match="detector counting: gave a score that is not finite"
        ):
            fit.calibrate(tmp_path / "c.json", "c", Broken, texts, fpr=0.2, identity={})

    def test_a_script_without_spaces_is_said(self, tmp_path: Path) -> None:
        texts = [
            Document(f"{i}.txt", "東京は、とても大きい。" * 200 + str(i), HUMAN, str(i))
            for i in range(8)
        ]
        with pytest.raises(
            CorpusError, match="in scripts without spaces words do not say how long a text is"
        ):
            fit.calibrate(tmp_path / "c.json", "c", Counting, texts, fpr=0.2, identity={})

    def test_none_is_long_enough(self, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match="no human text to calibrate on has 50 words"):
            fit.calibrate(
                tmp_path / "c.json",
                "c",
                Counting,
                [document(1, 3), document(2, 3)],
                fpr=0.2,
                identity={},
            )
        assert not list(tmp_path.iterdir())

    def test_continues_after_a_kill(self, tmp_path: Path) -> None:
        class Dies(Counting):
            def score(self, texts: Sequence[str]) -> list[float]:
                if len(self.seen) >= scoring.AT_ONCE:
                    raise KeyboardInterrupt
                return super().score(texts)

        texts, out = [document(seed, 60) for seed in range(40)], tmp_path / "c.json"
        whole, first, then, other = Counting(), Dies(), Counting(), Counting()
        fit.calibrate(
            tmp_path / "whole.json", "c", lambda: whole, texts, fpr=0.2, identity={"detector": "c"}
        )
        with pytest.raises(KeyboardInterrupt):
            fit.calibrate(out, "c", lambda: first, texts, fpr=0.2, identity={"detector": "c"})
        assert not out.exists()
        blocks = tmp_path / "c.json.blocks"
        shutil.copytree(blocks, tmp_path / "d.json.blocks")
        fit.calibrate(out, "c", lambda: then, texts, fpr=0.2, identity={"detector": "c"})
        assert first.seen + then.seen == whole.seen
        assert out.read_bytes() == (tmp_path / "whole.json").read_bytes()
        fit.calibrate(
            tmp_path / "d.json", "c", lambda: other, texts, fpr=0.2, identity={"detector": "d"}
        )
        assert other.seen == whole.seen
        assert not blocks.exists()

    def test_bad_options(self) -> None:
        for fpr, seed in ((0.0, 1), (1.0, 1), (float("nan"), 1), (0.1, -1)):
            with pytest.raises(PlanError, match="must"):
                fit.check_options(fpr, seed)


def fitted_texts(one: Document) -> list[str]:
    return [passage.text for passage in parts.passages(one, seed=1)]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["calibrate", *arguments])
    if isinstance(result.exception, StagedError):
        return str(result.exception)
    assert result.exit_code == 0, result.output
    return result.stdout


class TestCommand:
    def test_json_and_the_file(
        self, counting: Counting, human_folder: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(human_folder, tmp_path / "h" / "news")
        shutil.copytree(human_folder, tmp_path / "h" / "wiki")
        for path in (tmp_path / "h" / "wiki").iterdir():
            path.write_text(
                path.read_text(encoding="utf-8").replace("harbour", "quay"), encoding="utf-8"
            )
        out = tmp_path / "c.json"
        arguments = (
            "--human",
            str(tmp_path / "h"),
            "--detector",
            "counting",
            "--fpr",
            "0.1",
            "--out",
            str(out),
        )
        facts = json.loads(run(*arguments, "--json"))
        first = out.read_bytes()
        mine = load_calibration(out)
        assert (facts["detector"], facts["fpr"], facts["domains"]) == (
            "counting",
            0.1,
            ["news", "wiki"],
        )
        assert [one["n_human"] for one in facts["lengths"]] == [len(one) for one in mine.human]
        assert facts["lengths"][0]["threshold"] == mine.threshold(0, 0.1)
        assert (
            facts["lengths"][0]["rate_low"]
            < facts["lengths"][0]["rate"]
            < facts["lengths"][0]["rate_high"]
        )
        groups = {(one["domain"], one["length"]): one for one in facts["achieved"]}
        assert (
            groups["all", "all"]["n"] == groups["news", "all"]["n"] + groups["wiki", "all"]["n"] > 0
        )
        assert facts["fingerprint"] == mine.fingerprint
        run(*arguments)
        assert out.read_bytes() == first

    def test_tables(self, counting: Counting, human_folder: Path, tmp_path: Path) -> None:
        rows = tmp_path / "m.jsonl"
        rows.write_text(
            "".join(json.dumps({"text": prose(i, 30), "label": i % 2}) + "\n" for i in range(10))
        )
        out = tmp_path / "c.json"
        shown = run(
            "--human",
            str(human_folder),
            "--machine",
            str(rows),
            "--detector",
            "counting",
            "--out",
            str(out),
            "--fpr",
            "0.01",
        )
        assert "takes 99 texts" in shown
        assert "not measured" in shown
        assert (
            sum(map(len, load_calibration(out).machine)) == 3 * 5
        )  # the rows labelled machine, at three lengths

    def test_lengths_are_those_of_the_calibration_that_the_detector_ships_with(
        self,
        counting: Counting,
        human_folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        shipped, out = tmp_path / "shipped.json", tmp_path / "c.json"
        fit_calibration("counting", [(1.0, 60)], [], edges_words=(50, 70, 90)).save(shipped)
        monkeypatch.setattr("staged.detectors.catalog.calibration_file", lambda name: shipped)
        shown = run("--human", str(human_folder), "--detector", "counting", "--out", str(out))
        assert load_calibration(out).edges_words == (50, 70, 90)
        assert all(load_calibration(out).human[1:])
        assert f"staged detect TEXT --detector counting --calibration {out}" in shown

    def test_what_is_read_is_not_replaced(self, counting: Counting, tmp_path: Path) -> None:
        rows = tmp_path / "h.jsonl"
        rows.write_text(json.dumps({"text": prose(1, 30)}) + "\n")
        assert "is read here and would be replaced" in run(
            "--human", str(rows), "--detector", "counting", "--out", str(rows)
        )
        assert json.loads(rows.read_text())["text"]

    def test_refused_before_anything_is_scored(
        self, counting: Counting, human_folder: Path, tmp_path: Path
    ) -> None:
        human = (
            "--human",
            str(human_folder),
            "--detector",
            "counting",
            "--out",
            str(tmp_path / "c.json"),
        )
        assert "between 0 and 1" in run(*human, "--fpr", "0")
        assert "is a folder" in run("--human", str(human_folder), "--out", str(tmp_path))
        assert "no such file, folder" in run("--human", str(tmp_path / "none"))
        assert "did you mean 'entropy'?" in run(
            "--human", str(human_folder), "--detector", "entropi"
        )
        assert counting.seen == []
        assert not (tmp_path / "c.json").exists()

    def test_samples_are_no_human_text(
        self, counting: Counting, human_folder: Path, tiny: Path, tmp_path: Path
    ) -> None:
        made, human = tmp_path / "made.jsonl", str(human_folder)
        write_samples(
            made, SampleSettings(model=str(tiny), method=method("top-k-40"), count=3, length=12)
        )
        said = f"made.jsonl, row 1: {tiny} wrote this, by `staged sample`; give human text here"
        assert said in run(
            "--human", str(made), "--detector", "counting", "--out", str(tmp_path / "c.json")
        )
        assert said in run(
            "--human",
            human,
            "--held-out",
            str(made),
            "--detector",
            "counting",
            "--out",
            str(tmp_path / "c.json"),
        )
        assert counting.seen == []

    def test_a_text_in_the_folder_is_not_replaced(
        self, counting: Counting, human_folder: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(human_folder, tmp_path / "h")
        mine = next((tmp_path / "h").rglob("*.txt"))
        before = mine.read_bytes()
        human = ["--human", str(tmp_path / "h"), "--detector", "counting"]
        assert "is read here and would be replaced" in run(*human, "--out", str(mine))
        assert mine.read_bytes() == before
        for _ in range(2):
            run(
                *human, "--fpr", "0.2", "--out", str(tmp_path / "h" / "calibration.json")
            )  # which is no text

    def test_interrupted_leaves_the_old_file(
        self,
        counting: Counting,
        human_folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        out = tmp_path / "c.json"
        fit_calibration("counting", [(0.0, 60)]).save(out)
        before = out.read_text()

        def stop(texts: Sequence[str]) -> list[float]:
            raise KeyboardInterrupt

        monkeypatch.setattr(counting, "score", stop)
        result = CliRunner().invoke(
            app,
            [
                "calibrate",
                "--human",
                str(human_folder),
                "--detector",
                "counting",
                "--out",
                str(out),
            ],
        )
        assert result.exit_code == 130
        assert out.read_text() == before
        assert {path.name for path in tmp_path.iterdir()} == {
            "c.json",
            "c.json.blocks",
        }  # which the next run continues


def test_machine_rows_are_read_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"text": "h", "label": 0}\n{"text": "m", "label": 1}\n{"text": "unsaid"}\n'
    )
    found = read_corpus(str(tmp_path), label=MACHINE)
    assert [(one.text, one.label) for one in found] == [("m", MACHINE), ("unsaid", MACHINE)]
    assert [one.text for one in read_corpus(str(tmp_path))] == ["h", "unsaid"]
