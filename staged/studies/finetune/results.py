"""What `finetune.json` holds, row by row. All rates are fractions in [0, 1]; `_low` and `_high`
bound 95% intervals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from staged.cells import Cell
from staged.corpus.counts import CorpusCounts
from staged.stats.judging import UNKNOWN
from staged.storage.records import LATER, OTHERS
from staged.studies.detection.results import Copied, RecordedCorpus
from staged.studies.models import ModelFacts

FINETUNE = "finetune.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCell(Cell):
    """A cell of the texts in `set` (`before`, `matched/STYLE`, `after/STYLE`), with mean length."""

    set: str
    mean_tokens: float


@dataclass(frozen=True)
class Drop:
    """How much accuracy falls when a model is fine-tuned on a style, or on all styles.

    Attributes:
        before, matched, after: accuracy on the untuned model's texts, on these cut to the style's
            lengths, and on the fine-tuned model's.
        drop, by_length, rest: before − after, before − matched, matched − after.
        share_by_length: by_length / drop; None where the drop's interval holds 0.
        drop_p, drop_p_holm: two-sided; before and after Holm's correction over all drops.
    """

    detector: str
    style: str
    n_human: int
    n_machine: int
    before: float
    before_low: float
    before_high: float
    matched: float
    matched_low: float
    matched_high: float
    after: float
    after_low: float
    after_high: float
    drop: float
    drop_low: float
    drop_high: float
    by_length: float
    by_length_low: float
    by_length_high: float
    rest: float
    rest_low: float
    rest_high: float
    share_by_length: float | None
    share_by_length_low: float | None
    share_by_length_high: float | None
    drop_p: float
    drop_p_holm: float = 1.0
    verdict: str = UNKNOWN


@dataclass(frozen=True)
class Regained:
    """The retrained detector against the first on the same texts of a style: accuracy gained, texts
    that only one decides rightly, exact McNemar.
    """

    detector: str
    style: str
    n_pairs: int
    only_new: int
    only_old: int
    gain: float
    gain_low: float
    gain_high: float
    gain_p: float
    gain_p_holm: float = 1.0
    verdict: str = UNKNOWN


@dataclass(frozen=True)
class StyleCalls:
    """How often n texts are called each style.

    Attributes:
        text: `human`, `fine-tuned` or `base`, the untuned model's.
        part: `whole`, a round, or human texts as short as one.
        style: empty for `base`, of which no answer is right and accuracy is None.
        called: style → texts called so.
    """

    text: str
    part: str
    style: str
    n: int
    called: dict[str, int]
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None


@dataclass(frozen=True, kw_only=True)
class StyleCopied(Copied):
    """Of texts of one style: `human` ones, or what the untuned or the fine-tuned model wrote."""

    style: str
    text: str


@dataclass(frozen=True)
class StyleTraining:
    """How a style was learned."""

    style: str
    steps: int
    tokens_seen: int
    valid_loss_nats_per_token: float
    corpus: CorpusCounts


@dataclass(frozen=True)
class Published:
    """The figures of 2019 beside it."""

    before: float
    after: float
    by_length: str


@dataclass(frozen=True)
class RecordedFinetune:
    """A fine-tuning study's plan as recorded: what readers need of it by name, and all others."""

    title: str
    model: str
    opening: str
    styles: dict[str, str]
    rounds: int
    round_tokens: int
    method: str
    detectors: tuple[str, ...]
    n_train: int
    corpus: RecordedCorpus
    author: str | None = field(default=None, metadata=LATER)
    date: str | None = field(default=None, metadata=LATER)
    others: dict[str, Any] = field(default_factory=dict, metadata=OTHERS)


@dataclass(frozen=True)
class FinetuneResult:
    """`finetune.json`.

    Attributes:
        corpora: the untuned model's, and one a style.
        answers: the first test answers of each model.
        model: that was fine-tuned; None of a version that did not say.
    """

    settings: RecordedFinetune
    published: Published
    cells: tuple[SetCell, ...]
    drops: tuple[Drop, ...]
    regained: tuple[Regained, ...]
    styles: tuple[StyleCalls, ...]
    copying: tuple[StyleCopied, ...]
    training: tuple[StyleTraining, ...]
    corpora: dict[str, CorpusCounts]
    versions: dict[str, str]
    answers: dict[str, tuple[str, ...]]
    model: ModelFacts | None = field(default=None, metadata=LATER)
