"""Pieces that threads make at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from staged.storage.pieces import JSON, cached


def test_in_order_each_once_and_no_more_at_once_than_asked(tmp_path: Path) -> None:
    working, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(4, timeout=20)  # passed only by four at the same time

    def piece(number: int) -> Callable[[], int]:
        def make() -> int:
            nonlocal working, most
            with lock:
                working += 1
                most = max(most, working)
            together.wait()
            with lock:
                working -= 1
            return number

        return make

    pieces = [(str(number), piece(number)) for number in range(12)]
    assert list(cached(tmp_path, pieces, JSON, at_once=4)) == list(range(12))
    assert most == 4
    assert list(cached(tmp_path, pieces, JSON, at_once=4)) == list(range(12))  # read, not made
    assert list(cached(None, pieces, JSON, at_once=4)) == list(range(12))


def test_beside_a_failure_what_is_finished_is_kept(tmp_path: Path) -> None:
    begun, failed = threading.Event(), threading.Event()
    made: list[str] = []

    def fail() -> int:
        begun.wait(20)
        failed.set()
        raise ValueError("broken")

    def slow() -> int:
        begun.set()
        failed.wait(20)
        return 1

    def late() -> int:
        made.append("late")
        return 2

    pieces = [("fails", fail), ("slow", slow), *((str(i), late) for i in range(9))]
    with pytest.raises(ValueError, match="broken"):
        list(cached(tmp_path, pieces, JSON, at_once=2))
    assert (tmp_path / "slow").read_bytes() == b"1"
    assert len(made) <= 1
    assert list(cached(tmp_path, pieces[1:], JSON, at_once=2)) == [1, *[2] * 9]
