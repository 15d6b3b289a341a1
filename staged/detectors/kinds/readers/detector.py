"""`evidence`: several readers of one text as one detector, each for what the others miss.

    text ─► plain ─┬─► lexical    words and phrases ─────────┐
                   ├─► encoder    how words are put together ─┼─► log-odds of machine against human
                   └─► numbers    how steadily it surprises ──┘   (where words leave it open)

Measures  three things that do not fail together: assistants have phrases of their own; base models
          put people's words together unlike people; text sampled with care surprises a language
          model too evenly.
Fails     on machine text that a person has edited or that was written to look careless, on
          generators unlike all that it learned from, on kinds of human text far from those that
          calibrate it. It says nothing about who wrote a text.
Cost      lexical and encoder some 10,000 words a second on two cores; the numbers take a pass of
          SmolLM2-135M, and are read only where the others' log-odds lie between `clear` and `sure`.
Source    ours: the plan `evidence`, docs/evidence.md.
Threshold conformal, on human texts of like length and kind (`calibration.json` beside it).

Without the language model's package the lexical reader and the encoder judge alone, by a
calibration of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from staged.detectors.contract import Opinion, Scored
from staged.detectors.kinds.readers.encoder import EncoderReader, load_encoder, save_encoder
from staged.detectors.kinds.readers.kind import KindReader, load_kinds, save_kinds
from staged.detectors.kinds.readers.lexical import LexicalReader, load_lexical, save_lexical
from staged.detectors.kinds.readers.numbers import NumbersReader, load_numbers, save_numbers
from staged.detectors.kinds.readers.plain import plain
from staged.detectors.kinds.readers.sentences import (
    Mixing,
    Share,
    WordWeight,
    sentences,
    share_of,
    word_weights,
)
from staged.errors import CheckpointError
from staged.model.formats.layouts import read_object
from staged.storage.json_files import write_json

FILE = "readers.json"
BOUNDS = ("clear", "sure", "low", "high")
WORDS = "words and phrases"
JOINING = "how words are put together"
STEADINESS = "how evenly it surprises a language model"
MOST_WORDS = 400  # of a text that are read; `--segments` judges the rest
UNDECIDED = 1.0  # log-odds: odds of less than 3 to 1 either way

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Combination:
    """How the readers' log-odds become one.

    Attributes:
        words: weights of lexical and encoder, and the bias, where they judge alone.
        all: weights of lexical, encoder and numbers, and the bias.
        clear, sure: log-odds of lexical and encoder alone beyond which no language model is asked.
        low, high: the log-odds of all that such texts begin at: few machine texts lie below, few
            human ones above.
    """

    words: tuple[float, float, float]
    all: tuple[float, float, float, float]
    clear: float
    sure: float
    low: float
    high: float

    def alone(self, lexical: Floats, encoder: Floats) -> Floats:
        """(texts,) of these two readers' log-odds."""
        a, b, bias = self.words
        return a * lexical + b * encoder + bias

    def is_open(self, alone: Floats) -> npt.NDArray[np.bool_]:
        """(texts,) whether the numbers can change what is said."""
        return (alone > self.clear) & (alone < self.sure)

    def together(self, lexical: Floats, encoder: Floats, numbers: Floats) -> Floats:
        """(texts,) log-odds of all three; where `numbers` is NaN, they were not asked, and the
        other two settle it.

        What the numbers were asked for stays between `low` and `high`, so that scores of both ways
        are in one order.
        """
        alone = self.alone(lexical, encoder)
        a, b, c, bias = self.all
        every = np.clip(
            a * lexical + b * encoder + c * np.nan_to_num(numbers) + bias, self.low, self.high
        )
        settled = np.where(
            alone >= self.sure, self.high + alone - self.sure, self.low + alone - self.clear
        )
        return np.where(np.isnan(numbers), settled, every)


@dataclass(frozen=True, slots=True)
class Readings:
    """What each reader says of one text, log-odds of machine against human; `numbers` is None where
    it was not asked.
    """

    lexical: float
    encoder: float
    numbers: float | None
    log_odds: float
    kinds: tuple[str, ...]


class ReadersDetector:
    """Log-odds of machine against human, under even odds on its training texts.

    Args:
        numbers: None where its language model is not installed.
        name: what its calibrations are for.
    """

    def __init__(
        self,
        lexical: LexicalReader,
        encoder: EncoderReader,
        numbers: NumbersReader | None,
        kinds: KindReader,
        combination: Combination,
        mixing: Mixing,
        *,
        name: str,
    ) -> None:
        self.lexical, self.encoder, self.numbers, self.kinds = lexical, encoder, numbers, kinds
        self.combination, self.mixing, self.name = combination, mixing, name

    def score(self, texts: Sequence[str]) -> list[float]:
        """Log-odds, finite, above 0 where machine is likelier."""
        return [readings.log_odds for readings in self.readings(texts)]

    def readings(self, texts: Sequence[str]) -> list[Readings]:
        """What each reader says of each text, in order."""
        if not texts:
            return []
        lines = [first_words(plain(text)) for text in texts]
        lexical, encoder = self.lexical.log_odds(lines), self.encoder.log_odds(lines)
        alone = self.combination.alone(lexical, encoder)
        numbers = np.full(len(lines), np.nan)
        if self.numbers is not None:
            places = np.flatnonzero(self.combination.is_open(alone))
            numbers[places] = self.numbers.log_odds([lines[i] for i in places])
        log_odds = (
            alone if self.numbers is None else self.combination.together(lexical, encoder, numbers)
        )
        return [
            Readings(float(a), float(b), None if np.isnan(c) else float(c), float(d), kinds)
            for a, b, c, d, kinds in zip(
                lexical, encoder, numbers, log_odds, self.kinds.plausible(lines), strict=True
            )
        ]

    def scored(self, texts: Sequence[str]) -> list[Scored]:
        """Each text's score with what each reader says of it."""
        return [
            Scored(readings.log_odds, readings.kinds, self._opinions(readings))
            for readings in self.readings(texts)
        ]

    def share(self, text: str) -> Share | None:
        """How much of a normalised text looks machine-written; None with too few sentences."""
        return share_of(sentences(self.encoder, text), self.mixing)

    def word_weights(self, text: str) -> list[WordWeight]:
        """What each word of a normalised text adds to the lexical reader's log-odds of it."""
        return word_weights(self.lexical, text)

    def _opinions(self, readings: Readings) -> tuple[Opinion, ...]:
        numbers = readings.numbers
        says = self._why_not_asked(readings) if numbers is None else _in_words(numbers)
        return (
            Opinion(WORDS, readings.lexical, _in_words(readings.lexical)),
            Opinion(JOINING, readings.encoder, _in_words(readings.encoder)),
            Opinion(STEADINESS, numbers, says),
        )

    def _why_not_asked(self, readings: Readings) -> str:
        if self.numbers is None:
            return "not asked: its language model is not installed (pip install 'staged[smollm2]')"
        return (
            "not asked: the others are sure that it is"
            f" {'machine' if readings.log_odds > 0 else 'human'} text's"
        )

    def plausible_kinds(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """The kinds of text that each normalised text may be of, the likeliest first."""
        return self.kinds.plausible([plain(text) for text in texts])

    def token_counts(self, text: str) -> tuple[int, int]:
        """(all tokens of the text, those that are read), as the encoder counts them."""
        line = plain(text)
        total, read = self.encoder.token_counts(line)
        _, beginning = self.encoder.token_counts(first_words(line))
        return total, min(read, beginning)

    def save(self, folder: Path) -> None:
        """Write what `load_readers` reads."""
        save_lexical(folder, self.lexical)
        save_encoder(folder, self.encoder)
        save_kinds(folder, self.kinds)
        if self.numbers is not None:
            save_numbers(folder, self.numbers)
        facts: dict[str, Any] = {
            "kind": "readers",
            "name": self.name,
            "words": self.combination.words,
            "all": self.combination.all,
            "mixing": asdict(self.mixing),
        }
        bounds = {name: getattr(self.combination, name) for name in BOUNDS}
        write_json(folder / FILE, facts | bounds)


def first_words(line: str) -> str:
    """The first `MOST_WORDS` words of a plain text: no calibration text is longer, and log-odds
    grow with a text's length.
    """
    words = line.split(" ", MOST_WORDS)
    return " ".join(words[:MOST_WORDS])


def _in_words(log_odds: float) -> str:
    if abs(log_odds) < UNDECIDED:
        return "of both"
    return (
        f"{'much ' if abs(log_odds) > 3 * UNDECIDED else ''}like"
        f" {'language models' if log_odds > 0 else 'people'}"
    )


def load_readers(folder: Path, *, device: str = "cpu") -> ReadersDetector:
    """Read what `ReadersDetector.save` wrote; nothing in it is executed.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    facts: dict[str, Any] = read_object(
        folder / FILE, expected="a detector of several readers holds this file"
    )
    try:
        words, every = (tuple(map(float, facts[name])) for name in ("words", "all"))
        if (len(words), len(every)) != (3, 4):
            raise ValueError("weights of another number of readers")
        bounds = (float(facts[key]) for key in BOUNDS)
        combination, name = Combination(words, every, *bounds), str(facts["name"])  # type: ignore[arg-type]
        mixing = Mixing(
            *(float(facts["mixing"][key]) for key in ("cut", "of_people", "of_machines"))
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / FILE}: not a readable detector: {error}") from None
    return ReadersDetector(
        load_lexical(folder),
        load_encoder(folder, device=device),
        load_numbers(folder, device=device),
        load_kinds(folder),
        combination,
        mixing,
        name=name,
    )
