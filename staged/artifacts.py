"""A stage's folder: built beside its place, renamed when whole, `manifest.json` written last.

    out/detectors/tfidf/mini-s.partial/   under construction; a killed stage leaves it, the next run continues in it
    out/detectors/tfidf/mini-s/           complete: it holds manifest.json

The manifest chains: it records the SHA-256 of each input stage's manifest, so a changed plan redoes exactly what depends on
the change and nothing else. It holds no time and no path, so the same work gives the same bytes.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from staged.digests import sha256_file
from staged.errors import ArtifactError, StagedError
from staged.gate import (
    CHECKPOINT,
    EMPTIED,
    MANIFEST,
    MARK,
    Form,
    check_construction,
    check_replaceable,
    check_stage,
    entered,
    has_keys,
    mark_construction,
    temporary_of,
    wanted_of,
)

__all__ = [
    "build",
    "cache_folder",
    "check_name",
    "continued",
    "fingerprint",
    "is_complete",
    "locked",
    "partial_of",
    "read_json",
    "replacing",
    "write_atomic",
    "write_json",
]

VERSIONED = ("torch", "transformers", "tokenizers", "scikit-learn", "numpy", "scipy")


def build(
    folder: Path, write: Callable[[Path], None], *, settings: Mapping[str, Any], inputs: Mapping[str, Path] | None = None
) -> bool:
    """Make one stage's folder unless it is complete and still what these settings and inputs ask for.

    Args:
        folder: where the finished stage stands.
        write: fills the folder it is given; called again after a kill it finds what it had written and continues. A
            `CHECKPOINT` that it leaves there is removed when all else is on the disk.
        settings: JSON values that determine the output.
        inputs: name → file or finished stage folder that the output depends on.

    Returns:
        True when work was done, False when the folder was already complete.

    Raises:
        ArtifactError: something that is not ours stands in its place, the disk is full, the place cannot be written, or another
            process builds the same folder.
    """
    check_name(folder)
    wanted = fingerprint(settings, inputs or {})
    if is_complete(folder, wanted):
        return False
    partial = partial_of(folder)
    check_stage(folder)  # before the work, and again before its result takes this place
    made = [place for place in (partial, *partial.parents) if place == partial or not place.exists()]
    with disk_errors(folder), locked(partial):
        if is_complete(folder, wanted):  # another process finished it while this one waited for the lock
            return False
        check_construction(partial)
        if not is_complete(partial, wanted):  # else it was killed between its manifest and its new name
            _keep_only_matching(partial, wanted)
            try:
                write(partial)
            except StagedError:
                if all(item.name == MARK for item in partial.iterdir()):  # refused before anything was made
                    (partial / MARK).unlink()
                    with suppress(OSError):  # what another stage has filled meanwhile stays
                        for place in made:
                            place.rmdir()
                raise
            write_json(partial / MANIFEST, wanted | {"versions": versions(), "files": _sums(partial)})
        for name in (MARK, CHECKPOINT):
            (partial / name).unlink(missing_ok=True)
        check_stage(folder)
        if folder.exists():
            _remove(folder)
        partial.replace(folder)
        return True


def partial_of(folder: Path) -> Path:
    """Where a folder stands while it is under construction."""
    return folder.with_name(f"{folder.name}.partial")


def fingerprint(settings: Mapping[str, Any], inputs: Mapping[str, Path]) -> dict[str, Any]:
    """What determines a stage's bytes: its settings and the digests of its inputs."""
    digests = {name: sha256_file(path / MANIFEST if path.is_dir() else path) for name, path in sorted(inputs.items())}
    return {"settings": json.loads(json.dumps(settings)), "inputs": digests}


def is_complete(folder: Path, wanted: Mapping[str, Any] | None = None) -> bool:
    """Whether the folder is a finished stage (and, given a fingerprint, the one it describes)."""
    if not (folder / MANIFEST).is_file() or wanted_of(folder) == EMPTIED:
        return False
    if wanted is None:
        return True
    manifest = read_json(folder / MANIFEST)
    return isinstance(manifest, dict) and all(manifest.get(key) == value for key, value in wanted.items())


def _keep_only_matching(partial: Path, wanted: Mapping[str, Any]) -> None:
    """Empty a folder under construction unless it is to become this; killed meanwhile, it still carries a mark."""
    if wanted_of(partial) == wanted:
        return
    mark = partial / MARK
    if any(item != mark for item in partial.iterdir()):
        mark_construction(partial, EMPTIED)
        _empty(partial)
    mark_construction(partial, wanted)


def _empty(folder: Path) -> None:
    """Remove what is in a marked folder, but its mark."""
    for item in folder.iterdir():
        if item.name != MARK:
            shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()


def _remove(folder: Path) -> None:
    """Remove a finished stage; killed meanwhile, it is no longer finished, and carries a mark to the last."""
    mark_construction(folder, EMPTIED)
    (folder / MANIFEST).unlink(missing_ok=True)
    _empty(folder)
    (folder / MARK).unlink()
    folder.rmdir()


def check_name(folder: Path) -> None:
    """Refuse a place such as `.`, which cannot be built beside itself and then take its own place.

    Raises:
        ArtifactError: it has no name of its own.
    """
    if folder.name in ("", ".."):
        raise ArtifactError(
            f"{folder}: a folder is made beside this place and then put there; give it a name, such as {folder / 'new'}"
        )


def _sums(folder: Path) -> dict[str, str]:
    aside = {folder / name for name in (MANIFEST, MARK, CHECKPOINT)}
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path not in aside)
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Create the folder and hold it for this process alone until the block ends or the process dies.

    Raises:
        ArtifactError: another live process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ArtifactError(f"{folder}: another staged process is writing here; wait for it or choose another place") from None
    finally:
        os.close(handle)


@contextmanager
def continued(out: Path, wanted: Mapping[str, Any], *, pieces: str, form: Form | None = None) -> Iterator[Path]:
    """The folder `OUT.blocks` of finished pieces of a file: held by this process alone, removed at the end, left after a kill.

    Args:
        wanted: JSON values that determine the pieces' bytes; pieces of anything else are removed.
        pieces: the pattern of their names.
        form: as `replacing` takes it, of the file itself: what may not be replaced is said before the work.

    Raises:
        ArtifactError: a file or a folder that is not ours stands there, the disk is full, the place cannot be written, or
            another process writes the same file.
    """
    folder = out.with_name(f"{out.name}.blocks")
    check_replaceable(out, form)
    with disk_errors(out), locked(folder):
        check_construction(folder)
        if wanted_of(folder) != json.loads(json.dumps(wanted)):
            _remove_pieces(folder, pieces)
            mark_construction(folder, wanted)
        yield folder
        _remove_pieces(folder, pieces)
        (folder / MARK).unlink()
        with suppress(OSError):  # what its user has put there stays
            folder.rmdir()


def _remove_pieces(folder: Path, pieces: str) -> None:
    for piece in folder.glob(pieces):
        if piece.name != MARK:
            piece.unlink()


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn the operating system's refusals into one sentence."""
    try:
        yield
    except OSError as error:
        if isinstance(error, BlockingIOError):
            raise
        raise ArtifactError(f"{place}: cannot write: {error.strerror or error}; free space or choose another place") from error


def write_atomic(path: Path, data: bytes, *, form: Form | None = None) -> None:
    """Write a whole file or nothing; as `replacing`."""
    with replacing(path, form=form) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replacing(path: Path, *, form: Form | None = None) -> Iterator[Path]:
    """A temporary name to write a file under; at the end it is flushed to disk and renamed, or removed where writing failed.

    Args:
        form: tells a file of ours, where one stands at a place that a user named.

    Raises:
        ArtifactError: a file stands there that is not ours.
    """
    check_replaceable(path, form)
    temporary = temporary_of(path)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        with entered(path, temporary):
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any, *, form: Form | None = None) -> None:
    """JSON with sorted keys and a final newline; the same value gives the same bytes. NaN is refused.

    Args:
        form: as `replacing` takes it; by default a file with the same keys is ours.

    Raises:
        ArtifactError: a file stands there that is not ours.
    """
    data = (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()
    write_atomic(path, data, form=form or has_keys(value))


def read_json(path: Path) -> Any:
    """Parse one JSON file.

    Raises:
        ArtifactError: missing or damaged.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:  # nested a thousand deep
        advice = "if staged made it, delete it and run that command again, else get it again"
        raise ArtifactError(f"{path}: damaged: {error}; {advice}") from None


def cache_folder() -> Path:
    """Where what can be made or downloaded again is kept: under XDG_CACHE_HOME, by default ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")) / "staged"


@cache
def versions() -> dict[str, str]:
    """The versions that a result depends on, and the commit where there is one."""
    found = {name: importlib.metadata.version(name) for name in VERSIONED}
    found["python"] = ".".join(map(str, sys.version_info[:3]))
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    answer = subprocess.run(git, capture_output=True, text=True, check=False) if shutil.which("git") else None
    found["commit"] = answer.stdout.strip() if answer and answer.returncode == 0 else "unknown"
    return found
