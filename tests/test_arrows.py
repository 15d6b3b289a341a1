"""Arrows point one way: a room imports only rooms to its left."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import staged

PACKAGE = Path(staged.__file__).parent
LEVEL = {"errors": 0, "settings": 0, "records": 0, "artifacts": 0, "corpus": 1, "model": 2, "samples": 3}
LEVEL |= {
    "digests": 0,
    "figures": 0,
    "gate": 0,
    "files": 0,
    "markdown": 0,
    "notes": 0,
    "placeless": 0,
    "progress": 0,
    "templates": 0,
    "threads": 0,
    "comparing": 4,
}
LEVEL |= {
    "detectors": 5,
    "study": 6,
    "bias": 6,
    "survey": 6,
    "training": 7,
    "report": 7,
    "release": 8,
    "web": 9,
    "screen": 10,
    "commands": 11,
}
LEVEL |= {"cli": 12}
BESIDE = {("study", "bias"), ("study", "survey"), ("bias", "study"), ("bias", "survey"), ("survey", "study"), ("survey", "bias")}
NAMED = re.compile(r"staged((?:\.\w+)+)")  # a module in a string, as for importlib, `python -m` or a patch


def imports(source: str, *, module: str) -> set[str]:
    """The rooms that a module of this package names, whichever way: absolute, relative, from the package, or in a string.

    Args:
        module: where the source stands, such as `staged.study.cells`; a package's own file ends in `.__init__`.
    """
    found: set[str] = set()
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{origin}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (named := NAMED.fullmatch(node.value)):
            found.add(named[0])
    parts = (name.split(".") for name in found)
    return {part[1] for part in parts if part[0] == "staged" and len(part) > 1 and part[1] in ROOMS}


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
ROOMS = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES}


def module_of(path: Path) -> str:
    return ".".join(("staged", *path.relative_to(PACKAGE).with_suffix("").parts))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_left(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for other in imports(path.read_text(encoding="utf-8"), module=module_of(path)) - {room}:
        assert LEVEL[other] <= LEVEL[room], f"{path.name} imports staged.{other}, which stands to its right"
        assert (room, other) not in BESIDE, f"{path.name}: {room} and {other} stand beside each other"


@pytest.mark.parametrize(
    ("line", "rooms"),
    [
        ("import staged.study", {"study"}),
        ("import staged.study.cells as c", {"study"}),
        ("from staged.study import cells", {"study"}),
        ("from staged import study", {"study"}),
        ("from staged import records as r, study", {"records", "study"}),
        ("from staged import __version__", set()),
        ("from .. import study", {"study"}),
        ("from ..study import cells", {"study"}),
        ("from ..study.cells import measure", {"study"}),
        ("from . import cells", {"model"}),
        ("from .names import released", {"model"}),
        ("def later():\n    from staged import study", {"study"}),
        ("import importlib\nimportlib.import_module('staged.study.cells')", {"study"}),
        ("import runpy\nrunpy.run_module('staged.web.serve')", {"web"}),
        ("import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'staged.web.serve'])", {"web"}),
        ("import other.staged.study", set()),
        ("'see staged.study for more'", set()),
        ("import staged", set()),
    ],
)
def test_every_way_to_import_is_seen(line: str, rooms: set[str]) -> None:
    assert imports(line, module="staged.model.here") == rooms


def test_relative_imports_of_a_package_start_at_itself() -> None:
    assert imports("from .cells import measure", module="staged.study.__init__") == {"study"}
    assert imports("from ..web import serve", module="staged.study.__init__") == {"web"}
    assert imports("from .web import serve", module="staged.cli") == {"web"}


def test_the_table_lists_the_rooms_that_are_there_and_no_others() -> None:
    assert set(LEVEL) == ROOMS
    assert {room for pair in BESIDE for room in pair} <= ROOMS


def test_no_room_for_leftovers() -> None:
    names = {path.stem for path in FILES} | {path.parent.name for path in FILES}
    assert not names & {"utils", "util", "common", "helpers", "base", "misc"}


MAY_PRINT = {
    *("cli.py", "screen.py", "commands"),
    "files/extract.py",  # a program of its own: what it writes is for the process that started it
    "model/fetch.py",  # a download's bar, on a terminal alone
    "samples/harness.py",  # lm-eval's own bars, which it asks for
}


def printing(source: str) -> list[int]:
    """Lines that write to a standard stream by themselves: `print`, `sys.stdout`, `sys.stderr`, a library's bar made visible."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "pprint", "tqdm"):
            lines.append(node.lineno)
        elif isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr", "__stdout__", "__stderr__"):
            lines += [node.lineno] if isinstance(node.value, ast.Name) and node.value.id == "sys" else []
        elif isinstance(node, ast.ImportFrom) and node.module == "sys":
            lines += [node.lineno for alias in node.names if alias.name.strip("_") in ("stdout", "stderr")]
    return lines


@pytest.mark.parametrize(
    "line", ["print(1)", "import sys\nsys.stdout.write('')", "import sys\nf(file=sys.stderr)", "from sys import stderr", "tqdm([])"]
)
def test_every_way_to_print_is_seen(line: str) -> None:
    assert printing(line)


def test_only_the_command_line_prints() -> None:
    """What libraries below it print is tests/test_silence.py's."""
    for path in FILES:
        place = path.relative_to(PACKAGE)
        if not {place.as_posix(), place.parts[0]} & MAY_PRINT:
            assert printing(path.read_text(encoding="utf-8")) == [], path
    assert all((PACKAGE / one).exists() for one in MAY_PRINT)


def test_importing_staged_does_not_import_torch() -> None:
    code = "import staged, sys; assert sorted(staged.__all__) == list(staged.__all__); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
