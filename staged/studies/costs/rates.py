"""Rates that were measured, and which of them says how long a model takes on a device.

They are of docs/results/bench; `docs/generate.py` writes them into staged/plans/rates.json.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from staged.plans.shipped import FOLDER
from staged.storage.records import read_record
from staged.studies.costs.devices import Devices
from staged.studies.costs.sizes import ENCODERS, Size, causal_size, encoder_size

RATES = FOLDER / "rates.json"


@dataclass(frozen=True)
class Rate:
    """One measured rate.

    Attributes:
        work: `sample`, `train` or `score`.
        model: whose tokens these were; a released size, or an encoder.
        device: as `Devices.name`.
        cores: that computed; 0 where it was a GPU.
        batch: texts at once.
        precision: of the weights.
        tokens_per_s: by all of its cores, or by the GPU.
        file: of docs/results/bench.
    """

    work: str
    model: str
    device: str
    cores: int
    batch: int
    precision: str
    tokens_per_s: float
    file: str

    @property
    def said(self) -> str:
        """What was measured."""
        return (
            f"{self.tokens_per_s:,.0f} tokens a second of {self.model}, {self.precision}, batch"
            f" {self.batch}{f', {self.cores} cores' * bool(self.cores)} ({self.file})"
        )

    def seconds(self, tokens: int, size: Size, devices: Devices) -> float:
        """How long a model of a size takes for tokens on so many devices, at as many operations a
        second.
        """
        share = devices.count / (self.cores or 1)
        return tokens * size.operations / (self.operations * self.tokens_per_s * share)

    @property
    def operations(self) -> int:
        """A token's, of the model that was measured."""
        size = (encoder_size if self.model in ENCODERS else causal_size)(self.model)
        assert size is not None
        return size.operations


@cache
def measured_rates() -> tuple[Rate, ...]:
    """All of them."""
    return read_record(RATES, tuple[Rate, ...])


def rate_for(work: str, size: Size, devices: Devices) -> Rate | None:
    """The rate of the model that is nearest in operations a token, at its largest batch; None where
    such work was never measured on the device.
    """
    fitting = (r for r in measured_rates() if (r.work, r.device) == (work, devices.name))

    def distance(rate: Rate) -> tuple[float, int]:
        return abs(math.log(rate.operations / size.operations)), -rate.batch

    return min(fitting, key=distance, default=None)
