"""`evidence-2026-11` and `evidence-gemma-2026-11`, which ship: how a small language model's
surprises at a text are spread.

Measures  23 zero-shot features (`features.py`), weighed in two directions: smoother than people
          write, and rougher.
Fails     on texts below about 50 words; on text that a person has edited or translated; on machine
          text that was misspelt on purpose; on generators that it does not know; on kinds of human
          text far from its calibration corpora (old novels are rough, plain English is smooth). It
          says nothing about who wrote a text.
Cost      one forward pass of its scorer: for the former SmolLM2-135M over at most 1,024 tokens, for
          the latter Gemma 3 270M over at most 512.
Source    features: zero_shot.py; combination: ours, the plan `evidence-2026-11` and Gemma's plan.
          Word counts and an encoder were tried as further features and left out: they learn the
          generators and the topics they saw (docs/log.md).
Threshold conformal, on human calibration texts of like length (`calibration.json` beside it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from staged.detectors.kinds.features import FEATURES, feature_matrix, inside_words
from staged.errors import CheckpointError
from staged.model.causal import CausalLM, load_causal
from staged.model.formats.layouts import read_object
from staged.model.reading.token_statistics import token_statistics
from staged.progress import Progress, silent
from staged.storage.json_files import write_json

NAME, MOST_TOKENS = "evidence", 1024  # of one whose plan or file says nothing else
CLIP = 6.0  # standard deviations beyond which a feature counts no more
VECTORS = ("mean", "scale", "smooth", "rough")

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Weights:
    """Log-odds of machine against human = ln(exp(smooth · z + a) + exp(rough · z + b)), z the
    standardised, clipped features.

    Two ways lead away from human text: smoother than people write, as text sampled with care is,
    and rougher, as text is that a small model drew from its whole distribution, or a repetition
    penalty drove off its course. Their odds add up.

    Attributes:
        mean, scale: (len(FEATURES),) of each on human training texts, in its own unit.
        smooth, rough: (len(FEATURES),), log-odds a standard deviation.
        biases: a and b.
    """

    mean: Matrix
    scale: Matrix
    smooth: Matrix
    rough: Matrix
    biases: tuple[float, float]

    def log_odds(self, features: Matrix) -> Matrix:
        """(texts, features) → (texts,); a row of zeros, a text too short for features, counts as
        the average human text.
        """
        z = np.where(
            features.any(axis=1, keepdims=True), standardised(features, self.mean, self.scale), 0.0
        )
        odds: Matrix = np.logaddexp(
            z @ self.smooth + self.biases[0], z @ self.rough + self.biases[1]
        )
        return odds


def standardised(features: Matrix, mean: Matrix, scale: Matrix) -> Matrix:
    """Each feature in its standard deviations from its mean, at most `CLIP` of them."""
    z: Matrix = np.clip((features - mean) / scale, -CLIP, CLIP)
    return z


def one_line(text: str) -> str:
    """The text as `evidence` reads it: every run of white space one space, none at the ends.

    Line ends tell where a text was published more than who wrote it.
    """
    return " ".join(text.split())


class EvidenceDetector:
    """Log-odds of machine against human, under even odds on its training texts.

    Args:
        scorer: the model whose surprises are measured; the one that `weights` was fitted with.
        name: what its calibrations are for.
        most_tokens: of a text's beginning; longer texts score like the longest that calibrate.
    """

    def __init__(
        self,
        scorer: CausalLM,
        weights: Weights,
        *,
        name: str = NAME,
        most_tokens: int = MOST_TOKENS,
    ) -> None:
        self.scorer, self.weights, self.name, self.most_tokens = scorer, weights, name, most_tokens

    def score(self, texts: Sequence[str]) -> list[float]:
        """Log-odds, finite, above 0 where machine is likelier; of an empty text or one too short
        that of the average human one.
        """
        features = scored_features(self.scorer, texts, most_tokens=self.most_tokens)
        return [float(log_odds) for log_odds in self.weights.log_odds(features)]

    def save(self, folder: Path) -> None:
        """Write `evidence.json`, which `load_evidence` reads."""
        numbers = {name: getattr(self.weights, name).tolist() for name in VECTORS}
        facts = {
            "kind": "evidence",
            "name": self.name,
            "scorer": self.scorer.name,
            "most_tokens": self.most_tokens,
            "features": FEATURES,
            "biases": self.weights.biases,
        }
        write_json(folder / "evidence.json", facts | numbers)


def scored_features(
    scorer: CausalLM, texts: Sequence[str], *, most_tokens: int, progress: Progress = silent
) -> Matrix:
    """(texts, `len(FEATURES)`), float64, of the first `most_tokens` tokens of normalised texts."""
    lines = [one_line(text) for text in texts]
    encoded = scorer.tokenizer.encode_spans(lines)
    inside = [
        inside_words(line, spans[:most_tokens])
        for line, (_, spans) in zip(lines, encoded, strict=True)
    ]
    return feature_matrix(
        token_statistics(scorer, [ids[:most_tokens] for ids, _ in encoded], progress=progress),
        inside,
    )


def load_evidence(folder: Path, *, device: str = "cpu") -> EvidenceDetector:
    """Read what `EvidenceDetector.save` wrote; nothing in it is executed.

    The scorer reads in float32, where a score does not depend on the batch beyond 1e-4.

    Raises:
        CheckpointError: a file is missing or damaged, or the scorer is not installed.
    """
    facts: dict[str, Any] = read_object(
        folder / "evidence.json", expected="a detector of this kind is one evidence.json"
    )
    try:
        if facts["features"] != list(FEATURES):
            raise CheckpointError(
                f"{folder}: was trained with other features than this version's; train it again or"
                " update staged"
            )
        vectors = {name: np.asarray(facts[name], dtype=float) for name in VECTORS}
        if {vector.shape for vector in vectors.values()} != {(len(FEATURES),)}:
            raise ValueError("vectors of another length")
        weights = Weights(**vectors, biases=(float(facts["biases"][0]), float(facts["biases"][1])))
        scorer = str(facts["scorer"])
        name, most_tokens = str(facts.get("name", NAME)), int(facts.get("most_tokens", MOST_TOKENS))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder / 'evidence.json'}: not a readable evidence detector: {error}"
        ) from None
    return EvidenceDetector(
        load_causal(scorer, device=device), weights, name=name, most_tokens=most_tokens
    )
