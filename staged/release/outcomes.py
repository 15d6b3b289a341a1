"""What came of a stage's gates, and the decision that was made of them, as `decision.json` has
it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AT_ADVANCE", "MET", "NOT_MEASURED", "NOT_MET", "Decision", "Outcome", "Override"]

MET, NOT_MET, NOT_MEASURED = "met", "not met", "not measured"
AT_ADVANCE = (  # the signature of a package that is not built yet: made and checked while it is
    "at advance"
)


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
    """Whether a stage may go out; `date`: YYYY-MM-DD."""

    release: str
    stage: str
    date: str
    verdict: str
    gates: tuple[Outcome, ...]
    override: Override | None
