"""What a bias probe is: how much is asked, and how it is compared."""

from __future__ import annotations

from dataclasses import dataclass

from staged.errors import PlanError
from staged.settings import LARGEST

LEAST = {"per_prompt": 2, "length": 1, "permutations": 99, "resamples": 99, "batch": 1}


@dataclass(frozen=True)
class BiasSettings:
    """How much is asked, and how it is compared.

    Attributes:
        per_prompt: completions of each prompt.
        length: tokens of a completion at most; it ends at a line break.
        method: how tokens are drawn, by name.
        seed: everything random depends on it.
        permutations: of each permutation test; the smallest p-value is 1 / (permutations + 1).
        resamples: of each bootstrap.
        batch: completions computed at once.
        precision, device: as `SampleSettings` has them.
    """

    per_prompt: int = 100
    length: int = 24
    method: str = "temperature-1"
    seed: int = 1
    permutations: int = 9999
    resamples: int = 2000
    batch: int = 128
    precision: str = ""
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if not least <= getattr(self, name) <= LARGEST:
                raise PlanError(
                    f"bias: {name.replace('_', ' ')} must be at least {least} and at most"
                    f" {LARGEST:,}, not {getattr(self, name)}"
                )
