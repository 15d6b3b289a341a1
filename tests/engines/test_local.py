"""Processes of this machine: errors, deaths, and whose end ends them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest

from staged.engines.choice import Engine
from staged.errors import ArtifactError, SamplingError
from tests.engines.jobs import Squares, StrangeError, lines, squares, write
from tests.studies.commands import FORKED, fork_workers, wait_until_free

TWO = Engine(workers=2)


def test_two_workers_give_what_this_process_gives(tmp_path: Path) -> None:
    shares: list[tuple[int, int]] = []
    values = write(
        tmp_path / "two.txt",
        Squares(tmp_path, 40),
        TWO,
        progress=lambda done, total: shares.append((done, total)),
    )
    assert values == squares(40)
    assert sorted(map(int, lines(tmp_path / "made"))) == list(range(40))
    assert len(set(lines(tmp_path / "opened"))) == len(lines(tmp_path / "opened")) <= 2
    assert str(os.getpid()) not in lines(tmp_path / "opened")
    assert shares == sorted(shares)
    assert shares[-1] == (40, 40)


def test_no_process_starts_for_what_it_is_not_needed_for(tmp_path: Path) -> None:
    assert write(tmp_path / "out.txt", Squares(tmp_path, 1), Engine(workers=64)) == squares(1)
    assert len(lines(tmp_path / "opened")) == 1


def test_a_killed_worker_is_replaced_and_nothing_is_lost(tmp_path: Path) -> None:
    job = Squares(tmp_path, 30, deadly=11, times=2)
    assert write(tmp_path / "out.txt", job, TWO) == squares(30)
    assert lines(tmp_path / "deaths") == ["11", "11"]
    made = list(map(int, lines(tmp_path / "made")))
    assert sorted(set(made)) == list(range(30))
    assert made.count(11) == 3
    assert len(made) == 32  # what others had done was not done again
    assert not (tmp_path / "out.txt.blocks").exists()


def test_a_number_that_kills_every_worker_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="died 3 times at piece 5, most likely for lack of mem"):
        write(tmp_path / "out.txt", Squares(tmp_path, deadly=5, times=99), TWO)
    assert len(lines(tmp_path / "deaths")) == 3
    assert write(tmp_path / "out.txt", Squares(tmp_path), TWO) == squares()


def test_an_error_of_ours_comes_as_it_is_and_what_is_done_stays(tmp_path: Path) -> None:
    with pytest.raises(SamplingError) as raised:
        write(tmp_path / "out.txt", Squares(tmp_path, refused=7), Engine(workers=1, shard=(0, 1)))
    assert str(raised.value) == "number 7: cannot be had; take another"
    assert not hasattr(raised.value, "__notes__")
    assert not (tmp_path / "out.txt").exists()
    made = lines(tmp_path / "made")
    assert write(tmp_path / "out.txt", Squares(tmp_path), Engine(workers=1, shard=(0, 1)))
    again = lines(tmp_path / "made")[len(made) :]
    assert sorted(map(int, again)) == list(range(7, 12))


def test_an_error_that_cannot_be_sent_says_what_and_where_it_was(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"^StrangeError: strange words") as raised:
        write(tmp_path / "out.txt", Squares(tmp_path, strange=3), TWO)
    assert "in _square" in raised.value.__notes__[0]
    with pytest.raises(StrangeError):
        write(tmp_path / "out.txt", Squares(tmp_path, strange=3))


def at_work(out: Path, held: Connection) -> None:
    """A driver whose workers are forked from its own process, and hold what it holds."""
    with pytest.MonkeyPatch.context() as patch:
        fork_workers(patch, multiprocessing.get_context("fork"))
        write(out, Squares(out.parent, 400, seconds=0.05), TWO)


def test_workers_end_with_a_driver_that_is_killed(tmp_path: Path) -> None:
    released, held = FORKED.Pipe(duplex=False)
    process = FORKED.Process(target=at_work, args=(tmp_path / "out.txt", held))
    process.start()
    held.close()
    wait_until(lambda: len(lines(tmp_path / "made")) > 4)
    process.kill()
    process.join()
    assert released.poll(30)  # nobody holds it any more
    wait_until_free(tmp_path / "out.txt.blocks")
    count = len(lines(tmp_path / "made"))
    assert write(tmp_path / "out.txt", Squares(tmp_path, 400)) == squares(400)
    assert len(lines(tmp_path / "made")) < 400 + count  # what was there was read


DRIVER = """
import sys
from pathlib import Path
from staged.engines.choice import Engine
from tests.engines.jobs import Squares, write
if __name__ == "__main__":
    out = Path(sys.argv[1])
    write(out, Squares(out.parent, 400, seconds=0.1), Engine(workers=2))
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["starting", "at work"])
def test_an_interrupt_ends_driver_and_workers_and_only_the_driver_speaks(
    moment: str, tmp_path: Path
) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    command = [sys.executable, tmp_path / "driver.py", tmp_path / "out.txt"]
    paths = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    driver = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    workers: list[psutil.Process] = []

    def are_there() -> bool:
        workers[:] = [
            child
            for child in psutil.Process(driver.pid).children()
            if "spawn_main" in " ".join(child.cmdline())
        ]
        return len(workers) == 2 and (moment == "starting" or len(lines(tmp_path / "made")) > 2)

    wait_until(are_there)
    os.killpg(driver.pid, signal.SIGINT)
    _, said = driver.communicate(timeout=60)
    assert said.count("Traceback") == 1
    assert said.strip().endswith("KeyboardInterrupt")
    assert not any(worker.is_running() for worker in workers)


def test_two_drivers_of_one_file_are_refused(tmp_path: Path) -> None:
    job = Squares(tmp_path, 40, seconds=0.05)
    first = threading.Thread(target=write, args=(tmp_path / "out.txt", job))
    first.start()
    wait_until(lambda: lines(tmp_path / "made") != [])
    with pytest.raises(ArtifactError, match="another staged process is writing here"):
        write(tmp_path / "out.txt", job, TWO)
    first.join()
    assert [int(line) for line in lines(tmp_path / "out.txt")] == squares(40)


def wait_until(is_so: object, seconds: float = 60) -> None:
    assert callable(is_so)
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)
