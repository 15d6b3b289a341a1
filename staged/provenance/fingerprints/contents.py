"""What a log takes and gives."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Match:
    """A generated text that is like another.

    Attributes:
        similarity: estimated Jaccard similarity of runs of three words, in [0, 1].
        model: which wrote it, as it was logged.
        at: when it was logged, in UTC.
        key: id of the key that marked it; empty where none did.
        id: its row in the log.
    """

    similarity: float
    model: str
    at: datetime.datetime
    key: str
    id: int


@dataclass(frozen=True)
class Entry:
    """A text to be logged; of it only a fingerprint is."""

    text: str = field(repr=False)
    model: str = ""
    key: str = ""


@dataclass(frozen=True)
class Secret:
    """A log's secret, 32 bytes, and its file."""

    place: Path
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Standing:
    """What a log holds.

    Attributes:
        texts: how many.
        first, last: when the oldest and the newest were logged, in UTC; None of an empty log.
        models: model → texts.
    """

    texts: int
    first: datetime.datetime | None
    last: datetime.datetime | None
    models: dict[str, int]
