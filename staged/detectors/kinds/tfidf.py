"""TF-IDF and logistic regression: the release's baseline detector.

Measures  which words and word pairs a text uses, against human and generated training texts.
Fails     on topics and generators unlike the training set, and on short texts.
Cost      about 1 ms per 1,000 tokens on one core; no model.
Source    https://github.com/openai/gpt-2-output-dataset/blob/master/baseline.py
Threshold 0 (even odds under equal priors); studies choose theirs on the valid split.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from staged.errors import CheckpointError
from staged.records import Document
from staged.storage.json_files import read_json, write_json
from staged.storage.writing import write_atomic

MIN_DF = 5
MAX_FEATURES = 2**21
GRID = tuple(2.0**power for power in range(-6, 7))


class TfidfDetector:
    """Log-odds of machine against human.

    Args:
        vocabulary: term → column; unigrams and bigrams.
        idf, weights: one number a column.
        bias: the intercept.
        facts: what training chose, for the record.
    """

    name = "tfidf"

    def __init__(
        self,
        vocabulary: dict[str, int],
        idf: np.ndarray,
        weights: np.ndarray,
        bias: float,
        facts: dict[str, float],
    ):
        self.vocabulary, self.idf, self.facts = vocabulary, idf, facts
        self.weights, self.bias = weights, bias
        self._vectorizer = TfidfVectorizer(ngram_range=(1, 2), vocabulary=vocabulary)
        self._vectorizer.idf_ = idf

    def score(self, texts: Sequence[str]) -> list[float]:
        """Log-odds, above 0 where machine is likelier; of a text without a known word the bias."""
        if not texts:
            return []
        return [
            float(value) for value in self._vectorizer.transform(texts) @ self.weights + self.bias
        ]

    def save(self, folder: Path) -> None:
        write_json(
            folder / "detector.json", {"kind": "tfidf", "bias": self.bias, "facts": self.facts}
        )
        terms = sorted(self.vocabulary, key=self.vocabulary.__getitem__)
        write_atomic(folder / "terms.json", json.dumps(terms, ensure_ascii=False).encode())
        weights = io.BytesIO()
        np.save(weights, np.stack([self.idf, self.weights]))
        write_atomic(folder / "weights.npy", weights.getvalue())


def load_tfidf(folder: Path) -> TfidfDetector:
    """Read what `TfidfDetector.save` wrote; nothing in it is executed.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    try:
        facts, terms = read_json(folder / "detector.json"), read_json(folder / "terms.json")
        idf, weights = np.load(folder / "weights.npy", allow_pickle=False)
        vocabulary = {term: i for i, term in enumerate(terms)}
        if len(vocabulary) != len(weights):
            raise ValueError(f"{len(vocabulary)} terms but {len(weights)} weights")
        return TfidfDetector(vocabulary, idf, weights, facts["bias"], facts["facts"])
    except (OSError, TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder}: not a readable tfidf detector: {error}") from None


def train_tfidf(train: Sequence[Document], valid: Sequence[Document]) -> TfidfDetector:
    """Fit on `train`; the strength of regularisation C ∈ {2⁻⁶ … 2⁶} is the one with the best
    accuracy on `valid`.

    Of equal accuracies the one with the lower cross-entropy on `valid` wins.

    Raises:
        CheckpointError: the texts share too few words (min_df 5) to learn from.
    """
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=MIN_DF, max_features=MAX_FEATURES)
    try:
        x = vectorizer.fit_transform([document.text for document in train])
    except ValueError:
        raise CheckpointError(
            f"tfidf: {len(train)} training texts share no word {MIN_DF} times; give more texts"
        ) from None
    x_valid = vectorizer.transform([document.text for document in valid])
    y, y_valid = ([document.label for document in part] for part in (train, valid))
    fits = [LogisticRegression(C=c, solver="liblinear").fit(x, y) for c in GRID]
    ranked = [
        (fit.score(x_valid, y_valid), -log_loss(y_valid, fit.predict_proba(x_valid)))
        for fit in fits
    ]
    best = max(range(len(GRID)), key=ranked.__getitem__)
    vocabulary = {term: int(column) for term, column in vectorizer.vocabulary_.items()}
    facts = {
        "C": GRID[best],
        "valid_accuracy": float(ranked[best][0]),
        "features": float(len(vocabulary)),
    }
    return TfidfDetector(
        vocabulary, vectorizer.idf_, fits[best].coef_[0], float(fits[best].intercept_[0]), facts
    )
