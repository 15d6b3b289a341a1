"""The study from plan to report: stages on all cores, then cells, findings and pages from their
scores.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from staged.cells import Cell
from staged.corpus.counts import COUNTS, CorpusCounts
from staged.engines.choice import ALL_CORES, Engine
from staged.notes import note
from staged.pipeline.stage import Inputs, Stage
from staged.pipeline.study_folder import Study, StudyProgress, carry_out
from staged.settings import described
from staged.storage.forms import json_object
from staged.storage.records import from_json, read_record, to_json, write_record
from staged.storage.versions import versions
from staged.storage.writing import write_atomic
from staged.studies.detection.cells import Measured, measure, recorded_thresholds
from staged.studies.detection.copying import Copying
from staged.studies.detection.findings import findings, neighbours
from staged.studies.detection.graph import StudyStages, counts, study_stages
from staged.studies.detection.plan import MIX, StudySettings
from staged.studies.detection.report.page import write_report
from staged.studies.detection.results import (
    ATTACKS,
    FINDINGS,
    GALLERY,
    STUDY,
    Findings,
    GalleryText,
    RecordedStudy,
    StudyCopied,
    StudyFacts,
)
from staged.studies.detection.robustness import as_rows, attack_stages, attack_table
from staged.studies.generators.facts import check_models, check_prompts, written
from staged.studies.models import model_facts, refuse_learned, short_name

SHOWN = 4  # passages a kind in the report's gallery
RESULTS = ("cells.json", "cells.csv", "lengths.json", FINDINGS, STUDY, GALLERY, "report.html")


class ReleaseStudy(Study):
    """A release study: its stages, and what is made of them.

    Args:
        settings: the plan; of its samples it is read whose they are.

    Raises:
        PlanError: two models whose folders have one name.
    """

    kind = "release study"
    earlier = (ATTACKS,)  # of a plan with attacks; removed where this one has none

    def __init__(self, settings: StudySettings) -> None:
        self.settings, self.stages = settings, study_stages(settings)
        self.attacks = attack_stages(self.stages)
        self.copying = Copying(
            n_test=settings.n_test,
            seed=settings.seed,
            opening_words=self.stages.corpus.opening_words or None,
            corpus=self.stages.corpus,
            samples=tuple(self.stages.samples.values()),
        )

    @property
    def results(self) -> tuple[str, ...]:
        return (*RESULTS, ATTACKS) if self.attacks else RESULTS

    @property
    def recorded(self) -> dict[str, Any]:
        return recorded(self.stages)

    @property
    def corpora(self) -> list[Stage]:
        return [self.stages.corpus]

    @property
    def others(self) -> list[Stage]:
        return [*self.stages.others, self.copying, *self.attacks]

    def check(self, inputs: Inputs) -> None:
        for split in counts(self.settings):
            self.stages.human(inputs, split)
        check_prompts(inputs, self.stages.samples.values())

    def is_described(self, root: Path) -> bool:
        recorded = (json_object(root / STUDY) or {}).get("settings", {})
        return described(recorded, self.settings) == recorded

    def write(self, root: Path, inputs: Inputs) -> None:
        measured = measure(inputs, self.stages)
        _write_cells(root, measured, self.settings)
        comparisons = Findings(
            tuple(findings(measured, self.settings)), tuple(neighbours(measured, self.settings))
        )
        write_record(root / FINDINGS, comparisons)
        write_record(root / GALLERY, _gallery(inputs, self.stages))
        if self.attacks:
            write_record(root / ATTACKS, as_rows(attack_table(inputs, self.attacks)))
        else:
            (root / ATTACKS).unlink(missing_ok=True)  # of another plan
        facts, thresholds = (
            _facts(root, inputs, self.stages),
            recorded_thresholds(measured, self.settings),
        )
        write_record(root / STUDY, replace(facts, thresholds=thresholds))
        write_report(root)


def recorded(stages: StudyStages) -> dict[str, Any]:
    """The settings, with the number of words in openings where the plan leaves it out."""
    openings = stages.corpus.opening_words
    return stages.settings.recorded() | ({"opening_words": openings} if openings else {})


def run_study(
    root: Path,
    settings: StudySettings,
    *,
    engine: Engine = ALL_CORES,
    report: StudyProgress = lambda stages, stage, share: None,
) -> bool:
    """Make or complete the study's folder.

    Args:
        root: receives `report.html`, `cells.json`, `cells.csv`, `lengths.json`, `findings.json`,
            `study.json`, `gallery.json`, `manifest.json`, and one folder per stage; `attacks.json`
            where the plan names attacks.
        engine: what computes; the results don't depend on it.

    Returns:
        True when work was done, False when everything was there.

    Raises:
        StagedError: of any stage; what is finished stays.
    """
    study = ReleaseStudy(settings)
    check_models(study.stages.samples.values())
    openings = study.stages.corpus.opening_words
    if openings and settings.opening_words is None:
        note(
            f"study: models are given the first {openings} words of human passages, as a server"
            " takes no empty prompt and a task wants its opening; opening_words says how many"
        )
    refuse_learned((*settings.models, *settings.bases), settings.corpus)
    return carry_out(root, study, engine=engine, report=report)


def _write_cells(root: Path, measured: Sequence[Measured], settings: StudySettings) -> None:
    cells = [result.cell for result in measured]
    matrix = [cell for cell in cells if cell.length_tokens == settings.length_tokens]
    curve = [cell for cell in cells if cell.trained_method == MIX]
    lengths = [cell for cell in curve if cell.tested_on == cell.trained_on]
    write_record(root / "cells.json", matrix)
    write_atomic(root / "cells.csv", _csv(matrix))
    write_record(root / "lengths.json", lengths)


def _csv(cells: Sequence[Cell]) -> bytes:
    text = io.StringIO()
    rows = [to_json(cell) for cell in cells]
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _gallery(inputs: Inputs, stages: StudyStages) -> list[GalleryText]:
    """The first test passages of each kind, at the matrix's length: not chosen by anyone."""
    sets = [("", "", stages.human(inputs, "test")[: 3 * SHOWN])]
    for model, method in stages.samples:
        sets.append((model, method, stages.machine(inputs, model, method, "test")[:SHOWN]))
    tokens = 2 * stages.settings.length_tokens
    return [
        GalleryText(model, method, text.id, text.text)
        for model, method, texts in sets
        for text in stages.corpus.cut(inputs, texts, tokens)
    ]


def _facts(root: Path, inputs: Inputs, stages: StudyStages) -> StudyFacts:
    settings, words = stages.settings, stages.corpus.all_words(inputs)
    said = described(recorded(stages), settings) | {
        "models": list(map(short_name, settings.models))
    }
    rows = written(
        inputs,
        {split: stages.human(inputs, split) for split in ("train", "test")},
        stages.samples.values(),
        stages.corpus.words(inputs, settings.length_tokens),
    )
    checks = tuple(stage.checks(inputs) for stage in stages.given)
    return StudyFacts(
        from_json(RecordedStudy, said, where="the plan"),
        versions(),
        read_record(root / "corpus" / COUNTS, CorpusCounts),
        read_record(root / "copying" / "copying.json", tuple[StudyCopied, ...]),
        tuple(model_facts(model, given=stages.is_given(model)) for model in settings.models),
        words=words,
        written=tuple(rows) if words or checks or stages.has_prompts else None,
        given=checks or None,
    )
