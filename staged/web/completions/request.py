"""What a client may ask for: OpenAI's fields as far as this engine has them. What it does not have
is refused by name; a field that the protocol does not know is passed over, and changes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from staged.samples.methods import from_numbers
from staged.samples.writers.contract import LEAST_PENALTY, SampleSettings
from staged.settings import LARGEST
from staged.web.api import check_length, is_unicode
from staged.web.limits import Limits, RefusedError

LENGTH = 16  # OpenAI's own, where a request names none
SEEDS = 2**64
BATCH = 16  # texts written at once
STOPS = 16
PROMPTS = 1_000  # read before they are counted: a million wrong ones would be a million errors


class StreamOptions(BaseModel):
    include_usage: bool = Field(False, description="A last chunk with the tokens that were used.")


class Completion(BaseModel):
    """A request; null stands for a field's own default, as in OpenAI's client."""

    # unlike the other routes': clients send fields of other servers, which must change nothing
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    model: str = Field(max_length=4096, description="As GET /v1/models names it.")
    prompt: str | Annotated[list[str], Field(max_length=PROMPTS)] = Field(
        description="A text to continue, or several; an empty one begins a text of its own."
    )
    max_tokens: int | None = Field(None, ge=1, le=LARGEST, description="16 where it is not given.")
    temperature: float | None = Field(None, ge=0, description="1 by default; 0 is greedy.")
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, le=LARGEST, description="0 and −1 are off.")
    repetition_penalty: float | None = Field(None, ge=LEAST_PENALTY, le=1 / LEAST_PENALTY)
    n: int | None = Field(None, ge=1, le=LARGEST, description="Texts a prompt.")
    seed: int | None = Field(
        None, ge=-(2**63), lt=SEEDS, description="The same one gives the same texts again."
    )
    stop: str | Annotated[list[str], Field(max_length=STOPS)] | None = Field(
        None, description=f"Where a text ends; at most {STOPS} strings."
    )
    stream: bool | None = Field(None, description="Server-sent events, as texts are written.")
    stream_options: StreamOptions | None = None
    # of the protocol, but not to be had here
    best_of: int | None = None
    echo: bool | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, Any] | None = None
    logprobs: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    suffix: str | None = None

    @property
    def prompts(self) -> tuple[str, ...]:
        return (self.prompt,) if isinstance(self.prompt, str) else tuple(self.prompt)

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def samples_each(self) -> int:
        """Texts a prompt."""
        return self.n or 1


def checked(asked: Completion, limits: Limits) -> None:
    """Refuse what is not to be had here, and more than one request may ask for.

    Raises:
        RefusedError: 400, or 413 for too much.
    """
    for name in _missing(asked):
        raise RefusedError(400, f"{name}: this server does not do that; leave it out.")
    prompts, most = asked.prompts, limits.samples
    if not prompts:
        raise RefusedError(400, "prompt: the list is empty; send a text.")
    if (count := len(prompts) * asked.samples_each) > most:
        raise RefusedError(
            400, f"n: {count:,} texts are more than the {most} that one request may ask for."
        )
    named = [(f"prompt[{i}]", prompt) for i, prompt in enumerate(prompts)]
    check_length(named, limits, blank=True)
    if not all(stop and is_unicode(stop) for stop in asked.stops):
        raise RefusedError(400, "stop: a string is empty, or half of a character; send whole ones.")


def _missing(asked: Completion) -> Iterator[str]:
    """Fields whose values ask for what this engine does not have."""
    for name in ("frequency_penalty", "presence_penalty", "min_p", "logit_bias", "suffix", "echo"):
        if getattr(asked, name):
            yield name
    if asked.logprobs is not None:
        yield "logprobs"
    if asked.best_of not in (None, asked.samples_each):
        yield "best_of"


def settings_of(asked: Completion, *, model: str, precision: str, device: str) -> SampleSettings:
    """The same as `staged sample` would be asked; a request without a seed gets a random one.

    Args:
        model: as `model_folder` takes it.

    Raises:
        SamplingError, PlanError: stop strings, or numbers, that are none.
    """
    top_k = max(asked.top_k or 0, 0)
    return SampleSettings(
        model=model,
        method=from_numbers(asked.temperature, top_k, asked.top_p),
        count=len(asked.prompts) * asked.samples_each,
        length=LENGTH if asked.max_tokens is None else asked.max_tokens,
        seed=secrets.randbits(64) if asked.seed is None else asked.seed % SEEDS,
        prompts=asked.prompts,
        per_prompt=asked.samples_each,
        batch=BATCH,
        precision=precision,
        stop=asked.stops,
        repetition_penalty=asked.repetition_penalty or 1.0,
        device=device,
    )
