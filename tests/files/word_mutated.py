"""Damaged Word files, as many as one likes: `python -m tests.files.word_mutated SEED NUMBER`,
confined as their reader is.
"""

from __future__ import annotations

import io
import random
import re
import sys
import time
import zipfile
import zlib

from staged.errors import CorpusError
from staged.files import extract, word
from tests.files.word_made import CASES, made

EXPECTED = (
    CorpusError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    EOFError,
    OSError,
    RecursionError,
)
SLOWEST_S = 5.0  # for files of 6 kB, read in a hundredth of a second when whole
NAME = re.compile(rb"^</?[\w:]+")
TAG = re.compile(rb"<[^<>]*>")


def whole_files() -> list[bytes]:
    """One file of each construct, and one with all of them."""
    roots: dict[str, str] = {}
    for case in CASES.values():
        roots |= case.roots
    return [
        *(case.file() for case in CASES.values()),
        made("".join(case.body for case in CASES.values()), **roots),
    ]


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def mutated_bytes(rng: random.Random, data: bytes) -> bytes:
    """A few bytes changed, cut out, doubled, or the end cut off."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at, length = rng.randrange(len(changed) + 1), rng.choice((1, 2, 4, 64, 999))
        match rng.randrange(5):
            case 0:
                changed[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del changed[at : at + length]
            case 2:
                changed[at:at] = changed[at : at + length]
            case 3:
                changed[at : at + length] = rng.randbytes(length)
            case 4:
                del changed[rng.choice((at, len(changed))) :]
    return bytes(changed)


def mutated_tags(rng: random.Random, xml: bytes) -> bytes:
    """Tags dropped, doubled, put elsewhere or changed into others."""
    pieces = re.split(rb"(<[^<>]*>)", xml)
    tags = [place for place, piece in enumerate(pieces) if TAG.fullmatch(piece)]
    for _ in range(rng.choice((1, 2, 5))):
        one, other = rng.choice(tags), rng.choice(tags)
        match rng.randrange(4):
            case 0:
                pieces[one] = b""
            case 1:
                pieces[one] += pieces[one]
            case 2:
                pieces[one], pieces[other] = pieces[other], pieces[one]
            case 3:
                pieces[one] = (NAME.match(pieces[other]) or [b"<"])[0] + NAME.sub(b"", pieces[one])
    return b"".join(pieces)


def mutated_elements(rng: random.Random, xml: bytes) -> bytes:
    """Still well-formed: elements moved, doubled, nested in others, renamed, and attributes lost or
    changed.
    """
    from lxml import etree

    root = etree.fromstring(xml)
    for _ in range(rng.choice((1, 2, 5, 20))):
        elements = list(root.iter(etree.Element))
        one, other = rng.choice(elements), rng.choice(elements)
        match rng.randrange(5):
            case 0 if one not in other.iterancestors() and one is not other:
                other.append(one)
            case 1:
                one.tag = other.tag
            case 2:
                one.attrib.clear()
            case 3:
                for key in one.attrib:
                    one.set(
                        key,
                        rng.choice(
                            (
                                "",
                                "-1",
                                "99999999999999999999",
                                "0",
                                "restart",
                                "continue",
                                "separate",
                                "ſ²",
                            )
                        ),
                    )
            case 4 if one is not other and len(one) < 50:
                other.append(etree.fromstring(etree.tostring(one)))
    return etree.tostring(root)


def mutated(rng: random.Random, whole: bytes) -> bytes:
    """One damaged file: as an archive, or in one of its parts."""
    if rng.random() < 0.25:
        return mutated_bytes(rng, whole)
    members, mutate = (
        members_of(whole),
        rng.choice((mutated_bytes, mutated_tags, mutated_elements, mutated_elements)),
    )
    damaged = rng.choice([*members, "word/document.xml"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, mutate(rng, data) if name == damaged else data)
    return buffer.getvalue()


def survive(seed: int, number: int) -> dict[str, int]:
    """Read so many damaged files; how many were opened, and how the others ended.

    Raises:
        Exception: whatever is not in `EXPECTED`, or takes longer than `SLOWEST_S`.
    """
    rng, files = random.Random(seed), whole_files()
    ends: dict[str, int] = {}
    for _ in range(number):
        data = mutated(rng, rng.choice(files))
        start = time.process_time()
        try:
            end = "opened" if word.read(data).text else "empty"
        except EXPECTED as error:
            end = type(error).__name__
        assert time.process_time() - start < SLOWEST_S, data.hex()
        ends[end] = ends.get(end, 0) + 1
    return ends


if __name__ == "__main__":
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (extract.MEMORY_BYTES, extract.MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    sys.stdout.write(f"{survive(int(sys.argv[1]), int(sys.argv[2]))}\n")
