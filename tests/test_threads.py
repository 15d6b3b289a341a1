"""Every command that computes takes --threads; threads that wait sleep, unless the environment says
otherwise.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from staged import threads
from staged.cli import app
from staged.errors import PlanError

COMPUTE = (
    *(
        "sample",
        "evaluate-lm",
        "train",
        "detect",
        "train-detector",
        "transfer",
        "calibrate",
        "stress",
        "evaluate",
        "raid",
        "serve",
        "bias",
    ),
    *("survey make", "tokenize", "verify"),
)
DO_NOT = (
    "study",
    "report",
    "convert",
    "card",
    "survey tally",
)  # study has --workers of one thread each
SHOWN = """
import os, sys
from staged import cli
assert "torch" not in sys.modules
def evaluate(*args, **kwargs):
    import torch
    kinds = [os.environ.get(name) for name in ("OMP_WAIT_POLICY", "RAYON_NUM_THREADS")]
    print(torch.get_num_threads(), *kinds, flush=True)
    os._exit(0)
import staged.model
class Fake: pass
fake = Fake(); fake.evaluate = evaluate
sys.modules["staged.model.reading.evaluate"] = fake
sys.argv = ["staged", "evaluate-lm", "mini-s", "-", "--device", "cpu", *sys.argv[1:]]
cli.main()
"""


def commands() -> dict[str, typer.core.TyperCommand]:
    found = {}
    for name, one in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        found |= (
            {f"{name} {inner}": two for inner, two in one.commands.items()}
            if hasattr(one, "commands")
            else {name: one}
        )
    return found


def test_every_command_that_computes_takes_threads() -> None:
    found = {
        name: {option for one in command.params for option in one.opts}
        for name, command in commands().items()
    }
    having = {name for name, options in found.items() if "--threads" in options}
    assert having == set(COMPUTE)
    has_device = {name for name, options in found.items() if "--device" in options}
    assert has_device - {"study"} <= having
    assert set(DO_NOT) <= found.keys()


def shown(*arguments: str, **environment: str) -> list[str]:
    """Threads of PyTorch, the policy and the tokenizer's threads, as a command finds them."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in (*threads.POLICY, *threads.COUNTS)
    }
    command = [sys.executable, "-c", SHOWN, *arguments]
    wanted = {"capture_output": True, "text": True, "timeout": 120, "stdin": subprocess.DEVNULL}
    done = subprocess.run(command, env=clean | environment, **wanted)
    assert done.stdout, done.stderr
    return done.stdout.split()


def test_threads_sleep_and_are_as_many_as_processors() -> None:
    here = str(threads.processors())
    assert shown() == [here, "passive", here]
    assert shown("--threads", "1") == ["1", "passive", "1"]


def test_the_environment_outweighs_the_default_and_the_option_it() -> None:
    assert shown(OMP_WAIT_POLICY="active", OMP_NUM_THREADS="1")[:2] == ["1", "active"]
    assert shown("--threads", "1", OMP_NUM_THREADS="2")[0] == "1"


def test_a_hundred_thousand_threads_are_as_many_as_processors(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr("torch.set_num_threads", asked.append)
    monkeypatch.setattr(threads, "processors", lambda: 3)
    with caplog.at_level(logging.WARNING, "staged"):
        for number in (2, 3, 100_000, 10**20):
            threads.use_threads(number)
    assert asked == [2, 3, 3, 3]
    assert "--threads 100000: more than the 3 processors here, so 3 threads compute" in caplog.text
    with pytest.raises(PlanError, match="--threads must be 0 or more, not -1"):
        threads.use_threads(-1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max 100000\n", 64),
        ("150000 100000\n", 2),
        ("50000 100000\n", 1),
        ("nonsense", 64),
        ("1 0", 64),
        ("9999999 100000", 64),
    ],
)
def test_a_containers_quota_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    (tmp_path / "cpu.max").write_text(text)
    assert threads.processors(tmp_path / "cpu.max") == expected
    assert threads.processors(tmp_path / "none") == 64
