"""Several detectors of the kind of `evidence` as one: a logarithmic opinion pool, the weighted mean
of their log-odds.

Measures  what its members do, each under a scorer of its own; they err on different texts, so their
          mean errs less.
Fails     where its members fail.
Cost      one forward pass of each member's scorer.
Source    ours, the plan `evidence-ensemble-2026-11`; opinion pools: Genest and Zidek 1986.
Threshold conformal, on human calibration texts of like length that all members read
(`calibration.json` beside it).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from staged.detectors.kinds.evidence import EvidenceDetector, Matrix, load_evidence
from staged.errors import CheckpointError
from staged.model.causal import CausalLM
from staged.model.formats.layouts import read_object
from staged.storage.json_files import write_json

FILE = "ensemble.json"


class Ensemble:
    """The weighted mean of its members' log-odds of machine against human.

    Args:
        members: under different names.
        weights: one a member, above 0; they count relative to their sum.
        name: what its calibrations are for.
    """

    def __init__(
        self, members: Sequence[EvidenceDetector], weights: Sequence[float], *, name: str
    ) -> None:
        self.members, self.weights, self.name = tuple(members), tuple(weights), name

    @property
    def scorer(self) -> CausalLM:
        """Of the member that reads least of a text."""
        return self._shortest.scorer

    @property
    def most_tokens(self) -> int:
        """Of a text's beginning that every member reads, by the tokenizer of `scorer`."""
        return self._shortest.most_tokens

    @property
    def _shortest(self) -> EvidenceDetector:
        return min(self.members, key=lambda member: member.most_tokens)

    def score(self, texts: Sequence[str]) -> list[float]:
        """Log-odds, finite, above 0 where machine is likelier."""
        return self.pooled([member.score(texts) for member in self.members]).tolist()

    def pooled(self, log_odds: Sequence[Sequence[float] | Matrix]) -> Matrix:
        """(members, texts) → (texts,)."""
        mean: Matrix = np.average(np.asarray(log_odds), axis=0, weights=self.weights)
        return mean

    def save(self, folder: Path) -> None:
        """Write `ensemble.json` and a folder a member, which `load_ensemble` reads."""
        for member in self.members:
            (folder / member.name).mkdir(exist_ok=True)
            member.save(folder / member.name)
        weights = dict(zip((member.name for member in self.members), self.weights, strict=True))
        write_json(folder / FILE, {"kind": "ensemble", "name": self.name, "members": weights})


def is_folder_name(name: str) -> bool:
    """Whether a member of this name can be kept: each has a folder that is called like it, beside
    the ensemble's own files.
    """
    return bool(name) and Path(name).name == name != ".." and not name.endswith(".json")


def is_weight(weight: float) -> bool:
    """Whether a member can have it: above 0, and finite."""
    return 0 < weight < math.inf


def load_ensemble(folder: Path, *, device: str = "cpu") -> Ensemble:
    """Read what `Ensemble.save` wrote: a folder a member. Nothing in it is executed.

    Raises:
        CheckpointError: a file is missing or damaged, or a member's scorer is not installed.
    """
    facts: dict[str, Any] = read_object(
        folder / FILE, expected="an ensemble's folder holds this file, and its members' folders"
    )
    try:
        name = str(facts["name"])
        weights = {str(member): float(weight) for member, weight in facts["members"].items()}
        if (
            not weights
            or not all(map(is_weight, weights.values()))
            or not all(map(is_folder_name, weights))
        ):
            raise ValueError("members must be folders beside it, each with a weight above 0")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / FILE}: not a readable ensemble: {error}") from None
    members = [load_evidence(folder / member, device=device) for member in weights]
    if [member.name for member in members] != list(weights):
        raise CheckpointError(
            f"{folder}: the members {', '.join(weights)} call themselves"
            f" {', '.join(member.name for member in members)}"
        )
    return Ensemble(members, list(weights.values()), name=name)
