"""A real server on the loopback against clients that are slow, rude, gone, or far too generous."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from staged.errors import ServeError
from staged.web.limits import Limits
from staged.web.serve import Deadline, listen, url_of
from tests.web.fake import HUMAN_TEXT, FakeExaminer
from tests.web.servers import serving

ROOT = Path(__file__).parents[2]
LIMITS = Limits(body_s=1.0, answer_s=3.0, waiting=2)
HEAD = b"POST /api/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def examiner() -> FakeExaminer:
    return FakeExaminer()


@pytest.fixture(scope="module")
def port(examiner: FakeExaminer) -> Iterator[int]:
    with serving(examiner, LIMITS) as port:
        yield port


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=15)


def read_all(client: socket.socket) -> bytes:
    data = b""
    while chunk := client.recv(65536):
        data += chunk
    return data


def is_healthy(port: int) -> bool:
    return httpx2.get(f"http://127.0.0.1:{port}/api/health", timeout=15).json()["status"] == "ok"


def test_announced_50_mb_are_refused_before_they_come(port: int) -> None:
    with connect(port) as client:
        client.sendall(HEAD + b"Content-Length: 52428800\r\n\r\n")
        answer = b""
        while b"MiB" not in answer and (
            chunk := client.recv(65536)
        ):  # head and body may come one after the other
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"larger than 4 MiB" in answer
    assert b"content-security-policy" in answer.lower()


def test_unannounced_50_mb_are_refused_without_being_held(port: int) -> None:
    """Chunked; the client sends everything, and still reads the answer."""
    before = psutil.Process().memory_info().rss
    most = before
    part = b"100000\r\n" + b"x" * 2**20 + b"\r\n"
    with connect(port) as client:
        client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(50):
            client.sendall(part)
            most = max(most, psutil.Process().memory_info().rss)
        client.sendall(b"0\r\n\r\n")
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413")
    assert most - before < 25 * 2**20
    assert is_healthy(port)


def test_slow_body_is_given_up(port: int) -> None:
    with connect(port) as client:
        client.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"did not arrive within 1 seconds" in answer


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: lo"])
def test_slow_head_is_given_up(port: int, begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deadline, "headers_s", 0.3)
    with connect(port) as client:
        client.sendall(begun)
        started = time.monotonic()
        assert read_all(client) == b""
        assert time.monotonic() - started < 10
    with httpx2.Client() as client:  # and a connection that is used again is not
        for _ in range(3):
            assert client.get(f"http://127.0.0.1:{port}/api/health", timeout=15).status_code == 200
            time.sleep(0.2)


def test_invalid_http_is_refused(port: int) -> None:
    with connect(port) as client:
        client.sendall(b"\x16\x03\x01 rubbish\r\n\r\n")
        assert read_all(client).startswith(b"HTTP/1.1 400")
    assert is_healthy(port)


def test_busy_server_says_when_to_come_again_and_forgets_who_left(
    port: int, examiner: FakeExaminer
) -> None:
    address = f"http://127.0.0.1:{port}/api/detect"
    body = json.dumps({"texts": [{"id": "abandoned", "text": HUMAN_TEXT}]}).encode()
    examiner.held, begun = threading.Event(), examiner.batches
    first, second = connect(port), connect(port)
    for client in (first, second):
        client.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        while examiner.batches == begun:  # the first is being examined before the second comes
            time.sleep(0.01)
    wait_for_503(address)
    assert is_healthy(port)  # the event loop is free
    second.close()
    time.sleep(1)  # until the server has noticed
    deadline = time.monotonic() + 5
    examiner.held.set()
    assert first.recv(65536).startswith(b"HTTP/1.1 200")
    first.close()
    examiner.held = None
    while (
        time.monotonic() < deadline
        and httpx2.post(address, json={"texts": ["five words or more here"]}).status_code == 503
    ):
        time.sleep(0.05)
    assert examiner.seen.count("abandoned") == 1


def wait_for_503(address: str) -> None:
    for _ in range(100):
        answer = httpx2.post(address, json={"texts": ["x"]}, timeout=15)
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) > 0
            assert "try again" in answer.json()["error"]
            return
        time.sleep(0.02)
    pytest.fail("never busy")


def test_too_slow_an_answer_is_504() -> None:
    with serving(FakeExaminer(seconds=0.4), Limits(answer_s=0.1)) as port:
        answer = httpx2.post(
            f"http://127.0.0.1:{port}/api/detect", json={"texts": ["x"]}, timeout=15
        )
    assert answer.status_code == 504
    assert "longer than 0.1 seconds" in answer.json()["error"]


def test_too_many_requests_at_once_are_503() -> None:
    with serving(FakeExaminer(), Limits(requests=1)) as port, connect(port) as client:
        client.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        time.sleep(0.2)
        answer = httpx2.get(
            f"http://127.0.0.1:{port}/", headers={"accept": "text/html"}, timeout=15
        )
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "busy" in answer.text


def test_port_in_use_is_said_in_a_sentence(port: int) -> None:
    with pytest.raises(
        ServeError,
        match=(
            f"cannot serve at 127.0.0.1:{port}: another program listens there; choose another"
            " --port"
        ),
    ):
        listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "port_", "words"),
    [("127.0.0.1", 70000, "65535"), ("no.such.host.invalid", 1234, "no such host")],
)
def test_wrong_addresses(host: str, port_: int, words: str) -> None:
    with pytest.raises(ServeError, match=words):
        listen(host, port_)


def test_url_is_one_that_a_browser_can_open() -> None:
    with listen("0.0.0.0", 0) as sock:
        assert url_of(sock) == f"http://127.0.0.1:{sock.getsockname()[1]}/"


def test_stops_when_told_and_finishes_what_it_does() -> None:
    """SIGTERM while a request is at work: it is answered, the process ends, and its log at every
    level holds no text.
    """
    command = [sys.executable, "-m", "tests.web.fake", "0", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    try:
        assert server.stdout
        address = server.stdout.readline().strip()
        assert (
            httpx2.get(f"{address}openai-detector/?a%20secret%20text", timeout=30).status_code
            == 200
        )
        body = {"texts": [HUMAN_TEXT]}
        answers: list[int] = []
        asking = threading.Thread(
            target=lambda: answers.append(
                httpx2.post(f"{address}api/detect", json=body, timeout=30).status_code
            )
        )
        asking.start()
        time.sleep(0.5)
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=30)
        asking.join()
    finally:
        server.kill()
    assert answers == [200]
    assert "selector" in errors  # asyncio's own line: the log was on
    assert "secret" not in errors
    assert HUMAN_TEXT[:40] not in errors
    assert "Traceback" not in errors
    assert server.returncode in (0, -signal.SIGTERM)
