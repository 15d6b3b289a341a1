"""How many requests a minute a server is sent, where it takes only so many."""

from __future__ import annotations

import os
import threading
import time

from staged.errors import PlanError

PACE = "STAGED_REQUESTS_PER_MINUTE"  # the environment variable, which processes of a run inherit


class Pace:
    """Lets requests begin at even distances; for threads.

    Args:
        per_minute: requests that may begin within a minute; 0 is without a limit.
    """

    def __init__(self, per_minute: int) -> None:
        self.gap_s = 60 / per_minute if per_minute else 0.0
        self.next_s = 0.0  # when the next one may begin, on the monotonic clock
        self.lock = threading.Lock()

    def wait(self, request: object) -> None:
        """Sleep until a request may begin."""
        with self.lock:
            now_s = time.monotonic()
            start_s = max(now_s, self.next_s)
            self.next_s = start_s + self.gap_s
        time.sleep(start_s - now_s)


def use_pace(per_minute: int) -> None:
    """Send so many requests a minute from now on; 0 leaves what the environment says.

    Raises:
        PlanError: below 0.
    """
    if per_minute < 0:
        raise PlanError(f"--requests-per-minute must be 0 or more, not {per_minute}")
    if per_minute:
        os.environ[PACE] = str(per_minute)


def pace_asked() -> int:
    """Requests a minute, as the environment says; 0 is without a limit.

    Raises:
        PlanError: it says something else than a number.
    """
    given = os.environ.get(PACE, "").strip() or "0"
    if not (given.isascii() and given.isdigit()):
        raise PlanError(f"{PACE} must be a whole number, 0 or more, not {given!r}")
    return int(given)
