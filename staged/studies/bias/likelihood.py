"""What a model itself finds likely: of two continuations of a prompt the favourable one, of two
sentences the stereotyped one.

Preference: log p(favourable | prompt) − log p(unfavourable | prompt), nats, summed over the
continuation's tokens. Between two groups the continuations are the same, so their lengths and
rarities cancel. It says what a model would weigh, not what it writes. Cost: one reading of each
sentence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from staged.model.causal import CausalLM
from staged.model.reading.token_statistics import token_statistics
from staged.progress import Progress, silent
from staged.studies.bias.prompts import Terms


def continuation_nats(
    model: CausalLM, texts: Sequence[tuple[str, str]], progress: Progress = silent
) -> list[float]:
    """log p(" " + continuation | prompt) of each (prompt, continuation), ≤ 0, in nats.

    A token belongs to the continuation when it ends after the prompt does.
    """
    wholes = [f"{prompt} {continuation}" for prompt, continuation in texts]
    statistics = _statistics(model, wholes, progress)
    added = [
        np.array([end > len(prompt) for _, end in spans])
        for (prompt, _), (_, spans) in zip(texts, model.tokenizer.encode_spans(wholes), strict=True)
    ]
    # the first token of all has none before it, so statistics are right-aligned with spans
    return [
        float(nats[-len(mask) :][mask[-len(nats) :]].sum())
        for nats, mask in zip(statistics, added, strict=True)
    ]


def sentence_nats(
    model: CausalLM, sentences: Sequence[str], progress: Progress = silent
) -> list[tuple[float, int]]:
    """(log p(sentence | start of text), tokens) of each sentence; nats, ≤ 0."""
    return [(float(nats.sum()), len(nats)) for nats in _statistics(model, sentences, progress)]


def preferences(
    model: CausalLM, terms: Terms, template_set: str, progress: Progress = silent
) -> dict[str, dict[str, list[float]]]:
    """attribute → group → preference for the favourable one of each continuation pair, nats, the
    mean over templates it fits.
    """
    places = [
        (attribute, group, kind, number, template, pair)
        for attribute, groups in terms.groups.items()
        for group in groups
        for kind in dict.fromkeys(terms.templates[template_set].values())
        for number, pair in enumerate(terms.continuations[kind])
        for template, fits in terms.templates[template_set].items()
        if fits == kind
    ]
    texts = [
        (f"{terms.groups[a][g]} {template}", side)
        for a, g, _, _, template, pair in places
        for side in pair
    ]
    nats = np.array(continuation_nats(model, texts, progress)).reshape(-1, 2)
    differences: dict[str, dict[str, dict[tuple[str, int], list[float]]]] = {}
    for (attribute, group, kind, number, _, _), (first, second) in zip(places, nats, strict=True):
        differences.setdefault(attribute, {}).setdefault(group, {}).setdefault(
            (kind, number), []
        ).append(float(first - second))
    return {
        a: {g: [float(np.mean(values)) for values in pairs.values()] for g, pairs in groups.items()}
        for a, groups in differences.items()
    }


def preference_texts(terms: Terms, template_set: str) -> int:
    """How many texts `preferences` reads."""
    persons = sum(len(groups) for groups in terms.groups.values())
    return (
        2
        * persons
        * sum(len(terms.continuations[kind]) for kind in terms.templates[template_set].values())
    )


def _statistics(model: CausalLM, texts: Sequence[str], progress: Progress) -> list[np.ndarray]:
    """Log-probabilities of each text's tokens; the first one's too, after the start of a text."""
    tokenizer = model.tokenizer
    start = [] if tokenizer.before else [tokenizer.end_of_text]
    ids = [[*start, *tokens] for tokens in tokenizer.encode_batch(texts)]
    drop = max(len(tokenizer.before) - 1, 0)  # further tokens before a text are none of its own

    def report(done: int, total: int) -> None:
        progress(round(len(texts) * done / max(total, 1)), len(texts))

    return [
        statistics.logprob[drop:] for statistics in token_statistics(model, ids, progress=report)
    ]
