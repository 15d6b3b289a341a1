"""The completions route of a server (vLLM, llama.cpp, TGI, OpenAI), and the one for chats: one text
asked for, again where that can help, at the pace that was set; what goes wrong in one sentence.

The key comes from the environment and goes into a request's header, nowhere else.
Sources: https://platform.openai.com/docs/api-reference/completions and …/chat.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from staged.errors import CheckpointError, SamplingError, first_line
from staged.model.sources.served import KEY, Served
from staged.pages.figures import counted
from staged.samples.writers.pace import PACE, Pace, pace_asked

RETRIES = 8  # after 0.5, 1, 2, 4, then 8 seconds each, or what Retry-After says: 40 s in all
TIMEOUT_S, CONNECT_S = 600.0, 10.0  # until an answer is there, and until a connection is
TIMEOUT_RETRIES = 1  # a server that hangs is waited for 20 minutes, not TIMEOUT_S for every try
NO_KEY = "none"  # local servers want no key, but the library one
# that a request is wrong, by which parameter being each server's own matter
REFUSALS = (400, 422)
SHOWN = 200  # characters of what a server says
Prompt = str | list[dict[str, str]]
COUNT = "x-stainless-retry-count"  # of a request: how many went before it, as the library says


class RefusedError(SamplingError):
    """A server that finds a request wrong, for a parameter or for anything else."""


class Route:
    """An open connection to a server's completions routes; threads may share it.

    Raises:
        CheckpointError: the library that speaks to servers is missing, or the key is none.
        PlanError: a pace that is none.
    """

    def __init__(self, served: Served) -> None:
        self.served = served
        self.openai, self.key = library(served), _key()
        self.client = self.openai.OpenAI(
            api_key=self.key,
            base_url=served.url,
            max_retries=RETRIES,
            timeout=self.openai.Timeout(TIMEOUT_S, connect=CONNECT_S),
            http_client=_http_client(Pace(pace_asked())),
        )

    def __enter__(self) -> Route:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()

    def complete(self, prompt: Prompt, parameters: Mapping[str, Any]) -> Any:
        """The server's answer about one prompt, with one choice at least, whose text is a string.

        Args:
            prompt: a text to continue, or a chat's messages to answer.

        Raises:
            RefusedError: it finds the request wrong.
            SamplingError: no answer, or not such a one; the sentence names server and status.
        """
        try:
            return self._asked(prompt, parameters)
        except self.openai.APIStatusError as error:
            raise self._refusal(error, prompt) from None

    def _asked(self, prompt: Prompt, parameters: Mapping[str, Any]) -> Any:
        """Raises APIStatusError where the server refuses; all else is a SamplingError."""
        try:
            answer = self._create(prompt, extra_body=dict(parameters))
        except self.openai.APIStatusError:
            raise
        except self.openai.APITimeoutError as error:
            raise self.fault(f"gave no answer within {TIMEOUT_S:g} s, {tried(error)}") from None
        except self.openai.APIConnectionError as error:
            why = type(error.__cause__).__name__
            raise self.fault(
                f"cannot be reached, {tried(error)} ({why}); start it, and give the command again"
            ) from None
        except (self.openai.OpenAIError, ValueError):  # ValueError: no JSON
            raise self.fault(STRANGE) from None
        if not (getattr(answer, "choices", None) and isinstance(text_of(answer.choices[0]), str)):
            raise self.fault(STRANGE)
        return answer

    def _create(self, prompt: Prompt, **parameters: Any) -> Any:
        name = self.served.name
        if isinstance(prompt, str):
            return self.client.completions.create(model=name, prompt=prompt, **parameters)
        return self.client.chat.completions.create(model=name, messages=prompt, **parameters)

    def _refusal(self, error: Any, prompt: Prompt) -> SamplingError:
        """What a status means, and what to do about it."""
        status, said = error.status_code, self._said(error)
        advice = "" if status in REFUSALS else tried(error)
        if status in (401, 403):
            said = "it wants a key" if self.key == NO_KEY else "it wants another key"
            advice = f"set {KEY}"
        elif status in REFUSALS and not prompt:
            advice = "many servers begin no text by themselves: give --prompt or --prompts"
        elif status == 404:
            advice = f"look at the name {self.served.name!r}, and at the URL: many end in /v1"
        elif status == 429:
            wait = error.response.headers.get("retry-after")
            asks = f"it asks to wait {wait} s" if wait else "wait"
            advice += f"; {asks}, or set --requests-per-minute or {PACE}"
        kind = RefusedError if status in REFUSALS else SamplingError
        return self.fault("; ".join(filter(None, (f"answers {status}", said, advice))), kind)

    def _said(self, error: Any) -> str:
        """What the server says of it, never with the key."""
        body = error.body if isinstance(error.body, Mapping) else {}
        said = str(body.get("message") or body.get("detail") or "").strip()
        safe = said if self.key == NO_KEY else said.replace(self.key, "…")
        return first_line(safe)[:SHOWN] if safe else ""

    def fault(self, what: str, kind: type[SamplingError] = SamplingError) -> SamplingError:
        return kind(f"the server at {self.served.host} {what}")


def _http_client(pace: Pace) -> Any:
    """The library's own, at the given pace; it ends a request that has waited in vain too often,
    where the library would go on for RETRIES.
    """
    from httpx2 import ReadTimeout, Request, Response  # what the library is built upon
    from openai import APITimeoutError, DefaultHttpxClient

    class HttpClient(DefaultHttpxClient):
        def send(self, request: Request, **options: Any) -> Response:
            try:
                return super().send(request, **options)
            except ReadTimeout:
                if int(request.headers[COUNT]) < TIMEOUT_RETRIES:
                    raise
                raise APITimeoutError(request=request) from None

    return HttpClient(event_hooks={"request": [pace.wait]})


def text_of(choice: Any) -> Any:
    """What a server wrote; of a chat the message, empty where there is reasoning alone."""
    message = getattr(choice, "message", None)
    return getattr(choice, "text", None) if message is None else message.content or ""


STRANGE = "answers, but not as a completions route does; look at the URL: many end in /v1"


def tried(error: Any) -> str:
    """How often a request was sent in vain."""
    return f"tried {counted(1 + int(error.request.headers[COUNT]), 'time')}"


def library(served: Served) -> Any:
    """The module that speaks to servers.

    Raises:
        CheckpointError: it is not installed.
    """
    try:
        import openai
    except ImportError:
        raise CheckpointError(
            f"model {served.name!r} behind a server needs the library openai: pip install"
            " 'staged[openai]'"
        ) from None
    return openai


def _key() -> str:
    """The key, or what stands in for one.

    Raises:
        CheckpointError: characters that no header holds; the sentence does not show them.
    """
    key = os.environ.get(KEY, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise CheckpointError(f"{KEY}: holds characters that no key has; set it anew")
    return key or NO_KEY
