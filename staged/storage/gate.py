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

The first two are read and written in `marks.py`, the third in `ledger.py`, forms in `forms.py`.

A file that was changed since it was written is its user's, whatever mark it carries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from staged.errors import ArtifactError
from staged.storage.digests import sha256_file
from staged.storage.forms import Form
from staged.storage.ledger import LEDGER, Ledger, ledger_over, read_ledger
from staged.storage.marks import (
    EMPTIED,
    MANIFEST,
    MARK,
    from_root,
    in_construction,
    is_unfinished,
    stage_files,
    temporary_of,
    wanted_of,
    write_first,
)

LEFT_BY_SYSTEMS = {".DS_Store", "Thumbs.db", "desktop.ini"}  # a look into a folder leaves these
NOT_OURS = (
    "was not written by staged, or was changed since; move it elsewhere, or choose another place"
)


def is_work(folder: Path) -> bool:
    """Whether a folder is staged's own work, finished or not: what stands in it is not its user's
    text.
    """
    return (
        read_ledger(folder) is not None
        or wanted_of(folder) is not None
        or stage_files(folder) is not None
    )


def stands_in_work(folder: Path) -> bool:
    """Whether a folder is a stage, or lies in work of ours: whoever names it means what is in
    it.
    """
    return stage_files(folder) is not None or any(map(is_work, from_root(folder).parents))


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
    # without the mark's temporary file: left where a removal was killed before it was marked
    files = [path for path in _files_in(folder) if path != temporary_of(folder / MARK)]
    if wanted_of(folder) == EMPTIED or not files:
        return
    ours = stage_files(folder)
    if ours is None:
        raise ArtifactError(
            f"{folder}: {_named(folder, files)}, and nothing here was made by staged; choose"
            " another place"
        )
    for path in files:
        known = ours.get(path.relative_to(folder).as_posix())
        if path != folder / MANIFEST and (
            known is None or path.is_symlink() or sha256_file(path) != known
        ):
            raise ArtifactError(f"{path}: {NOT_OURS}")


def check_construction(folder: Path) -> None:
    """Refuse to build where something stands that does not carry the mark.

    Raises:
        ArtifactError: it does.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ArtifactError(
            f"{folder}: is needed for work in progress and is no folder of ours; move it elsewhere"
        )
    if not folder.is_dir() or wanted_of(folder) is not None or stage_files(folder) is not None:
        return
    # without the mark's temporary file: left by a kill before the mark was whole
    if files := [path for path in _files_in(folder) if path != temporary_of(folder / MARK)]:
        raise ArtifactError(
            f"{folder}: {_named(folder, files)}, and is no work in progress of staged; move it"
            " elsewhere, or choose another place"
        )


def _files_in(folder: Path) -> Iterator[Path]:
    return (
        path
        for path in sorted(folder.rglob("*"))
        if (path.is_symlink() or not path.is_dir()) and path.name not in LEFT_BY_SYSTEMS
    )


def _named(folder: Path, files: list[Path]) -> str:
    first = files[0].relative_to(folder).as_posix()
    return f"holds {first}" + (f" and {len(files) - 1:,} more" if len(files) > 1 else "")


def start_ledger(
    folder: Path, kind: str, *, of: str | None = None, adopted: Iterable[Path] = ()
) -> None:
    """Mark a folder as one that `kind` fills, or find it marked so; several processes may come to
    it at the same moment.

    Args:
        kind: what an error calls the work: `release study`, `survey`, …
        of: names its settings, where a folder takes one set of them for good; None where they do
            not matter.
        adopted: files there that are known as ours, of a version that kept no ledger.

    Raises:
        ArtifactError: it holds work of another kind, or of other settings.
    """
    ledger = read_ledger(folder) or _new_ledger(folder, kind, of or "", adopted)
    check_ledger(folder, kind)
    if of is not None and ledger.of != of:
        raise ArtifactError(
            f"{folder}: holds a {kind} of other settings; choose another folder for a new one"
        )


def _new_ledger(folder: Path, kind: str, of: str, adopted: Iterable[Path]) -> Ledger:
    files = {path.name: [sha256_file(path)] for path in adopted if path.is_file()}
    place = folder / LEDGER
    if (place.exists() or place.is_symlink()) and read_ledger(folder) is None:
        check_replaceable(place)
        place.unlink()  # empty, or of work that is not finished
    write_first(place, {"kind": kind, "of": of, "files": files})
    ledger = read_ledger(folder)
    assert ledger is not None
    return ledger


def check_fillable(folder: Path, kind: str) -> None:
    """Refuse to fill a place, a user's choice, that is no folder, or whose files are not known as
    work of this kind.

    Raises:
        ArtifactError: it is a file, holds work of another kind, or holds files without a mark.
    """
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(f"{folder}: is a file; give a folder")
    if read_ledger(folder) is not None:
        check_ledger(folder, kind)
    # without the mark's temporary file: left by a kill before the mark was whole
    elif files := [path for path in _files_in(folder) if not is_unfinished(path, folder / LEDGER)]:
        raise ArtifactError(
            f"{folder}: {_named(folder, files)}, and nothing here was made as a {kind}; choose a"
            " new folder"
        )


def check_ledger(folder: Path, kind: str) -> None:
    """Refuse a folder that is marked as work of another kind.

    Raises:
        ArtifactError: it is.
    """
    ledger = read_ledger(folder)
    if ledger is not None and ledger.kind != kind:
        raise ArtifactError(
            f"{folder}: holds a {ledger.kind}, and this would be a {kind}; choose another folder"
        )


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
    if any(in_construction(folder) for folder in from_root(path).parents):
        return
    over = ledger_over(path)
    digests = over[0].files.get(over[1]) if over else None
    ours = path.is_file() and (
        sha256_file(path) in digests
        if digests is not None
        else form is not None and not path.is_symlink() and form(path)
    )
    if not ours:
        raise ArtifactError(f"{path}: {NOT_OURS}")
