"""The tables of a log, and how its database is opened.

staged_fingerprint_log     the log's id, version, and a proof of its secret
staged_fingerprint         a row a text: when, by which model, under which key, 512 bytes
staged_fingerprint_band    42 rows a text, by which texts like another are found without a scan
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.pool import NullPool

from staged.errors import ProvenanceError
from staged.keys.secret_files import OWNER_ONLY
from staged.provenance.fingerprints.addresses import Address, database_errors

WAIT_S = 30  # for another process that writes
NO_LOG = "{}: no fingerprint log is there; `staged fingerprints add` makes it"
CREATING = 0x57A6ED  # PostgreSQL's lock of those who make the tables
NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows only under that name

metadata = MetaData()
facts = Table(
    "staged_fingerprint_log",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
fingerprints = Table(
    "staged_fingerprint",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False, index=True),  # seconds since 1970, UTC
    Column("model", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("sketch", LargeBinary, nullable=False),
    sqlite_autoincrement=True,  # an id is never given twice
)
bands = Table(
    "staged_fingerprint_band",
    metadata,
    Column("band", BigInteger, primary_key=True, autoincrement=False),
    Column(
        "fingerprint",
        NUMBER,
        ForeignKey(fingerprints.c.id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        index=True,
    ),
    sqlite_with_rowid=False,
)


def engine_of(address: Address, *, make: bool) -> Engine:
    """The database's engine; a file that is not there is made, for its owner alone.

    Raises:
        ProvenanceError: the file cannot be made, or holds another program's database.
    """
    if address.file is None:
        return create_engine(address.url, pool_pre_ping=True, hide_parameters=True)
    if not make and not address.file.is_file():
        raise ProvenanceError(NO_LOG.format(address.shown))
    try:
        address.file.parent.mkdir(parents=True, exist_ok=True)
        os.close(
            os.open(address.file, (os.O_CREAT | os.O_RDWR) if make else os.O_RDONLY, OWNER_ONLY)
        )
    except OSError as error:
        raise ProvenanceError(f"{address.file}: cannot be written: {error.strerror}") from None
    engine = create_engine(
        address.url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": WAIT_S}
    )
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where `_on_begin` says
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")  # what is deleted is gone from the file, too


def _on_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def reading(engine: Engine, address: Address) -> Iterator[Connection]:
    """A connection that reads one state of the log."""
    with database_errors(address), engine.begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine, address: Address) -> Iterator[Connection]:
    """A connection whose changes are made together at the end of the block, or not at all."""
    with (
        database_errors(address),
        engine.connect().execution_options(writes=True) as connection,
        connection.begin(),
    ):
        yield connection


def make_tables(connection: Connection, address: Address) -> None:
    """Make the tables that are not there yet; of several processes one does so.

    Raises:
        ProvenanceError: the file is another program's database.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": CREATING})
    elif (names := inspect(connection).get_table_names()) and facts.name not in names:
        raise ProvenanceError(f"{address.shown}: is another program's database; give another file")
    metadata.create_all(connection)


def check_tables(connection: Connection, address: Address) -> None:
    """Refuse a database without a log.

    Raises:
        ProvenanceError: there is none.
    """
    if not inspect(connection).has_table(facts.name):
        raise ProvenanceError(NO_LOG.format(address.shown))
