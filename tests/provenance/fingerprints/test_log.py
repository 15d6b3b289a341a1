"""The log, in a file and in PostgreSQL: what is added is found again by what is like it, and
deleted when its time has come.
"""

from __future__ import annotations

import datetime
import random
import re
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.pool import NullPool

from staged.errors import ProvenanceError
from staged.keys.ring import all_keys, new_key
from staged.provenance.fingerprints.addresses import address_of
from staged.provenance.fingerprints.contents import Entry
from staged.provenance.fingerprints.log import FingerprintLog, _like
from staged.provenance.fingerprints.sketch import BANDS, bands_of, sketch_of
from tests.conftest import prose
from tests.provenance.fingerprints.conftest import PASSWORD, new_database

Opener = Callable[..., FingerprintLog]
DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def words(seed: int, count: int = 60) -> str:
    draw = random.Random(seed)
    return " ".join(f"w{draw.randrange(10**6)}" for _ in range(count))


def edited(text: str, places: int) -> str:
    taken = text.split()
    for place in range(places):
        taken[7 * place + 3] = "other"
    return " ".join(taken)


def test_what_is_added_is_found_again(address: str, opened: Opener) -> None:
    log = opened(address)
    ids = [log.add(words(i), model=f"m{i % 2}", key="alpha", at=NOW) for i in range(30)]
    assert ids == list(range(1, 31))
    match, *others = log.find(words(7))
    assert (match.similarity, match.model, match.key, match.at) == (1.0, "m1", "alpha", NOW)
    assert (match.id, others) == (8, [])
    near = log.find(edited(words(7), 3))
    assert [each.id for each in near] == [8]
    assert 0.6 < near[0].similarity < 0.95
    assert log.find(edited(words(7), 3), threshold=0.97) == []
    assert log.find(words(99)) == []
    again = opened(address)
    assert again.find(words(7)) == [match]
    standing = again.standing()
    assert (standing.texts, standing.models) == (30, {"m0": 15, "m1": 15})
    assert (standing.first, standing.last) == (NOW, NOW)


def test_the_most_similar_come_first_and_no_more_than_asked(address: str, opened: Opener) -> None:
    log = opened(address)
    log.add_all([Entry(edited(words(1), places), f"{places} changed") for places in (3, 0, 1, 2)])
    assert [match.model for match in log.find(words(1))] == [f"{n} changed" for n in range(4)]
    assert [match.model for match in log.find(words(1), most=1)] == ["0 changed"]


def test_short_texts_are_not_logged(address: str, opened: Opener) -> None:
    log = opened(address)
    assert log.add("Sure! Here it is.", model="m") is None
    assert log.find("Sure! Here it is.") == []
    assert log.standing().texts == 0
    assert log.standing().first is None
    with pytest.raises(ProvenanceError, match="never logged"):
        log.delete_text("Sure! Here it is.")


def test_no_word_of_a_text_is_stored(tmp_path: Path, opened: Opener) -> None:
    log = opened(str(tmp_path / "a.db"))
    log.add(prose(3, 12), model="the-model")
    stored = (tmp_path / "a.db").read_bytes()
    assert b"the-model" in stored
    assert not [
        word for word in prose(3, 12).lower().split() if len(word) > 4 and word.encode() in stored
    ]


def test_deleting(address: str, opened: Opener) -> None:
    log = opened(address)
    for i in range(8):
        log.add(words(i), model="m", at=NOW - (8 - i) * DAY)
    for _ in range(3):
        log.add(words(2), model="again")
    assert log.delete([1, 2, 777]) == 2
    assert log.find(words(0)) == []
    assert log.delete_text(words(2)) == 4
    assert log.find(words(2)) == []
    assert log.delete_text(edited(words(3), 1)) == 0
    assert log.delete_text(edited(words(3), 1), threshold=0.7) == 1
    assert log.delete_before(NOW - 3.5 * DAY) == 1
    assert log.prune(1.5) == 2
    assert log.standing().texts == 1
    assert rows(address, "staged_fingerprint_band") == BANDS
    assert log.prune(0) == 1
    assert rows(address, "staged_fingerprint_band") == 0
    number = log.add(words(9), model="m")
    assert number is not None
    assert number > 11  # no id is given twice


@contextmanager
def connected(address: str) -> Iterator[Connection]:
    """A connection of the test's own, whose changes are kept."""
    made = create_engine(address_of(address).url, poolclass=NullPool)
    with made.begin() as connection:
        yield connection


def rows(address: str, table: str) -> int:
    with connected(address) as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_what_is_deleted_is_gone_from_the_file(tmp_path: Path, opened: Opener) -> None:
    log = opened(str(tmp_path / "a.db"))
    log.add(words(1), model="a-name-to-forget")
    log.prune(0)
    assert b"a-name-to-forget" not in (tmp_path / "a.db").read_bytes()


def test_retention_while_texts_are_added(address: str, opened: Opener) -> None:
    opened(address).add(words(1), model="old", at=NOW - 31 * DAY)
    kept = opened(address)
    kept.add(words(2), model="new")
    assert kept.standing().texts == 2
    opened(address, keep_days=30).add(words(3), model="new")
    assert kept.standing().models == {"new": 2}
    with pytest.raises(ProvenanceError, match="--keep-days -1"):
        opened(address, keep_days=-1)
    with pytest.raises(ProvenanceError, match="--threshold 0"):
        kept.find(words(1), threshold=0)


def test_a_look_up_reads_no_whole_table(address: str, opened: Opener) -> None:
    log = opened(address)
    log.add_all([Entry(words(i), "m") for i in range(100)])
    sketch = sketch_of(words(5), bytes(32))
    assert sketch is not None
    query = _like(bands_of(sketch, bytes(32)))
    with connected(address) as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        if not is_sqlite:
            connection.execute(text("ANALYZE"))
            connection.execute(text("SET enable_seqscan = off"))  # all of it is a few pages
        written = query.compile(connection, compile_kwargs={"literal_binds": True})
        explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
        plan = connection.exec_driver_sql(f"{explain} {written}").all()
    steps = [str(row) for row in plan if re.search("SCAN|SEARCH|Scan", str(row))]
    assert sum("staged_" in step for step in steps) >= 2
    assert not [step for step in steps if "SCAN staged" in step or "Seq Scan" in step], plan
    looked_up = "SEARCH staged_fingerprint_band USING PRIMARY KEY (band=?)"
    assert any((looked_up if is_sqlite else "Index Cond: (band = ANY") in str(row) for row in plan)


def test_two_processes_fill_one_log(address: str, opened: Opener, keys: Path) -> None:
    code = (
        "import sys; from staged.provenance.fingerprints.opening import open_log\n"
        "with open_log(sys.argv[1]) as log:\n"
        " for i in range(12): log.add(f'{sys.argv[2]} {i} ' * 20, model=sys.argv[2])"
    )
    other = subprocess.Popen([sys.executable, "-c", code, address, "a"])
    while not (keys / ".fingerprints").exists():  # so that both are at it at once
        assert other.poll() in (None, 0)
        time.sleep(0.01)
    log = opened(address)
    for i in range(12):
        log.add(f"b {i} " * 20, model="b")
    assert other.wait() == 0
    assert log.standing().models == {"a": 12, "b": 12}
    assert all(log.find(f"{name} {i} " * 20) for name in "ab" for i in range(12))
    assert len(list((keys / ".fingerprints").iterdir())) == 1


def test_of_many_makers_one_makes_the_log(address: str, opened: Opener, keys: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        logs = list(pool.map(lambda _: opened(address), range(6)))
    for i, log in enumerate(logs):
        log.add(words(i), model="m")
    assert all(log.find(words(i)) for log in logs for i in range(6))
    assert len(list((keys / ".fingerprints").iterdir())) == 1


def test_threads_share_a_log(address: str, opened: Opener) -> None:
    log = opened(address)
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda i: log.add(words(i), model="m"), range(24)))
    assert sorted(number or 0 for number in ids) == list(range(1, 25))
    assert all(log.find(words(i)) for i in range(24))


def test_the_secret_is_its_owners_alone_and_no_key(
    tmp_path: Path, opened: Opener, keys: Path
) -> None:
    opened(str(tmp_path / "a.db"))
    (secret,) = (keys / ".fingerprints").iterdir()
    assert secret.stat().st_mode & 0o777 == 0o600
    assert (keys / ".fingerprints").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a.db").stat().st_mode & 0o777 == 0o600
    new_key("alpha")
    assert [key.id for key in all_keys()] == ["alpha"]
    secret.chmod(0o644)
    with pytest.raises(ProvenanceError, match="chmod 600"):
        opened(str(tmp_path / "a.db"))


def test_a_log_needs_its_own_secret(
    address: str, opened: Opener, keys: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.key"
    log = opened(address, secret=elsewhere)
    log.add(words(1), model="m")
    with pytest.raises(ProvenanceError, match=r"\.key: the secret of .* is not there"):
        opened(address)
    assert opened(address, secret=elsewhere).find(words(1))
    elsewhere.write_bytes(bytes(32))
    with pytest.raises(ProvenanceError, match="is not the secret of"):
        opened(address, secret=elsewhere)


def test_a_log_of_another_version_is_left_alone(address: str, opened: Opener) -> None:
    opened(address)
    with connected(address) as connection:
        connection.execute(text("UPDATE staged_fingerprint_log SET value='9' WHERE name='version'"))
    with pytest.raises(ProvenanceError, match="of another version of staged"):
        opened(address)


def test_what_is_not_there_is_not_made_by_asking(address: str, opened: Opener) -> None:
    with pytest.raises(ProvenanceError, match="no fingerprint log is there"):
        opened(address, make=False)
    if "://" in address:
        with connected(address) as connection:
            assert inspect(connection).get_table_names() == []
    else:
        assert not Path(address).exists()
    opened(address).add(words(1), model="m")
    assert opened(address, make=False).find(words(1))


def test_a_users_database_stays_as_it_is(tmp_path: Path, opened: Opener) -> None:
    mine, letter = tmp_path / "mine.db", tmp_path / "letter.txt"
    with closing(sqlite3.connect(mine)) as connection:
        connection.execute("CREATE TABLE songs (name)")
    letter.write_text("Dear Žofie, " * 400, encoding="utf-8")
    for path, fault in ((mine, "another program's database"), (letter, "not a database")):
        before = path.read_bytes()
        with pytest.raises(ProvenanceError, match=fault):
            opened(str(path))
        assert path.read_bytes() == before
    with pytest.raises(ProvenanceError, match="cannot be written"):
        opened(str(tmp_path))


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("mysql://u:s3cret-w0rd@h/d", "mysql: not a database that is known here"),
        ("postgresql://u:s3cret-w0rd@[::1", "cannot be read"),
        ("postgresql://u:s3cret-w0rd@h:x/d", "cannot be read"),
        ("sqlite://", "needs a place that stays"),
        (":memory:", "needs a place that stays"),
        ("postgresql://u:s3cret-w0rd@127.0.0.1:1/d", "postgresql://u@127.0.0.1:1/d: the finger"),
        ("postgresql://u@127.0.0.1:1/d?password=s3cret-w0rd", "u@127.0.0.1:1/d: the fingerprint"),
        ("postgresql://u@127.0.0.1:1/d?nonsense=s3cret-w0rd", "u@127.0.0.1:1/d: the fingerprint"),
    ],
)
def test_a_wrong_address_is_one_sentence_without_its_password(
    given: str, fault: str, opened: Opener
) -> None:
    with pytest.raises(ProvenanceError, match=re.escape(fault)) as refusal:
        opened(given)
    assert PASSWORD not in "".join(traceback.format_exception(refusal.value))


def test_a_servers_password_is_never_shown(server: str, opened: Opener) -> None:
    with pytest.raises(ProvenanceError, match="password authentication failed") as refusal:
        opened(server.format(database="postgres").replace(PASSWORD, "wr0ng-w0rd"))
    assert "wr0ng-w0rd" not in str(refusal.value)
    with pytest.raises(ProvenanceError, match='database "nowhere" does not exist') as refusal:
        opened(server.format(database="nowhere"))
    assert PASSWORD not in "".join(traceback.format_exception(refusal.value))
    log = opened(server.format(database="postgres"))
    address = address_of(server.format(database="postgres"))
    assert PASSWORD not in f"{log!r} {log} {log.place} {address!r}"
    assert log.place.startswith("postgresql://staged@")


def test_a_server_that_went_away_is_asked_again(
    server: str, opened: Opener, tmp_path: Path
) -> None:
    address = new_database(server, tmp_path)
    log = opened(address)
    with connected(server.format(database="postgres")) as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = :name AND pid <> pg_backend_pid()"
            ),
            {"name": address_of(address).url.database},
        )
    assert log.find(words(1)) == []


def test_odd_names_are_stored(address: str, opened: Opener) -> None:
    log = opened(address)
    log.add(words(1), model="a\0b\ud800", key="ключ")
    assert [(match.model, match.key) for match in log.find(words(1))] == [("ab\\ud800", "ключ")]


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch, opened: Opener) -> None:
    for module in list(sys.modules):
        if module.startswith(("sqlalchemy", "staged.provenance.fingerprints.")):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(ProvenanceError, match=re.escape("pip install 'staged[provenance]'")):
        opened("a.db")
