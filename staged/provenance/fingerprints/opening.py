"""Opens a log of fingerprints with its secret, or makes both."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from staged.errors import ProvenanceError
from staged.keys.ring import keys_folder
from staged.keys.secret_files import OWNERS_FOLDER, flush_folder, read_secret, write_new
from staged.provenance.fingerprints.contents import Secret
from staged.provenance.fingerprints.sketch import VERSION
from staged.storage.writing import disk_errors

if TYPE_CHECKING:  # needs the extra
    from sqlalchemy import Connection

    from staged.provenance.fingerprints.addresses import Address
    from staged.provenance.fingerprints.log import FingerprintLog

MISSING = "a fingerprint log needs the extra: pip install 'staged[provenance]'"
BYTES = 32


def open_log(
    address: str, *, keep_days: float | None = None, secret: Path | None = None, make: bool = True
) -> FingerprintLog:
    """Open a log, or make it with a new secret.

    Args:
        address: a file of SQLite, `sqlite:///FILE`, or `postgresql://USER@HOST/DATABASE`.
        keep_days: while texts are added, delete what is older; None keeps all.
        secret: the file of the log's secret; `.fingerprints/LOG.key` beside the keys by default.
        make: whether a log that is not there is made.

    Raises:
        ProvenanceError: the extra is not installed, the database cannot be opened, or the secret
            is missing, is another log's, or may be read by others.
    """
    try:
        addresses = importlib.import_module("staged.provenance.fingerprints.addresses")
        tables = importlib.import_module("staged.provenance.fingerprints.tables")
        log = importlib.import_module("staged.provenance.fingerprints.log")
        place: Address = addresses.address_of(address)
        engine = tables.engine_of(place, make=make)
    except ImportError as error:
        raise ProvenanceError(MISSING) from error
    if keep_days is not None:
        log.check_days(keep_days)
    try:
        with (tables.writing if make else tables.reading)(engine, place) as connection:
            if make:
                tables.make_tables(connection, place)
            tables.check_tables(connection, place)
            key = _secret_of(connection, tables.facts, secret, place.shown)
    except BaseException:
        engine.dispose()
        raise
    opened: FingerprintLog = log.FingerprintLog(engine, place, key, keep_days)
    return opened


def secret_place(log_id: str) -> Path:
    """Where the secret of a log stands."""
    return keys_folder() / ".fingerprints" / f"{log_id}.key"


def _secret_of(connection: Connection, facts: Any, given: Path | None, shown: str) -> Secret:
    """The log's secret; a new log gets one."""
    from sqlalchemy import insert, select

    rows = connection.execute(select(facts)).all()
    known: dict[str, str] = {row.name: row.value for row in rows}
    if not known:
        log_id, secret = secrets.token_hex(8), secrets.token_bytes(BYTES)
        path = given or secret_place(log_id)
        _keep(path, secret)
        new = {"log": log_id, "version": VERSION, "proof": _proof(secret)}
        connection.execute(insert(facts), [{"name": n, "value": value} for n, value in new.items()])
        return Secret(path, secret)
    if known.get("version") != VERSION:
        raise ProvenanceError(f"{shown}: is a log of another version of staged; update staged")
    path = given or secret_place(known["log"])
    if not path.is_file():
        raise ProvenanceError(
            f"{path}: the secret of {shown} is not there, and nobody can ask the log without it;"
            " bring the file back from a copy"
        )
    secret = read_secret(path)
    if not hmac.compare_digest(_proof(secret), known["proof"]):
        raise ProvenanceError(f"{path}: is not the secret of {shown}; bring that log's back")
    return Secret(path, secret)


def _keep(path: Path, secret: bytes) -> None:
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=OWNERS_FOLDER)
        write_new(path, secret)
        flush_folder(path.parent)


def _proof(secret: bytes) -> str:
    """By which a log knows its secret, and from which nobody learns it."""
    return hmac.digest(secret, b"staged fingerprint log", hashlib.sha256).hex()
