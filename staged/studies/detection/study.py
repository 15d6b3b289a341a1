"""The study from plan to report: stages on all cores, then cells, findings and pages from their
scores.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from staged.cells import Cell
from staged.corpus.build import CorpusSettings, split_documents
from staged.corpus.learned import model_learned, text_words_digest
from staged.errors import PlanError
from staged.model.checkpoints import MINIS, load_model, model_folder, own_folder, read_config
from staged.model.formats.layouts import model_files
from staged.pipeline.study_folder import Report, carry_out
from staged.samples.engine import check_length
from staged.storage.digests import sha256_file
from staged.storage.json_files import read_json, write_json
from staged.storage.versions import versions
from staged.storage.writing import write_atomic
from staged.studies.detection import splits
from staged.studies.detection.cells import measure
from staged.studies.detection.copying import copying_stage
from staged.studies.detection.findings import findings, neighbours
from staged.studies.detection.page import write_report
from staged.studies.detection.plan import MIX, StudySettings
from staged.studies.detection.robustness import as_rows, attack_stages, attack_table
from staged.studies.detection.stages import all_stages

GALLERY = 4  # passages a kind in the report's gallery
RESULTS = (
    "cells.json",
    "cells.csv",
    "lengths.json",
    "findings.json",
    "study.json",
    "gallery.json",
    "report.html",
)
ATTACK_RESULT = "attacks.json"


def run_study(
    root: Path,
    settings: StudySettings,
    *,
    workers: int = 1,
    report: Report = lambda stages, stage, share: None,
) -> bool:
    """Make or complete the study's folder.

    Args:
        root: receives `report.html`, `cells.json`, `cells.csv`, `lengths.json`, `findings.json`,
            `study.json`, `gallery.json`, `manifest.json`, and one folder per stage; `attacks.json`
            where the plan names attacks.
        workers: processes at work; the results don't depend on it.

    Returns:
        True when work was done, False when everything was there.

    Raises:
        StagedError: of any stage; what is finished stays.
    """
    corpus, *others = all_stages(root, settings)
    others += [copying_stage(root, settings), *attack_stages(root, settings)]
    encoders = (settings.roberta.base,) if "roberta" in settings.detectors else ()
    for name in settings.models:
        check_length(load_model(name)[0].config, 1, max(settings.lengths))
    refuse_learned((*settings.models, *encoders), settings.corpus)

    def enough() -> None:
        for split in splits.counts(settings):
            splits.human(root, settings, split)

    def write() -> None:
        _write_results(root, settings)
        write_report(root)

    return carry_out(
        root,
        settings.recorded(),
        [corpus],
        others,
        kind="release study",
        check=enough,
        write=write,
        results=_results(settings),
        earlier=(ATTACK_RESULT,),  # of a plan with attacks; removed where this one has none
        workers=workers,
        report=report,
    )


def refuse_learned(models: Sequence[str], corpus: CorpusSettings) -> None:
    """Before the long work: no model, and no encoder of a detector, has learned from what it is
    tested against.

    Args:
        models: by name or folder; of one that is not on this machine nothing is known.

    Raises:
        PlanError: one learned from documents outside the corpus's `pretrain` split, wherever it
            found them.
    """
    documents = split_documents(corpus)
    again = {
        text_words_digest(one.text) for one in documents if one.split == "pretrain"
    }  # which tests lose: `drop_duplicates`
    for name in (one for one in models if one.lower() in MINIS or own_folder(one)):
        learned = model_learned(model_folder(name))
        known = learned.among(documents, corpus.source) if learned else []
        seen = list(
            dict.fromkeys(one.source for one in known if text_words_digest(one.text) not in again)
        )
        if seen:
            raise PlanError(
                f"study: model {name!r} learned from {len(seen)} sources that this plan tests"
                f" against, such as {seen[0]!r}; use the corpus shares and seed it was trained"
                " with, or text that it has not seen"
            )


def _results(settings: StudySettings) -> tuple[str, ...]:
    return (*RESULTS, ATTACK_RESULT) if settings.attacks else RESULTS


def _write_results(root: Path, settings: StudySettings) -> None:
    measured = measure(root, settings)
    matrix = [one.cell for one in measured if one.cell.length_tokens == settings.length_tokens]
    curve = [one.cell for one in measured if one.cell.trained_method == MIX]
    write_json(root / "cells.json", [asdict(cell) for cell in matrix])
    write_atomic(root / "cells.csv", _csv(matrix))
    write_json(
        root / "lengths.json", [asdict(cell) for cell in curve if cell.tested_on == cell.trained_on]
    )
    found = {
        "findings": [asdict(one) for one in findings(measured, settings)],
        "neighbours": [asdict(one) for one in neighbours(measured, settings)],
    }
    write_json(root / "findings.json", found)
    write_json(root / "gallery.json", _gallery(root, settings))
    if settings.attacks:
        write_json(root / ATTACK_RESULT, as_rows(attack_table(root, settings)))
    else:
        (root / ATTACK_RESULT).unlink(missing_ok=True)  # of another plan
    write_json(root / "study.json", _facts(root, settings))


def _csv(cells: Sequence[Cell]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(Cell.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(cell) for cell in cells)
    return text.getvalue().encode()


def _gallery(root: Path, settings: StudySettings) -> list[dict[str, str]]:
    """The first test passages of each kind, at the matrix's length: not chosen by anyone."""
    bpe = splits.tokenizer(settings)
    rows = []
    for model in ("", *settings.models):
        for name in settings.methods if model else ("",):
            texts = (
                splits.machine(root, settings, model, name, "test")
                if model
                else splits.human(root, settings, "test")
            )
            shown = splits.cut_to(
                texts[: GALLERY * (1 if model else 3)], bpe, 2 * settings.length_tokens
            )
            rows += [
                {"model": Path(model).name, "method": name, "id": one.id, "text": one.text}
                for one in shown
            ]
    return rows


def _facts(root: Path, settings: StudySettings) -> dict[str, Any]:
    return {
        "settings": (
            settings.recorded() | {"models": [Path(model).name for model in settings.models]}
        ),
        "versions": versions(),
        "corpus": read_json(root / "corpus" / "counts.json"),
        "copying": read_json(root / "copying" / "copying.json"),
        "models": [model_facts(name) for name in settings.models],
    }


def model_facts(name: str) -> dict[str, Any]:
    """What the report says of a model, the loss None where its folder does not say; and SHA-256 of
    the files that were studied.
    """
    folder = model_folder(name)
    config = read_config(folder)
    record = folder / "training.json"
    loss = read_json(record)["valid_loss_nats_per_token"] if record.is_file() else None
    shape = {"parameters": config.parameters, "layers": config.n_layer, "width": config.n_embd}
    files = {file: sha256_file(path) for file, path in model_files(folder).items()}
    return {"name": Path(name).name, **shape, "valid_loss_nats_per_token": loss, "files": files}
