"""What `bias.json`, a sheet's key and `tally.json` hold, row by row.

Shares are fractions in [0, 1], percentages say so; `low` and `high` bound 95% intervals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from staged.stats.judging import UNKNOWN
from staged.storage.records import LATER
from staged.studies.bias.plan import BiasSettings
from staged.studies.bias.prompts import Terms

BIAS, TALLY = "bias.json", "tally.json"


@dataclass(frozen=True)
class BiasComparison:
    """One comparison.

    Attributes:
        models: one, or the two that are compared.
        set, attribute, first, second: which prompts, and whose difference: first − second.
        measure: what was measured.
        n: completions of a group (of each model), or continuation pairs.
        difference, low, high: in the measure's unit, 95% bootstrap interval.
        effect, effect_low, effect_high: in standard deviations within prompts; None where nothing
            varies.
        p, p_holm: two-sided; before and after Holm's correction over the family.
        detectable: the smallest difference found with 80% probability, standard deviations (of
            preferences nats).
        verdict: `differs`, `no difference found`, `not enough evidence`.
    """

    models: tuple[str, ...]
    set: str
    attribute: str
    first: str
    second: str
    measure: str
    n: int
    difference: float
    low: float
    high: float
    effect: float | None
    effect_low: float | None
    effect_high: float | None
    p: float
    p_holm: float = 1.0
    detectable: float = math.inf
    verdict: str = UNKNOWN


@dataclass(frozen=True)
class GroupMean:
    """Mean of a measure over a group's n completions or continuation pairs; bootstrap interval."""

    model: str
    set: str
    attribute: str
    group: str
    measure: str
    n: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Sentence:
    """What two models come to, in words; `verdicts`: attribute → what the rows say of it."""

    models: tuple[str, str]
    text: str
    verdicts: dict[str, str]


@dataclass(frozen=True)
class MeasureNote:
    """A measure, its unit and whose it is; `blank`: why it was not taken, else empty."""

    name: str
    unit: str
    source: str
    blank: str


@dataclass(frozen=True)
class NamedWords:
    """The occupation words that a group's completions name: how many, and the `most` frequent with
    their counts.
    """

    model: str
    set: str
    attribute: str
    group: str
    n: int
    most: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class PairShare:
    """How often the more stereotyping sentence of n pairs is the likelier one, in %; `neutral`
    pairs are equally likely, and not counted as stereotyped.
    """

    kind: str
    n: int
    neutral: int
    percent: float
    low: float
    high: float


@dataclass(frozen=True)
class PairDifference:
    """First model's percentage less the second's, on the same pairs, in percentage points; p by
    sign flips.
    """

    models: tuple[str, str]
    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class CrowsPairs:
    """Of a file with this SHA-256: each model's shares, and the models compared in pairs."""

    sha256: str
    models: dict[str, tuple[PairShare, ...]]
    between: tuple[PairDifference, ...]


@dataclass(frozen=True)
class Percentage:
    """A score in %, with its interval."""

    percent: float
    low: float
    high: float


@dataclass(frozen=True)
class StereoScores:
    """StereoSet's language-modelling, stereotype and combined score of n examples about so many
    target terms.
    """

    kind: str
    n: int
    targets: int
    lms: Percentage
    ss: Percentage
    icat: Percentage


@dataclass(frozen=True)
class StereoSet:
    """Of a file with this SHA-256: each model's scores."""

    sha256: str
    models: dict[str, tuple[StereoScores, ...]]


@dataclass(frozen=True)
class SentencePairs:
    """What published sentences say; None where their file was not given."""

    crows_pairs: CrowsPairs | None = None
    stereoset: StereoSet | None = None


@dataclass(frozen=True)
class BiasResult:
    """`bias.json`.

    Attributes:
        groups: means; between_groups: within each model, one family a model; between_models: one
            family a pair.
        without_likelihoods: models behind a server, of which preferences and sentence pairs are
            left out; None where all could be read with.
        alpha, power: of the verdicts; `smallest`, `smallest_nats`: the difference that a probe
            should not miss, in standard deviations, of preferences in nats.
    """

    note: str
    models: tuple[str, ...]
    settings: BiasSettings
    terms: Terms
    measures: tuple[MeasureNote, ...]
    alpha: float
    power: float
    smallest: float
    smallest_nats: float
    groups: tuple[GroupMean, ...]
    between_groups: tuple[BiasComparison, ...]
    between_models: tuple[BiasComparison, ...]
    sentences: tuple[Sentence, ...]
    occupations: tuple[NamedWords, ...]
    sentence_pairs: SentencePairs
    without_likelihoods: tuple[str, ...] | None = field(default=None, metadata=LATER)


@dataclass(frozen=True)
class SheetRow:
    """Whose text a row of a blinded sheet shows; `sample`: its number in the model's samples of the
    set, `text_sha256`: `words_digest` of the text.
    """

    row: int
    text_sha256: str
    model: str
    set: str
    attribute: str
    group: str
    sample: int


@dataclass(frozen=True)
class SheetKey:
    """`SHEET.key.json`."""

    rows: tuple[SheetRow, ...]
    seed: int


@dataclass(frozen=True)
class Share:
    """A share with its Wilson interval."""

    share: float
    low: float
    high: float


@dataclass(frozen=True)
class RatedGroup:
    """n ratings of one group: their mean (favourable 1, neutral 0, unfavourable −1), and each
    rating's share.
    """

    model: str
    attribute: str
    group: str
    n: int
    mean: float
    favourable: Share
    neutral: Share
    unfavourable: Share


@dataclass(frozen=True)
class RatedPair:
    """First group's mean rating less the second's, of n ratings of both; permutation p, and Holm's
    over all pairs. No interval where a group has one rating.
    """

    model: str
    attribute: str
    first: str
    second: str
    n: int
    difference: float
    low: float | None
    high: float | None
    p: float
    p_holm: float = 1.0


@dataclass(frozen=True)
class Tally:
    """`tally.json`: what people rated, of n rows; `unrated` ones were left empty."""

    n: int
    unrated: int
    groups: tuple[RatedGroup, ...]
    comparisons: tuple[RatedPair, ...]
