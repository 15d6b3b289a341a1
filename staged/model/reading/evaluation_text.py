"""An evaluation as a person reads it: rows of its table, and what stands under them."""

from __future__ import annotations

from collections.abc import Iterator

from staged.model.reading.bits_interval import described
from staged.model.reading.evaluate import Evaluation

HEADER = ("", "count", "nats", "bits", "perplexity")


def rate_rows(result: Evaluation) -> Iterator[tuple[str, ...]]:
    """Under `HEADER`, what a token, a byte and a word cost."""
    for unit, rate in result.rates().items():
        yield (
            f"per {unit}",
            f"{rate['count']:,}",
            f"{rate['nats']:.4f}",
            f"{rate['bits']:.4f}",
            _perplexity(rate["perplexity"]),
        )


def conditions(result: Evaluation) -> str:
    """How the text was scored, and the interval with how it was made, a line each."""
    return (
        f"sliding window of {result.n_ctx} tokens, stride {result.stride}; {result.precision};"
        f" documents: {result.documents:,}, each scored by itself after {result.start}; words are"
        f" separated by white space\n95% interval of bits per byte: {described(result.interval)}"
    )


def _perplexity(value: float | None) -> str:
    return "too large" if value is None else f"{value:,.2f}" if value < 1e6 else f"{value:.3g}"
