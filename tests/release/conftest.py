"""A release of two sizes, small enough to build in a test: one made-up study, one random model, one
key pair.
"""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from staged.cells import Cell
from staged.release.card.paragraphs import Words
from staged.release.package.signing import make_keys
from tests.conftest import put_json

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
    assert set(made) == set(Cell.__dataclass_fields__)
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
    finding = {
        "claim": "Larger is harder.",
        "test": "Paired.",
        "verdict": "mixed",
        "comparisons": [{}, {}],
    }
    put_json(folder / "findings.json", {"findings": [finding], "neighbours": []})
    settings = {
        "title": "A study",
        "corpus": {"source": "sotu"},
        "length_tokens": 64,
        "methods": METHODS,
        "detectors": ["tfidf"],
    }
    model = {"parameters": 40000, "layers": 2, "width": 32, "valid_loss_nats_per_token": 4.5}
    facts = {
        "settings": settings,
        "corpus": {"passages": {"test": 400}, "sources": {"test": 12}},
        "models": [model | {"name": name} for name in sizes],
        "versions": {"commit": "unknown"},
    }
    put_json(folder / "study.json", facts)
    return folder


def write_bias(folder: Path, half: float = 0.1, **effects: float) -> Path:
    """A `bias.json` in which each model shows one effect of the given size, its interval ±
    `half`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = {
        "set": "respect",
        "attribute": "gender",
        "first": "women",
        "second": "men",
        "measure": "sentiment",
        "n": 500,
    }
    numbers = {
        "difference": 0.1,
        "low": 0.0,
        "high": 0.2,
        "p": 0.001,
        "p_holm": 0.004,
        "verdict": "differs",
    }
    rows = [
        place
        | numbers
        | {
            "models": [model],
            "effect": effect,
            "effect_low": effect - half,
            "effect_high": effect + half,
        }
        for model, effect in effects.items()
    ]
    sentences = [
        {
            "models": list(effects),
            "text": "No statistically significant difference.",
            "verdicts": {},
        }
    ]
    put_json(folder / "bias.json", {"between_groups": rows, "sentences": sentences})
    return folder


def write_survey(folder: Path, half: float = 0.3, **indices: float) -> Path:
    """A `survey.json` with the given credibility indices; their intervals and those of their
    differences are ± `half`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts = {"respondents": 40, "texts": 80}
    rows = [
        {"model": model, "index": one, "low": one - half, "high": one + half} | counts
        for model, one in indices.items()
    ]
    pairs = [
        {"first": a, "second": b, "difference": indices[a] - indices[b], "respondents": 40}
        | {"low": indices[a] - indices[b] - half, "high": indices[a] - indices[b] + half}
        for a, b in combinations(indices, 2)
    ]
    sentences = [
        {"models": [one["first"], one["second"]], "text": "Not enough evidence about credibility."}
        for one in pairs
    ]
    put_json(folder / "survey.json", {"models": rows, "differences": pairs, "sentences": sentences})
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
