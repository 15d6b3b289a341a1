"""What `provenance.json` holds, row by row. All rates are fractions in [0, 1]; `_low` and `_high`
bound 95% intervals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from staged.corpus.counts import CorpusCounts
from staged.storage.records import LATER, OTHERS
from staged.studies.detection.results import RecordedCorpus
from staged.studies.models import ModelFacts

PROVENANCE = "provenance.json"


@dataclass(frozen=True)
class HumanRates:
    """Human passages that one scheme's test calls marked, all keys together.

    Attributes:
        n_passages, n_keys, n: tests are n = n_passages × n_keys.
        tokens: that carry evidence, on average.
        flagged_1, flagged_01: share with p ≤ 0.01 and p ≤ 0.001; passages of one source depend on
            each other, and intervals allow for it.
        least_1, most_1: the keys with the lowest and the highest rate at 0.01.
        ks: Kolmogorov-Smirnov distance of the p-values of all keys from uniform.
        ks_p: of each key's own test, the smallest p, after Holm's correction over the keys.
        keys_off: keys whose p-values are not uniform at 0.01, after Holm.
    """

    scheme: str
    n_passages: int
    n_keys: int
    n: int
    tokens: float
    flagged_1: float
    flagged_1_low: float
    flagged_1_high: float
    flagged_01: float
    flagged_01_low: float
    flagged_01_high: float
    least_1: float
    most_1: float
    ks: float
    ks_p: float
    keys_off: int


@dataclass(frozen=True)
class Power:
    """Marked texts that the test of their own key finds.

    Attributes:
        form: `as drawn`, by the tokens that were drawn; `as text`, read again; or what was done to
            the text.
        length: tokens of the text that was tested, or changed.
        n: texts of at least so many tokens.
        tokens: that carry evidence, on average.
        found_1, found_01: share with p ≤ 0.01 and p ≤ 0.001.
        median_p: the p-value that half of them reach.
        same: share whose tokens are those that were drawn.
    """

    model: str
    method: str
    scheme: str
    form: str
    length: int
    n: int
    tokens: float
    found_1: float
    found_1_low: float
    found_1_high: float
    found_01: float
    found_01_low: float
    found_01_high: float
    median_p: float
    same: float


@dataclass(frozen=True)
class Cost:
    """What a mark does to texts: their cost in the judge's eyes, and how they repeat.

    Attributes:
        scheme: `none` is the same texts without a mark.
        nats: a token of the judge's, on average over texts.
        more: nats a token above those of unmarked texts, paired by prompt; None of these.
        whole: share of texts that reach the length limit.
        repeated: share of a text's 4-token runs that it had before, on average.
    """

    model: str
    method: str
    scheme: str
    n: int
    nats: float
    nats_low: float
    nats_high: float
    more: float | None
    more_low: float | None
    more_high: float | None
    whole: float
    whole_low: float
    whole_high: float
    repeated: float
    repeated_low: float
    repeated_high: float


@dataclass(frozen=True)
class RecordedProvenance:
    """A plan as recorded: what readers need of it by name, and all others."""

    title: str
    models: tuple[str, ...]
    schemes: tuple[str, ...]
    methods: tuple[str, ...]
    n_texts: int
    length_tokens: int
    opening_words: int
    attacked_tokens: int
    human_tokens: int
    n_keys: int
    corpus: RecordedCorpus
    author: str | None = field(default=None, metadata=LATER)
    date: str | None = field(default=None, metadata=LATER)
    others: dict[str, Any] = field(default_factory=dict, metadata=OTHERS)


@dataclass(frozen=True)
class ProvenanceResult:
    """`provenance.json`.

    Attributes:
        judge: the model that says what texts cost.
    """

    settings: RecordedProvenance
    models: tuple[ModelFacts, ...]
    judge: ModelFacts
    corpus: CorpusCounts
    human: tuple[HumanRates, ...]
    power: tuple[Power, ...]
    costs: tuple[Cost, ...]
    versions: dict[str, str]
