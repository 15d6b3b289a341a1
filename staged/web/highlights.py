"""A text in colours: its tokens by their rank, as GLTR has them, and its words by their weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from staged.detectors.contract import GLTR_BUCKETS, TokenRank
from staged.pages.figures import signed

if TYPE_CHECKING:  # which imports a model's library
    from staged.detectors.kinds.readers.sentences import WordWeight

BUCKET_NAMES = ("among the model’s first 10 guesses", "11th to 100th", "101st to 1,000th", "rarer")
# times the average size of a word's weight, from which its colour is deeper
WEIGHT_STEPS = (1, 2, 4)
# CSS names with a step's number: m1 … m3, h1 … h3
SIDES = (("m", "like language models"), ("h", "like people"))
HEAVIEST = 10  # words of each side that the table names


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text as it is drawn: `bucket` 0 … 3 by rank, None where it says nothing."""

    text: str
    bucket: int | None
    title: str


@dataclass(frozen=True, slots=True)
class Word:
    """A stretch of text as its weight is drawn; `css` is empty where there is nothing to say."""

    text: str
    css: str
    title: str


@dataclass(frozen=True, slots=True)
class Side:
    """The words of a text that weigh to one side: how many they are, what they add together, and
    the heaviest with their sums.
    """

    css: str
    name: str
    words: int
    together: str
    heaviest: Sequence[tuple[str, int, str]]


def bucket_of(rank: int | None) -> int | None:
    """0 for the first ten guesses, then 1, 2, 3; None for a token without a rank."""
    return None if rank is None else sum(rank > edge for edge in GLTR_BUCKETS)


def pieces(text: str, tokens: Sequence[TokenRank]) -> Iterator[Piece]:
    """The text up to the last token, cut at tokens; what lies between them says nothing.

    Several tokens may share a character, as an emoji's bytes do: the first of them speaks for it.
    """
    at = 0
    for token in tokens:
        if token.start > at:
            yield Piece(text[at : token.start], None, "")
        shown = text[max(at, token.start) : token.end]
        # a colour that begins with the space would hang over the line's end
        if word := shown.lstrip():
            if space := shown[: -len(word)]:
                yield Piece(space, None, "")
            shown = word
        if shown:
            yield Piece(shown, bucket_of(token.rank), title_of(token))
        at = max(at, token.end)


def title_of(token: TokenRank) -> str:
    """Rank and probability, then on a second line the alternatives; empty without a rank."""
    if token.rank is None or token.probability is None:
        return ""
    lines = [f"rank {token.rank:,} · probability {percent(token.probability)}"]
    if token.alternatives:
        likeliest = [f"“{word}” {percent(share)}" for word, share in token.alternatives[:5]]
        lines.append("likeliest: " + " · ".join(likeliest))
    return "\n".join(lines)


def percent(share: float) -> str:
    """12%, 3.4%, 0.05%, < 0.01%."""
    if share < 1e-4:
        return "< 0.01%"
    return f"{100 * share:.{0 if share >= 0.1 else 1 if share >= 0.01 else 2}f}%"


def legend(tokens: Sequence[TokenRank]) -> list[tuple[int, str, int, str]]:
    """(bucket, name, tokens, their share) for each bucket."""
    counts = Counter(bucket_of(token.rank) for token in tokens)
    ranked = sum(count for bucket, count in counts.items() if bucket is not None)
    return [
        (i, name, counts[i], percent(counts[i] / ranked) if counts[i] else "0%")
        for i, name in enumerate(BUCKET_NAMES)
    ]


def weighed(text: str, weights: Sequence[WordWeight], *, shown: int) -> Iterator[Word]:
    """The text up to the last of the first `shown` words, cut at words, each with the step of its
    weight in this text.
    """
    average = _average(weights)
    at = 0
    for weight in weights[:shown]:
        if weight.start > at:
            yield Word(text[at : weight.start], "", "")
        css, title = css_of(weight.log_odds, average), title_of_weight(weight.log_odds)
        yield Word(text[weight.start : weight.end], css, title)
        at = weight.end
    if weights and shown >= len(weights) and at < len(text):
        yield Word(text[at:], "", "")


def css_of(log_odds: float, average: float) -> str:
    """The side and step of a word's weight where weights are this large on average; `w0` below the
    first step.
    """
    step = sum(abs(log_odds) >= times * average for times in WEIGHT_STEPS) if average else 0
    return f"{SIDES[log_odds < 0][0]}{step}" if step else "w0"


def title_of_weight(log_odds: float) -> str:
    """A word's weight and whose it is."""
    number = signed(log_odds, 3)
    is_zero = float(number.replace("−", "-")) == 0
    return f"{number} · {'neither way' if is_zero else SIDES[log_odds < 0][1]}"


def sides(text: str, weights: Sequence[WordWeight]) -> list[Side]:
    """The words on either side."""
    both = []
    for (css, name), sign in zip(SIDES, (1, -1), strict=True):
        of_side = [weight for weight in weights if weight.log_odds * sign > 0]
        log_odds_of_words: dict[str, list[float]] = {}
        for weight in of_side:
            word = text[weight.start : weight.end].lower()
            log_odds_of_words.setdefault(word, []).append(weight.log_odds)
        order = sorted(log_odds_of_words.items(), key=lambda item: -abs(sum(item[1])))
        heaviest = [
            (word, len(log_odds), signed(sum(log_odds), 3)) for word, log_odds in order[:HEAVIEST]
        ]
        together = signed(sum(weight.log_odds for weight in of_side), 2)
        both.append(Side(css, name, len(of_side), together, heaviest))
    return both


def _average(weights: Sequence[WordWeight]) -> float:
    return sum(abs(weight.log_odds) for weight in weights) / len(weights) if weights else 0.0
