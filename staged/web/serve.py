"""Runs the application: one socket, one process, until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import suppress

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from staged.errors import ServeError
from staged.web.limits import Limits

SHUTDOWN_S = 10
HEADERS_S = 10.0
BACKLOG = 256
WHY = {
    errno.EADDRINUSE: "another program listens there; choose another --port",
    errno.EACCES: "the system reserves that port; choose one above 1023",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose another --host",
}


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any that is free.

    Raises:
        ServeError: the port is taken or reserved, or the host is unknown.
    """
    if not 0 <= port <= 65535:
        raise ServeError(f"--port must lie in 0 … 65535, not {port}")
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (socket.gaierror, UnicodeError):
        raise ServeError(
            f"--host {host}: no such host; 127.0.0.1 serves this machine, 0.0.0.0 every network"
        ) from None
    except OSError as error:
        reason = WHY.get(error.errno or 0, error.strerror or str(error))
        raise ServeError(f"cannot serve at {host}:{port}: {reason}") from None


def url_of(sock: socket.socket) -> str:
    """Where a browser on this machine finds it, or a proxy."""
    host, port = sock.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}/"


def run(app: ASGIApp, sock: socket.socket, *, root_path: str = "") -> None:
    """Serve until SIGINT or SIGTERM; requests at work then have ten seconds to finish."""
    with suppress(KeyboardInterrupt):
        uvicorn.Server(configured(app, root_path=root_path, limits=Limits())).run(sockets=[sock])


def configured(app: ASGIApp, *, root_path: str, limits: Limits) -> uvicorn.Config:
    """uvicorn's settings. Of what it could log, access lines and traces are off: the original
    demo's addresses hold texts.
    """
    return uvicorn.Config(
        app,
        http=Deadline,
        ws="none",
        access_log=False,
        log_level="warning",
        log_config=None,
        server_header=False,
        root_path=root_path,
        limit_concurrency=limits.connections,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )


class Deadline(H11Protocol):
    """uvicorn's protocol, and a deadline for the head of a request: who opens a connection and says
    nothing is let go.
    """

    headers_s = HEADERS_S
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unwatch()

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._unwatch()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.headers_s, self.transport.close)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
