"""What RAID's attacks do to the detectors of a study, on machine and on human texts, with and without normalisation.

One stage a detector: those trained on the mix, one a model and kind. Each scores the human test texts and the mix's machine
test texts of its own model: as they are, under each attack, and both again after `detectors.normalize`. Texts are cut to the
matrix's length first and attacked then, so an attack takes no words away. A text that came up before is not scored again: what
normalisation restores costs nothing.

Thresholds are chosen on clean human `valid` texts, normalised where the tested ones are: nobody knows beforehand which attack
will come.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from staged.detectors.calibrate import threshold_at_fpr
from staged.detectors.catalog import load_detector
from staged.detectors.contract import Detector
from staged.detectors.normalize import normalize
from staged.errors import ArtifactError
from staged.records import HUMAN, Document
from staged.study import metrics, sets
from staged.study.attacks import attack, check_attacks
from staged.study.plan import MIX, StudySettings
from staged.study.stages import Progress, Stage, detector_stage, samples_stage

CLEAN = "none"
FPRS = (0.05, 0.01)


@dataclass(frozen=True, slots=True)
class Attacked:
    """One detector under one attack at one threshold; all rates are fractions in [0, 1].

    Attributes:
        normalised: whether detection, and the choice of the threshold, came after normalisation.
        fpr_wanted: the false-positive rate that the threshold is to keep on clean human text.
        changed_human, changed_machine: share of texts that still differ from the clean ones when the detector reads them.
        tpr, fpr: share of attacked machine, of attacked human texts above the threshold.
        tpr_change, fpr_change: minus the same share without the attack, on the same texts, likewise normalised or not.
        tpr_p, fpr_p: exact McNemar, two-sided; `_holm` corrects over all the table's.

    `_low` and `_high` bound 95% intervals. None: no threshold certifies the rate, or the row is the clean one.
    """

    detector: str
    trained_on: str
    attack: str
    normalised: bool
    fpr_wanted: float
    n_human: int
    n_machine: int
    changed_human: float
    changed_machine: float
    tpr: float | None = None
    tpr_low: float | None = None
    tpr_high: float | None = None
    fpr: float | None = None
    fpr_low: float | None = None
    fpr_high: float | None = None
    tpr_change: float | None = None
    tpr_change_low: float | None = None
    tpr_change_high: float | None = None
    tpr_p: float | None = None
    tpr_p_holm: float | None = None
    fpr_change: float | None = None
    fpr_change_low: float | None = None
    fpr_change_high: float | None = None
    fpr_p: float | None = None
    fpr_p_holm: float | None = None


def attack_stages(root: Path, settings: StudySettings) -> list[Stage]:
    """The stages that the plan's attacks take; none where it names none.

    Raises:
        PlanError: an attack whose word list is not installed.
    """
    check_attacks(settings.attacks)
    kinds = sorted(settings.detectors) if settings.attacks else ()
    return [_stage(root, settings, kind, model) for kind in kinds for model in settings.models]


def attack_stage(kind: str, model: str) -> str:
    return f"attacks/{kind}/{Path(model).name}"


def _stage(root: Path, settings: StudySettings, kind: str, model: str) -> Stage:
    read = {"attacks": settings.attacks, "n_valid": settings.n_valid, "n_test": settings.n_test, "seed": settings.seed}
    read |= {"length_tokens": settings.length_tokens}
    needs = ("corpus", detector_stage(kind, model, MIX), *(samples_stage(model, name) for name in settings.methods))
    cost = (30 if kind == "roberta" else 8) * len(settings.attacks) / 5
    return Stage(attack_stage(kind, model), partial(_write, root, settings, kind, model), read, needs=needs, cost=cost)


def _write(root: Path, settings: StudySettings, kind: str, model: str, folder: Path, progress: Progress) -> None:
    bpe = sets.tokenizer(settings)
    valid, *test = (sets.human(root, settings, "valid"), sets.human(root, settings, "test"))
    test += [sets.machine(root, settings, model, MIX, "test")]
    valid, human, machine = (sets.cut_to(one, bpe, settings.length_tokens) for one in (valid, *test))
    detector = load_detector(root / detector_stage(kind, model, MIX), bulk=True)
    rows = attacked_scores(detector, valid, [*human, *machine], settings.attacks, seed=settings.seed, progress=progress)
    pq.write_table(pa.Table.from_pylist(rows), folder / "scores.parquet")


def attacked_scores(
    detector: Detector,
    valid: Sequence[Document],
    test: Sequence[Document],
    attacks: Sequence[str],
    *,
    seed: int,
    progress: Progress = lambda done, total: None,
) -> list[dict[str, Any]]:
    """Score the valid texts clean and the test texts clean and attacked, each as it is and normalised.

    Returns:
        Rows of `attack`, `normalised`, `document`, `label`, `split`, `score`, `changed` (what the detector read is not what it
        read without the attack).
    """
    known: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for done, name in enumerate((CLEAN, *attacks)):
        documents = [*valid, *test] if name == CLEAN else test
        for normalised in (False, True):
            read = _reader(normalised)
            clean = [read(one.text) for one in documents]
            texts = clean if name == CLEAN else [read(attack(name, one.text, seed=seed, id=one.id)) for one in documents]
            new = [text for text in dict.fromkeys(texts) if text not in known]
            known |= dict(zip(new, detector.score(new), strict=True))
            rows += [
                {"attack": name, "normalised": normalised, "document": one.id, "label": one.label, "split": one.split}
                | {"score": known[text], "changed": text != before}
                for one, text, before in zip(documents, texts, clean, strict=True)
            ]
        progress(done + 1, len(attacks) + 1)
    return rows


def _reader(normalised: bool) -> Callable[[str], str]:
    return (lambda text: normalize(text).text) if normalised else (lambda text: text)


def attack_table(root: Path, settings: StudySettings) -> list[Attacked]:
    """The table of every detector, attack, threshold and reading.

    Raises:
        ArtifactError: a scores file is missing or damaged.
    """
    found: list[Attacked] = []
    for kind in settings.detectors:
        for model in settings.models:
            path = root / attack_stage(kind, model) / "scores.parquet"
            try:
                rows = pq.read_table(path).to_pylist()
            except (OSError, pa.ArrowException) as error:
                raise ArtifactError(f"{path}: damaged or missing: {error}; delete its folder and run the study again") from None
            found += tabulate(rows, kind, Path(model).name)
    return corrected(found)


def tabulate(rows: Sequence[dict[str, Any]], detector: str, trained_on: str) -> Iterator[Attacked]:
    """Scores of one detector, as `attacked_scores` gives them, to its part of the table, without Holm's correction."""
    of: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    for row in rows:
        of.setdefault((row["attack"], row["normalised"]), []).append(row)
    for (name, normalised), these in of.items():
        clean = of[CLEAN, normalised]
        valid = [row["score"] for row in clean if row["split"] == "valid"]
        for wanted in FPRS:
            cut = threshold_at_fpr(valid, wanted)
            yield _measured(these, clean, cut, (detector, trained_on, name, normalised, wanted))


def _measured(
    these: Sequence[dict[str, Any]], clean: Sequence[dict[str, Any]], cut: float, key: tuple[str, str, str, bool, float]
) -> Attacked:
    before = {row["document"]: row["score"] > cut for row in clean}
    tested = [row for row in these if row["split"] == "test"]
    human, machine = ([row for row in tested if (row["label"] == HUMAN) == is_human] for is_human in (True, False))
    changed = [float(np.mean([row["changed"] for row in part])) for part in (human, machine)]
    found: dict[str, float] = {}
    for what, part in (("fpr", human), ("tpr", machine)) if cut != math.inf else ():
        flagged, flagged_before = [row["score"] > cut for row in part], [before[row["document"]] for row in part]
        found |= metrics.named(what, metrics.rate(sum(flagged), len(part)))
        if key[2] != CLEAN:
            only, only_before, found[f"{what}_p"] = metrics.mcnemar(flagged, flagged_before)
            found |= metrics.named(f"{what}_change", metrics.paired_difference(only, only_before, len(part)))
    return Attacked(*key, len(human), len(machine), *changed, **found)  # type: ignore[arg-type]


def corrected(rows: Sequence[Attacked]) -> list[Attacked]:
    """The table with Holm's correction over all its tests."""
    places = [(i, f"{what}_p") for i, row in enumerate(rows) for what in ("tpr", "fpr") if getattr(row, f"{what}_p") is not None]
    adjusted = metrics.holm([getattr(rows[i], name) for i, name in places])
    new: dict[int, dict[str, float]] = {}
    for (i, name), p in zip(places, adjusted, strict=True):
        new.setdefault(i, {})[f"{name}_holm"] = p
    return [replace(row, **new.get(i, {})) for i, row in enumerate(rows)]  # type: ignore[arg-type]


def as_rows(table: Sequence[Attacked]) -> list[dict[str, Any]]:
    """The table as `attacks.json` holds it."""
    return [asdict(one) for one in table]
