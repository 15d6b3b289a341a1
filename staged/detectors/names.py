"""Detectors' names: which detector a name means, and where its files lie."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from staged.model.sources.places import place_of, standing
from staged.model.sources.releases import is_repository

# Their folders come with this package; the dated ones are what the default was until then, and what
# was beside it.
SHIPPED = ("evidence", "evidence-2026-11", "evidence-gemma-2026-11", "evidence-ensemble-2026-11")
RENAMED = {
    "evidence-gemma": "evidence-gemma-2026-11",
    "evidence-ensemble": "evidence-ensemble-2026-11",
}
# each names its models after an @; those that it reads with where it names none
SCORER = "smollm2-135m"
PAIR = "mini-l,mini-xl"  # of one tokenizer: an observer and a performer
ZERO_SHOT = {
    "likelihood": SCORER,
    "rank": SCORER,
    "log-rank": SCORER,
    "entropy": SCORER,
    "lrr": SCORER,
    "fast-detectgpt": SCORER,
    "binoculars": PAIR,
    "gltr": SCORER,
}
WATERMARK = "watermark"  # and after an @ the id of a key
HUB = {
    "roberta-base-openai-detector": "openai-community/roberta-base-openai-detector",
    "roberta-large-openai-detector": "openai-community/roberta-large-openai-detector",
}
RELEASED_FILES = ("detector-base.pt", "detector-large.pt")
RELEASED_DETECTORS = (*HUB, *RELEASED_FILES)
KNOWN = (*SHIPPED, *RENAMED, *ZERO_SHOT, WATERMARK, *RELEASED_DETECTORS)

Kind = Literal["shipped", "zero-shot", "watermark", "released", "folder", "file", "hub", "unknown"]


@dataclass(frozen=True)
class DetectorName:
    """A detector's name, as it was given, and what it means.

    Attributes:
        place: where its files lie, if it is one that has a folder or a file; it need not exist.
        score, models: of a zero-shot detector: its score, and the models that it reads with; of a
            watermark's test `watermark`, and its key.
    """

    given: str
    kind: Kind
    place: Path
    score: str = ""
    models: tuple[str, ...] = ()

    @property
    def full(self) -> str:
        """The same detector's name, whichever way it was written: a zero-shot score with its
        models, a folder without a last slash.
        """
        if self.score:
            return f"{self.score}@{','.join(model.rstrip('/') for model in self.models)}"
        return self.given if self.given in KNOWN else self.given.rstrip("/")


def parse_name(given: str) -> DetectorName:
    """What a name means. A name of KNOWN means that detector; `./name` a folder or file that is
    called like one.
    """
    score, _, models = given.partition("@")
    place = shipped_folder(given) if given in (*SHIPPED, *RENAMED) else place_of(given)
    if score in ZERO_SHOT:
        chosen = (models or ZERO_SHOT[score]).split(",")
        return DetectorName(given, "zero-shot", place, score, tuple(filter(None, chosen)))
    if score == WATERMARK:
        keys = tuple(filter(None, models.split(",")))
        return DetectorName(given, "watermark", place, score, keys)
    return DetectorName(given, "unknown" if not given else _kind(given, place), place)


def _kind(given: str, place: Path) -> Kind:
    if given in (*SHIPPED, *RENAMED):
        return "shipped"
    if given in RELEASED_DETECTORS:
        return "released"
    match standing(place):
        case "folder":
            return "folder"
        case "file":
            return "file"
    if given in HUB.values():
        return "released"
    return "hub" if is_repository(given) else "unknown"


def shipped_folder(name: str) -> Path:
    """Where one of `SHIPPED` or `RENAMED` lies."""
    return Path(str(files("staged") / "detectors" / "shipped" / RENAMED.get(name, name)))
