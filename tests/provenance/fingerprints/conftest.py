"""Databases for logs: a file, and a real PostgreSQL server where one is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from staged.provenance.fingerprints.log import FingerprintLog
from staged.provenance.fingerprints.opening import open_log

PASSWORD = "s3cret-w0rd"
INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the secrets of this test's logs stand."""
    monkeypatch.setenv("STAGED_KEYS", str(tmp_path / "keys"))
    return tmp_path / "keys"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Address of a server of this session's own, behind a socket in a folder, with a password."""
    if not INSTALLED:
        pytest.skip("no PostgreSQL under /usr/lib/postgresql: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        folder, programs = Path(name), INSTALLED[-1].parent
        (folder / "word").write_text(PASSWORD)
        user: list[str | Path] = []
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            user = ["runuser", "-u", "postgres", "--"]
            for path in (folder, folder / "word"):
                shutil.chown(path, "postgres")
        own: list[str | Path] = ["-D", f"{folder}/data"]
        made = [
            programs / "initdb",
            *own,
            "-U",
            "staged",
            "-A",
            "scram-sha-256",
            "-N",
            "-E",
            "UTF8",
        ]
        subprocess.run(
            [*user, *made, f"--pwfile={folder}/word"], check=True, capture_output=True, cwd="/"
        )
        settings = f"-k {folder} -c listen_addresses= -c fsync=off -c max_connections=20"
        control: list[str | Path] = [*user, programs / "pg_ctl", *own, "-w", "-l", f"{folder}/log"]
        subprocess.run(
            [*control, "-o", settings, "start"], check=True, capture_output=True, cwd="/"
        )
        try:
            yield f"postgresql+psycopg://staged:{PASSWORD}@/{{database}}?host={folder}"
        finally:
            stop: list[str | Path] = [*control, "-m", "immediate", "stop"]
            subprocess.run(stop, check=True, capture_output=True, cwd="/")


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database that nobody has used."""
    if request.param == "sqlite":
        return str(tmp_path / "fingerprints.db")
    return new_database(request.getfixturevalue("server"), tmp_path)


def new_database(server: str, tmp_path: Path) -> str:
    """Address of a database of a test's own."""
    name = f"test{abs(hash(tmp_path))}"
    plain = server.format(database="postgres").replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.format(database=name)


@pytest.fixture
def opened() -> Iterator[Callable[..., FingerprintLog]]:
    """Opens logs, and closes them when the test ends."""
    with ExitStack() as logs:
        yield lambda *given, **options: logs.enter_context(open_log(*given, **options))
