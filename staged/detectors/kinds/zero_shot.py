"""Zero-shot scores: how ordinary a text is to a language model that was never trained to detect
anything.

Measures  likelihood, rank and entropy of each token under a scoring model, and what the model
          itself would have expected.
Fails     on short texts; on generators unlike the scorer; the side flips: text sampled at
          temperature 1 is often less likely than human text, top-k text more likely, and a
          repetition penalty inverts all of it.
Cost      one forward pass of each model named.
Source    Gehrmann et al. 2019 (GLTR); Solaiman et al. 2019; Su et al. 2023 (LRR); Bao et al. 2024
          (Fast-DetectGPT); Hans et al. 2024 (Binoculars). Formulas as their reference code computes
          them.
Threshold none of its own: calibrate on human text (`staged calibrate`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from staged.detectors.contract import GLTR_BUCKETS
from staged.detectors.names import DetectorName
from staged.errors import CheckpointError
from staged.model.causal import CausalLM, load_causal, same_tokenizer
from staged.model.devices import best_dtype
from staged.model.reading.token_statistics import TokenStatistics, token_statistics

MOST_TOKENS = 2048  # of a text's beginning


def likelihood(s: TokenStatistics) -> float:
    """Mean log-probability, nats a token, ≤ 0."""
    return float(s.logprob.mean())


def rank(s: TokenStatistics) -> float:
    """Minus the mean rank, ≤ −1."""
    return -float(s.rank.mean())


def log_rank(s: TokenStatistics) -> float:
    """Minus the mean natural logarithm of the rank, ≤ 0."""
    return -float(np.log(s.rank).mean())


def entropy(s: TokenStatistics) -> float:
    """Mean entropy of the model's distributions, nats a token, ≥ 0."""
    return -float(s.mean.mean())


def lrr(s: TokenStatistics) -> float:
    """Log-likelihood log-rank ratio: −mean log p over mean ln rank, ≥ 0; `TINY` stands for a rank
    of 1 throughout.
    """
    return -float(s.logprob.mean()) / max(float(np.log(s.rank).mean()), TINY)


def fast_detectgpt(s: TokenStatistics) -> float:
    """Analytic curvature: how many standard deviations the text's log-likelihood lies above its
    expectation; `TINY` stands for no variance at all.
    """
    return float((s.logprob.sum() - s.mean.sum()) / max(np.sqrt(s.variance.sum()), TINY))


def binoculars(s: TokenStatistics) -> float:
    """Minus the performer's log-perplexity over its cross-entropy with the observer, the latter
    over all positions, ≤ 0.
    """
    expected = s.mean if np.isnan(s.after) else np.append(s.mean, s.after)
    return float(s.logprob.mean() / max(-float(expected.mean()), TINY))


def gltr(s: TokenStatistics) -> float:
    """Share of tokens among the model's ten likeliest, in [0, 1]."""
    return gltr_shares(s)[0]


def gltr_shares(s: TokenStatistics) -> tuple[float, ...]:
    """Shares of tokens of rank up to 10, to 100, to 1,000, and beyond."""
    edges = np.searchsorted(GLTR_BUCKETS, s.rank)
    return tuple(float((edges == i).mean()) for i in range(len(GLTR_BUCKETS) + 1))


TINY = 1e-9
SCORES: dict[str, Callable[[TokenStatistics], float]] = {
    "likelihood": likelihood,
    "rank": rank,
    "log-rank": log_rank,
    "entropy": entropy,
    "lrr": lrr,
    "fast-detectgpt": fast_detectgpt,
    "binoculars": binoculars,
    "gltr": gltr,
}
MODELS = {"fast-detectgpt": (1, 2), "binoculars": (2,)}  # how many a score takes, where not one


class ZeroShotDetector:
    """One score under one model, or two.

    Args:
        score_name: a key of `SCORES`.
        scorer: the model that the text is read with (Binoculars: the performer).
        reference: whose distribution expectations are taken over (Binoculars: the observer;
            Fast-DetectGPT: the sampling model); the scorer itself without one.

    Attributes:
        name: the score and its models, as `load_zero_shot` takes them.
        most_tokens: of a text's beginning, how many count.

    A text of fewer than two tokens scores 0. Of a longer text the first `most_tokens` count.
    """

    most_tokens = MOST_TOKENS

    def __init__(
        self, score_name: str, scorer: CausalLM, reference: CausalLM | None = None
    ) -> None:
        if reference is not None:
            same_tokenizer(scorer, reference)
        self.score_name, self.scorer, self.reference = score_name, scorer, reference
        models = scorer.name if reference is None else f"{reference.name},{scorer.name}"
        self.name = f"{score_name}@{models}"

    def score(self, texts: Sequence[str]) -> list[float]:
        """One of `SCORES` a text, turned so that ordinary text is high; 0 where there is no token
        to judge.
        """
        statistics = token_statistics(self.scorer, self.encode(texts), reference=self.reference)
        return [SCORES[self.score_name](text) if len(text.rank) else 0.0 for text in statistics]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids; GLTR alone puts `<|endoftext|>` before a text where the tokenizer does not."""
        tokenizer = self.scorer.tokenizer
        before = (
            [tokenizer.end_of_text] if self.score_name == "gltr" and not tokenizer.before else []
        )
        return [[*before, *ids[:MOST_TOKENS]] for ids in tokenizer.encode_batch(texts)]


def load_zero_shot(
    name: DetectorName, *, dtype: torch.dtype | None = None, device: str = "cpu"
) -> ZeroShotDetector:
    """A zero-shot detector by name: a score, and after an @ its model: `fast-detectgpt@gpt2`,
    `binoculars@observer,performer`.

    Args:
        dtype: of the models' weights; bfloat16 where the device has it, by default.
        device: where they read, `cpu` or `cuda`.

    Raises:
        CheckpointError: no such score or model, or two models with different tokenizers.
    """
    if name.score not in SCORES or len(name.models) not in MODELS.get(name.score, (1,)):
        raise CheckpointError(
            f"detector {name.given!r}: write a score ({', '.join(SCORES)}), then @ and one model;"
            " two joined by a comma only where the score compares two"
            " (binoculars@OBSERVER,PERFORMER; fast-detectgpt@REFERENCE,SCORER)"
        )
    loaded = [
        load_causal(model, dtype=dtype or best_dtype(device), device=device)
        for model in name.models
    ]
    return ZeroShotDetector(name.score, loaded[-1], loaded[0] if len(loaded) == 2 else None)
