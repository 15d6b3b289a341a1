"""The web page and the API of detection: `create_app(examiner)` in app.py, `run` in serve.py.

    app          the routes; answers as HTML or JSON, as asked
    guard        before every request: how large, how slow, how many; after it: security headers,
                 and errors without a text
    upload       a form, and a file's bytes → text; Word and PDF by way of staged/files/extract.py
    examination  what is asked of a detector for one page, or for a batch
    worker       one thread that examines and writes, a bounded queue before it
    provenance/  signature, watermark and content of one text; signed reports
    completions/ text for whoever asks, marked and signed
    pages        templates/ filled in; drawing makes the picture of a score
    serve        socket, uvicorn, shutdown

A text lives in memory while it is examined or written. Nothing here logs one or writes one down.
"""

from __future__ import annotations

import importlib.util

NEEDED = ("fastapi", "uvicorn", "python_multipart")


def missing_libraries() -> list[str]:
    """Which libraries of the extra [serve] are not installed."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]
