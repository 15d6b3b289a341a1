"""The pages: templates/ filled in with what an examination found, in words and numbers that a
person can weigh.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment
from markupsafe import Markup

from staged.detectors.contract import (
    HUMAN_LIKE,
    MACHINE_WRITTEN,
    NOT_ENOUGH,
    VERDICTS,
    Segment,
    Verdict,
)
from staged.pages.figures import signed
from staged.pages.rendering import environment
from staged.stats.comparing import rate
from staged.stats.thresholds import threshold_at_fpr
from staged.web.drawing import score_picture
from staged.web.examination import Examination, is_judged
from staged.web.highlights import legend, pieces, sides, weighed
from staged.web.limits import Limits
from staged.web.upload import CHOSEN

if TYPE_CHECKING:  # which imports a model's library
    from staged.detectors.kinds.readers.sentences import Share

WIDE, NARROW = 680, 330  # pixels of the picture; the style sheet shows one of them
HEADLINES = {
    MACHINE_WRITTEN: "This scores like machine-written text",
    HUMAN_LIKE: "This scores like human-written text",
    NOT_ENOUGH: "Not enough evidence",
}
CSS_NAMES = {MACHINE_WRITTEN: "machine", HUMAN_LIKE: "human", NOT_ENOUGH: "open"}


def page(*, root: str, limits: Limits, **values: Any) -> str:
    """The page with its form.

    Args:
        values: as the template names them: found, origin, verifies, text, source, left_out, error.
    """
    empty: dict[str, Any] = {
        "found": None,
        "text": "",
        "source": "",
        "left_out": (),
        "error": "",
        "chosen": CHOSEN,
    }
    empty |= {"origin": None, "verifies": False}
    shown = empty | values | {"root": root, "limits": limits}
    return _environment().get_template("page.html").render(shown)


def saved(seen: Examination, *, name: str) -> str:
    """One examination as a page that stands alone: a file to keep, without a server."""
    style = files("staged.web").joinpath("static", "style.css").read_text(encoding="utf-8")
    values = {
        "found": found(seen, Limits()),
        "origin": None,
        "source": name,
        "left_out": (),
        "style": Markup(style),
    }
    return _environment().get_template("saved.html").render(values)


def reference(*, root: str, address: str, schema: dict[str, Any]) -> str:
    """The API's documentation, from its OpenAPI schema.

    Args:
        address: the server's, for an example.
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
    """What the p-value means, as a count of human texts, with its 95% interval and its ground."""
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
        interval = f"95% interval 0 to {1000 * rate(0, verdict.n_human)[2]:.0f}"
        return f"{none}; of 1,000, about {most} or fewer would ({interval})."
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
    is_of_kind = verdict.kind and is_judged(verdict)
    return f"Compared as a text of this kind: {verdict.kind}." if is_of_kind else ""


def opinions(verdict: Verdict) -> list[tuple[str, str, str]]:
    """(what it reads, what it says, its log-odds) of each reader; the last is empty of one that was
    not asked.
    """
    return [
        (
            opinion.reader,
            opinion.says,
            "" if opinion.log_odds is None else signed(opinion.log_odds, 1),
        )
        for opinion in verdict.opinions
    ]


def share_in_words(share: Share | None) -> str:
    """How much of a text looks machine-written, with its interval; empty where it is not known."""
    if share is None:
        return ""
    percents = [f"{100 * bound:.0f}" for bound in (share.share, share.low, share.high)]
    interval = f"95% interval {percents[1]} to {percents[2]}%"
    if share.low == share.high:  # no sentence differs from another, so that none drawn anew does
        interval = f"its {share.sentences} sentences are too few and too alike for an interval"
    return f"By its sentences, about {percents[0]}% of its words look machine-written; {interval}."


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


def parts(text: str, segments: Sequence[Segment]) -> Iterator[dict[str, Any]]:
    """Each part's text with its own verdict, and the white space after it; where windows overlap,
    the first one speaks.
    """
    at = 0
    for segment in segments:
        whole = text[max(at, segment.start) : segment.end]
        at = max(at, segment.end)
        if shown := whole.rstrip():
            yield {
                "verdict": segment.verdict,
                "kind": CSS_NAMES[segment.verdict],
                "score": segment.score,
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
    templates = environment("staged.web")
    templates.filters["thousands"] = lambda number: f"{number:,}"
    return templates
