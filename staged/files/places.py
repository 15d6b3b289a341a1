"""Which files stand at a place that a user names, and which are texts: a rule for all commands."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from staged.errors import CorpusError, PlanError
from staged.files import word
from staged.files.texts import ROWS, writable
from staged.notes import note
from staged.pages.figures import counted
from staged.places import mirror
from staged.places.files import fetched
from staged.storage.gate import is_work, stands_in_work

__all__ = [
    "KINDS",
    "files_below",
    "first_fault_last",
    "name_in",
    "note_without_text",
    "refuse_to_replace",
    "text_files",
]

PLAIN = (".txt", ".text", ".md", ".markdown")
SUFFIXES = (*PLAIN, *word.SUFFIXES, ".pdf", *ROWS)  # or none at all
KINDS = f"{', '.join(SUFFIXES)} or without an ending"
TABLES = (".csv", ".tsv", ".json", ".html", ".htm", ".xml", ".xlsx", ".xls", ".ods")
MARKED_UP = (".rtf", ".odt", ".epub", ".pages")
PACKED = (".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".zst", ".7z", ".rar")
NAMED = 5  # of the files that are passed over
FAULTS = 20  # of those that cannot be read

T = TypeVar("T")
R = TypeVar("R")


def text_files(place: str, *, but: Path | None = None) -> list[Path]:
    """The files to read at a place, in a fixed order: the file that it is, or those below a folder
    that are of `KINDS`.

    What else is in a folder is named in a note: other kinds, and what is no ordinary file. A file
    that is named itself is read whatever its ending, unless it says that there is more in it than a
    text.

    Args:
        but: a file to leave out without a word, such as the one that results go to.

    Raises:
        CorpusError: nothing there, a folder without a file to read, another kind of file, or a
            place that cannot be looked at.
    """
    path = fetched(place)
    try:
        if not place.strip() or not path.exists():
            name = place if place.strip() else "an empty name"
            raise CorpusError(
                f"{name}: no such file or folder; give a file with text, or a folder of such"
            )
        if not path.is_dir():
            _check_named(path)
            return [path]
        files = [
            file for file in files_below(path) if but is None or file.resolve() != but.resolve()
        ]
        texts = [file for file in files if is_text(file)]
    except OSError as error:
        raise CorpusError(f"{error.filename or place}: cannot be read: {error.strerror}") from None
    passed_over = [_named(file, path) for file in files if not is_text(file)]
    if passed_over:
        note(f"{place}: {_listed(passed_over)} passed over (read are {KINDS})")
    if not texts:
        lacks = (
            "holds no text of a kind that is read"
            if passed_over
            else "an empty folder, which holds no text"
        )
        raise CorpusError(f"{place}: {lacks}; put texts there ({KINDS})")
    return texts


def files_below(folder: Path) -> list[Path]:
    """All that is below a folder but folders, in a fixed order.

    Without what is hidden, and what Word keeps beside a file that is open. Folders of our own work
    are passed over, unless the folder is itself one or stands in one: a study whose results lie
    inside its corpus does not read them as human text. Links to folders are not followed.

    Raises:
        OSError: a folder that may not be looked into.
    """
    paths: list[Path] = []
    path = type(folder)  # also the copy of a URL
    everything = stands_in_work(folder)
    for place, folders, files in os.walk(folder, onerror=_raised):
        links = [name for name in folders if Path(place, name).is_symlink()]
        folders[:] = [
            name
            for name in folders
            if name not in links
            and _is_meant(name)
            and (everything or not _is_ours(Path(place, name)))
        ]
        paths += [path(place, name) for name in (*files, *links) if _is_meant(name)]
    return sorted(paths)


def _raised(error: OSError) -> None:
    raise error


def _is_meant(name: str) -> bool:
    return not name.startswith((".", "~$"))


def _is_ours(folder: Path) -> bool:
    if is_work(folder):
        note(f"{folder}: passed over: staged made what is in it")
        return True
    return False


def is_text(path: Path) -> bool:
    """Whether a folder's file is one of those that are read."""
    return path.suffix.lower() in (*SUFFIXES, "") and path.is_file()


def _check_named(path: Path) -> None:
    suffix, mode = path.suffix.lower(), path.stat().st_mode
    if suffix in MARKED_UP:
        raise CorpusError(
            f"{path}: a {suffix} file would be read as its markup; save it as .docx, .pdf or .txt"
        )
    if suffix in TABLES:
        raise CorpusError(
            f"{path}: a {suffix} file has more than a text in it; give its texts as .jsonl rows,"
            " one a line"
        )
    if suffix in PACKED:
        raise CorpusError(
            f"{path}: is packed; unpack it, and give the file or the folder that comes out"
        )
    # a device may never end; a pipe is a file
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        raise CorpusError(
            f"{path}: is a device or a socket; give a file with text, or a folder of such"
        )


def _named(path: Path, folder: Path) -> str:
    kind = "" if path.is_file() else " (a link)" if path.is_symlink() else " (no ordinary file)"
    return name_in(folder, path) + kind


def name_in(folder: Path, path: Path) -> str:
    """A file's name below a folder, with `/` between its parts, as any output can hold it."""
    return writable(path.relative_to(folder).as_posix())


def note_without_text(place: str, names: Sequence[str], *, what: str = "file") -> None:
    """Say which files or rows of a place hold no text, where there are any."""
    if names:
        note(f"{place}: {_listed(names, what)} without text passed over")


def _listed(names: Sequence[str], what: str = "file") -> str:
    """`2 files (a.png, b.zip)`, at most so many by name."""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{counted(len(names), what)} ({', '.join(names[:NAMED])}{more})"


def first_fault_last(files: Iterable[T], read: Callable[[T], Iterable[R]]) -> Iterator[R]:
    """What `read` gives of each file in turn; all are looked at before those that cannot be read
    are said together.

    Raises:
        CorpusError: there are such.
    """
    faults = list[CorpusError]()
    for file in files:
        try:
            yield from read(file)
        except CorpusError as error:
            faults.append(error)
    if faults:
        more = f"\nand {counted(len(faults) - FAULTS, 'file')} more" if len(faults) > FAULTS else ""
        raise CorpusError("\n".join(map(str, faults[:FAULTS])) + more)


def _is_not_read(path: Path) -> bool:
    return not is_text(path)


def refuse_to_replace(
    out: Path | None,
    *sources: str | Path | None,
    passed_over: Callable[[Path], bool] = _is_not_read,
) -> None:
    """Refuse to write into a file that is read, and over what is no file: a folder, a device,
    a pipe.

    Args:
        sources: files, and folders whose files are read; also at URLs.
        passed_over: whether a file in such a folder is not read.

    Raises:
        PlanError: `out` is one of the sources, or is there and no regular file.
    """
    if out is None or not (out := fetched(out)).exists():
        return
    if out.is_dir():
        raise PlanError(f"{out}: is a folder; name a file to write, such as one inside it")
    if not out.is_file():
        raise PlanError(
            f"{out}: is no ordinary file and would be replaced by one; choose another place to"
            " write to"
        )
    for path in (mirror.place(source) for source in sources if source):
        files = [path] if path.is_file() else []
        if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
            files = [file for file in files_below(path) if file.is_file() and not passed_over(file)]
        if any(out.samefile(file) for file in files):
            raise PlanError(
                f"{out}: is read here and would be replaced; choose another place to write to"
            )
