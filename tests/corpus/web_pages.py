"""Pages for tests of building a corpus: HTML around texts that people wrote, and WARC files of it."""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from staged.corpus.embedded import sotu

LONG = 3000  # characters


@cache
def speeches() -> tuple[str, ...]:
    return tuple(document.text for document in sotu())


def prose(number: int, *, part: int = 0, length: int = LONG) -> str:
    """English that people wrote, another for each number and part."""
    start = 1000 + part * LONG
    return speeches()[number][start : start + length]


def page(text: str, *, head: str = "") -> str:
    paragraphs = "".join(f"<p>{paragraph}</p>" for paragraph in text.split("\n\n"))
    return (
        f"<html><head><title>A page</title>{head}</head><body><nav><a href='/'>Home</a></nav>"
        f"<article>{paragraphs}</article><footer>All rights reserved</footer></body></html>"
    )


def write_warc(
    path: Path,
    pages: Iterable[tuple[str, bytes | str]],
    *,
    status: str = "200 OK",
    kind: str = "text/html; charset=utf-8",
) -> Path:
    """A WARC file, packed where its name ends in .gz: a record of information, then a request and a
    response a page.
    """
    with open(path, "ab") as file:
        writer = WARCWriter(file, gzip=path.suffix == ".gz")
        records = [writer.create_warcinfo_record(path.name, {"software": "a test"})]
        for url, content in pages:
            data = content.encode() if isinstance(content, str) else content
            headers = StatusAndHeaders(status, [("Content-Type", kind)], protocol="HTTP/1.1")
            asked = StatusAndHeaders("GET / HTTP/1.1", [], is_http_request=True)
            for what, body, head in (("request", b"", asked), ("response", data, headers)):
                payload = io.BytesIO(body)
                records.append(writer.create_warc_record(url, what, payload, http_headers=head))
        for record in records:
            writer.write_record(record)
            record.raw_stream.close()  # warcio leaves its copy of the payload open
    return path
