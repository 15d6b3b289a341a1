"""What came of a stage's gates, and the decision that was made of them, as `decision.json` has
it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from staged.storage.records import LATER

__all__ = [
    "AT_ADVANCE",
    "MET",
    "NOT_MEASURED",
    "NOT_MET",
    "Decision",
    "Outcome",
    "Override",
    "state_of",
]

MET, NOT_MET, NOT_MEASURED = "met", "not met", "not measured"
AT_ADVANCE = (  # the signature of a package that is not built yet: made and checked while it is
    "at advance"
)


def state_of(
    low: float, high: float, *, at_least: float | None = None, at_most: float | None = None
) -> str:
    """Where a 95% interval lies: met when all of it keeps to the limit, not met when none of it
    does, not measured when it reaches across, or a bound is no number: then what was measured
    shows neither.

    Args:
        at_least, at_most: one of them, the limit, which itself is kept to.
    """
    if at_least is not None:
        low, high, limit = -high, -low, -at_least
    else:
        limit = 0.0 if at_most is None else at_most
    return MET if high <= limit else NOT_MET if low > limit else NOT_MEASURED


@dataclass(frozen=True)
class Outcome:
    """What came of one gate; `cells` are the ids of every number in `numbers`."""

    gate: str
    state: str
    numbers: str
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Override:
    """A person's written reason to release over these open gates."""

    reason: str
    by: str
    gates: tuple[str, ...]


@dataclass(frozen=True)
class Decision:
    """Whether a stage may go out.

    Attributes:
        date: YYYY-MM-DD.
        no_detector: why no detector goes out with it; None where one does.
    """

    release: str
    stage: str
    date: str
    verdict: str
    gates: tuple[Outcome, ...]
    override: Override | None
    no_detector: str | None = field(default=None, metadata=LATER)
