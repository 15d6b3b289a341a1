"""Where a log of fingerprints stands: a file, or a PostgreSQL database, whose password is never
shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from staged.errors import ProvenanceError, first_line

FORMS = "give a file, such as fingerprints.db, or postgresql://USER@HOST/DATABASE"
HIDDEN = "…"


@dataclass(frozen=True)
class Address:
    """A database that can be opened.

    Attributes:
        url: with its password.
        file: of SQLite; None of PostgreSQL.
        shown: what may be printed.
    """

    url: URL = field(repr=False)
    file: Path | None
    shown: str


def address_of(given: str) -> Address:
    """Read a file's name, `sqlite:///FILE`, or `postgresql://…` (`postgresql+psycopg://…`).

    Raises:
        ProvenanceError: another kind of database, or no address; a password is not quoted.
    """
    if "://" not in given:
        return _file(given)
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        raise ProvenanceError(f"the database's address cannot be read; {FORMS}") from None
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        return _file(url.database or "")
    if url.drivername not in ("postgresql", "postgresql+psycopg", "postgres"):
        raise ProvenanceError(f"{url.drivername}: not a database that is known here; {FORMS}")
    host = f"{url.host}:{url.port}" if url.port else url.host or url.query.get("host", "")
    user = f"{url.username}@" if url.username else ""
    shown = f"postgresql://{user}{host}/{url.database or ''}"
    return Address(url.set(drivername="postgresql+psycopg"), None, shown)


def _file(name: str) -> Address:
    if not name or name == ":memory:":
        raise ProvenanceError(f"a log of fingerprints needs a place that stays; {FORMS}")
    return Address(URL.create("sqlite", database=name), Path(name), name)


@contextmanager
def database_errors(address: Address) -> Iterator[None]:
    """Turn a database's refusals into one sentence without a password.

    Raises:
        ProvenanceError: it refused.
    """
    try:
        yield
    except SQLAlchemyError as error:
        reason = first_line(getattr(error, "orig", None) or error)
        for secret in _secrets(address.url):
            reason = reason.replace(secret, HIDDEN)
        raise ProvenanceError(
            f"{address.shown}: the fingerprint log cannot be used: {reason.strip()}"
        ) from None


def _secrets(url: URL) -> list[str]:
    """What of an address a driver's message must not repeat."""
    password = url.query.get("password", ())
    given = [password] if isinstance(password, str) else list(password)
    return [secret for secret in (url.password, *given) if secret]
