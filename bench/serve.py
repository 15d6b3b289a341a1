"""`staged serve` under load on the loopback: many clients, each posting texts one request after the
other.

    python bench/serve.py                     starts `staged serve`, 16 clients for 60 s; JSON in
                                              out/bench/serve.json
    python bench/serve.py --seconds 10        shorter
    python bench/serve.py --command "python -m tests.web.fake {port}"    another server: here the
                                                                         detector that costs nothing

Every tenth request of a client is rude: it hangs up before the answer, or asks what is refused (an
empty text, bytes that are not UTF-8, a body above the limit, a pickle named .pt). An error is an
answer of 5xx, a broken connection, or a refusal that should not be one. Memory is the server's
resident set, its children included: the first reading after the warm-up, the last at the end, both
once the server is idle.
"""

from __future__ import annotations

import argparse
import json
import pickle
import shlex
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil
from rich.console import Console
from rich.table import Table

from staged.storage.json_files import write_json

SERVE = f"{shlex.quote(sys.executable)} -m staged.cli serve --port {{port}} --detector {{detector}}"
STARTING_S = 120
WARM_UP_S = 5.0
SENTENCE = (
    "the river crosses an old garden before noon and nobody in the harbour remembers who planted it"
    " or why"
)
RUDE_EVERY = 10


@dataclass
class Seen:
    """What one client saw."""

    seconds: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)


@contextmanager
def server(command: str, detector: str) -> Iterator[tuple[str, psutil.Process]]:
    """Start it, wait until it is healthy, and stop it at the end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = shlex.split(command.format(port=port, detector=detector))
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_healthy(address, process)
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def wait_until_healthy(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTING_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx2.get(f"{address}/api/health", timeout=2).raise_for_status()
            return
        except httpx2.HTTPError:
            time.sleep(0.2)
    raise SystemExit(f"the server did not start within {STARTING_S} s (exit code {process.poll()})")


def text_of(client: int, i: int, words: int) -> str:
    """Another text for every request, so that no answer can be remembered."""
    known = SENTENCE.split()
    return (
        " ".join(known[(client + i * (j + 1) + j) % len(known)] for j in range(words))
        + f", {client} times {i}."
    )


def run_client(address: str, number: int, until: float, words: int, seen: Seen) -> None:
    with httpx2.Client(timeout=90) as http:
        i = number % RUDE_EVERY  # so that some are rude early, however slow the server is
        while time.monotonic() < until:
            i += 1
            try:
                if i % RUDE_EVERY == 0:
                    be_rude(http, address, number + i // RUDE_EVERY, seen)
                else:
                    ask(http, address, text_of(number, i, words), seen)
            except (httpx2.HTTPError, OSError) as error:
                seen.errors.append(type(error).__name__)


def ask(http: httpx2.Client, address: str, text: str, seen: Seen) -> None:
    started = time.perf_counter()
    answer = http.post(f"{address}/api/detect", json={"texts": [text]})
    seen.seconds.append(time.perf_counter() - started)
    seen.answers[str(answer.status_code)] += 1
    if answer.status_code != 200 or len(answer.json()["results"]) != 1:
        seen.errors.append(f"{answer.status_code}: {answer.text[:100]}")


def be_rude(http: httpx2.Client, address: str, which: int, seen: Seen) -> None:
    kind = {"Content-Type": "application/json"}
    match which % 5:
        case 0:
            hang_up(address)
            seen.answers["hung up"] += 1
            return
        case 1:
            answer, wanted = http.post(f"{address}/api/detect", json={"texts": [""]}), 400
        case 2:
            answer, wanted = (
                http.post(f"{address}/api/detect", content=b'{"texts": ["\xe9"]}', headers=kind),
                400,
            )
        case 3:
            answer, wanted = (
                http.post(f"{address}/api/detect", content=b" " * (5 * 2**20), headers=kind),
                413,
            )
        case _:
            answer, wanted = (
                http.post(f"{address}/", files={"file": ("model.pt", pickle.dumps([1]))}),
                415,
            )
    seen.answers[str(answer.status_code)] += 1
    if answer.status_code != wanted:
        seen.errors.append(f"{answer.status_code} where {wanted} was due")


def hang_up(address: str) -> None:
    """Ask, and leave before the answer."""
    host, port = address.removeprefix("http://").split(":")
    body = json.dumps({"texts": [text_of(0, 1, 300)]}).encode()
    with socket.create_connection((host, int(port)), timeout=30) as client:
        head = (
            f"POST /api/detect HTTP/1.1\r\nHost: {host}\r\nContent-Type:"
            f" application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        client.sendall(head.encode() + body)


def load(address: str, clients: int, seconds: float, words: int) -> list[Seen]:
    """All clients at once for so many seconds."""
    seen = [Seen() for _ in range(clients)]
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=run_client, args=(address, i, until, words, one))
        for i, one in enumerate(seen)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def memory_mb(process: psutil.Process) -> float:
    family = [process, *process.children(recursive=True)]
    return sum(one.memory_info().rss for one in family) / 1e6


def summary(seen: list[Seen], before_mb: float, after_mb: float) -> dict[str, Any]:
    times = sorted(second for one in seen for second in one.seconds)
    if len(times) < 2:
        raise SystemExit("too few answers to speak of; give it more --seconds")
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    answers = sum((one.answers for one in seen), Counter[str]())
    errors = [error for one in seen for error in one.errors]
    found: dict[str, Any] = {
        "requests": answers.total(),
        "answers": dict(sorted(answers.items())),
        "examined": len(times),
    }
    found |= {"errors": len(errors), "first_errors": errors[:5]}
    found |= {f"p{p}_ms": round(1000 * cuts[p - 1], 1) for p in (50, 95, 99)}
    found |= {"memory_before_mb": round(before_mb, 1), "memory_after_mb": round(after_mb, 1)}
    return found | {"memory_growth_mb": round(after_mb - before_mb, 1)}


def table_of(found: dict[str, Any]) -> Table:
    table = Table(
        "",
        "",
        title=(
            f"{found['clients']} clients for {found['seconds']:g} s, {found['words']} words a text"
        ),
    )
    for name in (
        "requests",
        "examined",
        "errors",
        "p50_ms",
        "p95_ms",
        "p99_ms",
        "memory_before_mb",
        "memory_growth_mb",
        "answers",
    ):
        table.add_row(name, str(found[name]))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="The web server under load.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--words", type=int, default=150, help="of each text")
    parser.add_argument("--detector", default="evidence")
    parser.add_argument(
        "--command", default=SERVE, help="starts the server; {port} and {detector} are filled in"
    )
    parser.add_argument("--out", type=Path, default=Path("out/bench/serve.json"))
    options = parser.parse_args()
    found: dict[str, Any] = {
        "workload": "POST /api/detect, one text a request",
        "clients": options.clients,
    }
    found |= {
        "seconds": options.seconds,
        "words": options.words,
        "server": options.command,
        "detector": options.detector,
    }
    if options.command == SERVE:
        found["server"] = "staged serve"
    with server(options.command, options.detector) as (address, process):
        load(address, options.clients, min(WARM_UP_S, options.seconds), options.words)
        time.sleep(1)
        before_mb = memory_mb(process)
        seen = load(address, options.clients, options.seconds, options.words)
        time.sleep(1)
        found |= summary(seen, before_mb, memory_mb(process))
    Console().print(table_of(found))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(options.out, found)
    if found["errors"]:
        raise SystemExit(f"{found['errors']} errors, the first: {found['first_errors'][0]}")


if __name__ == "__main__":
    main()
