"""What a score is compared with where nothing has to be: the score of a test whose p-values are
exact is −log10 of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from staged.detectors.contract import MACHINE_WRITTEN, NOT_ENOUGH
from staged.detectors.coverage.reasons import Coverage

LEAST_P = 5e-324


@dataclass(frozen=True)
class ExactTest:
    """Stands where a detector's calibration stands, for a detector that needs none.

    Attributes:
        detector: whose scores it judges.
        looked_for: what the test looks for, as a sentence goes on after "a text without".
    """

    detector: str
    looked_for: str
    edges_words: tuple[int, ...] = (0,)
    domains: tuple[str, ...] = ()
    by_kind: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    fingerprint: str = "exact"

    @property
    def coverage(self) -> Coverage:
        """No text is left out: a script or a kind of text means nothing to a key."""
        return Coverage()

    def bin_of(self, words: int) -> int | None:
        """All lengths are one."""
        return 0

    def bin_name(self, index: int) -> str:
        """For a person."""
        return "any length"

    def can_call(self, p_value: float | None, n_human: int, fpr: float) -> bool:
        """Whether a text could be called machine-written, whatever its score."""
        return p_value is not None

    def scores(self, words: int, *, kind: str = "") -> tuple[list[float], list[float]]:
        """No texts are compared with."""
        return [], []

    def verdict(
        self, score: float | None, words: int, fpr: float, *, kinds: Sequence[str] = ()
    ) -> tuple[str, float | None, int, str, str]:
        """As `Calibration.verdict`: `machine` when p ≤ fpr, and else `not enough evidence`, as text
        without a mark may be anybody's.

        Args:
            score: −log10 of a p-value; 0 where too little was read to test.
        """
        if not score:
            why = f"There are too few tokens to tell a text from one without {self.looked_for}."
            return NOT_ENOUGH, None, 0, why, ""
        p = max(10.0**-score, LEAST_P)
        facts = f"A text without {self.looked_for} shows so much of it with probability {p:.3g}"
        if p <= fpr:
            return MACHINE_WRITTEN, p, 0, f"{facts}.", ""
        return NOT_ENOUGH, p, 0, f"{facts}, which is no evidence; the text may be anybody's.", ""
