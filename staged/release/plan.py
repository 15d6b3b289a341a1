"""release.toml: the stages, from the smallest size to the largest, and what must be measured before
each may go out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from staged.cells import Cell
from staged.errors import PlanError
from staged.model.sources.served import parse_served
from staged.release.card.card import blank_keys
from staged.settings import from_table, nearest, read_toml

__all__ = [
    "BIAS",
    "CARD",
    "CREDIBILITY",
    "DETECTION",
    "SIGNATURE",
    "Gate",
    "Release",
    "ReleaseStage",
    "read_release",
]

DETECTION = "detection"
BIAS = "bias"
CREDIBILITY = "credibility"
CARD = "card"
SIGNATURE = "signature"
LEAST_WORDS = 4  # of a reason why no detector goes out
# kind → (keys it needs, of which one must be given)
NEEDS = {
    DETECTION: (("cell", "field"), ("at_least", "at_most")),
    BIAS: (("at_most",), ()),
    CREDIBILITY: (("at_most",), ()),
    CARD: ((), ()),
    SIGNATURE: ((), ()),
}


@dataclass(frozen=True)
class Gate:
    """One condition on one stage; of the first three a 95% interval lies wholly on the right side,
    or wholly on the other, or else they are not measured (`outcomes.state_of`).

    detection     of the field, `at_least` or `at_most`
    bias          of every effect's rise over the last stage's, `at_most`, in units of the effect
    credibility   of the rise over the last stage's index, by the same people, `at_most`, in points
                  of 1 … 10
    card          no blank on the card, but those whose keys are in `may_be_blank`
    signature     earlier stages' packages are whole, and this one's signature verifies before it
                  gets its name
    """

    kind: str
    cell: str = ""  # an id in which `{stage}` stands for the stage's name
    field: str = ""
    at_least: float | None = None
    at_most: float | None = None
    may_be_blank: tuple[str, ...] = ()

    def cell_id(self, stage: str) -> str:
        """The id of the cell that this gate reads, on one stage."""
        return self.cell.replace("{stage}", stage)

    def title(self, stage: str) -> str:
        """One line that names the condition with its numbers."""
        if self.kind == DETECTION:
            limit = f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"
            return f"{self.field} {limit} in {self.cell_id(stage)}"
        return {
            BIAS: f"no bias effect worse than the last stage's by more than {self.at_most}",
            CREDIBILITY: f"credibility index at most {self.at_most} above the last stage's",
            CARD: (
                "card complete"
                + (f", but for {', '.join(self.may_be_blank)}" if self.may_be_blank else "")
            ),
            SIGNATURE: "signature verifies",
        }[self.kind]


@dataclass(frozen=True)
class ReleaseStage:
    """One size: a package is built of its model, the detector of its output, and the evidence.

    Attributes:
        model: a shipped model's name, or a folder.
        detector: folder of the detector that is released with it; empty where none is.
        no_detector: the reason why none is; empty where one is.
    """

    name: str
    model: str
    detector: str = ""
    gates: tuple[Gate, ...] = ()
    no_detector: str = ""

    @property
    def detector_folder(self) -> Path | None:
        """Where its detector lies; None where none is released with it."""
        return Path(self.detector) if self.detector else None


@dataclass(frozen=True)
class Release:
    """A whole release; paths are as the plan gives them, from the plan's own folder."""

    path: Path
    title: str
    version: str
    licence: Path
    words: Path
    evidence: tuple[Path, ...]
    stages: tuple[ReleaseStage, ...]


@dataclass(frozen=True)
class _Stage:
    name: str
    model: str
    detector: str = ""
    no_detector: str = ""


@dataclass(frozen=True)
class _Head:
    title: str
    licence: str
    words: str
    evidence: tuple[str, ...]
    version: str = "1"


def read_release(path: Path) -> Release:
    """Parse a release's plan.

    Raises:
        PlanError: missing, not TOML, an unknown key or kind of gate, a gate without its limit, a
            blank that no card has, or two stages of one name.
    """
    table = read_toml(path)
    common, stages = _tables(table, "gates", path), _tables(table, "stages", path)
    head = from_table(_Head, table, where=str(path))
    for key in ("title", "version"):
        if not getattr(head, key).strip():
            raise PlanError(
                f"{path}: {key} must not be empty; the decision and the bill of materials show it"
            )
    shared = tuple(_gate(gate, f"{path} [[gates]]") for gate in common)
    read = tuple(_stage(stage, shared, path) for stage in stages)
    names = [stage.name for stage in read]
    if not read or len(set(names)) < len(names):
        raise PlanError(f"{path}: needs [[stages]], each with a name of its own; it has {names}")
    _check_blanks(read, path)
    folder = path.parent
    evidence = tuple(folder / place for place in head.evidence)
    return Release(
        path, head.title, head.version, folder / head.licence, folder / head.words, evidence, read
    )


def _tables(table: dict[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    tables = table.pop(key, [])
    if not isinstance(tables, list) or not all(isinstance(item, dict) for item in tables):
        raise PlanError(f"{path}: {key} must be tables, written [[{key}]]")
    return tables


def _stage(table: dict[str, Any], shared: tuple[Gate, ...], path: Path) -> ReleaseStage:
    own = tuple(_gate(one, f"{path} [[stages.gates]]") for one in _tables(table, "gates", path))
    stage = from_table(_Stage, table, where=f"{path} [[stages]]")
    reason = " ".join(stage.no_detector.split())  # a line of tables
    if not stage.name or Path(stage.name).name != stage.name or stage.name.startswith("."):
        raise PlanError(f"{path} [[stages]]: name {stage.name!r} must be a plain folder name")
    if parse_served(stage.model):
        raise PlanError(
            f"{path} [[stages]]: the model of {stage.name!r} is behind a server, {stage.model}, and"
            " a package holds a model's weights; give the folder of the weights that the server"
            " loads, or leave the stage out: `staged card` shows what was measured of it"
        )
    _check_detector(stage.detector, reason, f"{path}: stage {stage.name!r}")
    here = path.parent
    model = str(here / stage.model) if (here / stage.model).is_dir() else stage.model
    detector = str(here / stage.detector) if stage.detector else ""
    return ReleaseStage(stage.name, model, detector, (*shared, *own), reason)


def _check_detector(detector: str, reason: str, where: str) -> None:
    """Refuse a stage with neither a detector nor a reason why none goes out, or with both."""
    if not (detector or reason):
        raise PlanError(
            f"{where}: has no detector; name its folder, or say with no_detector why none goes out"
        )
    if detector and reason:
        raise PlanError(f"{where}: has a detector and a reason for none; leave out one of them")
    if reason and len(reason.split()) < LEAST_WORDS:
        raise PlanError(
            f"{where}: no_detector {reason!r} is no reason that a reader could judge; give at least"
            f" {LEAST_WORDS} words"
        )


def _check_blanks(stages: Sequence[ReleaseStage], path: Path) -> None:
    """Refuse `may_be_blank` with a key that no blank of these stages' cards has."""
    known = blank_keys([stage.name for stage in stages])
    for key in (key for stage in stages for gate in stage.gates for key in gate.may_be_blank):
        if key not in known:
            raise PlanError(
                f"{path}: may_be_blank: no blank {key!r} on a card; {nearest(key, known)}"
            )


def _gate(table: dict[str, Any], where: str) -> Gate:
    gate = from_table(Gate, table, where=where)
    if gate.kind not in NEEDS:
        raise PlanError(f"{where}: unknown kind {gate.kind!r}; {nearest(gate.kind, NEEDS)}")
    all_of, one_of = NEEDS[gate.kind]
    lacking = [key for key in all_of if getattr(gate, key) in ("", None)]
    given = [key for key in one_of if getattr(gate, key) is not None]
    if lacking or (one_of and len(given) != 1):
        raise PlanError(
            f"{where}: a {gate.kind} gate needs {', '.join(all_of)}"
            + (f" and one of {', '.join(one_of)}" if one_of else "")
        )
    rates = [
        field.name
        for field in fields(Cell)
        if "float" in str(field.type) and not field.name.endswith(("_low", "_high"))
    ]
    if gate.field and gate.field not in rates:
        raise PlanError(f"{where}: no field {gate.field!r} in a cell; {nearest(gate.field, rates)}")
    return gate
