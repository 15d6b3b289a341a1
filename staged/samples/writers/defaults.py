"""A server's own defaults, at work where a request is silent, and which of them it lets be switched
off: found out with the first request of a file, for all of them alike.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from staged.errors import SamplingError
from staged.samples.writers.route import RefusedError

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Off:
    """What a request switches off: how the server samples by itself, and a chat's reasoning."""

    sampling: bool
    reasoning: bool


class Agreement:
    """What a server lets be switched off; for threads.

    Args:
        chat: whether there is reasoning to switch off.

    Attributes:
        off: this; None before the first answer.
    """

    def __init__(self, *, chat: bool) -> None:
        reasoning = (True, False) if chat else (False,)
        self._offers = [Off(sampling, asks) for sampling in (True, False) for asks in reasoning]
        self._lock = threading.Lock()
        self._failure: SamplingError | None = None
        self.off: Off | None = None

    def ask(self, send: Callable[[Off], Answer]) -> tuple[Answer, Off]:
        """An answer, and what was switched off for it. The first request is sent with all, then
        with less until it is taken; the others wait for it. Later none is sent with less.

        Raises:
            SamplingError: as `send`, or as the first request's.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self.off is None:
                return self._agreed(send)
        return send(self.off), self.off

    def _agreed(self, send: Callable[[Off], Answer]) -> tuple[Answer, Off]:
        for off in self._offers:
            try:
                answer = send(off)
            except RefusedError as refusal:
                self._failure = refusal
            except SamplingError as error:
                self._failure = error
                raise
            else:
                self.off, self._failure = off, None
                return answer, off
        assert self._failure is not None
        raise self._failure
