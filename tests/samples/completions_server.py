"""A server with the completions route, for tests: a model of ours writes, and switches make it as
difficult as servers are.

    with CompletionsServer(folder) as server: staged sample {server.model} …

    python -m tests.samples.completions_server PORT FOLDER     the same as a process of its own
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai._base_client
import pytest

from staged.samples.chat.template import ChatPrompts
from staged.samples.decoders import load_decoder
from staged.samples.engine import generate
from staged.samples.methods import Method
from staged.samples.rows import Options
from staged.samples.stops import StopStrings
from staged.samples.writers import route
from staged.samples.writers.served import OFF, seed_of


def ask_again_at_once(patch: pytest.MonkeyPatch) -> None:
    """Who asks a server wastes no time between two tries, of which there are few."""
    patch.setattr(openai._base_client, "INITIAL_RETRY_DELAY", 0.001)
    patch.setattr(openai._base_client, "MAX_RETRY_DELAY", 0.01)
    patch.setattr(route, "RETRIES", 3)


class RefusedError(Exception):
    """A status and a message in place of an answer."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no matter."""


@dataclass
class CompletionsServer:
    """Answers `POST /v1/completions`, and `/v1/chat/completions` where its model has a template, and
    keeps what it was asked.

    Attributes:
        folder: the model that writes, of any family, in float32; a request's seed is the stream that it draws
            from, unless `knows` has said whose it is.
        limited: requests that get 429 first; with `Retry-After: 0.01`, or none where `retry_after`
            is empty.
        failing: requests that get 500 first.
        dies_after: answers after which it is gone, as if killed; `start` brings it back.
        key: that it wants; empty wants none.
        refuses_empty: prompts.
        refuses_off: values that only switch its defaults off.
        refuses_switch: that of a chat's reasoning.
        refusing: requests that get 400 first, for no reason.
        tells_stop: which stop string it met, as vLLM does.
        shows_stop: in the text, as TGI does.
        counts: tokens.
        reasoning: that it hands over apart from a chat's answer.
        answer: in place of its own, if any.
        asked, answered: bodies of requests; seeds of those that got an answer.
    """

    folder: Path
    port: int = 0
    limited: int = 0
    retry_after: str = "0.01"
    failing: int = 0
    dies_after: int = 0
    key: str = ""
    refuses_empty: bool = False
    refuses_off: bool = False
    refuses_switch: bool = False
    refusing: int = 0
    tells_stop: bool = True
    shows_stop: bool = False
    counts: bool = True
    reasoning: str = ""
    answer: Any = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    answered: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.network, self.bpe = load_decoder(str(self.folder), precision="fp32")
        self.streams: dict[int, tuple[int, int]] = {}
        self.lock = threading.RLock()
        self.listener: _Listener | None = None

    @property
    def model(self) -> str:
        """As staged's commands take it."""
        return f"openai:tiny@http://127.0.0.1:{self.port}/v1"

    def knows(self, seed: int, samples: Iterable[int]) -> None:
        """Let it draw for these samples of a run from the streams that the run itself has."""
        self.streams |= {seed_of(seed, i): (seed, i) for i in samples}

    def start(self) -> CompletionsServer:
        """Listen, on the port of the last time if there was one."""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner.handle(self)

            def log_message(self, *_: Any) -> None:
                """Nothing on standard error."""

        self.listener = _Listener(("127.0.0.1", self.port), Handler)
        self.port = self.listener.server_address[1]
        threading.Thread(target=self.listener.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def move(self) -> CompletionsServer:
        """Listen on another port."""
        self.stop()
        self.port = 0
        return self.start()

    def stop(self) -> None:
        """No longer listen."""
        listener, self.listener = self.listener, None
        if listener is not None:
            listener.shutdown()
            listener.server_close()

    def __enter__(self) -> CompletionsServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """One request; none of those that come while it dies is answered."""
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        with self.lock:
            if self.listener is None:
                return
            self.asked.append(body)
            status, headers = 200, {}
            try:
                given = request.headers["Authorization"].removeprefix("Bearer ")
                value = self.respond(request.path, body, given)
                self.answered[body.get("seed", -1)] += 1
            except RefusedError as refusal:
                status, headers = refusal.status, refusal.headers
                value = {"error": {"message": refusal.message}}
            self._send(request, status, value, headers)
            if self.dies_after and sum(self.answered.values()) >= self.dies_after:
                self.dies_after = 0
                self.stop()

    @staticmethod
    def _send(
        request: BaseHTTPRequestHandler, status: int, value: Any, headers: dict[str, str]
    ) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        request.send_response(status)
        for name, text in {"Content-Type": "application/json", **headers}.items():
            request.send_header(name.replace("_", "-"), text)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def respond(self, path: str, body: dict[str, Any], key: str) -> Any:
        """What it says to a request.

        Raises:
            RefusedError: as the switches have it.
        """
        if path not in ("/v1/completions", "/v1/chat/completions"):
            raise RefusedError(404, f"no route {path}")
        if self.key and key != self.key:
            raise RefusedError(401, f"wrong key {key}")
        if self.limited:
            self.limited -= 1
            wait = {"Retry_After": self.retry_after} if self.retry_after else {}
            raise RefusedError(429, "too many requests", **wait)
        if self.failing:
            self.failing -= 1
            raise RefusedError(500, f"broken, as {key} can see")
        if self.refuses_empty and not body.get("prompt", "x"):
            raise RefusedError(400, "prompt is empty")
        if self.refuses_off and any(body.get(name) == value for name, value in OFF.items()):
            raise RefusedError(422, "`top_p` must be > 0.0 and < 1.0")
        if self.refuses_switch and "chat_template_kwargs" in body:
            raise RefusedError(400, "unknown parameter chat_template_kwargs")
        if self.refusing:
            self.refusing -= 1
            raise RefusedError(400, "out of sorts")
        if self.answer is not None:
            return self.answer
        if path == "/v1/completions":
            return self.completion(body, self.bpe.encode(body["prompt"]))
        texts = {message["role"]: message["content"] for message in body["messages"]}
        prompts = ChatPrompts(str(self.folder), texts.get("system", ""))
        return self.chat(self.completion(body, prompts.encode_batch([texts["user"]])[0]))

    def chat(self, answer: dict[str, Any]) -> dict[str, Any]:
        """A text as a message."""
        [choice] = answer["choices"]
        message = {"role": "assistant", "content": choice.pop("text")}
        message |= {"reasoning_content": self.reasoning} if self.reasoning else {}
        choice["message"] = message
        return answer | {"object": "chat.completion"}

    def completion(self, body: dict[str, Any], ids: list[int]) -> dict[str, Any]:
        """A text by the model after these tokens, and how it ended."""
        p, stops = body.get("top_p", 1.0), StopStrings(body.get("stop", ()), self.bpe.decode)
        chosen = Method("asked", body["temperature"], max(body.get("top_k", 0), 0), (p, p))
        seed, sample = self.streams.get(body["seed"], (body["seed"], 0))
        prompt = ids or [self.bpe.end_of_text]
        [drawn] = generate(
            self.network,
            [prompt],
            chosen,
            length=body["max_tokens"],
            end=self.bpe.end_of_text,
            seed=seed,
            first=sample,
            options=Options(stops=stops),
        )
        whole = self.bpe.decode(drawn.tokens)
        text, stopped = stops.cut(whole)
        choice = {
            "index": 0,
            "text": whole if self.shows_stop else text,
            "finish_reason": "length" if drawn.reason == "length" else "stop",
        }
        choice |= {"stop_reason": stopped} if self.tells_stop else {}
        usage = {"completion_tokens": len(drawn.tokens), "prompt_tokens": len(prompt)}
        usage["total_tokens"] = sum(usage.values())
        return {
            "id": "cmpl-1",
            "object": "text_completion",
            "created": 0,
            "model": body["model"],
            "choices": [choice],
        } | ({"usage": usage} if self.counts else {})


def main() -> None:
    """Serve until killed; says on standard output when it listens."""
    port, folder = sys.argv[1:]
    server = CompletionsServer(Path(folder), int(port)).start()
    sys.stdout.write(f"{server.model}\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
