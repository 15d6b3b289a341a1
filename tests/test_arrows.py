"""Arrows point one way: a room imports only rooms to its left."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import staged

PACKAGE = Path(staged.__file__).parent
LEVEL = {"errors": 0, "settings": 0, "records": 0, "artifacts": 0, "corpus": 1, "model": 2, "samples": 3, "provenance": 4}
LEVEL |= {
    "digests": 0,
    "figures": 0,
    "gate": 0,
    "files": 0,
    "markdown": 0,
    "notes": 0,
    "places": 0,
    "progress": 0,
    "templates": 0,
    "threads": 0,
    "comparing": 4,
}
LEVEL |= {"detectors": 5, "study": 6, "bias": 6, "survey": 6, "report": 7, "release": 8, "web": 9, "screen": 10, "commands": 11}
LEVEL |= {"cli": 12}
BESIDE = {("study", "bias"), ("study", "survey"), ("bias", "study"), ("bias", "survey"), ("survey", "study"), ("survey", "bias")}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("staged."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("staged.")}
    return found


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_left(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for other in imports(path) - {room}:
        assert LEVEL[other] <= LEVEL[room], f"{path.name} imports staged.{other}, which stands to its right"
        assert (room, other) not in BESIDE, f"{path.name}: {room} and {other} stand beside each other"


def test_no_room_for_leftovers() -> None:
    names = {path.stem for path in FILES} | {path.parent.name for path in FILES}
    assert not names & {"utils", "util", "common", "helpers", "base", "misc"}


def test_only_the_command_line_prints() -> None:
    for path in FILES:
        if path.name == "cli.py":
            continue
        calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
        assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], path


def test_importing_staged_does_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import staged, sys; assert sorted(staged.__all__) == list(staged.__all__); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
