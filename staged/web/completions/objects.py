"""Answers in OpenAI's form: completions, chunks of a stream, models, errors; as JSON values.

Source: https://platform.openai.com/docs/api-reference/completions/object and …/models, …/errors.
`stop_reason` is vLLM's: the stop string that ended a text.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from staged.web.limits import RefusedError

if TYPE_CHECKING:  # which import a model's library
    from staged.samples.writers.contract import Row
    from staged.web.completions.generator import Generator, Written

DONE = b"data: [DONE]\n\n"
KINDS = {404: "not_found_error", 503: "overloaded_error"}  # else by the hundred


@dataclass(frozen=True)
class Head:
    """What all objects of one answer begin with."""

    model: str
    id: str = field(default_factory=lambda: f"cmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def object(self, choices: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
        """A completion, or a chunk of one: they have the same form."""
        start = {"id": self.id, "object": "text_completion", "created": self.created}
        return start | {"model": self.model, "choices": list(choices)} | more


def ended(index: int, row: Row, text: str) -> dict[str, Any]:
    """A choice that is complete."""
    return choice(index, text) | {
        "finish_reason": "length" if row["reason"] == "length" else "stop",
        "stop_reason": row["stopped"],
    }


def choice(index: int, text: str) -> dict[str, Any]:
    """A choice that goes on."""
    return {"index": index, "text": text, "logprobs": None, "finish_reason": None}


def usage(written: Written) -> dict[str, int]:
    """Tokens read and written."""
    read, new = written.prompt_tokens, written.completion_tokens
    return {"prompt_tokens": read, "completion_tokens": new, "total_tokens": read + new}


def model(generator: Generator, created: int) -> dict[str, Any]:
    """One of the list of models; `max_model_len` is vLLM's name for the context."""
    start = {"id": generator.name, "object": "model", "created": created}
    return start | {"owned_by": "staged", "max_model_len": generator.context}


def error(refusal: RefusedError) -> dict[str, Any]:
    """A refusal; the parameter is what its sentence begins with, if it begins with a parameter."""
    name, colon, _ = str(refusal).partition(": ")
    parameter = name.split("[")[0].split(".")[0] if colon and " " not in name else None
    kind = KINDS.get(
        refusal.status, "server_error" if refusal.status >= 500 else "invalid_request_error"
    )
    code = "model_not_found" if (refusal.status, parameter) == (404, "model") else None
    said = {"message": str(refusal), "type": kind, "param": parameter, "code": code}
    return {"error": said}


def event(value: Mapping[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"
