"""Plans: values of the right kind, and numbers that are some."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staged.errors import PlanError
from staged.settings import described, from_table
from staged.studies.detection.graph import study_stages
from staged.studies.detection.plan import read_study
from staged.studies.finetune.plan import read_finetune

STUDY = 'models = ["mini-s"]\n'
FINETUNE = 'model = "mini-s"\nopening = "It was"\n[styles]\na = "a.txt"\nb = "b.txt"\n'


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "+nan"])
@pytest.mark.parametrize(
    ("read", "text", "where"),
    [
        (read_study, STUDY + "[roberta]\nlearning_rate = {}\n", r"\[roberta\]: learning_rate"),
        (read_study, STUDY + "[roberta]\ntoken_dropout = {}\n", r"\[roberta\]: token_dropout"),
        (
            read_study,
            STUDY + "[corpus]\nshares = {{ train = {}, valid = 0.5 }}\n",
            r"\[corpus\]: shares.train",
        ),
        (
            read_finetune,
            FINETUNE + "[training]\nlearning_rate = {}\n",
            r"\[training\]: learning_rate",
        ),
    ],
)
def test_a_number_that_is_none_is_refused(
    tmp_path: Path, read: Callable[[Path], Any], text: str, where: str, number: str
) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text.format(number), encoding="utf-8")
    with pytest.raises(PlanError, match=where + " must be a finite number, not"):
        read(path)


def test_a_whole_number_beyond_every_float_is_refused() -> None:
    from staged.release.plan import Gate

    with pytest.raises(PlanError, match="at_most must be a finite number, not one of 401 digits"):
        from_table(Gate, {"kind": "bias", "at_most": 10**400}, where="plan")
    assert from_table(Gate, {"kind": "bias", "at_most": 1}, where="plan").at_most == 1.0


@pytest.mark.parametrize(
    "style",
    [
        *(
            "classifier",
            "Classifier",
            "samples",
            "corpus",
            "detectors",
            "scores",
            "base",
            "BASE",
            "fine-tuned",
            "mini-s",
            "answers",
        ),
        *(
            "classifier.partial",
            "called.parquet",
            "finetune.json",
            "manifest.json",
            "B",
            "../a",
            "a/b",
            ".",
            "..",
            ".a",
            "",
            "-a",
        ),
    ],
)
def test_a_style_that_the_study_could_not_keep_apart_is_refused(tmp_path: Path, style: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(FINETUNE + f'"{style}" = "c.txt"\n', encoding="utf-8")
    with pytest.raises(PlanError, match=f"finetune: style {style!r}: ".replace(".", r"\.")):
        read_finetune(path)


def test_usual_styles_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(FINETUNE + '"news-2.0" = "c.txt"\nReviews_x = "d.txt"\n', encoding="utf-8")
    assert set(read_finetune(path).styles) == {"a", "b", "news-2.0", "Reviews_x"}


def test_what_is_recorded_holds_names(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(
        f'models = ["{tmp_path}/m/small"]\n[corpus]\nsource = "{tmp_path}/texts"\n[roberta]\nbase ='
        ' "../enc"\n'
    )
    recorded = read_study(path).recorded()
    assert (recorded["models"], recorded["corpus"]["source"], recorded["roberta"]["base"]) == (
        ["small"],
        "texts",
        "enc",
    )
    path.write_text(
        FINETUNE.replace("a.txt", f"{tmp_path}/a.txt").replace("mini-s", f"{tmp_path}/m/small"),
        encoding="utf-8",
    )
    found = read_finetune(path).recorded()
    assert (found["model"], found["styles"]) == ("small", {"a": "a.txt", "b": "b.txt"})


DESCRIBED = """
author = "A. Writer"
date = 2026-11-30
[corpus]
title = "Speeches"
licence = "public domain"
url = "https://example.org"
"""


class TestWhatOnlyDescribes:
    def test_it_is_read_and_a_date_is_text(self, tmp_path: Path) -> None:
        path = tmp_path / "plan.toml"
        path.write_text(STUDY + DESCRIBED, encoding="utf-8")
        settings = read_study(path)
        assert (settings.author, settings.date) == ("A. Writer", "2026-11-30")
        assert settings.corpus.title == "Speeches"
        path.write_text(STUDY + 'date = "autumn 2026"\n', encoding="utf-8")
        assert read_study(path).date == "autumn 2026"

    @pytest.mark.parametrize("line", ["date = 2026", "author = 2026", "author = 10:00:00"])
    def test_else_it_is_refused(self, tmp_path: Path, line: str) -> None:
        path = tmp_path / "plan.toml"
        path.write_text(STUDY + line, encoding="utf-8")
        with pytest.raises(PlanError, match="must be of type str"):
            read_study(path)

    def test_a_title_is_no_date(self, tmp_path: Path) -> None:
        path = tmp_path / "plan.toml"
        path.write_text(STUDY + "title = 2026-11-30", encoding="utf-8")
        with pytest.raises(PlanError, match="title must be of type str"):
            read_study(path)

    def test_nothing_that_is_fingerprinted_knows_it(self, tmp_path: Path) -> None:
        path = tmp_path / "plan.toml"
        path.write_text(STUDY, encoding="utf-8")
        plain = read_study(path)
        path.write_text(STUDY + DESCRIBED, encoding="utf-8")
        told = read_study(path)
        assert told != plain
        assert told.recorded() == plain.recorded()
        before, after = (
            {stage.name: stage.settings for stage in [made.corpus, *made.others]}
            for made in (study_stages(plain), study_stages(told))
        )
        assert before == after

    def test_results_record_it_and_forget_what_is_no_longer_said(self, tmp_path: Path) -> None:
        path = tmp_path / "plan.toml"
        path.write_text(STUDY + DESCRIBED, encoding="utf-8")
        told = read_study(path)
        recorded = described(told.recorded(), told)
        assert recorded["author"] == "A. Writer"
        assert recorded["corpus"]["url"] == "https://example.org"
        path.write_text(STUDY, encoding="utf-8")
        plain = read_study(path)
        assert described(recorded, plain) == plain.recorded()

    def test_of_another_corpus_nothing_is_said(self, tmp_path: Path) -> None:
        path = tmp_path / "plan.toml"
        path.write_text(STUDY + DESCRIBED, encoding="utf-8")
        corpus = read_study(path, corpus="letters").corpus
        assert (corpus.source, corpus.title, corpus.licence, corpus.url) == ("letters", "", "", "")

    def test_a_style_has_no_title(self, tmp_path: Path) -> None:
        path = tmp_path / "plan.toml"
        path.write_text(FINETUNE + '[style_corpus]\nlicence = "mine"\n', encoding="utf-8")
        with pytest.raises(PlanError, match="style_corpus is of every style, and has no title"):
            read_finetune(path)
