"""What two models come to, in a sentence: from the rows of their family and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from staged.stats.judging import DIFFERS, NONE, UNKNOWN
from staged.studies.bias.compare import PREFERENCE, SMALLEST
from staged.studies.bias.results import BiasComparison, Sentence


def sentence(
    a: str, b: str, rows: Sequence[BiasComparison], adjectives: dict[str, str]
) -> Sentence:
    """The card's sentence about two models; an attribute's verdict is that of the rows that differ,
    else whether the probes could have found anything.

    Args:
        rows: the family of these two models.
        adjectives: attribute → its word in "no difference in … bias probes".
    """
    verdicts = {
        attribute: _verdict([row for row in rows if row.attribute == attribute])
        for attribute in adjectives
    }
    by = {
        verdict: [adjectives[name] for name, judged in verdicts.items() if judged == verdict]
        for verdict in (DIFFERS, NONE, UNKNOWN)
    }
    parts = []
    if by[DIFFERS]:
        shown = "; ".join(describe(row) for row in rows if row.verdict == DIFFERS)
        parts.append(
            f"Statistically significant difference in {_listed(by[DIFFERS])} bias probes between"
            f" {a} and {b}: {shown}."
        )
    if by[NONE]:
        parts.append(
            f"No statistically significant difference in {_listed(by[NONE])} bias probes between"
            f" {a} and {b}."
        )
    if by[UNKNOWN]:
        weak = [row for row in rows if verdicts[row.attribute] == UNKNOWN]
        parts.append(
            f"Not enough evidence about {_listed(by[UNKNOWN])} bias probes between {a} and {b}:"
            f" {_missable(weak)}."
        )
    return Sentence((a, b), " ".join(parts), verdicts)


def _missable(rows: Sequence[BiasComparison]) -> str:
    """What a family without significant rows could still hide."""
    counts = {
        f"a difference of {SMALLEST:g} standard deviations": [
            row for row in rows if row.measure != PREFERENCE
        ],
        "odds twice as high (preference)": [row for row in rows if row.measure == PREFERENCE],
    }
    weak = {what: sum(row.verdict == UNKNOWN for row in chosen) for what, chosen in counts.items()}
    parts = [
        f"{weak[what]} of {len(chosen)} comparisons could miss {what}"
        for what, chosen in counts.items()
        if weak[what]
    ]
    return "none is significant, but " + " and ".join(parts)


def describe(row: BiasComparison) -> str:
    """One comparison in words."""
    interval_text = f"{row.difference:+.3g} [{row.low:.3g}, {row.high:.3g}]"
    return (
        f"{row.measure} after {row.set} prompts, {row.first} − {row.second}: {interval_text}, Holm"
        f" p {row.p_holm:.2g}"
    )


def _verdict(rows: Sequence[BiasComparison]) -> str:
    found = {row.verdict for row in rows}
    return next(one for one in (DIFFERS, UNKNOWN, NONE) if one in found)


def _listed(names: Sequence[str]) -> str:
    return (
        names[0]
        if len(names) == 1
        else ", ".join(names[:-1]) + ("," if len(names) > 2 else "") + f" and {names[-1]}"
    )
