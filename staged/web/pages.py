"""The pages: templates/ filled in with what an examination found, in words and numbers that a
person can weigh.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment
from markupsafe import Markup

from staged.detectors.contract import (
    GLTR_BUCKETS,
    HUMAN_LIKE,
    MACHINE_WRITTEN,
    NOT_ENOUGH,
    VERDICTS,
    Segment,
    TokenEvidence,
    Verdict,
)
from staged.pages.figures import counted
from staged.pages.rendering import environment
from staged.stats.comparing import rate
from staged.stats.thresholds import threshold_at_fpr
from staged.web.drawing import score_picture
from staged.web.examination import Examination, is_judged
from staged.web.limits import Limits
from staged.web.upload import CHOSEN

if TYPE_CHECKING:  # which imports a model's library
    from staged.detectors.kinds.readers.sentences import Share, WordWeight

BUCKET_NAMES = ("among the model’s first 10 guesses", "11th to 100th", "101st to 1,000th", "rarer")
WEIGHT_STEPS = (
    1,
    2,
    4,
)  # times the average size of a word's weight, from which its colour is deeper
SIDES = (
    ("m", "like language models"),
    ("h", "like people"),
)  # CSS names with a step's number: m1 … m3, h1 … h3
HEAVIEST = 10  # words of each side that the table names
WIDE, NARROW = 680, 330  # pixels of the picture; the style sheet shows one of them
HEADLINES = {
    MACHINE_WRITTEN: "This scores like machine-written text",
    HUMAN_LIKE: "This scores like human-written text",
    NOT_ENOUGH: "Not enough evidence",
}
CSS_NAMES = {MACHINE_WRITTEN: "machine", HUMAN_LIKE: "human", NOT_ENOUGH: "open"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text as it is drawn: `bucket` 0 … 3 by rank, None where there is nothing to
    say.
    """

    text: str
    bucket: int | None
    title: str


@dataclass(frozen=True, slots=True)
class Word:
    """A stretch of text as its weight is drawn: `css` is empty where there is nothing to say of
    it.
    """

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


def page(*, root: str, limits: Limits, **values: Any) -> str:
    """The page with its form; values as the template names them: found, text, source, left_out,
    error.
    """
    empty = {"found": None, "text": "", "source": "", "left_out": (), "error": "", "chosen": CHOSEN}
    return (
        _environment()
        .get_template("page.html")
        .render(empty | values | {"root": root, "limits": limits})
    )


def saved(seen: Examination, *, name: str) -> str:
    """One examination as a page that stands alone: a file to keep, without a server."""
    style = files("staged.web").joinpath("static", "style.css").read_text(encoding="utf-8")
    values = {
        "found": found(seen, Limits()),
        "source": name,
        "left_out": (),
        "style": Markup(style),
    }
    return _environment().get_template("saved.html").render(values)


def reference(*, root: str, address: str, schema: dict[str, Any]) -> str:
    """The API's documentation, from its OpenAPI schema; `address` is the server's, for an
    example.
    """
    return _environment().get_template("api.html").render(root=root, address=address, schema=schema)


def found(seen: Examination, limits: Limits) -> dict[str, Any]:
    """What the template shows of one examination."""
    verdict = seen.verdict
    shown = seen.tokens[: limits.tokens_shown]
    weights = seen.word_weights
    return {
        "verdict": verdict,
        "headline": HEADLINES[verdict.verdict],
        "kind": CSS_NAMES[verdict.verdict],
        "rate": rate_in_words(verdict),
        "line": line_in_words(verdict),
        "pictures": pictures(seen),
        "has_line": dashed_line(seen) is not None,
        "n_human": len(seen.human),
        "n_machine": len(seen.machine),
        "pieces": list(pieces(seen.verdict.normalized, shown)),
        "legend": legend(shown),
        "tokens": max(seen.counts[0], len(shown)),
        "tokens_read": seen.counts[1],
        "tokens_shown": len(shown),
        "segments": (
            list(parts(seen.verdict.normalized, seen.segments)) if len(seen.segments) > 1 else []
        ),
        "kinds": kinds(seen.segments),
        "compared": kind_in_words(verdict),
        "opinions": opinions(verdict) if is_judged(verdict) else [],
        "share": share_in_words(seen.share),
        "words": list(weighed(verdict.normalized, weights, shown=limits.tokens_shown)),
        "words_shown": min(len(weights), limits.tokens_shown),
        "words_weighed": len(weights),
        "sides": sides(verdict.normalized, weights),
    }


def rate_in_words(verdict: Verdict) -> str:
    """What the p-value means, as a count of human texts, with its 95% interval and what it rests
    on.
    """
    if verdict.p_value is None:
        return "No error rate can be given: there is nothing to compare this text with."
    above = round(verdict.p_value * (verdict.n_human + 1)) - 1
    for_kind = " for its kind" if verdict.kind else ""
    if above <= 0:
        most = max(round(1000 * verdict.p_value), 1)
        none = (
            f"None of the {verdict.n_human:,} human texts this long that it was compared with"
            f" scores as high{for_kind}"
        )
        high = rate(0, verdict.n_human)[2]
        return (
            f"{none}; of 1,000, about {most} or fewer would (95% interval 0 to {1000 * high:.0f})."
        )
    _, low, high = rate(above, verdict.n_human)
    return (
        f"Of 1,000 human texts this long, about {1000 * verdict.p_value:.0f} would score as high or"
        f" higher{for_kind} (95% interval {1000 * low:.0f} to {1000 * high:.0f}, from"
        f" {verdict.n_human:,} human texts)."
    )


def kind_in_words(verdict: Verdict) -> str:
    """What kind of human text it was compared with; empty where they are of all kinds, or it was
    compared with none.
    """
    return (
        f"Compared as a text of this kind: {verdict.kind}."
        if verdict.kind and is_judged(verdict)
        else ""
    )


def opinions(verdict: Verdict) -> list[tuple[str, str, str]]:
    """(what it reads, what it says, its log-odds) of each reader; the last is empty of one that was
    not asked.
    """
    return [
        (one.reader, one.says, "" if one.log_odds is None else signed(one.log_odds, 1))
        for one in verdict.opinions
    ]


def share_in_words(share: Share | None) -> str:
    """How much of a text looks machine-written, with its interval; empty where that cannot be
    told.
    """
    if share is None:
        return ""
    percents = [f"{100 * one:.0f}" for one in (share.share, share.low, share.high)]
    interval = f"95% interval {percents[1]} to {percents[2]}%"
    if share.low == share.high:  # no sentence differs from another, so that none drawn anew does
        interval = f"its {share.sentences} sentences are too few and too alike for an interval"
    return f"By its sentences, about {percents[0]}% of its words look machine-written; {interval}."


def signed(value: float, digits: int) -> str:
    """+0.12, −0.12, 0.00."""
    shown = f"{abs(value):.{digits}f}"
    return shown if float(shown) == 0 else f"{'+' if value > 0 else '−'}{shown}"


def line_in_words(verdict: Verdict) -> str:
    """What it takes to be called machine-written."""
    return (
        f"A text is called machine-written when at most {1000 * verdict.fpr:g} of 1,000 human texts"
        " would score as high."
    )


def pictures(seen: Examination) -> list[tuple[str, Markup]]:
    """The score's picture in two widths; none where it cannot be compared."""
    score = seen.verdict.score
    if score is None or seen.verdict.p_value is None:
        return []
    line = dashed_line(seen)
    say = describe(score, seen.human, seen.machine)
    sizes = (("wide", WIDE), ("narrow", NARROW))
    return [
        (name, score_picture(score, seen.human, seen.machine, line=line, describe=say, width=width))
        for name, width in sizes
    ]


def dashed_line(seen: Examination) -> float | None:
    """The score from which a text is called machine-written; None where the human texts are too few
    for the rate.
    """
    line = threshold_at_fpr(seen.human, seen.verdict.fpr) if seen.human else float("inf")
    return None if line == float("inf") else line


def describe(score: float, human: Sequence[float], machine: Sequence[float]) -> str:
    """The picture in a sentence."""
    parts = [
        f"{100 * sum(other < score for other in scores) / len(scores):.0f}% of {len(scores):,}"
        f" {name} texts"
        for name, scores in (("human", human), ("machine", machine))
        if scores
    ]
    return f"This text scores {score:.2f}: higher than {' and than '.join(parts)} of like length."


def bucket_of(rank: int | None) -> int | None:
    """0 for the first ten guesses, then 1, 2, 3; None for a token without a rank."""
    return None if rank is None else sum(rank > edge for edge in GLTR_BUCKETS)


def pieces(text: str, tokens: Sequence[TokenEvidence]) -> Iterator[Piece]:
    """The text up to the last token, cut at tokens; what lies between them is a piece that says
    nothing.

    Several tokens may share a character, as an emoji's bytes do: the first of them speaks for it.
    """
    at = 0
    for token in tokens:
        if token.start > at:
            yield Piece(text[at : token.start], None, "")
        shown = text[max(at, token.start) : token.end]
        if (
            word := shown.lstrip()
        ):  # a colour that begins with the space would hang over the line's end
            if space := shown[: -len(word)]:
                yield Piece(space, None, "")
            shown = word
        if shown:
            yield Piece(shown, bucket_of(token.rank), title_of(token))
        at = max(at, token.end)


def title_of(token: TokenEvidence) -> str:
    """Rank and probability, then the alternatives on a second line; empty for a token without a
    rank.
    """
    if token.rank is None or token.probability is None:
        return ""
    lines = [f"rank {token.rank:,} · probability {percent(token.probability)}"]
    if token.alternatives:
        lines.append(
            "likeliest: "
            + " · ".join(f"“{word}” {percent(share)}" for word, share in token.alternatives[:5])
        )
    return "\n".join(lines)


def percent(share: float) -> str:
    """12%, 3.4%, 0.05%, < 0.01%."""
    if share < 1e-4:
        return "< 0.01%"
    return f"{100 * share:.{0 if share >= 0.1 else 1 if share >= 0.01 else 2}f}%"


def legend(tokens: Sequence[TokenEvidence]) -> list[tuple[int, str, int, str]]:
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
    for one in weights[:shown]:
        if one.start > at:
            yield Word(text[at : one.start], "", "")
        yield Word(
            text[one.start : one.end], css_of(one.log_odds, average), title_of_weight(one.log_odds)
        )
        at = one.end
    if weights and shown >= len(weights) and at < len(text):
        yield Word(text[at:], "", "")


def css_of(log_odds: float, average: float) -> str:
    """The side and step of a word's weight among words of this average size; `w0` below the
    first.
    """
    step = sum(abs(log_odds) >= times * average for times in WEIGHT_STEPS) if average else 0
    return f"{SIDES[log_odds < 0][0]}{step}" if step else "w0"


def title_of_weight(log_odds: float) -> str:
    """A word's weight and whose it is."""
    number = signed(log_odds, 3)
    return (
        f"{number} · {SIDES[log_odds < 0][1]}"
        if float(number.replace("−", "-"))
        else f"{number} · neither way"
    )


def sides(text: str, weights: Sequence[WordWeight]) -> list[Side]:
    """The words on either side."""
    found = []
    for (css, name), sign in zip(SIDES, (1, -1), strict=True):
        of_side = [one for one in weights if one.log_odds * sign > 0]
        each: dict[str, list[float]] = {}
        for one in of_side:
            each.setdefault(text[one.start : one.end].lower(), []).append(one.log_odds)
        order = sorted(each.items(), key=lambda item: -abs(sum(item[1])))
        heaviest = [(word, len(added), signed(sum(added), 3)) for word, added in order[:HEAVIEST]]
        found.append(
            Side(css, name, len(of_side), signed(sum(one.log_odds for one in of_side), 2), heaviest)
        )
    return found


def _average(weights: Sequence[WordWeight]) -> float:
    return sum(abs(one.log_odds) for one in weights) / len(weights) if weights else 0.0


def parts(text: str, segments: Sequence[Segment]) -> Iterator[dict[str, Any]]:
    """Each part's text with its own verdict, and the white space after it; where windows overlap,
    the first one speaks.
    """
    at = 0
    for segment in segments:
        whole = text[max(at, segment.start) : segment.end]
        at = max(at, segment.end)
        if shown := whole.rstrip():
            known = {
                "verdict": segment.verdict,
                "kind": CSS_NAMES[segment.verdict],
                "score": segment.score,
            }
            yield known | {
                "text": shown,
                "space": whole[len(shown) :] or " ",
                "p_value": segment.p_value,
            }


def kinds(segments: Sequence[Segment]) -> list[tuple[str, str, int]]:
    """(CSS name, verdict, parts) for each verdict that occurs."""
    counts = Counter(segment.verdict for segment in segments)
    return [
        (CSS_NAMES[verdict], verdict, counts[verdict]) for verdict in VERDICTS if counts[verdict]
    ]


@cache
def _environment() -> Environment:
    made = environment("staged.web")
    made.filters["thousands"] = lambda number: f"{number:,}"
    made.filters["counted"] = counted
    return made
