"""Pages, read out of WARC files and HTML files: the first step of the work, datatrove's kind.

datatrove's own reader of WARC files needs two libraries that guess an encoding and a kind of file;
here the server's word and Trafilatura's decoder do.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from staged.corpus.building.addresses import host_of, site_of
from staged.corpus.building.inputs import Input, part_of
from staged.corpus.building.steps.left_out import LeftOut
from staged.errors import first_line

LARGEST = 20_000_000  # bytes of a page, as Trafilatura has it
HTML = ("text/html", "application/xhtml+xml")
HOST = re.compile(r"^[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}$")  # a folder's name, as wget names it
CANONICAL = re.compile(rb"""<link[^>]+rel=["']?canonical["']?[^>]*>""", re.IGNORECASE)
HREF = re.compile(rb"""href=["']?(https?://[^"'\s>]+)""", re.IGNORECASE)
CHARSET = re.compile(r"charset=[\"']?([\w-]+)", re.IGNORECASE)
STEP = "pages"


@dataclass(frozen=True)
class Page:
    """What stands in a file: bytes, or why there are none that count."""

    id: str
    url: str
    content: bytes = b""
    charset: str = ""
    fault: str = ""


class Pages(PipelineStep):  # type: ignore[misc]
    """Reads a task's files; a page's bytes become text, and its id, URL and site go with it."""

    type, name = "📖 - READER", STEP

    def __init__(self, inputs: Path, left_out: Path, counts: Path) -> None:
        super().__init__()
        self.inputs, self.left_out_folder, self.counts = inputs, left_out, counts
        self.left_out = LeftOut(left_out, STEP)

    def run(
        self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """All pages of a task's files; counts of what stood there are written at the end."""
        for rows in self.left_out_folder.glob(f"*/{rank:05d}.jsonl"):
            rows.unlink()  # of a run that was killed
        inputs = [Input(*pair) for pair in json.loads(self.inputs.read_bytes())]
        counts: Counter[str] = Counter()
        with self.left_out as left_out:
            for item in part_of(inputs, rank, world_size):
                for page in _archived(item, counts) if item.is_archive else _stored(item, counts):
                    self.stat_update("pages")
                    counts["pages"] += 1
                    document = _document(page)
                    if page.fault:
                        left_out.leave_out(document, rank, page.fault)
                    else:
                        yield document
        self.counts.mkdir(parents=True, exist_ok=True)
        (self.counts / f"{rank:05d}.json").write_text(json.dumps(counts))


def _document(page: Page) -> Document:
    host = host_of(page.url)
    site = site_of(page.url) if host else page.id.rpartition("/")[0] or page.id
    text = "" if page.fault else _decoded(page)
    return Document(text=text, id=page.id, metadata={"url": page.url, "site": site})


def _decoded(page: Page) -> str:
    from trafilatura.utils import decode_file

    if page.charset:
        try:
            return page.content.decode(page.charset)
        except (UnicodeDecodeError, LookupError):
            pass
    return str(decode_file(page.content))


def _stored(item: Input, counts: Counter[str]) -> Iterator[Page]:
    """The page that a file is."""
    counts["HTML files"] += 1
    with open(item.path, "rb") as file:
        content = file.read(LARGEST + 1)
    url = _url_of(item.name, content)
    yield Page(item.name, url, content, fault=_size_fault(content))


def _url_of(name: str, content: bytes) -> str:
    """`HOST/PATH` of a folder as wget makes one, else what the page calls its own; empty where
    neither says.
    """
    folders = name.split("/")[:-1]
    for depth, folder in enumerate(folders):
        if HOST.match(folder.lower()):
            return "http://" + "/".join(name.split("/")[depth:])
    link = CANONICAL.search(content)
    own = HREF.search(link[0]) if link else None
    return own[1].decode("utf-8", "replace") if own else ""


def _archived(item: Input, counts: Counter[str]) -> Iterator[Page]:
    """The pages of a WARC file; one that ends in the middle gives those before its end."""
    from warcio.archiveiterator import ArchiveIterator

    counts["WARC files"] += 1
    number = 0
    try:
        with open(item.path, "rb") as file:
            for number, record in enumerate(ArchiveIterator(file), start=1):
                counts[f"records: {record.rec_type}"] += 1
                if record.rec_type == "response":
                    yield _of_record(record, f"{item.name}:{number}")
    except Exception as error:  # whatever the library meets in a damaged file
        where = f"after record {number}" if number else "at its beginning"
        fault = f"the archive is damaged {where}: {first_line(error)}"
        yield Page(f"{item.name}:{number + 1}", "", fault=fault)


def _of_record(record: Any, name: str) -> Page:
    url = record.rec_headers.get_header("WARC-Target-URI") or ""
    headers = record.http_headers
    status = headers.get_statuscode() if headers else ""
    kind = (headers.get_header("Content-Type") if headers else "") or ""
    if status != "200":
        return Page(name, url, fault=f"status {status or 'unknown'}")
    told = (record.rec_headers.get_header("WARC-Identified-Payload-Type") or kind).lower()
    if told.split(";")[0].strip() not in HTML:
        return Page(name, url, fault=f"not HTML: {told.split(';')[0].strip() or 'of no kind'}")
    content = record.content_stream().read(LARGEST + 1)
    charset = CHARSET.search(kind)
    return Page(name, url, content, charset[1] if charset else "", _size_fault(content))


def _size_fault(content: bytes) -> str:
    if not content.strip():
        return "empty"
    return f"larger than {LARGEST:,} bytes" if len(content) > LARGEST else ""
