"""A worker's side, whatever engine it works for: one thread, one task open at a time."""

from __future__ import annotations

import ctypes
import os
import pickle
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from staged.engines.contract import Perform, Task
from staged.errors import StagedError

SECONDS = 0.1  # between two words of how far a number is


class Worker:
    """Does numbers of tasks; the last task stays open, with its model."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._open: tuple[str, Perform] | None = None

    def do(self, task: Task, number: int, moved: Callable[[float], None]) -> float:
        """Do one number.

        Args:
            moved: called with the share done, in [0, 1).

        Returns:
            The seconds that it took.
        """
        began = told = time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal told
            if (now := time.monotonic()) - told >= SECONDS:
                told = now
                moved(min(done / max(total, 1), 0.99))

        self._opened(task)(number, progress)
        return time.monotonic() - began

    def _opened(self, task: Task) -> Perform:
        if self._open is None or self._open[0] != task.name:
            self.close()
            self._open = (task.name, self._stack.enter_context(task.opened()))
        return self._open[1]

    def close(self) -> None:
        """Let go of what is open."""
        self._open = None
        self._stack.close()


def settle(gpu: int | None = None) -> None:
    """Make this process a worker: it sees one GPU, or as many as it is given to see, and computes
    on one thread. Before PyTorch is used.

    Args:
        gpu: the one that is its own; None where somebody else has seen to that.
    """
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = _visible()[gpu]
    import torch

    torch.set_num_threads(1)
    _keep_freed_memory()


def _visible() -> Sequence[str]:
    """The names of the GPUs that this process may use."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",") if named else [str(number) for number in range(1024)]


def _keep_freed_memory() -> None:
    """glibc gives large blocks back and gets them again, page by page, for every tensor: a fifth of
    the time of scoring.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(-4, 0)  # M_MMAP_MAX: no block of its own for any allocation
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: in effect never


def told(error: BaseException) -> BaseException:
    """An error as another process may raise it: what is no sentence of ours says where it came
    from, and what cannot be pickled, or made again of it, what it was.
    """
    if isinstance(error, StagedError):
        return error
    error.add_note("in a worker:\n" + "".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever an error's own class may raise there
        plain = RuntimeError(f"{type(error).__name__}: {error}")
        plain.__notes__ = error.__notes__
        return plain
    return error
