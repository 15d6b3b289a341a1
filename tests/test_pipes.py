"""Where a command prints to may go away, be full or be closed, at any moment: nothing but a
sentence is ever said of it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

STAGED = shlex.join([sys.executable, "-m", "staged.cli"])
COMMANDS = ["--version", "--help", "detect --help", "detect no-text.txt"]
PRINTS = """
import csv, json, sys
import typer
from staged import cli
from staged.screen import print_table, say

def lines() -> None:
    ways = {
        "echo": lambda: typer.echo(json.dumps({"text": "word " * 50})),
        "say": lambda: say("word " * 50),
        "table": lambda: print_table("words", ("a", "b"), [("word", "word")] * 20),
        "csv": lambda: csv.writer(sys.stdout).writerow(["word"] * 50),
        "write": lambda: sys.stdout.write("word" * 50 + chr(10)),
    }
    for _ in range(int(sys.argv_lines)):
        ways[sys.argv_way]()

sys.argv_way, sys.argv_lines = sys.argv.pop(), sys.argv.pop()
cli.app.command(name="lines")(lines)
cli.main()
"""


def ran(command: str, folder: Path) -> tuple[int, str]:
    """Exit code of the command, that of the first in a pipe, and what it says on standard error."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": ""}
    done = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=120,
    )
    return done.returncode, done.stderr


@pytest.fixture
def lines(tmp_path: Path) -> str:
    (tmp_path / "lines.py").write_text(PRINTS, encoding="utf-8")
    return f"{sys.executable} lines.py lines"


@pytest.mark.parametrize("way", ["echo", "say", "table", "csv", "write"])
def test_every_way_to_print(lines: str, way: str, tmp_path: Path) -> None:
    assert ran(f"{lines} 2000 {way} | head -n 1 >/dev/null", tmp_path) == (141, "")
    for count in (1, 2000):  # at the last moment, and long before
        code, said = ran(f"{lines} {count} {way} >/dev/full", tmp_path)
        assert (code, said.count("\n")) == (2, 1)
        assert said == "staged: standard output: No space left on device\n"


def test_a_reader_that_is_gone_before_the_first_word(lines: str, tmp_path: Path) -> None:
    assert ran(f"(sleep 0.2; {lines} 1 say) | true", tmp_path) == (141, "")
    assert ran(f"{lines} 2000 say 2>&1 | head -n 1 >/dev/null", tmp_path) == (141, "")


def test_closed_outputs(lines: str, tmp_path: Path) -> None:
    code, said = ran(f"{lines} 1 say >&-", tmp_path)
    assert code == 2
    assert said == "staged: standard output: is closed; send it to a file, or to /dev/null\n"
    assert ran(f"{lines} 0 say >&-", tmp_path) == (0, "")  # it had nothing to print
    assert ran(f"{lines} 1 say 2>&- >/dev/null", tmp_path) == (0, "")
    assert ran(f"{lines} 1 say >&- 2>&- <&-", tmp_path) == (2, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command: str, tmp_path: Path) -> None:
    usual, sentence = ran(f"{STAGED} {command} >/dev/null", tmp_path)
    prints = not sentence
    code, said = ran(f"{STAGED} {command} | true", tmp_path)
    assert code in ((0, 141) if prints else (usual,))
    assert said == sentence
    code, said = ran(f"{STAGED} {command} >/dev/full", tmp_path)
    assert code == 2
    assert said == (sentence or "staged: standard output: No space left on device\n")
    assert ran(f"{STAGED} {command} 2>/dev/full", tmp_path)[0] == usual
