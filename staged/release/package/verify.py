"""Is a package whole? Every file against its sums, the signature, the SBOM, and the card against
the cells beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from staged.cells import Cell
from staged.errors import ReleaseError, StagedError
from staged.release.card import check as check_card
from staged.release.card.markdown import figures_in
from staged.release.licences import contradiction
from staged.release.package.layout import (
    REQUIRED,
    SBOM,
    files_of,
    oddities,
    package_evidence,
    parse_sums,
    sums_text,
)
from staged.release.package.leaks import holds_key
from staged.release.package.signing import (
    BESIDE,
    NOT_SIGNED,
    PUBLIC,
    SIGNATURE,
    SUMS,
    check_signature,
)
from staged.storage.digests import sha256_file
from staged.storage.json_files import read_json
from staged.storage.marks import MANIFEST
from staged.storage.records import to_json

__all__ = ["NOT_IN_SBOM", "Problem", "verify"]

NOT_IN_SBOM = {SBOM, MANIFEST, SIGNATURE, SUMS}
POINTER = b"version https://git-lfs"
SMALL = 1 << 26  # bytes of a file that may be a text


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong with a package: which file, which kind of tampering or damage, and
    what exactly.
    """

    file: str
    # missing, added, changed, truncated, swapped, not a file, private key, signature, sbom, card
    kind: str
    what: str


def verify(folder: Path, public: Path | None = None) -> list[Problem]:
    """Check a whole package.

    Args:
        public: the releaser's public key, got from elsewhere. Without it the package's own
            `release.pub` is used, which shows that nothing was damaged, but not who signed.

    Returns:
        Every problem found, by file; empty when the package is whole.

    Raises:
        ReleaseError: the folder is no package, `public` cannot be read, or the extra `release` is
            not installed.
    """
    from staged.release.package.sbom import check_sbom

    marks = (SUMS, SIGNATURE, SBOM)
    if not any((folder / name).is_file() for name in marks):
        raise ReleaseError(
            f"{folder}: not a package: no {', '.join(marks)} in it; give one that `staged release"
            " advance` made"
        )
    problems = _foreign(folder)
    digests = {
        name: sha256_file(folder / name) for name in files_of(folder) if not _is_beside(name)
    }
    fault = _signature_fault(folder, public)
    problems += [Problem(SIGNATURE, "signature", fault)] if fault else []
    problems += _against_sums(folder, digests, trusted=not fault)
    lacking = {name for name, holds in REQUIRED.items() if not holds(folder)} - {
        problem.file for problem in problems if problem.kind == "missing"
    }
    problems += [Problem(name, "missing", "a package has to hold it") for name in lacking]
    listed = {name: digest for name, digest in digests.items() if name not in NOT_IN_SBOM}
    problems += [Problem(name, "sbom", what) for name, what in check_sbom(folder, listed)]
    problems += _card_problems(folder)
    problems += [
        Problem(name, "private key", "must never be in a package")
        for name in digests
        if _holds_key(folder / name)
    ]
    return sorted(set(problems))


def _foreign(folder: Path) -> list[Problem]:
    """What came with the package and is none of it, and what is no file."""
    left = (
        "of the program that brought the package, no part of it; remove it, or verify a copy"
        " without it"
    )
    return [
        *(Problem(name, "added", left) for name in BESIDE if (folder / name).exists()),
        *(
            Problem(name, "not a file", what)
            for name, what in oddities(folder)
            if not _is_beside(name)
        ),
    ]


def _is_beside(name: str) -> bool:
    return name.split("/")[0] in BESIDE


def _holds_key(path: Path) -> bool:
    with open(path, "rb") as file:
        return holds_key(file)


def _signature_fault(folder: Path, public: Path | None) -> str:
    if not (folder / SIGNATURE).is_file():
        return "there is no signature"
    if public is None and not (folder / PUBLIC).is_file():
        return f"cannot be checked without {PUBLIC}; give --key"
    try:
        return check_signature(folder, public or folder / PUBLIC)
    except StagedError as error:
        if public is not None:
            raise
        return str(error)


def _against_sums(folder: Path, digests: Mapping[str, str], *, trusted: bool) -> list[Problem]:
    """Files against SHA256SUMS.

    Args:
        trusted: the signature holds, so where a signed file and its sum disagree, the sum was
            changed.
    """
    from staged.release.package.sbom import listed_sizes

    if SUMS not in digests:
        return []  # said as a missing file
    text = (folder / SUMS).read_text(encoding="utf-8", errors="replace")
    listed = parse_sums(text)
    present = {name: digest for name, digest in digests.items() if name != SUMS}
    problems = []
    if sums_text(listed) != text:
        what = "holds lines that are no sums, or in another order"
        problems.append(Problem(SUMS, "changed", what))
    sizes = listed_sizes(folder)
    for name in sorted(set(listed) | set(present)):
        if listed.get(name) == present.get(name):
            continue
        if not trusted or name in NOT_SIGNED:
            problems.append(_mismatch(folder, name, listed, present, sizes))
        if trusted:
            problems += _changed_sums(name)
    return problems


def _changed_sums(name: str) -> list[Problem]:
    """What a file's disagreement with its sum says of the sums, where the signature holds."""
    if name == SIGNATURE:
        what = f"it or {SIGNATURE} was changed: they disagree, and the signature holds"
    elif name in NOT_SIGNED:
        return []
    else:
        what = f"its sum of {name} is wrong or missing, and the signature vouches for that file"
    return [Problem(SUMS, "changed", what)]


def _mismatch(
    folder: Path,
    name: str,
    listed: Mapping[str, str],
    present: Mapping[str, str],
    sizes: Mapping[str, int],
) -> Problem:
    if name not in present:
        return Problem(name, "missing", f"named in {SUMS}, not in the folder")
    if name not in listed:
        return Problem(name, "added", f"in the folder, not named in {SUMS}")
    other = next((file for file, digest in listed.items() if digest == present[name]), None)
    if other is not None:
        return Problem(name, "swapped", f"holds the bytes of {other}")
    size = (folder / name).stat().st_size
    if brought := _brought_by_git(folder / name, listed[name]):
        return Problem(name, "changed", brought)
    if size < sizes.get(name, 0):
        return Problem(name, "truncated", f"{size:,} of {sizes[name]:,} bytes")
    return Problem(name, "changed", f"differs from its sum in {SUMS}")


def _brought_by_git(path: Path, digest: str) -> str:
    """What git did to a file on its way, where that explains it."""
    if path.stat().st_size > SMALL:
        return ""
    data = path.read_bytes()
    if data.startswith(POINTER):
        return (
            "is the pointer that git keeps in the file's place; run `git lfs pull`, then remove"
            " .git"
        )
    if b"\r\n" in data and hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest() == digest:
        return (
            "only its line ends were changed, as git does on Windows; clone it anew with `git clone"
            " -c core.autocrlf=false`"
        )
    return ""


def _card_problems(folder: Path) -> list[Problem]:
    """The card's figures against the cells of the studies beside it."""
    try:
        evidence = package_evidence(folder)
    except (StagedError, KeyError, TypeError, AttributeError) as error:
        return [
            Problem(
                "study",
                "card",
                f"the evidence cannot be read, so the card cannot be checked: {error}",
            )
        ]
    cells, qualities = evidence.cells, evidence.qualities
    readers: tuple[tuple[str, Callable[[str], list[str]]], ...] = (
        ("README.md", lambda text: check_card.untrue(figures_in(text), cells)),
        ("README.md", lambda text: check_card.untrue_index(text, cells, qualities)),
        ("README.md", lambda text: _licence_fault(text, folder)),
        ("card.html", lambda text: check_card.untrue(check_card.html_figures(text), cells)),
        ("detector/README.md", lambda text: check_card.untrue_index(text, cells, ())),
        ("detector/README.md", lambda text: check_card.untrue_shown(figures_in(text), cells)),
    )
    problems = []
    for name, read in readers:
        if (folder / name).is_file():
            problems += [
                Problem(name, "card", what)
                for what in read((folder / name).read_text(encoding="utf-8", errors="replace"))
            ]
    return problems + _card_data_problems(folder, cells)


def _licence_fault(card: str, folder: Path) -> list[str]:
    """Whether the card names another licence than the text beside it."""
    text = folder / "LICENSE"
    fault = contradiction(check_card.licence_in(card), text) if text.is_file() else ""
    return [fault] if fault else []


def _card_data_problems(folder: Path, cells: Mapping[str, Cell]) -> list[Problem]:
    """`card.json` holds whole cells: each must be the study's own."""
    if not (folder / "card.json").is_file():
        return []
    try:
        rows = [
            row for table in read_json(folder / "card.json")["analyses"] for row in table["cells"]
        ]
        wrong = [
            row["id"] for row in rows if row["id"] not in cells or to_json(cells[row["id"]]) != row
        ]
    except (StagedError, KeyError, TypeError) as error:
        return [Problem("card.json", "card", f"cannot be read as a card: {error}")]
    return [Problem("card.json", "card", f"its cell {id} is not the study's") for id in wrong]
