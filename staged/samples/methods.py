"""Sampling methods by name: temperature, top-k and top-p. What they do to logits:
`samples.drawing.next_token`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from staged.errors import SamplingError
from staged.settings import LARGEST, nearest

NUCLEUS_RANGE = (0.8, 1.0)  # the output dataset drew each document's top-p from here
SEMANTICS = ("standard", "released")


@dataclass(frozen=True)
class Method:
    """How the next token is drawn.

    Attributes:
        name: as a study calls it, and as samples record it.
        temperature: > 0, or 0 for greedy.
        top_k: keep the k most likely tokens; 0 is off.
        top_p: (low, high): each document draws its p uniformly from here; (1, 1) is off.
        semantics: `standard` or `released`: whether the nucleus keeps the token that crosses p.
    """

    name: str
    temperature: float = 1.0
    top_k: int = 0
    top_p: tuple[float, float] = (1.0, 1.0)
    semantics: str = "standard"

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise SamplingError(
                f"method {self.name!r}: temperature must be 0 or more, not {self.temperature}"
            )
        if not 0 <= self.top_k <= LARGEST:
            raise SamplingError(
                f"method {self.name!r}: top-k must be 0 (off) to {LARGEST:,}, not {self.top_k}"
            )
        if not 0 < self.top_p[0] <= self.top_p[1] <= 1:
            raise SamplingError(
                f"method {self.name!r}: top-p must lie in (0, 1], not {self.top_p[0]}"
            )
        if self.semantics not in SEMANTICS:
            raise SamplingError(
                f"method {self.name!r}: semantics {self.semantics!r}; known: {', '.join(SEMANTICS)}"
            )


NAMED = {
    "temperature-1": Method("temperature-1"),
    "top-k-40": Method("top-k-40", top_k=40),
    "nucleus": Method("nucleus", top_p=NUCLEUS_RANGE),
    "greedy": Method("greedy", temperature=0.0),
}
RELEASED_SUFFIX = "+released"  # at the end of a method's name
PART = re.compile(r"(temperature|top-k|top-p)-(\d+(?:\.\d+)?(?:e-?\d+)?)")


def method(name: str) -> Method:
    """A method by name: `temperature-1`, `top-k-40`, `nucleus`, `greedy`, or parts joined by `+`:
    `temperature-0.7+top-p-0.9`.

    Any of them with `+released` at the end has the released semantics.

    Raises:
        SamplingError: no such method.
    """
    if name.endswith(RELEASED_SUFFIX) and not name.endswith(2 * RELEASED_SUFFIX):
        return under(method(name.removesuffix(RELEASED_SUFFIX)), "released")
    if name in NAMED:
        return NAMED[name]
    values: dict[str, float] = {}
    for part in name.split("+"):
        match = PART.fullmatch(part)
        if not match or match[1] in values or (match[1] == "top-k" and not match[2].isdigit()):
            raise SamplingError(
                f"method {name!r}: unknown; {nearest(name, NAMED)} or parts joined by +, such as"
                " temperature-0.7+top-k-40"
            )
        values[match[1]] = float(match[2])
    p = values.get("top-p", 1.0)
    return Method(name, values.get("temperature", 1.0), int(values.get("top-k", 0)), (p, p))


def under(chosen: Method, semantics: str) -> Method:
    """The same method with other semantics, its name saying so.

    Raises:
        SamplingError: unknown semantics.
    """
    name = chosen.name.removesuffix(RELEASED_SUFFIX)
    return replace(
        chosen,
        name=name + RELEASED_SUFFIX if semantics == "released" else name,
        semantics=semantics,
    )


def from_numbers(temperature: float | None, top_k: int | None, top_p: float | None) -> Method:
    """A method of standard semantics from its numbers, those not given being off; `method` reads
    its name back exactly.
    """
    values = {
        "temperature": 1.0 if temperature is None else temperature,
        "top-k": top_k or 0,
        "top-p": top_p or 1.0,
    }
    if top_p is not None and not 0 < top_p <= 1:
        raise SamplingError(f"sample: --top-p must lie in (0, 1], not {top_p}")
    name = "+".join(
        f"{key}-{_digits(value)}"
        for key, value in values.items()
        if value != {"top-k": 0}.get(key, 1.0)
    )
    p = float(values["top-p"])
    return Method(
        name or "temperature-1", float(values["temperature"]), int(values["top-k"]), (p, p)
    )


def _digits(value: float) -> str:
    """The fewest that give the same number back, without the + that joins the parts of a name."""
    return (
        repr(value + 0.0 if isinstance(value, float) else value)
        .removesuffix(".0")
        .replace("e+", "e")
    )
