"""Two processes that share the training of an encoder."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable


def together(work: Callable[[], object]) -> None:
    """Do this in two processes that meet as under torchrun.

    Raises:
        AssertionError: one of them failed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}

    def run(process: int) -> None:
        os.environ.update(place | {"RANK": str(process), "LOCAL_RANK": str(process)})
        work()

    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=run, args=(process,)) for process in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(100)
    assert [worker.exitcode for worker in workers] == [0, 0]
