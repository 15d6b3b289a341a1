"""Actors of Ray: one quick test of an embedded cluster; the slow ones have two nodes, and kill what
can die.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from staged.engines import ray as ray_engine
from staged.engines.choice import Engine
from staged.errors import ArtifactError, PlanError, SamplingError
from staged.samples.dataset import read_samples, write_samples
from tests.detectors.bulk.test_blocks import kill_ten_times, write_rows
from tests.engines.drivers import Written, kill_some, samples, started, study, written
from tests.engines.jobs import Squares, lines, squares, write
from tests.engines.test_kills import blocks_in, wanted
from tests.engines.test_local import wait_until
from tests.install.test_extras import hide

EMBEDDED = """
import sys
from pathlib import Path
from staged.engines.choice import Engine
from staged.errors import SamplingError
from tests.engines.jobs import Squares, write
if __name__ == "__main__":
    out = Path(sys.argv[1])
    try:
        write(out, Squares(out.parent, 300, deadly=7, refused=299), Engine("ray", workers=1))
    except SamplingError as error:
        print(error)
"""


def test_an_embedded_cluster_in_silence(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(EMBEDDED)
    paths = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "driver.py", "out.txt"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert done.stdout == "number 299: cannot be had; take another\n"
    assert done.stderr == ""
    assert lines(tmp_path / "deaths") == ["7"]
    made = list(map(int, lines(tmp_path / "made")))
    assert sorted(made) == sorted([*range(300), 7])
    assert write(tmp_path / "out.txt", Squares(tmp_path, 300)) == squares(300)
    assert lines(tmp_path / "made")[len(made) :] == ["299"]  # all others were there


def test_without_the_library_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "ray")
    with pytest.raises(PlanError, match=r"needs the library Ray: pip install 'staged\[ray\]'"):
        ray_engine.RayWorkers()


def test_nobody_imports_ray_who_does_not_use_it() -> None:
    code = (
        "import sys, staged.cli, staged.engines.started, staged.pipeline.run;"
        " assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_cluster_at_an_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(PlanError, match=r"no Ray cluster that this machine can join: .*; start"):
        write(tmp_path / "out.txt", Squares(tmp_path), Engine("ray", address))


@pytest.mark.parametrize("address", ["ray://host:10001", "host", "host:", "a b:1", "host:123456"])
def test_no_address(address: str) -> None:
    with pytest.raises(PlanError, match="give auto, or HOST:PORT of a Ray cluster"):
        Engine("ray", address)
    with pytest.raises(PlanError, match="is of --engine ray"):
        Engine(address="auto")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of a core each."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ray_engine.ENVIRONMENT.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "include_dashboard": False}
        whole = Cluster(initialize_head=True, head_node_args=head)
        whole.add_node(num_cpus=1)
        whole.wait_for_nodes()
        yield whole
        whole.shutdown()


@pytest.fixture
def engine(cluster: Any) -> Engine:
    return Engine("ray", cluster.address)


def actors(driver: object = None) -> list[psutil.Process]:
    """The processes of the cluster that are at work."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::Actor"):
                found.append(process)
        except psutil.NoSuchProcess:
            pass
    return found


@pytest.mark.slow
def test_both_nodes_work_and_deaths_are_made_up_for(engine: Engine, tmp_path: Path) -> None:
    job = Squares(tmp_path, 60, seconds=0.1, deadly=11, times=2)
    assert write(tmp_path / "out.txt", job, engine) == squares(60)
    assert lines(tmp_path / "deaths") == ["11", "11"]
    assert len(set(lines(tmp_path / "opened"))) == 4


@pytest.mark.slow
def test_errors_come_as_they_are(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(SamplingError, match=r"^number 7: cannot be had; take another$"):
        write(tmp_path / "refused.txt", Squares(tmp_path, refused=7), engine)
    with pytest.raises(RuntimeError, match=r"^StrangeError: strange words"):
        write(tmp_path / "strange.txt", Squares(tmp_path, strange=3), engine)
    with pytest.raises(ArtifactError, match="died 3 times at piece 5"):
        write(tmp_path / "out.txt", Squares(tmp_path, deadly=5, times=99), engine)
    assert write(tmp_path / "out.txt", Squares(tmp_path), engine) == squares()


@pytest.mark.slow
def test_a_study_of_two_nodes_has_the_bytes_of_one_process(
    engine: Engine, plan: Path, finished: Written, tmp_path: Path
) -> None:
    study(plan, tmp_path / "study", engine)
    assert written(tmp_path / "study") == finished


@pytest.mark.slow
def test_a_worker_is_killed_every_few_seconds(
    engine: Engine, plan: Path, finished: Written, tmp_path: Path
) -> None:
    out, stream, kills = tmp_path / "study", random.Random(3), 0
    driver, before = started(study, plan, out, engine), 0
    while driver.is_alive():
        driver.join(1)
        done = sum(path.is_file() for path in out.glob("**/*"))
        if done > before and (at_work := actors()):  # on a slow machine they have just come back
            with suppress(psutil.NoSuchProcess):
                stream.choice(at_work).kill()
            before, kills = done, kills + 1
    assert driver.exitcode == 0
    assert kills > 1
    assert written(out) == finished


@pytest.mark.slow
def test_ten_kills_of_samples(engine: Engine, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.jsonl"
    write_samples(tmp_path / "undisturbed.jsonl", wanted(tiny))
    kill_some(
        lambda held: started(samples, out, wanted(tiny), engine, held),
        lambda: blocks_in(out),
        actors,
        random.Random(7),
        kills=10,
        ended=lambda: None,
    )
    assert out.read_bytes() == (tmp_path / "undisturbed.jsonl").read_bytes()
    assert [row["id"] for row in read_samples(out)] == list(range(240))
    assert {path.name for path in tmp_path.iterdir()} == {"s.jsonl", "undisturbed.jsonl"}


@pytest.mark.slow
def test_ten_kills_of_verdicts(engine: Engine, tmp_path: Path) -> None:
    rows, out = write_rows(tmp_path / "rows.parquet", 1500), tmp_path / "v.parquet"
    kill_ten_times(rows, out, engine, workers=actors)


@pytest.mark.slow
def test_the_driver_of_a_study_is_killed_and_given_again(
    engine: Engine, plan: Path, finished: Written, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    for number in (2, 4):
        driver = started(study, plan, out, engine)
        wait_until(lambda wanted=number: len(list(out.glob("**/manifest.json"))) >= wanted)
        driver.kill()
        driver.join()
    study(plan, out, engine)
    assert written(out) == finished


@pytest.mark.slow
def test_a_node_goes_midway(
    cluster: Any, engine: Engine, plan: Path, finished: Written, tmp_path: Path
) -> None:
    """The last test: one core is left, and whoever lost the other's waits in vain."""
    out = tmp_path / "study"
    gone = next(iter(cluster.worker_nodes))
    removal = threading.Thread(target=lambda: cluster.remove_node(gone, allow_graceful=False))
    driver = started(study, plan, out, engine)
    wait_until(lambda: len(list(out.glob("**/manifest.json"))) >= 2)
    removal.start()
    removal.join()
    driver.join()
    assert driver.exitcode == 0
    assert written(out) == finished
