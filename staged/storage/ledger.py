"""The ledger of a folder that a command fills file by file, `.staged.json`: of which kind it is,
and the SHA-256 of what was written there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from staged.storage.digests import sha256_file
from staged.storage.forms import json_object
from staged.storage.marks import from_root, in_construction, write_mark

LEDGER = ".staged.json"


@dataclass(frozen=True)
class Ledger:
    """A folder's `.staged.json`: path → SHA-256 of what was written there, twice where a kill came
    between two of them.
    """

    folder: Path
    kind: str
    of: str
    files: dict[str, list[str]]

    def save(self, name: str, digests: list[str]) -> None:
        """With these digests of one file; those that are gone are forgotten."""
        files = {file: known for file, known in self.files.items() if (self.folder / file).exists()}
        write_mark(
            self.folder / LEDGER,
            {"kind": self.kind, "of": self.of, "files": files | {name: digests}},
        )


def read_ledger(folder: Path) -> Ledger | None:
    """A folder's ledger; None where it has none that can be read."""
    record = json_object(folder / LEDGER)
    if (
        record is None
        or not isinstance(record.get("kind"), str)
        or not isinstance(record.get("files"), dict)
    ):
        return None
    if not all(isinstance(digests, list) for digests in record["files"].values()):
        return None
    return Ledger(folder, record["kind"], str(record.get("of", "")), record["files"])


def ledger_over(path: Path) -> tuple[Ledger, str] | None:
    """The ledger of the nearest marked folder, and what it calls a place; none within a folder
    under construction.
    """
    for folder in from_root(path).parents:
        if in_construction(folder):
            return None
        if (ledger := read_ledger(folder)) is not None:
            return ledger, from_root(path).relative_to(folder).as_posix()
    return None


@contextmanager
def entered(path: Path, written: Path) -> Iterator[None]:
    """Says in the ledger that stands over a place, if any, what stands there at the end of the
    block, and until then what stood.
    """
    over = ledger_over(path)
    if over is None:
        yield
        return
    ledger, name = over
    new = sha256_file(written)
    ledger.save(name, [*([sha256_file(path)] if path.is_file() else []), new])
    yield
    ledger.save(name, [new])
