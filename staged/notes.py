"""What a person should know of work that went on: files passed over, parts of a file that no reader
sees.

A note is a record of the logger `staged`, so that any program decides where it goes; the command
line shows each once, on standard error. What stops the work is an error (`errors.py`), not a note.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LOGGER = "staged"


def note(sentence: str) -> None:
    """One sentence: where, and what was left out there."""
    logging.getLogger(LOGGER).warning(sentence)


@contextmanager
def unnoted() -> Iterator[None]:
    """Notes of what is read again were said when it was read first."""
    logger = logging.getLogger(LOGGER)
    logger.addFilter(_none)
    try:
        yield
    finally:
        logger.removeFilter(_none)


def _none(record: logging.LogRecord) -> bool:
    return False
