"""Word and PDF files as text, each opened in a process of its own: `python -m staged.files.extract
docx|pdf < FILE > TEXT`.

Files of strangers meet large parsers here, so that process has little memory, little time, and no
way to touch the caller. Exit code 0: {"text", "left_out"} stands on standard output, JSON. Exit
code 3: one sentence stands on standard error.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from contextlib import suppress
from pathlib import PurePath

from staged.errors import CorpusError
from staged.files import word
from staged.files.extracted import INSTEAD, Extract

MEMORY_BYTES = 2**30
PROCESSOR_S = 15
OPENING_S = 20.0
REFUSED = 3
NAMES = {"docx": "Word file", "pdf": "PDF"}


def kind_of(name: str, data: bytes) -> str:
    """`docx`, `pdf` or `txt`, by a file's first bytes; a PDF may begin with other bytes when its
    name says what it is.

    `docx` are also files that are taken for Word's: its reader says what they are.
    """
    if word.is_meant_for_word(name, data):
        return "docx"
    named = PurePath(name).suffix.lower() == ".pdf"
    return "pdf" if data.startswith(b"%PDF-") or (named and b"%PDF-" in data[:1024]) else "txt"


def opened(kind: str, data: bytes) -> Extract:
    """The text of a Word file or a PDF, and what of it could not be read or is not seen
    by a reader.

    Raises:
        CorpusError: it cannot be opened, holds no text, or takes too much time or memory.
    """
    command = (sys.executable, "-P", "-m", "staged.files.extract", kind)
    try:
        child = subprocess.run(
            command, input=data, capture_output=True, timeout=OPENING_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise CorpusError(f"this {NAMES[kind]} takes too long to open; {INSTEAD}") from None
    if child.returncode == REFUSED:
        raise CorpusError(child.stderr.decode())
    if child.returncode != 0:  # the system ended it, at one of its limits or at a fault of a parser
        raise CorpusError(
            f"this {NAMES[kind]} is damaged, or takes too much to open; save it again, or {INSTEAD}"
        )
    fields = json.loads(child.stdout)
    return Extract(fields["text"], tuple(fields["left_out"]))


def main() -> int:
    """One file from standard input; returns the exit code."""
    from staged.files import pdf  # here, where its library is loaded

    logging.disable()
    _confine()
    kind = sys.argv[1]
    try:
        contents = {"docx": word.read, "pdf": pdf.read}[kind](sys.stdin.buffer.read())
    except CorpusError as error:
        sentence = str(error)
    except MemoryError:
        sentence = f"this {NAMES[kind]} needs too much memory to open; {INSTEAD}"
    except Exception:
        sentence = (
            f"this {NAMES[kind]} is damaged and cannot be opened; save it again, or {INSTEAD}"
        )
    else:
        sys.stdout.write(
            json.dumps(
                {
                    "text": contents.text.encode("utf-8", "replace").decode(),
                    "left_out": contents.left_out,
                }
            )
        )
        return 0
    sys.stderr.write(sentence)
    return REFUSED


def _confine() -> None:
    import resource

    for kind, limit in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, PROCESSOR_S),
        (resource.RLIMIT_FSIZE, 0),
    ):
        with suppress(ValueError, OSError):  # a system that knows no such limit
            resource.setrlimit(kind, (limit, limit))


if __name__ == "__main__":
    sys.exit(main())
