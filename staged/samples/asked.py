"""What the options of `staged sample` ask for, as settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from staged.errors import PlanError
from staged.samples.dataset import SampleSettings
from staged.samples.methods import Method, from_numbers, method, under
from staged.samples.prompts import read_prompts


def asked(options: Mapping[str, Any]) -> SampleSettings:
    """The settings that a command line asks for.

    Args:
        options: option → value: fields of SampleSettings, and what `method`, `prompts` and `count` are made from: `method`,
            `temperature`, `top_k`, `top_p`, `semantics`; `prompt`, `prompts`; `number`, `per_prompt`. None was not given.

    Raises:
        PlanError: two options that exclude each other, or a value that is wrong.
        SamplingError: prompts that cannot be read, no such method, or a number out of range.
    """
    prompts, per_prompt = _prompts(options["prompt"], options["prompts"]), options["per_prompt"]
    made: dict[str, Any] = {
        "method": _method(options["method"], *(options[name] for name in ("temperature", "top_k", "top_p", "semantics"))),
        "prompts": prompts,
        "count": how_many(options["number"], per_prompt, prompts),
        "per_prompt": 1 if per_prompt is None else per_prompt,
        "stop": tuple(options["stop"] or ()),
    }
    return SampleSettings(**{field.name: options[field.name] for field in fields(SampleSettings) if field.name not in made}, **made)


def _method(name: str | None, temperature: float | None, top_k: int | None, top_p: float | None, semantics: str) -> Method:
    """By name or by numbers, by default temperature 1; the semantics outweigh the name's, empty ones are as it says."""
    numbers = (temperature, top_k, top_p)
    if name and numbers != (None, None, None):
        raise PlanError("sample: give --method or the numbers --temperature, --top-k, --top-p, not both")
    chosen = method(name or "temperature-1") if numbers == (None, None, None) else from_numbers(*numbers)
    return under(chosen, semantics) if semantics else chosen


def _prompts(prompt: str, source: str) -> tuple[str, ...]:
    """One, those of a file, or none."""
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
