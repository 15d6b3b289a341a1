"""Time stamps of a real authority: what a token says, and one sentence for each way to get none."""

from __future__ import annotations

import datetime
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from staged.errors import ProvenanceError
from staged.provenance.time_stamps import read_stamp, request_stamp
from tests.provenance.authority import Authority

MESSAGE = b"what a claim's signature signs"


@pytest.fixture(scope="module")
def running() -> Iterator[Authority]:
    with Authority() as authority:
        yield authority


@pytest.fixture
def authority(running: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    for name in ("time", "refuses", "status", "kind", "body", "other_nonce", "other_imprint"):
        monkeypatch.setattr(running, name, getattr(running, name))  # put back when the test ends
    return running


def test_a_token_says_when_who_and_whether_that_is_trusted(authority: Authority) -> None:
    authority.time = datetime.datetime(2026, 11, 2, 3, 4, 5, tzinfo=datetime.UTC)
    token = request_stamp(MESSAGE, authority.url)
    stamp = read_stamp(token, MESSAGE, [authority.root])
    assert (stamp.time, stamp.authority, stamp.trusted) == (
        authority.time,
        "A test authority",
        True,
    )
    assert not read_stamp(token, MESSAGE).trusted
    assert not read_stamp(token, MESSAGE, [Authority().root]).trusted
    assert MESSAGE not in authority.asked[-1]  # only its digest leaves


def test_a_token_of_another_message_or_a_changed_one_does_not_hold(authority: Authority) -> None:
    token = request_stamp(MESSAGE, authority.url)
    with pytest.raises(ProvenanceError, match="does not hold"):
        read_stamp(token, MESSAGE + b".")
    faults = 0
    for place in range(0, len(token), 7):
        changed = token[:place] + bytes([token[place] ^ 4]) + token[place + 1 :]
        try:
            stamp = read_stamp(changed, MESSAGE, [authority.root])
        except ProvenanceError:
            faults += 1
        else:  # a change in a certificate that is not needed
            assert stamp == read_stamp(token, MESSAGE, [authority.root]) or not stamp.trusted
    assert faults > len(token) / 7 / 3


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"status": 503}, "answered 503"),
        ({"kind": "text/html", "body": b"<p>hello"}, "answered text/html"),
        ({"body": b"\x30\x03junk"}, "no time stamp"),
        ({"body": b""}, "no time stamp"),
        ({"refuses": "too many requests"}, "refused: too many requests"),
        ({"other_nonce": True}, "another request"),
        ({"other_imprint": True}, "does not hold"),
    ],
)
def test_each_failure_is_one_sentence(
    how: dict[str, Any], sentence: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in how.items():
        monkeypatch.setattr(authority, name, value)
    with pytest.raises(ProvenanceError, match=sentence) as caught:
        request_stamp(MESSAGE, authority.url)
    assert authority.url in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        *("", "tsa.example", "ftp://tsa.example/", "http://", "file:///etc"),
        *("http://tsa.example:port/", "http://[::1/", "https://tsa.example:99999/"),
    ],
)
def test_no_url_of_an_authority(url: str) -> None:
    with pytest.raises(ProvenanceError, match="http or https"):
        request_stamp(MESSAGE, url)


@pytest.mark.parametrize(
    "url",
    [
        *("http://me:hunter2@127.0.0.1:9/x", "http://hunter2@tsa.example/", "me:hunter2@tsa"),
        *("ftp://me:hunter2@tsa.example/", "http://me:hunt/er2@tsa.example/", "//hunter2@tsa"),
    ],
)
def test_a_password_in_the_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ProvenanceError, match="a user or a password") as caught:
        request_stamp(MESSAGE, url)
    assert "hunt" not in str(caught.value)


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    with pytest.raises(ProvenanceError, match="cannot be reached") as caught:
        request_stamp(MESSAGE, url)
    assert "without --tsa" in str(caught.value)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    with pytest.raises(ProvenanceError, match=r"pip install 'staged\[provenance\]'"):
        request_stamp(MESSAGE, "http://127.0.0.1/")
