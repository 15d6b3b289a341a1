"""A log of the texts that were generated, which holds none of them: a fingerprint, when, by which
model, under which key.

Who has the log and its secret can ask whether a text, or one much like it, was generated here; who
has the log alone cannot even ask. The secret stands in a file beside the keys, for its owner alone.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Sequence
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Engine, Select, delete, func, insert, select

from staged.errors import ProvenanceError
from staged.provenance.fingerprints.addresses import Address
from staged.provenance.fingerprints.contents import Entry, Match, Secret, Standing
from staged.provenance.fingerprints.sketch import (
    LEAST_WORDS,
    bands_of,
    similarities,
    sketch_of,
    to_bytes,
)
from staged.provenance.fingerprints.tables import bands, fingerprints, reading, writing

THRESHOLD = 0.5
CANDIDATES = 200  # those that share most bands are compared
AT_ONCE = 500  # numbers in one statement
TIDY_S = 60  # between two looks for fingerprints that are too old
DAY_S = 86_400


class FingerprintLog:
    """An open log, to be closed, as by `with`; several threads and processes may use it at once."""

    def __init__(
        self, engine: Engine, address: Address, secret: Secret, keep_days: float | None
    ) -> None:
        self._engine, self._address, self._secret = engine, address, secret.data
        self.secret_place = secret.place
        self._keep_days, self._tidied_s = keep_days, float("-inf")

    def __repr__(self) -> str:
        return f"FingerprintLog({self._address.shown!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def place(self) -> str:
        """Its file or database, without a password."""
        return self._address.shown

    def add(
        self, text: str, *, model: str, key: str = "", at: datetime.datetime | None = None
    ) -> int | None:
        """Log a text; its row's id, or None of one with fewer than 20 words, which is not logged.

        Raises:
            ProvenanceError: the database refuses.
        """
        return self.add_all([Entry(text, model, key)], at=at)[0]

    def add_all(
        self, entries: Iterable[Entry], *, at: datetime.datetime | None = None
    ) -> list[int | None]:
        """Log several texts, all or none; as `add`."""
        seconds = int((at or datetime.datetime.now(datetime.UTC)).timestamp())
        with writing(self._engine, self._address) as connection:
            ids = [self._add(connection, entry, seconds) for entry in entries]
            if self._keep_days is not None and time.monotonic() - self._tidied_s > TIDY_S:
                self._tidied_s = time.monotonic()
                _delete(connection, fingerprints.c.at <= _ago(self._keep_days))
        return ids

    def _add(self, connection: Connection, entry: Entry, at: int) -> int | None:
        sketch = sketch_of(entry.text, self._secret)
        if sketch is None:
            return None
        row = {
            "at": at,
            "model": _storable(entry.model),
            "key": _storable(entry.key),
            "sketch": to_bytes(sketch),
        }
        result = connection.execute(insert(fingerprints).values(row).returning(fingerprints.c.id))
        number: int = result.scalar_one()
        numbers = sorted(set(bands_of(sketch, self._secret)))
        connection.execute(insert(bands), [{"band": n, "fingerprint": number} for n in numbers])
        return number

    def find(self, text: str, *, threshold: float = THRESHOLD, most: int = 10) -> list[Match]:
        """Logged texts that are like this one, the most similar first, the newest of equals.

        Args:
            threshold: least similarity, in (0, 1]; below 0.4 some are missed.
            most: how many are given at most.

        Returns:
            Nothing of a text with fewer than 20 words, too.

        Raises:
            ProvenanceError: the database refuses, or the threshold is none.
        """
        check_threshold(threshold)
        sketch = sketch_of(text, self._secret)
        if sketch is None:
            return []
        with reading(self._engine, self._address) as connection:
            rows = connection.execute(_like(bands_of(sketch, self._secret))).all()
        near = similarities(sketch, [row.sketch for row in rows])
        matches = [
            Match(similarity, row.model, _date(row.at), row.key, row.id)
            for similarity, row in zip(near, rows, strict=True)
            if similarity >= threshold
        ]
        return sorted(matches, key=lambda match: (-match.similarity, -match.id))[:most]

    def delete(self, ids: Sequence[int]) -> int:
        """Delete rows; how many were there."""
        with writing(self._engine, self._address) as connection:
            return sum(
                _delete(connection, fingerprints.c.id.in_(ids[start : start + AT_ONCE]))
                for start in range(0, len(ids), AT_ONCE)
            )

    def delete_text(self, text: str, *, threshold: float = 1.0) -> int:
        """Delete what was logged of a text, or of texts like it; how many rows.

        Raises:
            ProvenanceError: the text has fewer than 20 words, of which nothing is ever logged.
        """
        if sketch_of(text, self._secret) is None:
            raise ProvenanceError(
                f"a text of fewer than {LEAST_WORDS} words is never logged; nothing was deleted"
            )
        deleted = 0
        while matches := self.find(text, threshold=threshold, most=CANDIDATES):
            deleted += self.delete([match.id for match in matches])
        return deleted

    def delete_before(self, moment: datetime.datetime) -> int:
        """Delete what was logged before a moment; how many rows."""
        with writing(self._engine, self._address) as connection:
            return _delete(connection, fingerprints.c.at < int(moment.timestamp()))

    def prune(self, keep_days: float) -> int:
        """Delete what is older than so many days; how many rows."""
        check_days(keep_days)
        with writing(self._engine, self._address) as connection:
            return _delete(connection, fingerprints.c.at <= _ago(keep_days))

    def standing(self) -> Standing:
        """What the log holds now."""
        count = func.count()
        with reading(self._engine, self._address) as connection:
            first, last = connection.execute(
                select(func.min(fingerprints.c.at), func.max(fingerprints.c.at))
            ).one()
            by_model = select(fingerprints.c.model, count.label("texts")).group_by(
                fingerprints.c.model
            )
            rows = connection.execute(by_model.order_by(count.desc())).all()
        models = {row.model: int(row.texts) for row in rows}
        dates = [None if at is None else _date(at) for at in (first, last)]
        return Standing(sum(models.values()), dates[0], dates[1], models)

    def close(self) -> None:
        """Give the database's connections back."""
        self._engine.dispose()


def check_threshold(threshold: float) -> None:
    """Refuse a similarity that none has.

    Raises:
        ProvenanceError: not in (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ProvenanceError(f"--threshold {threshold}: give a similarity above 0 and at most 1")


def check_days(days: float) -> None:
    """Refuse no number of days.

    Raises:
        ProvenanceError: negative, or no number.
    """
    if not 0 <= days <= 1_000_000:
        raise ProvenanceError(f"--keep-days {days}: give a number of days, 0 or more")


def _like(numbers: Sequence[int]) -> Select[Any]:
    """Rows that share a band, those first that share most."""
    shared = (
        select(bands.c.fingerprint, func.count().label("shared"))
        .where(bands.c.band.in_(numbers))
        .group_by(bands.c.fingerprint)
        .order_by(func.count().desc(), bands.c.fingerprint.desc())
        .limit(CANDIDATES)
        .subquery()
    )
    return select(fingerprints).join(shared, shared.c.fingerprint == fingerprints.c.id)


def _delete(connection: Connection, which: ColumnElement[bool]) -> int:
    return connection.execute(delete(fingerprints).where(which)).rowcount


def _ago(days: float) -> int:
    return int(time.time() - days * DAY_S)


def _date(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _storable(name: str) -> str:
    """Without what a database's text cannot hold."""
    return name.replace("\0", "").encode("utf-8", "backslashreplace").decode()
