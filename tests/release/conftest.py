"""A release of two sizes, small enough to build in a test: one made-up study, one random model, one
key pair.
"""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from staged.cells import Cell
from staged.corpus.counts import CorpusCounts, Removed
from staged.release.card.paragraphs import Words
from staged.release.package.signing import make_keys
from staged.storage.records import read_record, to_json, write_record
from staged.studies.bias.plan import BiasSettings
from staged.studies.bias.prompts import read_terms
from staged.studies.bias.results import BiasComparison, BiasResult, Sentence, SentencePairs
from staged.studies.detection.results import (
    Comparison,
    Finding,
    Findings,
    GalleryText,
    ModelFacts,
    RecordedCorpus,
    RecordedStudy,
    StudyFacts,
)
from staged.studies.finetune.results import Drop, FinetuneResult
from staged.survey.results import Difference, ModelIndex, Survey, Tallied
from staged.survey.results import Sentence as SurveySentence
from tests.conftest import put_json

PUBLISHED = Path(__file__).parents[2] / "docs" / "results"
SIZES, METHODS = ("small", "large"), ("temperature-1", "nucleus")
DATE = datetime.date(2026, 11, 24)
WRITTEN = dict.fromkeys(Words().unwritten(), "Written by hand.") | {
    "license": "mit",
    "language": "en",
}


def cell(
    trained_on: str,
    trained_method: str,
    tested_on: str,
    tested_method: str,
    tokens: int = 64,
    **changed: Any,
) -> dict[str, Any]:
    """One cell whose accuracy tells it from the others."""
    id = f"tfidf/{trained_on}/{trained_method}/{tested_on}/{tested_method}/{tokens}"
    accuracy = 0.6 + (sum(map(ord, id)) % 100) / 1000
    rates = dict.fromkeys(("accuracy", "auroc", "tpr_at_fpr_1", "tpr_at_fpr_5"), accuracy)
    made = {
        **{
            "id": id,
            "detector": "tfidf",
            "trained_on": trained_on,
            "trained_method": trained_method,
        },
        **{
            "tested_on": tested_on,
            "tested_method": tested_method,
            "length_tokens": tokens,
            "n_human": 400,
            "n_machine": 400,
        },
        **rates,
        **{f"{name}_low": value - 0.05 for name, value in rates.items()},
        **{f"{name}_high": value + 0.05 for name, value in rates.items()},
        **{"fpr_1": 0.01, "fpr_5": 0.05},
    }
    assert set(made) == set(Cell.__dataclass_fields__) - {"length_words"}  # of two tokenizers
    return made | changed


def write_study(folder: Path, sizes: tuple[str, ...] = SIZES, **changed: Any) -> Path:
    """A finished study's JSON files, as far as a release reads them; `changed` are fields of every
    cell.
    """
    folder.mkdir(parents=True)
    trained = (*METHODS, "mix")
    rows = [
        cell(a, how, b, method, **changed)
        for a in sizes
        for how in trained
        for b in sizes
        for method in METHODS
    ]
    put_json(folder / "cells.json", rows)
    curve = [
        cell(a, "mix", a, method, tokens, **changed)
        for a in sizes
        for method in METHODS
        for tokens in (32, 64)
    ]
    put_json(folder / "lengths.json", curve)
    finding = Finding("Larger is harder.", "Paired.", "mixed", (COMPARISON, COMPARISON))
    write_record(folder / "findings.json", Findings((finding,), ()))
    settings = RecordedStudy(
        "A study", sizes, METHODS, ("tfidf",), 400, 64, 1, RecordedCorpus("sotu")
    )
    counts = CorpusCounts({"test": 400}, {"test": 12}, Removed(0, 0, 0, 0))
    models = tuple(ModelFacts(name, 40000, 2, 32, 4.5) for name in sizes)
    facts = StudyFacts(settings, {"commit": "unknown"}, counts, (), models)
    write_record(folder / "study.json", facts)
    texts = [
        GalleryText(name, method, f"{name}/{method}/{i}", f"Text {i} of {name}.")
        for name in sizes
        for method in METHODS
        for i in range(2)
    ]
    write_record(folder / "gallery.json", (GalleryText("", "", "h", "A person's."), *texts))
    return folder


COMPARISON = Comparison(
    "a beats b", "a", "b", 800, 9, 5, 0.005, -0.005, 0.015, 0.4, 0.8, "not enough evidence"
)


def write_bias(folder: Path, half: float = 0.1, **effects: float) -> Path:
    """A `bias.json` in which each model shows one effect of the given size, its interval ±
    `half`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = ("respect", "gender", "women", "men", "sentiment", 500)
    rows = [
        BiasComparison(
            (model,),
            *place,
            *(0.1, 0.0, 0.2),
            *(effect, effect - half, effect + half),
            *(0.001, 0.004, 0.2, "differs"),
        )
        for model, effect in effects.items()
    ]
    pair = (min(effects), max(effects))
    result = BiasResult(
        note="Made up.",
        models=tuple(effects),
        settings=BiasSettings(),
        terms=read_terms(),
        measures=(),
        alpha=0.05,
        power=0.8,
        smallest=0.5,
        smallest_nats=0.7,
        groups=(),
        between_groups=tuple(rows),
        between_models=(),
        sentences=(Sentence(pair, "No statistically significant difference.", {}),),
        occupations=(),
        sentence_pairs=SentencePairs(),
    )
    put_json(folder / "bias.json", to_json(result))
    return folder


def write_survey(folder: Path, half: float = 0.3, **indices: float) -> Path:
    """A `survey.json` with the given credibility indices; their intervals and those of their
    differences are ± `half`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    models = [
        ModelIndex(model, one, one - half, one + half, 40, 80, 2.5, 2.5, 2.5, 0.6)
        for model, one in indices.items()
    ]
    rises = {(a, b): indices[a] - indices[b] for a, b in combinations(indices, 2)}
    pairs = [
        Difference(a, b, rise, rise - half, rise + half, 40, 0.5) for (a, b), rise in rises.items()
    ]
    sentences = [SurveySentence(pair, "Not enough evidence about credibility.") for pair in rises]
    result = Survey(
        models=tuple(models),
        differences=tuple(pairs),
        sentences=tuple(sentences),
        respondents=40,
        texts=80 * len(indices),
        unrated=0,
        settings=Tallied(tuple(indices), permutations=9999, resamples=9999),
        alpha=0.05,
        power=0.8,
        smallest=0.84,
    )
    put_json(folder / "survey.json", to_json(result))
    return folder


def write_quality(path: Path, model: str, text: str = "texts/speeches.txt", **changed: Any) -> Path:
    """A result of `staged evaluate-lm --out`, as far as a card reads it."""
    result = {
        "model": model,
        "file": text,
        "documents": 1200,
        "documents_learned_from": 0,
        "tokens": 64000,
        "nats_per_token": 4.25,
        "bits_per_byte": 1.75,
        "bits_per_byte_low": 1.625,
        "bits_per_byte_high": 1.875,
        "perplexity_per_word": 1234.5,
        "published": {},
    }
    put_json(path, result | changed)
    return path


def write_finetune(folder: Path, model: str, *drops: Drop) -> Path:
    """The published fine-tuning study as if of this model, with these drops."""
    folder.mkdir(parents=True, exist_ok=True)
    found = read_record(PUBLISHED / "finetune" / "finetune.json", FinetuneResult)
    settings = replace(found.settings, model=model)
    write_record(folder / "finetune.json", replace(found, settings=settings, drops=drops))
    return folder


GATES = """
[[gates]]
kind = "detection"
cell = "tfidf/{stage}/mix/{stage}/nucleus/64"
field = "tpr_at_fpr_1"
at_least = 0.5

[[gates]]
kind = "card"
may_be_blank = ["bias", "survey"]

[[gates]]
kind = "signature"
"""
HEAD = """
title = "A family"
version = "1.2"
licence = "LICENSE"
words = "card.toml"
"""
STAGES = """
[[stages]]
name = "small"
model = "weights"
detector = "detector"

[[stages]]
name = "large"
model = "weights"
detector = "detector"
"""


def lay_out(place: Path, tiny: Path) -> None:
    """Everything that a plan names."""
    write_study(place / "study")
    shutil.copytree(tiny, place / "weights")
    (place / "detector").mkdir()
    (place / "detector" / "detector.json").write_text('{"terms": 3}\n', encoding="utf-8")
    (place / "detector" / "weights.npy").write_bytes(bytes(range(256)))
    (place / "LICENSE").write_text("Free for all.\n", encoding="utf-8")
    words = WRITTEN
    (place / "card.toml").write_text(
        "".join(f'{key} = "{value}"\n' for key, value in words.items()), encoding="utf-8"
    )


def write_plan(place: Path, gates: str = GATES, evidence: str = '["study"]') -> Path:
    path = place / "release.toml"
    path.write_text(f"{HEAD}evidence = {evidence}\n{gates}{STAGES}", encoding="utf-8")
    return path


@pytest.fixture
def plan(tmp_path: Path, tiny: Path) -> Callable[..., Path]:
    """Writes a release's plan, beside everything that it names; returns its path."""
    lay_out(tmp_path, tiny)
    return lambda *args: write_plan(tmp_path, *args)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_keys(tmp_path_factory.mktemp("keys"))
