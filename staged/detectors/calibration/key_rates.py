"""How often one key calls human text marked: the key's own false-positive rate.

A p-value of a watermark is exact over keys: of any text a key drawn at random gives p ≤ a with a
chance of at most a. A key in use is one of these, drawn once. Where human texts share pairs of a
context and a token ("of the"), the key has one value for all of them, and its rate over texts lies
above or below the nominal one: by a third of it, as a rule, where a context is one token, hardly
where it is four. So a key is measured on texts like those that it will be asked about.

    documents ─► whole, and in passages ─► p of each candidate ─► flagged at each level, by source

Source: vLLM's documentation of `vllm.v1.watermarking`, which asks operators for this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from staged.corpus.passages import cut
from staged.detectors.normal.normalize import normalize
from staged.errors import CorpusError
from staged.progress import Progress, silent
from staged.records import Document
from staged.stats.judging import holm
from staged.stats.metrics import clustered_rate
from staged.storage.forms import holds
from staged.storage.json_files import write_json
from staged.storage.writing import disk_errors
from staged.watermarks.evidence import Candidate, MarkTest, tests_of

LEVELS = (0.01, 0.001)
PASSAGE_TOKENS, LEAST_TOKENS = 200, 100  # of a passage
ENOUGH_DOCUMENTS = 1_000  # below so many, passages are measured as well
WHOLE, PASSAGES = "whole texts", f"passages of up to {PASSAGE_TOKENS} tokens"
FORM = holds("kind", "key", "rates")
KIND = "a key's own rate"
ALL = "all"


@dataclass(frozen=True, slots=True)
class KeyRate:
    """How often human texts are called marked, of one kind of mark and at one level.

    Attributes:
        scheme, tokenizer: of the mark; `all` for the strongest of several, corrected for how many.
        texts: whole ones, or passages.
        level: the p-value up to which a text is called marked.
        flagged, n: texts with enough tokens, and how many of them are.
        sources: that these come from; texts of one source may depend on each other.
        rate, low, high: flagged / n with its 95% interval over sources; None where n is 0.
        is_above: whether all of the interval lies above the level.
    """

    scheme: str
    tokenizer: str
    texts: str
    level: float
    flagged: int
    n: int
    sources: int
    rate: float | None
    low: float | None
    high: float | None
    is_above: bool


@dataclass(frozen=True)
class KeyRates:
    """A key's own false-positive rates on a user's human texts.

    Attributes:
        documents: that were given, equal ones once.
        rates: a row a mark, kind of text and level.
    """

    key: str
    documents: int
    rates: tuple[KeyRate, ...]

    @property
    def is_above(self) -> bool:
        """Whether any rate is above its level by its interval."""
        return any(rate.is_above for rate in self.rates)

    def to_json(self) -> dict[str, Any]:
        """As the file holds it."""
        rates = [asdict(rate) for rate in self.rates]
        return {"kind": KIND, "key": self.key, "documents": self.documents, "rates": rates}

    def save(self, path: Path) -> None:
        """Write one JSON file, whole or not at all.

        Raises:
            ArtifactError: the place cannot be written, or holds something else.
        """
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, self.to_json(), form=FORM)


def key_rates(
    key: str,
    candidates: Sequence[Candidate],
    human: Sequence[Document],
    *,
    levels: Sequence[float] = LEVELS,
    progress: Progress = silent,
) -> KeyRates:
    """Measure a key on human documents: whole, and in passages where they are fewer than
    `ENOUGH_DOCUMENTS`.

    Args:
        candidates: what the key has marked with, at least one.
        human: texts that nobody marked.
        levels: p-values up to which a text is called marked.
        progress: called with (texts tested, all).

    Raises:
        CorpusError: no text has enough tokens to be tested.
    """
    documents = list({document.text: document for document in human}.values())
    forms = {WHOLE: documents}
    if len(documents) < ENOUGH_DOCUMENTS:
        count = candidates[0].tokenizer.count
        forms[PASSAGES] = [
            passage
            for document in documents
            for passage in cut(document, count, budget=PASSAGE_TOKENS, minimum=LEAST_TOKENS)
        ]
    total, done, rates = sum(map(len, forms.values())), 0, []
    for name, texts in forms.items():
        tested = []
        for text in texts:
            tested.append(_tests(normalize(text.text).text, candidates))
            done += 1
            progress(done, total)
        sources = [text.source for text in texts]
        rates += list(_rates(name, tested, sources, levels))
    if not any(rate.n for rate in rates):
        raise CorpusError("no human text has enough tokens to be tested; give longer ones")
    return KeyRates(key, len(documents), tuple(rates))


def _tests(text: str, candidates: Sequence[Candidate]) -> list[MarkTest]:
    """The test for each candidate as if it were the only one, and that for all of them where there
    are several.
    """
    alone = [test for candidate in candidates for test in tests_of(text, [candidate])]
    if len(candidates) == 1:
        return alone
    strongest = min(alone, key=lambda test: (not test.enough, test.p_value))
    corrected = holm([test.p_value for test in alone if test.enough])
    return [*alone, replace(strongest, p_value=min(corrected, default=1.0))]


def _rates(
    texts: str,
    tested: Sequence[Sequence[MarkTest]],
    sources: Sequence[str],
    levels: Sequence[float],
) -> Iterator[KeyRate]:
    """A row a mark and level; the last of several marks is all of them together."""
    for number, tests in enumerate(zip(*tested, strict=True)):
        is_all = number and number == len(tested[0]) - 1
        mark = (ALL, ALL) if is_all else (tests[0].scheme, tests[0].tokenizer)
        enough = [(test, src) for test, src in zip(tests, sources, strict=True) if test.enough]
        for level in levels:
            flags = [test.p_value <= level for test, _ in enough]
            yield _rate(mark, texts, level, flags, [source for _, source in enough])


def _rate(
    mark: tuple[str, str], texts: str, level: float, flags: list[bool], sources: list[str]
) -> KeyRate:
    numbers = {source: number for number, source in enumerate(dict.fromkeys(sources))}
    facts = (*mark, texts, level, sum(flags), len(flags), len(numbers))
    if not flags:
        return KeyRate(*facts, None, None, None, False)
    rate, low, high = clustered_rate(flags, [numbers[source] for source in sources])
    return KeyRate(*facts, rate, low, high, low > level)
