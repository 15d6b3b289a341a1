"""Arrows point one way: what stands in the house imports only what stands below it, between rooms
and inside them.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import staged

PACKAGE = Path(staged.__file__).parent
# From the ground up: what stands in a tier imports only from the tiers below it; what stands in one
# tier stands side by side.
TIERS = (
    "errors notes pages progress records screen streams",
    "settings stats storage threads",
    "places",
    "cells engines files keys plans",
    "pipeline",
    "corpus",
    "model",
    "watermarks",
    "detectors samples",
    "attacks provenance raid survey",
    "ray training web",
    "studies",
    "release",
    "verbs",
    "commands",
    "cli",
)
INSIDE = {  # the same of what stands in a room that has rooms of its own
    "commands": (
        "options printed",
        "corpus provenance",
        "bias calibrate detect models raid release sample serve studies survey tokenize"
        " train_detector",
    ),
    "corpus": (
        "counts duplicates embedded passages splits",
        "files learned published repeats",
        "build building",
    ),
    "model": (
        "formats grouped_search memory shape",
        "gpt2",
        "beside bpe devices sources",
        "checkpoints gguf outside_tokenizer",
        "transformers_lm",
        "causal",
        "convert training",
        "reading",
    ),
    "watermarks": (
        "contract",
        "contexts kinds",
        "processor scan schemes theory",
        "evidence strangers",
        "candidates",
    ),
    "samples": (
        "chat columns prompts stops",
        "methods",
        "drawing",
        "rows",
        "engine",
        "decoders speculative",
        "writers",
        "dataset",
        "harness sample_stage",
    ),
    "detectors": (
        "contract inputs names",
        "kinds normal token_ranks",
        "catalog coverage",
        "calibration identity scorer",
        "examiner",
        "opening verdicts",
        "bulk",
    ),
    "release": (
        "licences outcomes",
        "card",
        "plan",
        "origin",
        "calibrated decision rises",
        "gates package",
        "advance",
    ),
    "studies": (
        "bias computed costs finished models texts",
        "stages",
        "generators calibrations",
        "detection",
        "finetune provenance",
        "plans single",
    ),
    "web": (
        "drawing highlights limits schema",
        "guard serve upload worker",
        "examination",
        "api pages",
        "completions provenance",
        "app",
    ),
    "provenance": (
        "fingerprints manifest",
        "containers examination model_facts time_stamps",
        "reading report sign",
        "opened signed_files",
        "verify",
    ),
    "training": ("features sharing", "evidence readers roberta", "transfer"),
    "files": (
        "extracted installed legible pdf_layout sheets",
        "pdf_lines word",
        "pdf",
        "extract",
        "rows",
        "texts",
        "places",
    ),
}
MOST = 12  # files at one level
NAMED = re.compile(
    r"staged((?:\.\w+)+)"
)  # a module in a string, as for importlib, `python -m` or a patch


def named(source: str, *, module: str) -> set[str]:
    """The modules and names of this package that a module names, whichever way: absolute, relative,
    from the package, in a string.

    Args:
        module: where the source stands, such as `staged.studies.detection.cells`; a package's own
            file ends in `.__init__`.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{origin}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and (match := NAMED.fullmatch(node.value))
        ):
            found.add(match[0])
    return {name for name in found if name.split(".")[0] == "staged"}


def parts_of(folder: Path) -> set[str]:
    """What stands in a room: its files and its own rooms."""
    return {
        path.relative_to(folder).parts[0].removesuffix(".py") for path in folder.rglob("*.py")
    } - {"__init__"}


def imports(source: str, *, module: str, room: str = "staged") -> set[str]:
    """Which parts of a room a module names."""
    depth, parts = room.count(".") + 1, parts_of(PACKAGE.parent / room.replace(".", "/"))
    split = (name.split(".") for name in named(source, module=module))
    return {
        name[depth]
        for name in split
        if ".".join(name[:depth]) == room and len(name) > depth and name[depth] in parts
    }


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def module_of(path: Path) -> str:
    return ".".join(("staged", *path.relative_to(PACKAGE).with_suffix("").parts))


def tier_of(tiers: tuple[str, ...]) -> dict[str, int]:
    return {part: number for number, tier in enumerate(tiers) for part in tier.split()}


def check_arrows(folder: Path, tiers: tuple[str, ...]) -> None:
    level, room = tier_of(tiers), ".".join(("staged", *folder.relative_to(PACKAGE).parts))
    assert set(level) == parts_of(folder), f"{room}: the table names other parts than stand there"
    for path in (path for path in folder.rglob("*.py") if path != folder / "__init__.py"):
        part = path.relative_to(folder).parts[0].removesuffix(".py")
        for other in imports(
            path.read_text(encoding="utf-8"), module=module_of(path), room=room
        ) - {part}:
            assert level[other] < level[part], (
                f"{module_of(path)} imports {room}.{other}, which does not stand below it"
            )


def test_rooms_import_what_stands_below_them() -> None:
    check_arrows(PACKAGE, TIERS)


@pytest.mark.parametrize("room", INSIDE)
def test_parts_of_a_room_import_what_stands_below_them(room: str) -> None:
    check_arrows(PACKAGE / room, INSIDE[room])


def test_every_room_with_rooms_is_in_the_table() -> None:
    rooms = {folder.name for folder in PACKAGE.iterdir() if (folder / "__init__.py").is_file()}
    assert {room for room in rooms if any((PACKAGE / room).glob("*/__init__.py"))} == set(INSIDE)


@pytest.mark.parametrize(
    "folder",
    sorted({path.parent for path in FILES}),
    ids=lambda folder: folder.relative_to(PACKAGE).as_posix(),
)
def test_no_circle_among_the_parts_of_a_room(folder: Path) -> None:
    room = ".".join(("staged", *folder.relative_to(PACKAGE).parts))
    graph: dict[str, set[str]] = {part: set() for part in parts_of(folder)}
    for path in (path for path in folder.rglob("*.py") if path != folder / "__init__.py"):
        part = path.relative_to(folder).parts[0].removesuffix(".py")
        graph[part] |= imports(
            path.read_text(encoding="utf-8"), module=module_of(path), room=room
        ) - {part}
    list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize(
    "folder",
    sorted({path.parent for path in FILES}),
    ids=lambda folder: folder.relative_to(PACKAGE).as_posix(),
)
def test_a_room_is_small_enough_to_be_seen_at_once(folder: Path) -> None:
    assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= MOST


def test_an_arrow_back_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, source in {
        "low": "from staged import high\n",
        "high": "",
        "side": "import staged.low\n",
    }.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "parts_of", lambda folder: {"low", "high", "side"})
    with pytest.raises(AssertionError, match=r"staged\.low imports staged\.high"):
        check_arrows(tmp_path, ("low", "high side"))
    with pytest.raises(AssertionError, match="other parts"):
        check_arrows(tmp_path, ("low high",))


@pytest.mark.parametrize(
    ("line", "rooms"),
    [
        ("import staged.studies", {"studies"}),
        ("import staged.studies.detection.cells as c", {"studies"}),
        ("from staged.studies.detection import cells", {"studies"}),
        ("from staged import studies", {"studies"}),
        ("from staged import records as r, studies", {"records", "studies"}),
        ("from staged import __version__", set()),
        ("from .. import studies", {"studies"}),
        ("from ..studies import cells", {"studies"}),
        ("from ..studies.cells import measure", {"studies"}),
        ("from . import bpe", {"model"}),
        ("from .bpe import BPE", {"model"}),
        ("def later():\n    from staged import studies", {"studies"}),
        (
            "import importlib\nimportlib.import_module('staged.studies.detection.cells')",
            {"studies"},
        ),
        ("import runpy\nrunpy.run_module('staged.web.serve')", {"web"}),
        (
            "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'staged.web.serve'])",
            {"web"},
        ),
        ("import other.staged.study", set()),
        ("'see staged.study for more'", set()),
        ("import staged", set()),
    ],
)
def test_every_way_to_import_is_seen(line: str, rooms: set[str]) -> None:
    assert imports(line, module="staged.model.here") == rooms


def test_relative_imports_of_a_package_start_at_itself() -> None:
    assert imports("from .cells import measure", module="staged.studies.__init__") == {"studies"}
    assert imports("from ..web import serve", module="staged.studies.__init__") == {"web"}
    assert imports("from .web import serve", module="staged.cli") == {"web"}


def test_no_room_for_leftovers() -> None:
    names = {path.stem for path in FILES} | {path.parent.name for path in FILES}
    assert not names & {"utils", "util", "common", "helpers", "base", "misc"}


MAY_PRINT = {
    *("cli.py", "screen.py", "commands"),
    "files/extract.py",  # a program of its own: what it writes is for the process that started it
    "model/sources/resumable_download.py",  # a download's bar, on a terminal alone
    "samples/harness.py",  # lm-eval's own bars, which it asks for
}


def printing(source: str) -> list[int]:
    """Lines that write to a standard stream by themselves: `print`, `sys.stdout`, `sys.stderr`, a
    library's bar made visible.
    """
    lines = []
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("print", "pprint", "tqdm")
        ):
            lines.append(node.lineno)
        elif isinstance(node, ast.Attribute) and node.attr in (
            "stdout",
            "stderr",
            "__stdout__",
            "__stderr__",
        ):
            lines += (
                [node.lineno] if isinstance(node.value, ast.Name) and node.value.id == "sys" else []
            )
        elif isinstance(node, ast.ImportFrom) and node.module == "sys":
            lines += [
                node.lineno for alias in node.names if alias.name.strip("_") in ("stdout", "stderr")
            ]
    return lines


@pytest.mark.parametrize(
    "line",
    [
        "print(1)",
        "import sys\nsys.stdout.write('')",
        "import sys\nf(file=sys.stderr)",
        "from sys import stderr",
        "tqdm([])",
    ],
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
    code = (
        "import staged, sys; assert 'torch' not in sys.modules; staged.Verdict;"
        " assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
