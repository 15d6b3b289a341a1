"""The plan `pretrain-124m`: published where something is published, and as dear as its page says."""

from __future__ import annotations

from pathlib import Path

from staged.model.gpt2.config import GPT2_SIZES, GPT2Config
from staged.model.training.plan import read_training_plan

PAGE = (Path(__file__).parents[3] / "docs" / "train.md").read_text(encoding="utf-8")


def power(number: float) -> str:
    """As 3.91 · 10¹⁴."""
    digits, exponent = f"{number:.2e}".split("e+")
    return f"{digits} · 10{exponent.translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def test_shape_and_batch_are_the_published_ones() -> None:
    (settings,) = read_training_plan("pretrain-124m").values()
    shape = {name: getattr(settings, name) for name in ("n_ctx", "n_embd", "n_head", "n_layer")}
    assert GPT2Config(n_vocab=50257, **shape) == GPT2_SIZES["gpt2"]
    assert (settings.batch, settings.n_ctx) == (512, 1024)
    assert (settings.init, settings.objective, settings.dropout) == ("", "causal", 0.0)


def test_the_page_has_its_cost() -> None:
    (settings,) = read_training_plan("pretrain-124m").values()
    weights, tokens = GPT2_SIZES["gpt2"].parameters, settings.batch * settings.n_ctx
    step = 6 * weights * tokens
    every = settings.steps * step
    attention = 12 * settings.n_layer * settings.n_embd * settings.n_ctx / (6 * weights)
    hours = every / (1e15 * 0.4) / 3600
    for row in (
        f"| weights | {weights:,} |",
        f"| tokens a step | {tokens:,} |",
        f"| operations a step | {power(step)} |",
        f"| tokens of {settings.steps:,} steps | {settings.steps * tokens:,} |",
        f"| operations of {settings.steps:,} steps | {power(every)} |",
        f"| + {attention:.0%} |",
        f"| {hours:.1f} hours, with attention {hours * (1 + attention):.1f} |",
        f"| {hours / 8:.1f} hours, with attention {hours * (1 + attention) / 8:.1f} |",
    ):
        assert row in PAGE, row
    assert every / 2e11 / 3600 / 24 > 366  # "more than a year" on two cores
    assert f"{weights * 16 / 1e9:.1f} GB" in PAGE
    assert f"{settings.steps * tokens * 2 / 1e9:.0f} GB" in PAGE
