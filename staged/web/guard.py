"""What stands before every request and after every answer, as ASGI middleware.

Before: the body is read whole, counted while it comes and under a deadline, so that what lies
behind never waits for a client. After: security headers; and an error that nobody foresaw is logged
by its type and place alone, as its message may quote a text.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from staged.web.limits import ClientGoneError, Limits, RefusedError, busy

LOG = logging.getLogger("staged.web")
LINGER_S = 5.0
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src"
        " 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """ASGI middleware: limits before `app`, headers after it; `respond` turns a refusal into HTML
    or JSON, as asked.
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, respond: Callable[[Scope, RefusedError], Response]
    ) -> None:
        self.app, self.limits, self.respond = app, limits, respond
        self.active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = Answer(send)
        self.active += 1
        try:
            await self._serve(scope, receive, answer)
        except ClientGoneError:
            pass
        except RefusedError as refusal:
            await self._refuse(scope, refusal, receive, answer)
        # the last one to see it: a traceback printed further out would hold the message
        except Exception as error:
            LOG.error(
                "%s while answering %s, at %s",
                type(error).__name__,
                scope["method"],
                _places(error),
            )
            await self._refuse(
                scope,
                RefusedError(500, "Something went wrong in the server, and nothing was kept."),
                receive,
                answer,
            )
        finally:
            self.active -= 1

    async def _serve(self, scope: Scope, receive: Receive, answer: Answer) -> None:
        if self.active > self.limits.requests:
            raise busy()
        _refuse_compressed(Headers(scope=scope))
        body = await self._body(scope, receive)
        if scope["method"] == "HEAD":  # as GET, whose body the server leaves out
            scope = {**scope, "method": "GET"}
        await self.app(scope, _replay(body, receive), answer.send)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        limit = self.limits.body_bytes
        if int(Headers(scope=scope).get("content-length", "0")) > limit:
            raise _too_large(limit)
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGoneError("the client left")
                    body += message.get("body", b"")
                    if len(body) > limit:
                        raise _too_large(limit)
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            sentence = (
                f"The request did not arrive within {self.limits.body_s:g} seconds; send it again."
            )
            raise RefusedError(408, sentence, {"Connection": "close"}) from None

    async def _refuse(
        self, scope: Scope, refusal: RefusedError, receive: Receive, answer: Answer
    ) -> None:
        if answer.started:
            return
        response = self.respond(scope, refusal)
        await answer.send(
            {
                "type": "http.response.start",
                "status": response.status_code,
                "headers": response.raw_headers,
            }
        )
        await answer.send(
            {"type": "http.response.body", "body": bytes(response.body), "more_body": True}
        )
        if refusal.status in (413, 415):  # the body may still be on its way
            await _linger(receive)
        await answer.send({"type": "http.response.body", "body": b"", "more_body": False})


class Answer:
    """One answer on its way out: adds the headers, and knows whether it has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body in one message; then whatever the client does next."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message


async def _linger(receive: Receive) -> None:
    """Drop what a client still sends for a while: closing at once would reset the connection before
    it has read the answer.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return


def _refuse_compressed(headers: Headers) -> None:
    """Nothing is unpacked here: a small body could hold any amount.

    Raises:
        RefusedError: 415, the body has an encoding.
    """
    names = (
        name.strip() for line in headers.getlist("content-encoding") for name in line.split(",")
    )
    encodings = [name for name in names if name.lower() not in ("", "identity")]
    if encodings:
        shown = ", ".join(encodings)[:100].encode("ascii", "replace").decode()
        sentence = (
            f"The request's body is compressed (Content-Encoding: {shown}); send it as it is,"
            " without Content-Encoding."
        )
        raise RefusedError(415, sentence, {"Accept-Encoding": "identity", "Connection": "close"})


def _too_large(limit: int) -> RefusedError:
    return RefusedError(
        413,
        f"The request is larger than {limit / 2**20:g} MiB; send less at once.",
        {"Connection": "close"},
    )


def _places(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join(
        f"{frame.name} ({frame.filename.rsplit('/', 1)[-1]}:{frame.lineno})"
        for frame in reversed(frames)
    )
