"""The library is silent: neither it nor any library below it writes to a standard stream, a bar and
a warning included.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.entries import written_by

ROOT = Path(__file__).parents[1]
ENTRIES = (
    "loaded",
    "sampled",
    "trained",
    "classifiers",
    "scored",
    "evaluated",
    "calibrated",
    "converted",
    "opened",
    "language_model",
)


@pytest.fixture(scope="module")
def written(
    tiny: Path, tiny_encoder: Path, human_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("silent")
    command = [
        sys.executable,
        "-m",
        "tests.entries",
        str(folder),
        str(tiny),
        str(tiny_encoder),
        str(human_folder),
    ]
    cache = {
        "XDG_CACHE_HOME": str(folder / "cache"),
        "HF_HOME": str(folder / "hub"),
        "HF_HUB_OFFLINE": "1",
    }
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | cache, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, str] = json.loads((folder / "results.json").read_text())
    assert set(found) == set(ENTRIES)
    return found | {"between": ended.stdout + ended.stderr}


@pytest.mark.parametrize("entry", [*ENTRIES, "between"])
def test_nothing_is_written(written: dict[str, str], entry: str) -> None:
    assert written[entry] == ""


def test_what_would_be_seen() -> None:
    """A bar, a log line past Python's streams, a child's output, an error: each would fail the test
    above.
    """
    from tqdm import tqdm

    def bar() -> None:
        with os.fdopen(os.dup(2), "w") as stream:
            list(tqdm(range(3), file=stream))

    for call, says in (
        (bar, "3/3"),
        (lambda: os.write(2, b"past"), "past"),
        (lambda: subprocess.run(["echo", "child"], check=True), "child"),
        (lambda: 1 / 0, "ZeroDivisionError"),
    ):
        assert says in written_by(call)
    assert written_by(lambda: None) == ""
