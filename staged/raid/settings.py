"""How a file of labelled texts is evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from staged.detectors.calibration.calibration import check_fpr
from staged.errors import PlanError

Conditions = Mapping[str, Sequence[str]]  # column → values, one of which a row must hold


@dataclass(frozen=True)
class RaidSettings:
    """How a file is evaluated.

    Attributes:
        fprs: false-positive rates to hold, each in (0, 1).
        calibrate_on: column → values: which human rows thresholds may be chosen on; the unattacked
            ones by default.
        share: of the sources with such a row, how many stand on the calibration side, in (0, 1].
        minimum: a figure of fewer texts is blank.
    """

    fprs: tuple[float, ...] = (0.01, 0.05)
    calibrate_on: Conditions = field(default_factory=dict)
    share: float = 0.5
    minimum: int = 30
    seed: int = 1

    def __post_init__(self) -> None:
        for fpr in self.fprs:
            check_fpr(fpr)
        if not self.fprs or len(set(self.fprs)) < len(self.fprs):
            raise PlanError("raid: give each false-positive rate once")
        if not 0 < self.share <= 1:
            raise PlanError(
                f"raid: the calibration share lies above 0 and at most at 1, not {self.share:g}"
            )
        if self.minimum < 2:
            raise PlanError(
                f"raid: the minimum n must be at least 2, not {self.minimum}; an interval needs"
                " two texts"
            )
