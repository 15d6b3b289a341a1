"""docs/release-your-own.md, walked: each of its commands in an empty folder, in their order, until
both packages are whole. It trains two models: a quarter of an hour on two idle cores.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from staged.release.package.verify import verify

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "release-your-own.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
STEPS = (
    *("train", "study", "detect", "evaluate-lm", "sample", "bias", "survey make", "card"),
    *("release keygen", "release status", "release advance", "release verify", "release upload"),
)


def put_programs(folder: Path) -> dict[str, str]:
    """An environment in which `staged` and `python` are those of this test."""
    folder.mkdir()
    for name, options in (("staged", "-m staged.cli "), ("python", "")):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {options}"$@"\n')
        (folder / name).chmod(0o755)
    path = os.pathsep.join((str(folder), os.environ["PATH"]))
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}


def test_the_page_has_every_step() -> None:
    page = "".join(BLOCKS)
    assert [step for step in STEPS if f"staged {step} " not in page] == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_command_of_the_page(tmp_path: Path) -> None:
    environment = put_programs(tmp_path / "programs")
    folder = tmp_path / "my-release"
    folder.mkdir()
    for block in BLOCKS:
        began = time.monotonic()
        done = subprocess.run(
            ["bash", "-euc", block],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        sys.stdout.write(f"{block}{done.stdout}[{time.monotonic() - began:.0f} s]\n")
        assert done.returncode == 0, block + done.stdout + done.stderr
    for name in ("llama-s", "llama-m"):
        assert verify(folder / "out" / "release" / name, folder / "keys" / "release.pub") == []
