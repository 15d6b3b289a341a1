"""How much the server takes on, and how a refusal is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from staged.errors import ServeError

RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server takes on; at the defaults it holds at most 64 × 4 MiB of requests.

    Attributes:
        body_bytes: of one request, files included.
        text_characters, request_characters: of one text, and of all texts of one request.
        texts: in one request.
        tokens_shown: coloured on the page.
        body_s, answer_s: until a request's body has come, and until it is answered.
        generate_s: until a model has written all that one request asks for, its wait included.
        samples: that one request may have written.
        requests: at work or waiting, of every kind; beyond it 503.
        waiting: examinations at work or waiting for the one thread that does them; beyond it 503.
        connections: open, idle ones included.
    """

    body_bytes: int = 4 * 2**20
    text_characters: int = 50_000
    request_characters: int = 400_000
    texts: int = 64
    tokens_shown: int = 2_000
    body_s: float = 20.0
    answer_s: float = 60.0
    generate_s: float = 600.0
    samples: int = 64
    requests: int = 64
    waiting: int = 32
    connections: int = 256


class RefusedError(ServeError):
    """A request that gets no result: an HTTP status, and one sentence for whoever sent it."""

    def __init__(
        self, status: int, sentence: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = dict(headers or {})


class ClientGoneError(ServeError):
    """Nobody waits for the answer any more."""


def busy() -> RefusedError:
    """Too much at once: 503, and when to come again."""
    sentence = f"The server is busy with other texts; try again in {RETRY_AFTER_S} seconds."
    return RefusedError(503, sentence, {"Retry-After": str(RETRY_AFTER_S)})
