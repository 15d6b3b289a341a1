"""The detector that ships: zero-shot features of a small model, word counts and an encoder, weighed together.

Measures  how a small language model's surprises at the text are spread (`features.py`), each on both sides of the ordinary; which
          words stand in it (TF-IDF); what a small encoder makes of it.
Fails     on texts below about 50 words; on text that a person has edited or translated; on generators much better than those it
          learned from; on kinds of human text far from its calibration corpora. It says nothing about who wrote a text.
Cost      one forward pass of SmolLM2-135M: see docs/detect.md for a measured rate.
Source    features: zero_shot.py; combination: ours, `plans/evidence.toml`.
Threshold conformal, on human calibration texts of like length (`calibration.json` beside it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from staged.artifacts import read_json, write_json
from staged.detectors.features import FEATURES, feature_matrix
from staged.detectors.normalize import normalize
from staged.detectors.roberta import RobertaDetector, load_roberta
from staged.detectors.tfidf import TfidfDetector, load_tfidf
from staged.detectors.token_statistics import token_statistics
from staged.errors import CheckpointError
from staged.model.causal import CausalLM, load_causal
from staged.samples.decoders import best_dtype

MOST_TOKENS = 1024  # of a text's beginning
CLIP = 4.0  # standard deviations beyond which a feature counts no more
COLUMNS = (*FEATURES, "tfidf", "encoder")
VECTORS = ("mean", "scale", "smooth", "rough")

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Weights:
    """Log-odds of machine against human = ln(exp(smooth · z + a) + exp(rough · z + b)), z the standardised, clipped columns.

    Two ways lead away from human text: smoother than people write, as text sampled with care is, and rougher, as text is that a
    small model drew from its whole distribution, or a repetition penalty drove off its course. Their odds add up.

    Attributes:
        mean, scale: of each of `COLUMNS` on the training texts.
        smooth, rough: a weight each.
        biases: a and b.
    """

    mean: Matrix
    scale: Matrix
    smooth: Matrix
    rough: Matrix
    biases: tuple[float, float]

    def log_odds(self, columns: Matrix) -> Matrix:
        """(texts, columns) → (texts,)."""
        z = standardised(columns, self.mean, self.scale)
        odds: Matrix = np.logaddexp(z @ self.smooth + self.biases[0], z @ self.rough + self.biases[1])
        return odds


def standardised(columns: Matrix, mean: Matrix, scale: Matrix) -> Matrix:
    """Each column in its standard deviations from its mean, at most `CLIP` of them."""
    z: Matrix = np.clip((columns - mean) / scale, -CLIP, CLIP)
    return z


def plain(text: str) -> str:
    """The text as `evidence` reads it: normalised, and every run of white space one space.

    Line ends tell where a text was published more than who wrote it.
    """
    return " ".join(normalize(text).text.split())


class EvidenceDetector:
    """Log-odds of machine against human, under even odds on its training texts.

    Args:
        scorer: the model whose surprises are measured; the one that `weights` was fitted with.
        tfidf, encoder: trained on the same texts.
    """

    name = "evidence"

    def __init__(self, scorer: CausalLM, weights: Weights, tfidf: TfidfDetector, encoder: RobertaDetector) -> None:
        self.scorer, self.weights, self.tfidf, self.encoder = scorer, weights, tfidf, encoder

    def score(self, texts: Sequence[str]) -> list[float]:
        read = [plain(text) for text in texts]
        return self.log_odds(scored_features(self.scorer, read), read)

    def log_odds(self, features: Matrix, read: Sequence[str]) -> list[float]:
        """Scores of texts as `plain` leaves them, whose features are known."""
        trained = [np.asarray(part.score(read)).reshape(-1, 1) for part in (self.tfidf, self.encoder)]
        return [float(one) for one in self.weights.log_odds(np.hstack([features, *trained]))]

    def save(self, folder: Path) -> None:
        self.tfidf.save(folder / "tfidf")
        self.encoder.save(folder / "encoder")
        numbers = {name: getattr(self.weights, name).tolist() for name in VECTORS}
        made = {"kind": "evidence", "scorer": self.scorer.name, "columns": COLUMNS, "biases": self.weights.biases}
        write_json(folder / "evidence.json", made | numbers)


def scored_features(
    scorer: CausalLM, texts: Sequence[str], *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Matrix:
    """(texts, features) of texts as `plain` leaves them."""
    ids = [one[:MOST_TOKENS] for one in scorer.tokenizer.encode_batch(texts)]
    return feature_matrix(token_statistics(scorer, ids, progress=progress))


def load_evidence(folder: Path) -> EvidenceDetector:
    """Read what `EvidenceDetector.save` wrote; nothing in it is executed.

    Raises:
        CheckpointError: a file is missing or damaged, or the scorer is not installed.
    """
    made: dict[str, Any] = read_json(folder / "evidence.json")
    try:
        if made["columns"] != list(COLUMNS):
            raise CheckpointError(f"{folder}: was trained with other features than this version's; train it again or update staged")
        vectors = {name: np.asarray(made[name], dtype=float) for name in VECTORS}
        if {vector.shape for vector in vectors.values()} != {(len(COLUMNS),)}:
            raise ValueError("vectors of another length")
        weights, scorer = Weights(**vectors, biases=(float(made["biases"][0]), float(made["biases"][1]))), str(made["scorer"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / 'evidence.json'}: not a readable evidence detector: {error}") from None
    parts = load_tfidf(folder / "tfidf"), load_roberta(str(folder / "encoder"))
    return EvidenceDetector(load_causal(scorer, dtype=best_dtype()), weights, *parts)
