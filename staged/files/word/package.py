"""The parts of an Office file, an archive in which relations say which is what (ECMA-376-2)."""

from __future__ import annotations

import io
import posixpath
import zipfile
from dataclasses import dataclass
from urllib.parse import unquote

from staged.errors import CorpusError
from staged.files.extracted import INSTEAD
from staged.files.word.markup import Element, name, parsed

UNPACKED_BYTES = 64 * 2**20
MEMBERS = 20_000
TYPES = "[content_types].xml"
ENCRYPTED = 1  # a member's flag


@dataclass(frozen=True)
class Relation:
    """From one part to another: `id` as its markup names it, `kind` the last word of its type,
    `target` a part's name.
    """

    id: str
    kind: str
    target: str


class Package:
    """The parts by name: in lower case and with plain slashes, as programs that read Office files
    compare them.

    Raises:
        CorpusError: too many members.
        zipfile.BadZipFile: no archive.
    """

    def __init__(self, data: bytes) -> None:
        self._archive = zipfile.ZipFile(io.BytesIO(data))
        self._left_bytes = UNPACKED_BYTES
        self._members: dict[str, zipfile.ZipInfo] = {}
        members = self._archive.infolist()
        if len(members) > MEMBERS:
            raise CorpusError(
                f"this archive has {len(members):,} members; at most {MEMBERS:,} are read;"
                f" {INSTEAD}"
            )
        self._twice = set[str]()
        for member in members:
            part = _normal(member.filename)
            if part in self._members:
                self._twice.add(part)
            if not member.filename.endswith("/"):
                self._members[part] = member

    def __contains__(self, part: str) -> bool:
        return part in self._members

    @property
    def names(self) -> list[str]:
        """All parts, in the archive's order."""
        return list(self._members)

    def read(self, part: str) -> bytes:
        """A part's bytes.

        Raises:
            CorpusError: locked, there twice, or more than 64 MiB together with what was read
                before.
            ValueError, zipfile.BadZipFile, …: damaged.
        """
        member = self._members[part]
        if member.flag_bits & ENCRYPTED:
            raise CorpusError(f"this file is locked with a password; remove it, or {INSTEAD}")
        if part in self._twice:
            raise CorpusError(f"this archive holds {part} twice; save the file again, or {INSTEAD}")
        self._left_bytes -= member.file_size
        if self._left_bytes < 0:
            raise CorpusError(
                f"this Word file unpacks to more than {UNPACKED_BYTES >> 20} MiB; {INSTEAD}"
            )
        return self._archive.read(member)

    def root(self, part: str) -> Element:
        """A part's root element; as `read` and `markup.parsed` raise."""
        return parsed(self.read(part))

    def relations(self, part: str = "") -> list[Relation]:
        """From a part, or from the package itself, to those parts of it that are there."""
        folder, base = posixpath.split(part)
        where = posixpath.join(folder, "_rels", f"{base}.rels")
        if where not in self:
            return []
        relations = [
            Relation(
                element.get("Id", ""),
                posixpath.basename(element.get("Type", "")),
                _resolved(folder, element.get("Target", "")),
            )
            for element in self.root(where)
            if name(element) == "links:Relationship"
            and element.get("TargetMode", "").lower() != "external"
        ]
        return [relation for relation in relations if relation.target in self]

    def content_types(self) -> dict[str, str]:
        """Part → its type, of parts whose type is said by name."""
        if TYPES not in self:
            return {}
        overrides = (
            override for override in self.root(TYPES) if name(override) == "types:Override"
        )
        return {
            _normal(override.get("PartName", "")): override.get("ContentType", "").lower()
            for override in overrides
        }


def _normal(path: str) -> str:
    return posixpath.normpath("/" + path.replace("\\", "/")).lstrip("/").lower()


def _resolved(folder: str, target: str) -> str:
    return _normal(posixpath.join("/", folder, unquote(target.replace("\\", "/"))))
