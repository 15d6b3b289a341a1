"""Why a calibration says what it says of a text, in a sentence for a person, who counts texts."""

from __future__ import annotations

from staged.detectors.contract import HUMAN_LIKE, MACHINE_WRITTEN
from staged.pages.figures import counted

NOT_SCORED = "The text could not be scored."


def too_short(words: int, shortest: int) -> str:
    """Nothing is said of a text of so many words."""
    return (
        f"The text has {counted(words, 'word')}; below {shortest} words there is too little to"
        " judge by."
    )


def too_few_humans(n: int, needed: int, length: str, fpr: float) -> str:
    """Nothing is said where n human texts of a length, such as `50–99 words`, are too few."""
    return (
        f"There are {n:,} human texts of this length ({length}) to compare with; a false-positive"
        f" rate of {fpr:.3g} takes at least {needed:,}."
    )


def of_verdict(verdict: str, p: float, low: float | None, fpr: float, kind: str) -> str:
    """What the p-values of a text mean.

    Args:
        verdict: what is said of it, of contract.VERDICTS.
        p, low: shares of human texts that score as high, and of machine texts as low; None without
            machine texts.
        fpr: the share of human texts that may be called machine-written.
        kind: of the human texts; empty for all.
    """
    for_kind = f" for their kind ({kind})" if kind else ""
    facts = f"Of 1,000 human texts of this length {_of_1000(p)} as high{for_kind}"
    if low is not None:
        facts += f", and of 1,000 machine texts {_of_1000(low)} as low"
    if verdict == MACHINE_WRITTEN:
        return f"{facts}."
    if verdict == HUMAN_LIKE:
        return f"{facts}: a usual score for human text, which does not show who wrote it."
    return f"{facts}: too close to both to say, at a false-positive rate of {fpr:.3g}."


def _of_1000(share: float) -> str:
    count = round(1000 * share)
    return f"about {count:,} score{'s' if count == 1 else ''}" if count else "fewer than 1 scores"
