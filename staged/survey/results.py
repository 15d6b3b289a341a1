"""What `key.json` and `survey.json` hold, row by row. Indices and differences are in points of
1 … 10; `low` and `high` bound 95% intervals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from staged.files.sheets import not_a_key, read_key_file
from staged.stats.judging import UNKNOWN
from staged.storage.records import LATER
from staged.survey.plan import SurveySettings

__all__ = [
    "KEY",
    "OF",
    "SURVEY",
    "Asked",
    "Difference",
    "Key",
    "KeyRow",
    "ModelIndex",
    "Sentence",
    "Survey",
    "Tallied",
    "read_key",
]

KEY, SURVEY = "key.json", "survey.json"
OF = "staged survey"


@dataclass(frozen=True)
class Asked(SurveySettings):
    """A questionnaire's settings, and the digest of its opening sentences."""

    sentences_sha256: str = ""


@dataclass(frozen=True)
class KeyRow:
    """Whose text a row of a sheet shows.

    Attributes:
        text_sha256: `words_digest` of the text.
        sentence: the opening, a person's.
        own_words: words that the model added; tries: draws until it had enough of them. 0 in keys
            of versions that counted neither.
    """

    sheet: int
    row: int
    text_sha256: str
    model: str
    sentence: str = ""
    own_words: int = 0
    tries: int = 0


@dataclass(frozen=True)
class Key:
    """`key.json`: what those who rate must not see; `own_words_at_least`: of every text."""

    settings: Asked
    rows: tuple[KeyRow, ...]
    own_words_at_least: int = 0


@dataclass(frozen=True, kw_only=True)
class Tallied(Asked):
    """A questionnaire's settings, and how often its tally flips signs and resamples people."""

    permutations: int
    resamples: int


@dataclass(frozen=True)
class ModelIndex:
    """One model's credibility index over so many people and texts.

    Attributes:
        low, high: None where one person answered.
        believable, accurate, clear: means of ratings, 1 … 4.
        own_share: mean share of its texts' words that are the model's, in (0, 1]; None of a version
            that did not count them.
    """

    model: str
    index: float
    low: float | None
    high: float | None
    respondents: int
    texts: int
    believable: float
    accurate: float
    clear: float
    own_share: float | None = field(default=None, metadata=LATER)


@dataclass(frozen=True)
class Difference:
    """First model's index less the second's, over the people who rated both.

    Attributes:
        difference, low, high: None where nobody rated both, the bounds where one person did.
        p, p_holm: two-sided; before and after Holm's correction over all pairs.
        detectable: the smallest difference found with 80% probability; None: none could be.
        verdict: `differs`, `no difference found`, `not enough evidence`.
    """

    first: str
    second: str
    difference: float | None
    low: float | None
    high: float | None
    respondents: int
    p: float
    p_holm: float = 1.0
    detectable: float | None = None
    verdict: str = UNKNOWN


@dataclass(frozen=True)
class Sentence:
    """What a pair of models comes to, in words."""

    models: tuple[str, str]
    text: str


@dataclass(frozen=True)
class Survey:
    """`survey.json`.

    Attributes:
        respondents, texts: people who answered, texts that they rated; `unrated` rows were left
            empty.
        human_only: rows of an older questionnaire that show a person's sentence alone; left out.
        alpha, power: of the verdicts; `smallest`: the difference that a survey should not miss.
    """

    models: tuple[ModelIndex, ...]
    differences: tuple[Difference, ...]
    sentences: tuple[Sentence, ...]
    respondents: int
    texts: int
    unrated: int
    settings: Tallied
    alpha: float
    power: float
    smallest: float
    human_only: int = 0


def read_key(folder: Path) -> Key:
    """A questionnaire's settings, and whose text each row is.

    Raises:
        ArtifactError: missing or damaged.
    """
    key = read_key_file(folder / KEY, Key, of=OF)
    if not key.rows or any(row.model not in key.settings.models for row in key.rows):
        raise not_a_key(folder / KEY, of=OF)
    return key
