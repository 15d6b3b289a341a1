"""A manifest inside plain text, by C2PA 2.4, Annex A.8: a marker (U+FEFF), then each byte of
header, manifest and padding as one variation selector, which no reader sees.

A byte below 16 costs 3 bytes of UTF-8, any other 4: a manifest of 1.5 kB becomes 6 kB.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import regex

from staged.provenance.manifest.facts import ManifestFault

MARKER = "\ufeff"
MAGIC, VERSION = b"C2PATXT\0", 1
HEADER = struct.Struct(">8sBI")  # magic, version, length of the manifest
MOST_BYTES = 2 << 20  # of a manifest in text
FILLERS = (0x00, 0x10)  # 3 and 4 bytes of UTF-8
SELECTORS = [chr(0xFE00 + byte if byte < 16 else 0xE0100 + byte - 16) for byte in range(256)]
TO_TEXT = dict(enumerate(SELECTORS))
TO_BYTES = {ord(selector): chr(byte) for byte, selector in enumerate(SELECTORS)}
LOW = bytes(range(16))
RUN = regex.compile("\ufeff?[\ufe00-\ufe0f\U000e0100-\U000e01ef]+")
REMAINS = HEADER.size  # selectors in a row, which no writing system has: a wrapper, or its rest
CORRUPTED, MULTIPLE = "manifest.text.corruptedWrapper", "manifest.text.multipleWrappers"


@dataclass(frozen=True)
class Wrapper:
    """A wrapper in a text.

    Attributes:
        start: where its marker is, in bytes of the text's UTF-8.
        lengths: bytes of marker, header and manifest; and the same with the padding that follows,
            where some follows.
        manifest: what it holds.
    """

    start: int
    lengths: tuple[int, ...]
    manifest: bytes = field(repr=False)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """(start, length) that a hash may leave out."""
        return tuple((self.start, length) for length in self.lengths)


def encode(manifest: bytes) -> str:
    """The wrapper of a manifest, without padding."""
    framed = HEADER.pack(MAGIC, VERSION, len(manifest)) + manifest
    return MARKER + framed.decode("latin-1").translate(TO_TEXT)


def encode_padded(manifest: bytes) -> str:
    """The same, padded to `target_length`."""
    wrapper = encode(manifest)
    fill = padding(target_length(len(manifest)) - len(wrapper.encode()))
    return wrapper + fill.decode("latin-1").translate(TO_TEXT)


def encoded_bytes(manifest: bytes) -> int:
    """How many bytes of UTF-8 `encode` takes."""
    framed = HEADER.pack(MAGIC, VERSION, len(manifest)) + manifest
    return 3 + 3 * len(framed) + len(framed.translate(None, LOW))


def target_length(manifest_bytes: int) -> int:
    """Bytes of UTF-8 of a padded wrapper, whatever its manifest's bytes are."""
    return 3 + 4 * (HEADER.size + manifest_bytes) + 6


def padding(gap: int) -> bytes:
    """Zeros, then 0x10s, that take exactly so many bytes of UTF-8; 6 or more can be met."""
    fours = gap % 3
    return bytes([FILLERS[0]]) * ((gap - 4 * fours) // 3) + bytes([FILLERS[1]]) * fours


def find_wrapper(text: str) -> Wrapper | None:
    """The wrapper in a text; None where no trace of any is.

    Args:
        text: without lone surrogates.

    Raises:
        ManifestFault: more than one wrapper, or what remains of one that was damaged or stripped.
    """
    wrappers, remains, place, counted = [], False, 0, 0
    for run in RUN.finditer(text):
        if run.end() - run.start() < REMAINS:
            continue
        place += len(text[counted : run.start()].encode())
        counted = run.start()
        wrapper = _read(run.group(), place)
        remains |= wrapper is None
        wrappers += [wrapper] if wrapper is not None else []
    if len(wrappers) > 1:
        raise ManifestFault(MULTIPLE, f"{len(wrappers)} manifests in one text")
    if not wrappers and remains:
        raise ManifestFault(CORRUPTED, "remains of a manifest")
    return wrappers[0] if wrappers else None


def _read(run: str, start: int) -> Wrapper | None:
    """The wrapper that a run of selectors is; None of any other run."""
    framed = run.removeprefix(MARKER).translate(TO_BYTES).encode("latin-1")
    if not run.startswith(MARKER) or len(framed) < HEADER.size:
        return None
    magic, version, length = HEADER.unpack_from(framed)
    end = HEADER.size + length
    if (magic, version) != (MAGIC, VERSION) or not 0 < length <= MOST_BYTES or end > len(framed):
        return None
    bare, rest = encoded_bytes(framed[HEADER.size : end]), framed[end:]
    lengths = (bare, bare + 3 * len(rest) + rest.count(FILLERS[1])) if _fills(rest) else (bare,)
    return Wrapper(start, lengths, framed[HEADER.size : end])


def _fills(rest: bytes) -> bool:
    """Whether bytes after a manifest are padding."""
    return bool(rest) and not rest.lstrip(bytes([FILLERS[0]])).strip(bytes([FILLERS[1]]))
