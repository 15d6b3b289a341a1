"""What a questionnaire is: whose texts, how many people, and how texts are drawn."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from staged.errors import PlanError
from staged.model.sources.served import model_identity
from staged.settings import LARGEST

__all__ = ["HEADER", "KIND", "OWN_WORDS", "SCALES", "SurveySettings"]

SCALES = ("believable", "accurate", "clear")
HEADER = ("sheet", "row", "text", *SCALES, "remarks")
KIND = "questionnaire"  # what its folder is called
OWN_WORDS = 10  # of the model at least in a text that people rate


@dataclass(frozen=True)
class SurveySettings:
    """What is asked, and of how many people.

    Attributes:
        models: whose texts, smallest first.
        sheets: people who will answer.
        each: texts of each model on a sheet.
        length: tokens that a model adds at most; its text ends with the last sentence that it
            finished, and has OWN_WORDS of its own.
        method: how tokens are drawn, by name.
        sentences: file of opening sentences, one a line; empty takes them from presidential
            messages that no shipped model and no detector learned from.
        seed: everything random depends on it.
        batch, precision, device: as `SampleSettings` has them.
    """

    models: tuple[str, ...]
    sheets: int = 20
    each: int = 2
    length: int = 150
    method: str = "nucleus"
    sentences: str = ""
    seed: int = 1
    batch: int = 64
    precision: str = ""
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not self.models:
            raise PlanError("survey: give at least one model")
        for name, count in Counter(map(model_identity, self.models)).items():
            if count > 1:
                raise PlanError(
                    f"survey: {name} is given twice; a comparison needs two different models"
                )
        for name, least in (("sheets", 2), ("each", 1), ("length", 1), ("batch", 1)):
            if not least <= getattr(self, name) <= LARGEST:
                raise PlanError(
                    f"survey: {name} must be at least {least} and at most {LARGEST:,}, not"
                    f" {getattr(self, name)}"
                )

    @property
    def texts(self) -> int:
        """Texts on a sheet."""
        return self.each * len(self.models)
