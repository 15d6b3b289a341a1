"""Models that write behind a server: a request a sample, several at the same time.

One sample is one request, so that its seed, its top-p, its number of tokens and its end are its
own, and what was answered is never asked again. What a server does with them is its own matter: it
promises neither the same text for the same seed nor an exact top-p, and its rows say `server` under
`semantics`, or `server, plain` where it would not switch its own defaults off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from staged.errors import PlanError
from staged.model.sources.served import Served
from staged.notes import note
from staged.samples.chat.template import REASONING
from staged.samples.stops import cut_at
from staged.samples.writers.contract import Row, SampleSettings
from staged.samples.writers.defaults import Agreement, Off
from staged.samples.writers.route import STRANGE, Prompt, Route, text_of
from staged.streams import derive, uniforms

SEEDS = 2**31  # llama.cpp takes 32 bits, of which the highest number means a random seed
# without these the defaults of a server, or of its model, would be at work
OFF: dict[str, Any] = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
SEMANTICS = "server"  # whose reading of top-p it is
PLAIN = "server, plain"  # and with its own defaults at work where the method is silent
PROMISE = (
    "a server promises neither the same text for the same seed nor an exact top-p: what it answered"
    " is kept, and made again it may differ"
)
BARE = (
    "it refused to switch top-k, top-p, min-p and repetition penalty off, so its own defaults were"
    " at work where the method does not set them: their rows say 'server, plain'"
)
REASONS = "it refused to switch reasoning off"


@dataclass(frozen=True)
class ServedWriter:
    """A `Writer` that asks a server."""

    settings: SampleSettings
    route: Route
    agreement: Agreement

    def block(self, first: int) -> list[Row]:
        prompt, asked = self._prompt(first), parameters(self.settings, first)
        answer, off = self.agreement.ask(
            lambda off: self.route.complete(prompt, switched_off(off) | asked)
        )
        return [self._row(first, answer) | {"semantics": SEMANTICS if off.sampling else PLAIN}]

    def _prompt(self, i: int) -> Prompt:
        """What sample i is asked for: the text to continue, or the messages to answer."""
        if not self.settings.chat:
            return self.settings.prompt(i)
        roles = {"system": self.settings.system, "user": self.settings.prompt(i)}
        return [{"role": role, "content": text} for role, text in roles.items() if text]

    def speak(self, write: Callable[[str], None]) -> Row:
        [row] = self.block(0)
        write(row["text"])
        return row

    def facts(self) -> dict[str, Any]:
        return {"computed_by": self.route.served.computed_by}

    def _row(self, i: int, answer: Any) -> Row:
        choice = answer.choices[0]
        text, stopped = cut_at(_whole(text_of(choice)), self.settings.stop)
        named = choice.model_extra or {}  # vLLM says which stop string it was, or none
        if stopped is None and named.get("stop_reason") in self.settings.stop:
            stopped = named["stop_reason"]
        is_told = not self.settings.stop or "stop_reason" in named
        reason = "stop" if stopped is not None else _reason(choice.finish_reason, is_told)
        if not reason:
            raise self.route.fault(STRANGE)
        row = self.settings.row(
            i,
            text,
            length=getattr(answer.usage, "completion_tokens", None),
            reason=reason,
            stopped=stopped,
            top_p=top_p_of(self.settings, i),
        )
        if self.settings.chat and (reasoning := _reasoning(choice)):
            row |= {"reasoning": reasoning}
        return row

    def promises(self) -> str:
        """What is not promised, and what was not even asked for."""
        off = self.agreement.off
        plain = off is not None and not off.sampling
        reasons = off is not None and self.settings.chat and not off.reasoning
        return "; ".join([PROMISE, *[BARE] * plain, *[REASONS] * reasons])


def switched_off(off: Off) -> dict[str, Any]:
    """The parameters that only switch a server's own defaults off."""
    reasoning = {"chat_template_kwargs": dict.fromkeys(REASONING, False)} if off.reasoning else {}
    return (OFF if off.sampling else {}) | reasoning


def parameters(settings: SampleSettings, i: int) -> dict[str, Any]:
    """What the request for sample i asks for beside its prompt, as far as it is not off."""
    chosen, top_p = settings.method, top_p_of(settings, i)
    return {
        "max_tokens": settings.length,
        "temperature": chosen.temperature,
        "seed": seed_of(settings.seed, i),
        **({"stop": list(settings.stop)} if settings.stop else {}),
        **({"top_p": top_p} if top_p < 1 else {}),
        **({"top_k": chosen.top_k} if chosen.top_k else {}),
    }


def _reasoning(choice: Any) -> str:
    """What a server keeps apart from the answer, under the name that it has for it."""
    named = getattr(getattr(choice, "message", None), "model_extra", None) or {}
    return _whole(str(named.get("reasoning_content") or named.get("reasoning") or ""))


def _reason(finish_reason: str | None, is_told: bool) -> str:
    """Why a text ended that shows no stop string, as rows say it.

    Args:
        is_told: whether the server would say so if it had met a stop string, and cut it off.
    """
    if finish_reason == "stop":
        return "end" if is_told else "stop"
    return finish_reason or ""


def _whole(text: str) -> str:
    """Text without halves of surrogate pairs, which JSON can carry and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def top_p_of(settings: SampleSettings, i: int) -> float:
    """Sample i's own top-p, as the local engine draws it."""
    low, high = settings.method.top_p
    return float(np.float32(low + (high - low) * uniforms(settings.seed, i, 1)[0]))


def seed_of(seed: int, i: int) -> int:
    """The seed that a server is sent for sample i."""
    return derive(seed, "server", str(i)) % SEEDS


@contextmanager
def open_served(settings: SampleSettings, served: Served) -> Iterator[ServedWriter]:
    """Ask a server for samples, and say at the end what it does not promise.

    Raises:
        CheckpointError, PlanError: as `Route`; settings that a completions route cannot carry.
    """
    check_carried(settings)
    with Route(served) as route:
        writer = ServedWriter(settings, route, Agreement(chat=settings.chat))
        yield writer
        note(f"{settings.model}: {writer.promises()}")


def check_carried(settings: SampleSettings) -> None:
    """Refuse what servers don't take, or take each in its own way.

    Raises:
        PlanError: something of that is asked for.
    """
    wanted = {
        "--logprobs": settings.logprobs,
        "--repetition-penalty": settings.repetition_penalty != 1,
        "--context": settings.context != "refuse",
        "--draft": bool(settings.draft),
        "--precision": bool(settings.precision),
        "released semantics of top-p": settings.method.semantics != "standard",
    }
    for what, is_wanted in wanted.items():
        if is_wanted:
            raise PlanError(
                f"sample: {settings.model} is behind a server, whose completions route has no"
                f" {what}; leave that out, or give a model's folder"
            )
