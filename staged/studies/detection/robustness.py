"""What RAID's attacks do to the detectors of a study, on machine and on human texts, with and
without normalisation.

One stage a detector: those trained on the mix, one a model and kind. Each scores the human test
texts and the mix's machine test texts of its own model: as they are, under each attack, and both
again after `detectors.normalize`. Texts are cut to the matrix's length first and attacked then, so
an attack takes no words away. A text that came up before is not scored again: what normalisation
restores costs nothing.

Thresholds are chosen on clean human `valid` texts, normalised where the tested ones are: nobody
knows beforehand which attack will come.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from staged.attacks.rates import CLEAN, AttackedAs, AttackRate, corrected, measured, under
from staged.detectors.calibration.scoring import finite_scores
from staged.detectors.catalog import load_detector
from staged.detectors.contract import Detector
from staged.pipeline.stage import Effort, Inputs, SplitStage
from staged.pipeline.tables import TableRow, read_table, write_table
from staged.records import HUMAN, LABELS, Document
from staged.stats.thresholds import threshold_at_fpr
from staged.studies.computed import record_device
from staged.studies.detection.graph import StudyStages
from staged.studies.detection.plan import MIX
from staged.studies.detection.results import AttackRow
from staged.studies.detection.stages import Detector as TrainedOnMix
from staged.studies.generators.texts import MachineTexts
from staged.studies.stages import Corpus

AT_ONCE = 512  # documents whose texts are scored as one block
FPRS = (0.05, 0.01)
MEASURED = ("rate", "rate_low", "rate_high", "change", "change_low", "change_high", "p", "p_holm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked(AttackRate):
    """A row of the texts that one detector was tested on; without rates where no threshold
    certifies the nominal one.
    """

    detector: str
    trained_on: str


@dataclass(frozen=True, kw_only=True)
class AttackedScores(SplitStage):
    """Scores of a detector that was trained on the mix, under each attack."""

    attacks: tuple[str, ...]
    n_valid: int
    n_test: int
    seed: int
    length_tokens: int
    opening_words: int | None = None
    detector: TrainedOnMix
    corpus: Corpus
    samples: tuple[MachineTexts, ...]

    @property
    def name(self) -> str:
        return f"attacks/{self.detector.kind}/{self.detector.model}"

    @property
    def cost(self) -> float:
        return self.detector.cost * len(self.attacks) / 5

    @property
    def efforts(self) -> tuple[Effort, ...]:
        """Clean and attacked, each as it is and normalised, if all of these differ."""
        test = 2 * self.n_test * (1 + len(self.attacks))
        return (
            Effort("score", self.detector.learner, 2 * (self.n_valid + test), self.length_tokens),
        )

    @property
    def blocks(self) -> Sequence[str]:
        """Some documents a block, in every form that they are read in."""
        return tuple(f"{first:09d}.json" for first in self._firsts)

    @property
    def _firsts(self) -> range:
        return range(0, self.n_valid + 2 * self.n_test, AT_ONCE)

    @contextmanager
    def opened(self, inputs: Inputs) -> Iterator[Callable[[int], list[TableRow]]]:
        documents = self.corpus.cut(
            inputs,
            [
                *self.corpus.drawn(inputs, "valid", self.n_valid, seed=self.seed),
                *self.corpus.drawn(inputs, "test", self.n_test, seed=self.seed),
                *self.detector.machine(inputs, "test", self.n_test),
            ],
            self.length_tokens,
        )
        device = self.detector.computes_on
        detector = load_detector(inputs[self.detector.name], bulk=True, device=device)

        def make(number: int) -> list[TableRow]:
            first = self._firsts[number]
            taken = documents[first : first + AT_ONCE]
            return attacked_scores(detector, taken, self.attacks, self.seed)

        yield make

    def join(self, folder: Path, values: Iterator[list[TableRow]], inputs: Inputs) -> None:
        """All documents of one attack and reading together."""
        forms = {form: place for place, form in enumerate(_forms(self.attacks))}
        rows = [row for block in values for row in block]
        rows.sort(key=lambda row: forms[row["attack"], row["normalised"]])
        write_table(folder / "scores.parquet", rows)
        record_device(folder, self.detector.computes_on)


def _forms(attacks: Sequence[str]) -> list[AttackedAs]:
    return [(name, normalised) for name in (CLEAN, *attacks) for normalised in (False, True)]


def attack_stages(stages: StudyStages) -> list[AttackedScores]:
    """The stages that the plan's attacks take; none where it names none."""
    settings = stages.settings
    mixes = [
        detector
        for detector in stages.detectors.values()
        if detector.method == MIX and settings.attacks
    ]
    return [
        AttackedScores(
            attacks=settings.attacks,
            n_valid=settings.n_valid,
            n_test=settings.n_test,
            seed=settings.seed,
            length_tokens=settings.length_tokens,
            opening_words=stages.corpus.opening_words or None,
            detector=detector,
            corpus=stages.corpus,
            samples=detector.samples,
        )
        for detector in mixes
    ]


def attacked_scores(
    detector: Detector, documents: Sequence[Document], attacks: Sequence[str], seed: int
) -> list[TableRow]:
    """Score `valid` documents clean and `test` ones clean and attacked, each as it is and
    normalised; a text that comes up again is not scored again.

    Returns:
        Rows of `attack`, `normalised`, `document`, `label`, `split`, `score`, `changed` (what the
        detector read is not what it read without the attack).
    """
    test = [document for document in documents if document.split == "test"]
    of = {form: documents if form[0] == CLEAN else test for form in _forms(attacks)}
    read = {form: under(of_form, form, seed=seed) for form, of_form in of.items()}
    scores: dict[str, float] = {}
    for texts in read.values():
        fresh = list(dict.fromkeys(text for text in texts if text not in scores))
        scores |= dict(zip(fresh, finite_scores(detector, fresh), strict=True))
    rows = []
    for (name, normalised), of_form in of.items():
        clean = dict(zip(map(id, documents), read[CLEAN, normalised], strict=True))
        for document, text in zip(of_form, read[name, normalised], strict=True):
            about = {"attack": name, "normalised": normalised, "document": document.id}
            about |= {"label": document.label, "split": document.split}
            rows.append(about | {"score": scores[text], "changed": text != clean[id(document)]})
    return rows


def attack_table(inputs: Inputs, stages: Sequence[AttackedScores]) -> list[Attacked]:
    """The table of every detector, attack, threshold and reading.

    Raises:
        ArtifactError: a scores file is missing or damaged.
    """
    table: list[Attacked] = []
    for stage in stages:
        rows = read_table(inputs[stage.name] / "scores.parquet")
        table += tabulate(rows, stage.detector.kind, stage.detector.model)
    return corrected(table)


def tabulate(rows: Sequence[dict[str, Any]], detector: str, trained_on: str) -> Iterator[Attacked]:
    """Scores of one detector, as `attacked_scores` gives them, to its part of the table, without
    Holm's correction.
    """
    of: dict[AttackedAs, list[dict[str, Any]]] = {}
    for row in rows:
        of.setdefault((row["attack"], row["normalised"]), []).append(row)
    for (name, normalised), attack_rows in of.items():
        clean = {row["document"]: row["score"] for row in of[CLEAN, normalised]}
        valid = [row["score"] for row in of[CLEAN, normalised] if row["split"] == "valid"]
        for fpr in FPRS:
            cut = threshold_at_fpr(valid, fpr)
            for label, written_by in LABELS.items():
                group = [
                    row for row in attack_rows if row["split"] == "test" and row["label"] == label
                ]
                decided = group if cut < math.inf else []
                yield measured(
                    Attacked(
                        written_by, name, normalised, fpr, detector=detector, trained_on=trained_on
                    ),
                    [row["changed"] for row in group],
                    [clean[row["document"]] > cut for row in decided],
                    [row["score"] > cut for row in decided],
                )


def as_rows(table: Sequence[Attacked]) -> list[AttackRow]:
    """The table as `attacks.json` holds it: human and machine texts of one detector, attack,
    reading and rate side by side.
    """
    rows: dict[tuple[str, str, str, bool, float], dict[str, Any]] = {}
    for attacked in table:
        key = (
            attacked.detector,
            attacked.trained_on,
            attacked.attack,
            attacked.normalised,
            attacked.fpr,
        )
        names = ("detector", "trained_on", "attack", "normalised", "fpr_wanted")
        row = rows.setdefault(key, dict(zip(names, key, strict=True)))
        row |= {
            f"n_{attacked.written_by}": attacked.n,
            f"changed_{attacked.written_by}": attacked.changed,
        }
        what = "fpr" if attacked.written_by == LABELS[HUMAN] else "tpr"
        row |= {
            what + f"_{name}".removeprefix("_rate"): getattr(attacked, name) for name in MEASURED
        }
    return [AttackRow(**row) for row in rows.values()]
