"""The gate: only what carries staged's own mark is ever removed or replaced; anything else is
refused by name.

Four marks:

    manifest.json      in a finished stage's folder: its settings, and the SHA-256 of every file
                       that belongs to it
    fingerprint.json   in a folder under construction (NAME.partial, NAME.blocks): what it is to
                       become
    .staged.json       in a folder that a command fills file by file: of which kind it is, and the
                       SHA-256 of what it wrote there
    a file's form      where a user names a single file: rows with the columns of ours, or a page
                       whose last line is its digest

A file that was changed since it was written is its user's, whatever mark it carries.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from staged.errors import ArtifactError
from staged.storage.digests import sha256_file

__all__ = [
    "CHECKPOINT",
    "EMPTIED",
    "LEDGER",
    "MANIFEST",
    "MARK",
    "Form",
    "check_construction",
    "check_ledger",
    "check_replaceable",
    "check_stage",
    "entered",
    "has_keys",
    "holds",
    "is_sealed",
    "is_work",
    "mark_construction",
    "rows_have_keys",
    "sealed",
    "stands_in_work",
    "start_ledger",
    "temporary_of",
    "wanted_of",
]

MANIFEST = "manifest.json"
MARK = "fingerprint.json"
CHECKPOINT = "checkpoint.pt"  # in a folder under construction: what a killed writer continues from
LEDGER = ".staged.json"
CONSTRUCTION = "staged: under construction"
EMPTIED = "nothing: it is being emptied"  # in a mark
STAGE_KEYS = {"settings", "inputs", "versions", "files"}
LEFT_BY_SYSTEMS = {".DS_Store", "Thumbs.db", "desktop.ini"}  # a look into a folder leaves these
NOT_OURS = (
    "was not written by staged, or was changed since; move it elsewhere, or choose another place"
)

Form = Callable[
    [Path], bool
]  # whether a file at a place that a user named is of the form that its writer gives


def temporary_of(path: Path) -> Path:
    """The name under which a file is written until it is whole."""
    return path.with_name(f".{path.name}.staged-tmp")


def is_work(folder: Path) -> bool:
    """Whether a folder is staged's own work, finished or not: what stands in it is not its user's
    text.
    """
    return (
        _ledger(folder) is not None
        or wanted_of(folder) is not None
        or _stage_files(folder) is not None
    )


def stands_in_work(folder: Path) -> bool:
    """Whether a folder is a stage, or lies in work of ours: whoever names it means what is in
    it.
    """
    return _stage_files(folder) is not None or any(map(is_work, _whole(folder).parents))


# Finished stages


def check_stage(folder: Path) -> None:
    """Refuse a place that holds anything but nothing or a finished stage as it was written.

    Raises:
        ArtifactError: it does; the first foreign file is named.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    if folder.is_symlink() or not folder.is_dir():
        raise ArtifactError(
            f"{folder}: is no folder of ours; move it elsewhere, or choose another place"
        )
    there = [
        one for one in _files_in(folder) if one != temporary_of(folder / MARK)
    ]  # killed before its removal was marked
    if wanted_of(folder) == EMPTIED or not there:
        return
    ours = _stage_files(folder)
    if ours is None:
        raise ArtifactError(
            f"{folder}: {_named(folder, there)}, and nothing here was made by staged; choose"
            " another place"
        )
    for path in there:
        known = ours.get(path.relative_to(folder).as_posix())
        if path != folder / MANIFEST and (
            known is None or path.is_symlink() or sha256_file(path) != known
        ):
            raise ArtifactError(f"{path}: {NOT_OURS}")


def _stage_files(folder: Path) -> dict[str, str] | None:
    """Path → SHA-256 of a finished stage's files; None where no stage stands."""
    found = _object(folder / MANIFEST)
    return (
        found["files"]
        if found is not None and found.keys() >= STAGE_KEYS and isinstance(found["files"], dict)
        else None
    )


def _files_in(folder: Path) -> Iterator[Path]:
    return (
        one
        for one in sorted(folder.rglob("*"))
        if (one.is_symlink() or not one.is_dir()) and one.name not in LEFT_BY_SYSTEMS
    )


def _named(folder: Path, files: list[Path]) -> str:
    first = files[0].relative_to(folder).as_posix()
    return f"holds {first}" + (f" and {len(files) - 1:,} more" if len(files) > 1 else "")


# Folders under construction


def mark_construction(folder: Path, wanted: Any) -> None:
    """Mark a folder as work in progress that is to become `wanted`, JSON values; no ledger over it
    has a part in that.
    """
    _write(folder / MARK, {"mark": CONSTRUCTION, "wanted": wanted})


def wanted_of(folder: Path) -> Any:
    """What a folder under construction is to become; None where it carries no mark of ours."""
    found = _object(folder / MARK)
    if found is None:
        return None
    return (
        found["wanted"]
        if found.get("mark") == CONSTRUCTION
        else found
        if found.keys() == {"settings", "inputs"}
        else None
    )


def check_construction(folder: Path) -> None:
    """Refuse to build where something stands that does not carry the mark.

    Raises:
        ArtifactError: it does.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ArtifactError(
            f"{folder}: is needed for work in progress and is no folder of ours; move it elsewhere"
        )
    if not folder.is_dir() or wanted_of(folder) is not None or _stage_files(folder) is not None:
        return
    if there := [
        one for one in _files_in(folder) if one != temporary_of(folder / MARK)
    ]:  # killed before the mark was whole
        raise ArtifactError(
            f"{folder}: {_named(folder, there)}, and is no work in progress of staged; move it"
            " elsewhere, or choose another place"
        )


# Folders that are filled file by file


@dataclass(frozen=True)
class _Ledger:
    """A folder's `.staged.json`: path → SHA-256 of what was written there, twice where a kill came
    between two of them.
    """

    folder: Path
    kind: str
    of: str
    files: dict[str, list[str]]

    def save(self, name: str, digests: list[str]) -> None:
        """With these digests of one file; those that are gone are forgotten."""
        there = {one: known for one, known in self.files.items() if (self.folder / one).exists()}
        _write(
            self.folder / LEDGER,
            {"kind": self.kind, "of": self.of, "files": there | {name: digests}},
        )


def start_ledger(
    folder: Path, kind: str, *, of: str | None = None, adopted: Iterable[Path] = ()
) -> None:
    """Mark a folder as one that `kind` fills, or find it marked so.

    Args:
        kind: what an error calls the work: `release study`, `survey`, …
        of: names its settings, where a folder takes one set of them for good; None where they do
            not matter.
        adopted: files there that are known as ours, of a version that kept no ledger.

    Raises:
        ArtifactError: it holds work of another kind, or of other settings.
    """
    there = _ledger(folder)
    if there is None:
        check_replaceable(folder / LEDGER)
        files = {one.name: [sha256_file(one)] for one in adopted if one.is_file()}
        _write(folder / LEDGER, {"kind": kind, "of": of or "", "files": files})
        return
    check_ledger(folder, kind)
    if of is not None and there.of != of:
        raise ArtifactError(
            f"{folder}: holds a {kind} of other settings; choose another folder for a new one"
        )


def check_ledger(folder: Path, kind: str) -> None:
    """Refuse a folder that is marked as work of another kind.

    Raises:
        ArtifactError: it is.
    """
    there = _ledger(folder)
    if there is not None and there.kind != kind:
        raise ArtifactError(
            f"{folder}: holds a {there.kind}, and this would be a {kind}; choose another folder"
        )


@contextmanager
def entered(path: Path, written: Path) -> Iterator[None]:
    """Says in the ledger that stands over a place, if any, what stands there at the end of the
    block, and until then what stood.
    """
    over = _ledger_over(path)
    if over is None:
        yield
        return
    ledger, name = over
    new = sha256_file(written)
    ledger.save(name, [*([sha256_file(path)] if path.is_file() else []), new])
    yield
    ledger.save(name, [new])


def _ledger_over(path: Path) -> tuple[_Ledger, str] | None:
    """The ledger of the nearest marked folder, and what it calls a place; none within a folder
    under construction.
    """
    for folder in _whole(path).parents:
        if (folder / MARK).is_file() and wanted_of(folder) is not None:
            return None
        if (ledger := _ledger(folder)) is not None:
            return ledger, _whole(path).relative_to(folder).as_posix()
    return None


def _ledger(folder: Path) -> _Ledger | None:
    found = _object(folder / LEDGER)
    if (
        found is None
        or not isinstance(found.get("kind"), str)
        or not isinstance(found.get("files"), dict)
    ):
        return None
    if not all(isinstance(one, list) for one in found["files"].values()):
        return None
    return _Ledger(folder, found["kind"], str(found.get("of", "")), found["files"])


# Single files


def check_replaceable(path: Path, form: Form | None = None) -> None:
    """Refuse to replace a file that is not ours, or not as we wrote it; an empty one holds nothing
    that could be lost.

    Args:
        form: tells a file of ours where no ledger knows the place.

    Raises:
        ArtifactError: it is not.
    """
    if not path.exists() and not path.is_symlink():
        return
    if path.is_file() and not path.stat().st_size:
        return
    if any(
        (folder / MARK).is_file() and wanted_of(folder) is not None
        for folder in _whole(path).parents
    ):
        return
    over = _ledger_over(path)
    digests = over[0].files.get(over[1]) if over else None
    ours = path.is_file() and (
        sha256_file(path) in digests
        if digests is not None
        else form is not None and not path.is_symlink() and form(path)
    )
    if not ours:
        raise ArtifactError(f"{path}: {NOT_OURS}")


def holds(*needed: str) -> Form:
    """The form of a JSON file: an object with at least these keys."""
    return lambda path: (_object(path) or {}).keys() >= set(needed)


def has_keys(value: Any) -> Form:
    """The form of a JSON file: an object with the keys of `value`, or a list of objects with those
    of its first.
    """

    def form(path: Path) -> bool:
        with suppress(OSError, ValueError, RecursionError):
            shape = _shape(json.loads(path.read_bytes()))
            return shape is not None and shape == _shape(value)
        return False

    return form


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted(value)
    return (
        [sorted(value[0])]
        if isinstance(value, list) and value and isinstance(value[0], dict)
        else None
    )


def rows_have_keys(*needed: str, also: Iterable[str] = ()) -> Form:
    """The form of a .jsonl file: every line an object with these keys and none but those that may
    also be there.
    """

    def form(path: Path) -> bool:
        with suppress(OSError, ValueError, RecursionError), open(path, "rb") as file:
            rows = [json.loads(line) for line in file if line.strip()]
            return all(
                isinstance(row, dict) and row.keys() - set(also) == set(needed) for row in rows
            )
        return False

    return form


def sealed(page: str) -> str:
    """A page of Markdown or HTML with its digest as the last line, a comment in both."""
    body = page.rstrip("\n") + "\n"
    return f"{body}<!-- staged {hashlib.sha256(body.encode()).hexdigest()} -->\n"


def is_sealed(path: Path) -> bool:
    """The form of a page: it ends with the digest of all before."""
    body, _, seal = path.read_text(encoding="utf-8", errors="replace").rstrip("\n").rpartition("\n")
    return sealed(body) == f"{body}\n{seal}\n"


def _whole(path: Path) -> Path:
    """From the root, without `..`, which would count a place outside a folder as one in it."""
    return Path(os.path.abspath(path))  # noqa: PTH100 (Path.absolute keeps `..`)


def _object(path: Path) -> dict[str, Any] | None:
    """A JSON object; None for anything else."""
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(path.read_bytes())
        return found if isinstance(found, dict) else None
    return None


def _write(path: Path, value: Any) -> None:
    temporary = temporary_of(path)
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
