"""What the options of `staged sample` ask for where several make up one setting: the method, the prompts, the number."""

from __future__ import annotations

from collections.abc import Sequence

from staged.errors import PlanError
from staged.samples.methods import Method, from_numbers, method, under
from staged.samples.prompts import read_prompts


def chosen_method(name: str | None, temperature: float | None, top_k: int | None, top_p: float | None, semantics: str) -> Method:
    """By name or by numbers, by default temperature 1; the semantics outweigh the name's, empty ones are as it says.

    Raises:
        PlanError: a name and a number.
        SamplingError: no such method, or a number out of range.
    """
    numbers = (temperature, top_k, top_p)
    if name and numbers != (None, None, None):
        raise PlanError("sample: give --method or the numbers --temperature, --top-k, --top-p, not both")
    chosen = method(name or "temperature-1") if numbers == (None, None, None) else from_numbers(*numbers)
    return under(chosen, semantics) if semantics else chosen


def chosen_prompts(prompt: str, source: str) -> tuple[str, ...]:
    """One, those of a file, or none.

    Raises:
        PlanError: both.
        CorpusError: a file that cannot be read.
    """
    if prompt and source:
        raise PlanError("sample: give --prompt or --prompts, not both")
    return (prompt,) if prompt else tuple(read_prompts(source)) if source else ()


def how_many(number: int | None, per_prompt: int | None, prompts: Sequence[str]) -> int:
    """The number of samples: as many as said, so many a prompt, or one a prompt.

    Raises:
        PlanError: both numbers, or samples a prompt without a prompt.
    """
    if number is not None and per_prompt is not None:
        raise PlanError("sample: give --number (in all) or --per-prompt, not both")
    if per_prompt is not None and not prompts:
        raise PlanError("sample: --per-prompt needs --prompt or --prompts; without them, --number says how many")
    return number if number is not None else (per_prompt or 1) * max(1, len(prompts))
