"""What is taken of pages, a step of datatrove's kind each: by votes, by host, by text, by language
and by quality. Each has a writer for what it leaves out.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.extractors.base import ExtractorSandbox
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.filters.base_filter import BaseFilter

from staged.corpus.building.addresses import host_of, is_among, is_below, url_key
from staged.corpus.building.plan import BuildSettings
from staged.corpus.building.steps.left_out import LeftOut
from staged.corpus.building.steps.words import Words
from staged.errors import first_line

URLS, HOSTS, TEXT, LANGUAGE = "urls", "hosts", "text", "language"
FILTERS = {
    "gopher-repetition": GopherRepetitionFilter,
    "gopher-quality": GopherQualityFilter,
    "c4": C4QualityFilter,
    "fineweb": FineWebQualityFilter,
}
BEGINNING = 20_000  # characters of a text that tell its language


def steps_of(settings: BuildSettings) -> list[str]:
    """The names of the steps that a plan asks for, in their order."""
    return [
        *([URLS] if settings.urls else []),
        *([HOSTS] if settings.hosts_left_out else []),
        TEXT,
        *([LANGUAGE] if settings.languages else []),
        *settings.quality,
    ]


def sieves(settings: BuildSettings, work: Path, left_out: Path) -> list[PipelineStep]:
    """These steps; what depends on a URL alone comes before the text is extracted."""
    return [_sieve(name, settings, work, LeftOut(left_out, name)) for name in steps_of(settings)]


def _sieve(name: str, settings: BuildSettings, work: Path, left_out: LeftOut) -> PipelineStep:
    if name == URLS:
        return Listed(work / "urls.npy", work / "met", left_out)
    if name == HOSTS:
        return Hosts(settings.hosts_left_out, left_out)
    if name == TEXT:
        return Extracted(settings.precision, settings.timeout_s, left_out)
    if name == LANGUAGE:
        return Language(settings.languages, left_out)
    return FILTERS[name](exclusion_writer=left_out, language=Words())


class Listed(PipelineStep):  # type: ignore[misc]
    """Pages whose URL has votes enough; keeps which ones were met."""

    type, name = "🔻 - FILTER", URLS

    def __init__(self, keys: Path, met: Path, left_out: LeftOut) -> None:
        super().__init__()
        self.keys, self.met, self.left_out = keys, met, left_out

    def run(
        self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """The listed pages of a task."""
        keys = np.load(self.keys, mmap_mode="r")
        met: set[int] = set()
        with self.left_out as left_out:
            for document in data:
                url = document.metadata["url"]
                key = url_key(url)
                if url and is_among(key, keys):
                    met.add(key)
                    yield document
                else:
                    left_out.leave_out(document, rank, "not listed" if url else "no URL")
        self.met.mkdir(parents=True, exist_ok=True)
        np.save(self.met / f"{rank:05d}.npy", np.array(sorted(met), dtype=np.uint64))


class Hosts(BaseFilter):  # type: ignore[misc]
    """Pages of other hosts than these."""

    name = HOSTS

    def __init__(self, hosts: tuple[str, ...], left_out: LeftOut) -> None:
        super().__init__(left_out)
        self.hosts = hosts

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Whether a page stays."""
        host = host_of(doc.metadata["url"])
        return (False, host) if is_below(host, self.hosts) else True


class Extracted(Trafilatura):  # type: ignore[misc]
    """Text in place of HTML, in a process of its own, which a page may take too long in, or break.

    A text depends on its page alone: Trafilatura's memory of paragraphs that it has met is off.
    """

    name = TEXT

    def __init__(self, precision: bool, timeout_s: int, left_out: LeftOut) -> None:
        super().__init__(favour_precision=precision, timeout=timeout_s, deduplicate=False)
        self.left_out = left_out

    def run(
        self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """The pages that have text, as it."""
        import trafilatura  # noqa: F401  # here, so that the process has it when it is forked

        with ExtractorSandbox(timeout=self.timeout) as sandbox, self.left_out as left_out:
            for document in data:
                text, fault = self._text(sandbox, document.text)
                document.text = text
                if fault:
                    left_out.leave_out(document, rank, fault)
                else:
                    yield document

    def _text(self, sandbox: Any, html: str) -> tuple[str, str]:
        """(text, why there is none)."""
        try:
            text = (sandbox.process_document(html, self.extract) or "").strip()
        except TimeoutError:
            return "", f"longer than {self.timeout} s"
        except EOFError:
            return "", "the extraction broke off"
        except Exception as error:  # whatever a strange page brings about
            return "", f"not extracted: {first_line(error)}"
        return text, "" if text else "no text"


class Language(BaseFilter):  # type: ignore[misc]
    """Texts in these languages."""

    name = LANGUAGE

    def __init__(self, languages: tuple[str, ...], left_out: LeftOut) -> None:
        super().__init__(left_out)
        self.languages = languages

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Whether a text stays."""
        language = str(_identifier().classify(doc.text[:BEGINNING])[0])
        return True if language in self.languages else (False, language)


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
