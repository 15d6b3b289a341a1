"""The whole probe: ask each model, compare, write bias.json and bias.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from staged.errors import PlanError
from staged.model.checkpoints import model_folder
from staged.progress import Progress, shifted, silent
from staged.stats.judging import ALPHA, POWER
from staged.storage.digests import sha256_file
from staged.storage.gate import check_replaceable, start_ledger
from staged.storage.json_files import write_json
from staged.storage.writing import disk_errors, write_atomic
from staged.studies.bias import compare
from staged.studies.bias.measures import Measure, all_measures
from staged.studies.bias.page import page, sentence
from staged.studies.bias.probe import KIND, Asked, BiasSettings, Probed, answers, ask
from staged.studies.bias.prompts import TERMS, read_terms
from staged.studies.bias.sentence_pairs import (
    crows_pairs_difference,
    crows_pairs_scores,
    read_crows_pairs,
    read_stereoset,
    stereoset_scores,
)

NOT_COMPREHENSIVE = (
    "These probes are not comprehensive: a few English templates, groups and word lists, one way of"
    " sampling. A difference that they do not show may still exist, and no result here certifies"
    " that a model is unbiased."
)
RESULTS = ("bias.json", "bias.md")
MOST_NAMED = 5  # occupation words shown of each group


def read_asked(
    settings: BiasSettings,
    *,
    terms: Path | None = None,
    crows_pairs: Path | None = None,
    stereoset: Path | None = None,
) -> Asked:
    """Settings and files, read and checked.

    Raises:
        PlanError, CorpusError: a file is wrong.
    """
    return Asked(
        read_terms(terms or TERMS),
        settings,
        (crows_pairs, read_crows_pairs(crows_pairs)) if crows_pairs else None,
        (stereoset, read_stereoset(stereoset)) if stereoset else None,
    )


def probe_models(
    models: Sequence[str], asked: Asked, out: Path, progress: Progress = silent
) -> None:
    """Everything that models have to do; interrupted, the next call continues.

    Args:
        progress: called with (completions and sentences done, all).

    Raises:
        PlanError: no model, or one given twice.
        CheckpointError, SamplingError, ArtifactError: as `ask`.
    """
    if not models:
        raise PlanError("bias: give at least one model")
    for name, count in Counter(models).items():
        if count > 1:
            raise PlanError(f"bias: {name} is given twice; a comparison needs two different models")
        model_folder(name)  # before hours of work on the others
    total = asked.work() * len(models)
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        start_ledger(out, KIND)
        for name in RESULTS:
            check_replaceable(out / name)
    for number, model in enumerate(models):
        ask(model, asked, out, shifted(progress, asked.work() * number, total))


def compare_probed(
    models: Sequence[str], asked: Asked, out: Path, progress: Progress = silent
) -> dict[str, Any]:
    """Compare what `probe_models` left, and write bias.json and bias.md into `out`.

    Args:
        progress: called with (models and pairs compared, all).

    Returns:
        What bias.json holds.
    """
    measures = all_measures()
    names = [one.name for one in measures if one.of]
    probed = [answers(model, asked, out, measures) for model in models]
    pairs = list(combinations(probed, 2))
    total = len(probed) + len(pairs)
    result = _facts(models, asked, measures) | {
        "groups": [],
        "between_groups": [],
        "between_models": [],
        "sentences": [],
    }
    for done, one in enumerate(probed):
        progress(done, total)
        result["groups"] += list(compare.group_means(one, asked, names))
        result["between_groups"] += [
            row.to_json() for row in compare.compare_groups(one, asked, names)
        ]
    for done, (a, b) in enumerate(pairs, len(probed)):
        progress(done, total)
        rows = compare.compare_models(a, b, asked, names)
        result["between_models"] += [row.to_json() for row in rows]
        result["sentences"].append(sentence(a.model, b.model, rows, asked.terms.adjectives))
    result |= {
        "occupations": _occupations(probed),
        "sentence_pairs": _sentence_pairs(probed, asked),
    }
    with disk_errors(out):
        write_json(out / RESULTS[0], result)
        write_atomic(out / RESULTS[1], page(result).encode())
    progress(total, total)
    return result


def _facts(models: Sequence[str], asked: Asked, measures: Sequence[Measure]) -> dict[str, Any]:
    said = [
        {"name": one.name, "unit": one.unit, "source": one.source, "blank": one.blank}
        for one in measures
    ]
    said.append(
        {
            "name": compare.PREFERENCE,
            "unit": "nats",
            "source": "the model's own likelihoods",
            "blank": "",
        }
    )
    return {
        "note": NOT_COMPREHENSIVE,
        "models": list(models),
        "settings": asdict(asked.settings),
        "terms": asdict(asked.terms),
        "measures": said,
        "alpha": ALPHA,
        "power": POWER,
        "smallest": compare.SMALLEST,
        "smallest_nats": compare.SMALLEST_NATS,
    }


def _occupations(probed: Sequence[Probed]) -> list[dict[str, Any]]:
    """The words that each group's completions name most often."""
    found = []
    for one in probed:
        for (name, attribute, group), words in one.occupations.items():
            most = sorted(Counter(words).items(), key=lambda item: (-item[1], item[0]))[:MOST_NAMED]
            found.append(
                {
                    "model": one.model,
                    "set": name,
                    "attribute": attribute,
                    "group": group,
                    "n": len(words),
                    "most": most,
                }
            )
    return found


def _sentence_pairs(probed: Sequence[Probed], asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = {"crows_pairs": None, "stereoset": None}
    if asked.pairs:
        scored = {one.model: one.pairs for one in probed if one.pairs is not None}
        found["crows_pairs"] = {
            "sha256": sha256_file(asked.pairs[0]),
            "models": {
                model: crows_pairs_scores(asked.pairs[1], nats) for model, nats in scored.items()
            },
            "between": [
                {"models": [a, b]} | crows_pairs_difference(scored[a], scored[b], asked.settings)
                for a, b in combinations(scored, 2)
            ],
        }
    if asked.triples:
        triples = {one.model: np.asarray(one.triples) for one in probed}
        found["stereoset"] = {
            "sha256": sha256_file(asked.triples[0]),
            "models": {
                model: stereoset_scores(asked.triples[1], nats, asked.settings)
                for model, nats in triples.items()
            },
        }
    return found
