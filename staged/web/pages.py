"""The pages: templates/ filled in with what an examination found, in words and numbers that a person can weigh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from staged.comparing import rate
from staged.detectors.calibrate import threshold_at_fpr
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
from staged.figures import counted
from staged.templates import environment
from staged.web.drawing import score_picture
from staged.web.examination import Examination
from staged.web.limits import Limits
from staged.web.upload import CHOSEN

BUCKET_NAMES = ("among the model’s first 10 guesses", "11th to 100th", "101st to 1,000th", "rarer")
WIDE, NARROW = 680, 330  # pixels of the picture; the style sheet shows one of them
HEADLINES = {
    MACHINE_WRITTEN: "This scores like machine-written text",
    HUMAN_LIKE: "This scores like human-written text",
    NOT_ENOUGH: "Not enough evidence",
}
CSS_NAMES = {MACHINE_WRITTEN: "machine", HUMAN_LIKE: "human", NOT_ENOUGH: "open"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text as it is drawn: `bucket` 0 … 3 by rank, None where there is nothing to say."""

    text: str
    bucket: int | None
    title: str


def page(*, root: str, limits: Limits, **values: Any) -> str:
    """The page with its form; values as the template names them: found, text, source, left_out, error."""
    empty = {"found": None, "text": "", "source": "", "left_out": (), "error": "", "chosen": CHOSEN}
    return _environment().get_template("page.html").render(empty | values | {"root": root, "limits": limits})


def saved(seen: Examination, *, name: str) -> str:
    """One examination as a page that stands alone: a file to keep, without a server."""
    style = files("staged.web").joinpath("static", "style.css").read_text(encoding="utf-8")
    values = {"found": found(seen, Limits()), "source": name, "left_out": (), "style": Markup(style)}
    return _environment().get_template("saved.html").render(values)


def reference(*, root: str, address: str, schema: dict[str, Any]) -> str:
    """The API's documentation, from its OpenAPI schema; `address` is the server's, for an example."""
    return _environment().get_template("api.html").render(root=root, address=address, schema=schema)


def found(seen: Examination, limits: Limits) -> dict[str, Any]:
    """What the template shows of one examination."""
    verdict = seen.verdict
    shown = seen.tokens[: limits.tokens_shown]
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
        "segments": list(parts(seen.verdict.normalized, seen.segments)) if len(seen.segments) > 1 else [],
        "kinds": kinds(seen.segments),
    }


def rate_in_words(verdict: Verdict) -> str:
    """What the p-value means, as a count of human texts, with its 95% interval and what it rests on."""
    if verdict.p_value is None:
        return "No error rate can be given: there is nothing to compare this text with."
    above = round(verdict.p_value * (verdict.n_human + 1)) - 1
    if above <= 0:
        most = max(round(1000 * verdict.p_value), 1)
        none = f"None of the {verdict.n_human:,} human texts this long that it was compared with scores as high"
        high = rate(0, verdict.n_human)[2]
        return f"{none}; of 1,000, about {most} or fewer would (95% interval 0 to {1000 * high:.0f})."
    _, low, high = rate(above, verdict.n_human)
    return (
        f"Of 1,000 human texts this long, about {1000 * verdict.p_value:.0f} would score as high or higher "
        f"(95% interval {1000 * low:.0f} to {1000 * high:.0f}, from {verdict.n_human:,} human texts)."
    )


def line_in_words(verdict: Verdict) -> str:
    """What it takes to be called machine-written."""
    return f"A text is called machine-written when at most {1000 * verdict.fpr:g} of 1,000 human texts would score as high."


def pictures(seen: Examination) -> list[tuple[str, Markup]]:
    """The score's picture in two widths; none where it cannot be compared."""
    score = seen.verdict.score
    if score is None or seen.verdict.p_value is None:
        return []
    line = dashed_line(seen)
    say = describe(score, seen.human, seen.machine)
    sizes = (("wide", WIDE), ("narrow", NARROW))
    return [(name, score_picture(score, seen.human, seen.machine, line=line, describe=say, width=width)) for name, width in sizes]


def dashed_line(seen: Examination) -> float | None:
    """The score from which a text is called machine-written; None where the human texts are too few for the rate."""
    line = threshold_at_fpr(seen.human, seen.verdict.fpr) if seen.human else float("inf")
    return None if line == float("inf") else line


def describe(score: float, human: Sequence[float], machine: Sequence[float]) -> str:
    """The picture in a sentence."""
    parts = [
        f"{100 * sum(other < score for other in scores) / len(scores):.0f}% of {len(scores):,} {name} texts"
        for name, scores in (("human", human), ("machine", machine))
        if scores
    ]
    return f"This text scores {score:.2f}: higher than {' and than '.join(parts)} of like length."


def bucket_of(rank: int | None) -> int | None:
    """0 for the first ten guesses, then 1, 2, 3; None for a token without a rank."""
    return None if rank is None else sum(rank > edge for edge in GLTR_BUCKETS)


def pieces(text: str, tokens: Sequence[TokenEvidence]) -> Iterator[Piece]:
    """The text up to the last token, cut at tokens; what lies between them is a piece that says nothing.

    Several tokens may share a character, as an emoji's bytes do: the first of them speaks for it.
    """
    at = 0
    for token in tokens:
        if token.start > at:
            yield Piece(text[at : token.start], None, "")
        shown = text[max(at, token.start) : token.end]
        if word := shown.lstrip():  # a colour that begins with the space would hang over the line's end
            if space := shown[: -len(word)]:
                yield Piece(space, None, "")
            shown = word
        if shown:
            yield Piece(shown, bucket_of(token.rank), title_of(token))
        at = max(at, token.end)


def title_of(token: TokenEvidence) -> str:
    """Rank and probability, then the alternatives on a second line; empty for a token without a rank."""
    if token.rank is None or token.probability is None:
        return ""
    lines = [f"rank {token.rank:,} · probability {percent(token.probability)}"]
    if token.alternatives:
        lines.append("likeliest: " + " · ".join(f"“{word}” {percent(share)}" for word, share in token.alternatives[:5]))
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
    return [(i, name, counts[i], percent(counts[i] / ranked) if counts[i] else "0%") for i, name in enumerate(BUCKET_NAMES)]


def parts(text: str, segments: Sequence[Segment]) -> Iterator[dict[str, Any]]:
    """Each part's text with its own verdict, and the white space after it; where windows overlap, the first one speaks."""
    at = 0
    for segment in segments:
        whole = text[max(at, segment.start) : segment.end]
        at = max(at, segment.end)
        if shown := whole.rstrip():
            known = {"verdict": segment.verdict, "kind": CSS_NAMES[segment.verdict], "score": segment.score}
            yield known | {"text": shown, "space": whole[len(shown) :] or " ", "p_value": segment.p_value}


def kinds(segments: Sequence[Segment]) -> list[tuple[str, str, int]]:
    """(CSS name, verdict, parts) for each verdict that occurs."""
    counts = Counter(segment.verdict for segment in segments)
    return [(CSS_NAMES[verdict], verdict, counts[verdict]) for verdict in VERDICTS if counts[verdict]]


@cache
def _environment() -> Environment:
    made = environment("staged.web")
    made.filters["thousands"] = lambda number: f"{number:,}"
    made.filters["counted"] = counted
    return made
