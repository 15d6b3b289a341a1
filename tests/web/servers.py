"""A real uvicorn around the fake examiner, on a free port of the loopback, in a thread of the
test's process.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

from staged.web.app import create_app
from staged.web.limits import Limits
from staged.web.serve import configured, listen
from tests.web.fake import FakeExaminer


@contextlib.contextmanager
def serving(examiner: FakeExaminer, limits: Limits | None = None, **more: Any) -> Iterator[int]:
    """The port.

    Args:
        more: as `create_app` takes it.
    """
    limits = limits or Limits()
    sock = listen("127.0.0.1", 0)
    app = create_app(examiner, limits, **more)
    server = uvicorn.Server(configured(app, root_path="", limits=limits))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(15)
        sock.close()
