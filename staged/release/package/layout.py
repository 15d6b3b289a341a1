"""What lies in a package's folder: its files, its sums, its evidence."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from staged.cells import CELLS
from staged.release.card.measured import Evidence
from staged.release.card.read_measured import read_evidence
from staged.storage.forms import json_object
from staged.studies.bias.results import BIAS
from staged.studies.finetune.results import FINETUNE
from staged.survey.results import SURVEY

__all__ = [
    "QUALITY",
    "REQUIRED",
    "SBOM",
    "files_of",
    "no_detector",
    "oddities",
    "package_evidence",
    "parse_sums",
    "sums_text",
]

SBOM = "sbom.cdx.json"
QUALITY = "quality"  # folder of results of `staged evaluate-lm`
LINE = re.compile(r"^([0-9a-f]{64})  ([^\n]+)$")


def _file(name: str) -> Callable[[Path], bool]:
    return lambda folder: (folder / name).is_file()


def _holds(pattern: str) -> Callable[[Path], bool]:
    return lambda folder: any(folder.glob(pattern))


def no_detector(folder: Path) -> str:
    """The reason that a package's decision gives why it holds no detector; empty where it holds
    one.
    """
    decision = json_object(folder / "decision.json") or {}
    return str(decision.get("no_detector") or "")


# what every package holds → is it there? A detector too, unless the decision says why not
REQUIRED: dict[str, Callable[[Path], bool]] = {
    name: _file(name)
    for name in (
        "README.md",
        "card.html",
        "card.json",
        "card.toml",
        "config.json",
        "DECISION.md",
        "decision.json",
        "LICENSE",
        "manifest.json",
        "model.sig",
        "release.pub",
        SBOM,
        "SHA256SUMS",
    )
} | {
    "*.safetensors": _holds("*.safetensors"),
    "detector": lambda folder: any(folder.glob("detector/*")) or bool(no_detector(folder)),
    f"study/*/{CELLS}": _holds(f"study/*/{CELLS}"),
}


def files_of(folder: Path) -> list[str]:
    """Every plain file under a folder, hidden ones too, as sorted paths; no link is followed."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def oddities(folder: Path) -> list[tuple[str, str]]:
    """What a package must not hold beside files: links, devices, empty folders."""
    entries = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            entries.append((name, "is a link"))
        elif path.is_dir() and not any(path.iterdir()):
            entries.append((name, "is an empty folder"))
        elif not path.is_dir() and not path.is_file():
            entries.append((name, "is no plain file"))
    return entries


def sums_text(sums: Mapping[str, str]) -> str:
    """SHA256SUMS as `sha256sum -c` reads it; `parse_sums(sums_text(x)) == x` for names without a
    line break.
    """
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))


def parse_sums(text: str) -> dict[str, str]:
    """Path → SHA-256 of every line that is one; others are left out."""
    matches = (LINE.match(line) for line in text.split("\n"))
    return {match[2]: match[1] for match in matches if match}


def package_evidence(folder: Path) -> Evidence:
    """What a package itself says was measured.

    Raises:
        ArtifactError: it holds none, or it is damaged.
    """
    files = (("study", CELLS), ("finetune", FINETUNE), ("bias", BIAS), ("survey", SURVEY))
    folders = [path.parent for kind, name in files for path in sorted((folder / kind).rglob(name))]
    return read_evidence([*folders, *sorted((folder / QUALITY).glob("*.json"))])
