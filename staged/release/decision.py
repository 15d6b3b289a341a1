"""The written decision whether a size may go out: who decided, on which numbers, and over which
missing ones.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from staged.errors import PlanError
from staged.release.card.render import templates
from staged.release.outcomes import AT_ADVANCE, MET, Decision, Outcome, Override

__all__ = ["DECISION", "RECORD", "REFUSED", "decide", "decision_markdown"]

DECISION, RECORD = "decision.json", "DECISION.md"
RELEASED, OVERRIDDEN, REFUSED = "released", "released by override", "refused"


def decide(
    stage: str,
    outcomes: Sequence[Outcome],
    *,
    release: str,
    date: datetime.date,
    reason: str = "",
    by: str = "",
    no_detector: str = "",
) -> Decision:
    """Released when every gate is met, by override when a person gave a reason, else refused.

    Args:
        no_detector: why no detector goes out with the stage; empty where one does.

    Raises:
        PlanError: a reason without a name, a name without a reason, or either where no gate is
            open.
    """
    still_open = [outcome.gate for outcome in outcomes if outcome.state not in (MET, AT_ADVANCE)]
    # each is one line of a table or a quotation
    reason, by = " ".join(reason.split()), " ".join(by.split())
    if bool(reason) != bool(by):
        raise PlanError(
            "an override is a person's: give --override a written reason, and --by the name of who"
            " takes it"
        )
    if reason and not still_open:
        raise PlanError(
            f"{stage}: every gate is met, so there is nothing to override; leave --override out"
        )
    override = Override(reason, by, tuple(still_open)) if reason else None
    return Decision(
        release,
        stage,
        date.isoformat(),
        OVERRIDDEN if override else REFUSED if still_open else RELEASED,
        tuple(outcomes),
        override,
        no_detector or None,
    )


def decision_markdown(decision: Decision) -> str:
    """The decision as DECISION.md, with every gate's numbers and the ids they were read from."""
    return templates(html=False).get_template("decision.md").render(decision=decision)
