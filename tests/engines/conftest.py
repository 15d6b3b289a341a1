"""A study that is small and has everything an engine can get wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import staged
from tests.engines.drivers import Written, written

PLAN = """
models = ["{small}", "{large}"]
methods = ["temperature-1"]
detectors = ["tfidf"]
n_train = 24
n_valid = 20
n_test = 16
length_tokens = 24
lengths = [12, 24]
batch = 4
[corpus]
source = "{human}"
budget_tokens = 60
minimum_tokens = 20
[corpus.shares]
train = 0.4
valid = 0.25
test = 0.35
"""


@pytest.fixture(scope="session")
def plan(tiny: Path, human_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engines")
    shutil.copytree(tiny, folder / "larger")
    path = folder / "plan.toml"
    path.write_text(PLAN.format(small=tiny, large=folder / "larger", human=human_folder))
    return path


@pytest.fixture(scope="session")
def finished(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """What the study's folder holds where one process has made all of it."""
    out = tmp_path_factory.mktemp("engines") / "study"
    staged.study(plan, out, engine=staged.Engine(workers=1))
    return written(out)
