"""What a release study's `findings.json`, `study.json`, `gallery.json`, `attacks.json` and
`copying.json` hold, row by row.

All rates and shares are fractions in [0, 1]; `_low` and `_high` bound 95% intervals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from staged.corpus.counts import CorpusCounts
from staged.storage.records import LATER, OTHERS
from staged.studies.generators.facts import Written
from staged.studies.generators.given import GivenChecks
from staged.studies.models import ModelFacts

FINDINGS = "findings.json"
STUDY = "study.json"
GALLERY = "gallery.json"
ATTACKS = "attacks.json"
AGAIN = "run the study again"  # about a file that cannot be read
AS_CLAIMED, OTHER_WAY = "as claimed", "the other way"  # verdicts of a comparison


@dataclass(frozen=True)
class Comparison:
    """Two cells on the same pairs: `difference` is accuracy of a minus accuracy of b, a fraction.

    `only_a`, `only_b`: pairs that only one decides rightly. `p`: exact McNemar, two-sided;
    `p_holm`: corrected in its family.
    """

    what: str
    cell_a: str
    cell_b: str
    n_pairs: int
    only_a: int
    only_b: int
    difference: float
    difference_low: float
    difference_high: float
    p: float
    p_holm: float
    verdict: str


@dataclass(frozen=True)
class Finding:
    """One of the post's findings: what it claims, how it is tested here, and what came out.

    `verdict`: `holds` when every comparison goes the claimed way with p < 0.01 after Holm's
    correction, `holds in part` when some do and none goes significantly the other way, `does not
    hold` when some go significantly the other way and none the claimed way, `mixed` when both
    occur, else `not enough evidence`.
    """

    claim: str
    test: str
    verdict: str
    comparisons: tuple[Comparison, ...]

    @property
    def n_as_claimed(self) -> int:
        """Comparisons that go significantly the claimed way."""
        return sum(row.verdict == AS_CLAIMED for row in self.comparisons)

    @property
    def n_other_way(self) -> int:
        """Comparisons that go significantly the other way."""
        return sum(row.verdict == OTHER_WAY for row in self.comparisons)


@dataclass(frozen=True)
class Findings:
    """`findings.json`; `neighbours`: each size against the next."""

    findings: tuple[Finding, ...]
    neighbours: tuple[Comparison, ...]


@dataclass(frozen=True)
class Copied:
    """The share of the texts' 12-word runs that stand word for word in what was learned from, and
    how many `texts` and `runs` there are; None where nothing can be said.
    """

    share: float | None
    share_low: float | None
    share_high: float | None
    texts: int
    runs: int


@dataclass(frozen=True, kw_only=True)
class StudyCopied(Copied):
    """Of one model's texts by one method; or of `human` ones, whose method is empty."""

    text: str
    method: str


@dataclass(frozen=True)
class RecordedCorpus:
    """The human text of a plan as results record it; None where a plan says no title, licence or
    address.
    """

    source: str
    title: str | None = field(default=None, metadata=LATER)
    licence: str | None = field(default=None, metadata=LATER)
    url: str | None = field(default=None, metadata=LATER)
    others: dict[str, Any] = field(default_factory=dict, metadata=OTHERS)


@dataclass(frozen=True)
class RecordedStudy:
    """A study's plan as results record it: what readers need of it by name, and all others."""

    title: str
    models: tuple[str, ...]
    methods: tuple[str, ...]
    detectors: tuple[str, ...]
    n_test: int
    length_tokens: int
    seed: int
    corpus: RecordedCorpus
    author: str | None = field(default=None, metadata=LATER)
    date: str | None = field(default=None, metadata=LATER)
    others: dict[str, Any] = field(default_factory=dict, metadata=OTHERS)

    @property
    def samples(self) -> RecordedCorpus | None:
        """Texts that were given."""
        said = {key: str(value) for key, value in self.others.items() if key.startswith("samples")}
        if not said.get("samples"):
            return None
        title, licence, url = (said.get(f"samples_{key}") for key in ("title", "licence", "url"))
        return RecordedCorpus(said["samples"], title, licence, url)

    @property
    def chat(self) -> dict[str, Any] | None:
        """How instruct models were asked: `tasks`, `system` and `models`."""
        chat: dict[str, Any] | None = self.others.get("chat")
        return chat

    @property
    def opening_words(self) -> int:
        """Of human passages, which models continue; 0 where they begin by themselves."""
        return int(self.others.get("opening_words") or 0)

    @property
    def has_attacks(self) -> bool:
        """Whether `attacks.json` belongs to the study."""
        return bool(self.others.get("attacks"))


@dataclass(frozen=True)
class Thresholds:
    """The scores above which a detector calls a text machine-written, at the matrix's length.

    Attributes:
        n_human: human `valid` texts that they were chosen on.
        best: of best accuracy, on as many machine texts as well.
        fpr_1, fpr_5: that certify a FPR of 1% and 5%; None where the texts are too few.
    """

    detector: str
    trained_on: str
    trained_method: str
    n_human: int
    best: float
    fpr_1: float | None
    fpr_5: float | None


@dataclass(frozen=True)
class StudyFacts:
    """`study.json`: what was run, with which versions, on which texts and models.

    Attributes:
        words: tokens → words, where texts are cut to words.
        written: of the human test texts and of each model's and method's, where models were given
            something to write from, or are not all of one tokenizer.
        given: what was seen of texts that were given.
        thresholds: None of a version that did not record them.
    """

    settings: RecordedStudy
    versions: dict[str, str]
    corpus: CorpusCounts
    copying: tuple[StudyCopied, ...]
    models: tuple[ModelFacts, ...]
    words: dict[str, int] | None = field(default=None, metadata=LATER)
    written: tuple[Written, ...] | None = field(default=None, metadata=LATER)
    given: tuple[GivenChecks, ...] | None = field(default=None, metadata=LATER)
    thresholds: tuple[Thresholds, ...] | None = field(default=None, metadata=LATER)


@dataclass(frozen=True)
class GalleryText:
    """A passage that the report shows; model and method are empty where a person wrote it."""

    model: str
    method: str
    id: str
    text: str


@dataclass(frozen=True)
class AttackRow:
    """A row of `attacks.json`: human and machine texts under one attack, as one detector reads
    them at one threshold.

    Attributes:
        fpr_wanted: the nominal false-positive rate.
        changed_human, changed_machine: shares of texts whose reading is not the clean one.
        fpr, tpr: achieved; None where no threshold certifies the nominal rate. `_change`: minus
            the same without the attack; `_p`, `_p_holm`: exact McNemar, before and after Holm's
            correction over the table.
    """

    detector: str
    trained_on: str
    attack: str
    normalised: bool
    fpr_wanted: float
    n_human: int
    changed_human: float | None
    fpr: float | None
    fpr_low: float | None
    fpr_high: float | None
    fpr_change: float | None
    fpr_change_low: float | None
    fpr_change_high: float | None
    fpr_p: float | None
    fpr_p_holm: float | None
    n_machine: int
    changed_machine: float | None
    tpr: float | None
    tpr_low: float | None
    tpr_high: float | None
    tpr_change: float | None
    tpr_change_low: float | None
    tpr_change_high: float | None
    tpr_p: float | None
    tpr_p_holm: float | None
