"""The study from plan to report: stages on all cores, then cells, findings and pages from their scores."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from staged.artifacts import (
    disk_errors,
    fingerprint,
    is_complete,
    locked,
    partial_of,
    read_json,
    versions,
    write_atomic,
    write_json,
)
from staged.corpus.build import CorpusSettings, split_documents
from staged.corpus.learned import model_learned, text_words_digest
from staged.digests import sha256_file
from staged.errors import PlanError
from staged.gate import MANIFEST, check_construction, check_replaceable, check_stage, holds, start_ledger
from staged.model.checkpoints import MINIS, load_model, model_folder, own_folder, read_config
from staged.model.layouts import model_files
from staged.records import Cell
from staged.samples.engine import check_length
from staged.study import sets
from staged.study.cells import measure
from staged.study.copying import copying_stage
from staged.study.findings import findings, neighbours
from staged.study.plan import MIX, StudySettings
from staged.study.robustness import as_rows, attack_stages, attack_table
from staged.study.run import run_here, run_stages
from staged.study.stages import Stage, all_stages

# (all stages, the one that moved, its share done in [0, 1])
Report = Callable[[Sequence[Stage], Stage, float], None]
GALLERY = 4  # passages a kind in the report's gallery
RESULTS = ("cells.json", "cells.csv", "lengths.json", "findings.json", "study.json", "gallery.json", "report.html")
ATTACK_RESULT = "attacks.json"


def run_study(
    root: Path,
    settings: StudySettings,
    *,
    render: Callable[[Path], None],
    workers: int = 1,
    report: Report = lambda stages, stage, share: None,
) -> bool:
    """Make or complete the study's folder.

    Args:
        root: receives `report.html`, `cells.json`, `cells.csv`, `lengths.json`, `findings.json`, `study.json`, `gallery.json`,
            `manifest.json`, and one folder per stage; `attacks.json` where the plan names attacks.
        render: writes the report into the folder, from the JSON files in it.
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
        for split in sets.counts(settings):
            sets.human(root, settings, split)

    def write() -> None:
        _write_results(root, settings)
        render(root)

    return carry_out(
        root,
        settings.recorded(),
        [corpus],
        others,
        kind="release study",
        check=enough,
        write=write,
        results=_results(settings),
        workers=workers,
        report=report,
    )


def carry_out(
    root: Path,
    recorded: Mapping[str, Any],
    corpora: Sequence[Stage],
    others: Sequence[Stage],
    *,
    kind: str,
    check: Callable[[], None],
    write: Callable[[], None],
    results: Sequence[str],
    workers: int = 1,
    report: Report = lambda stages, stage, share: None,
) -> bool:
    """Make or complete a study's folder: human texts here, the other stages by workers, then the results.

    Args:
        recorded: the settings, as the folder's manifest holds them.
        kind: what the folder is called; one of another kind is refused.
        check: looks at the human texts: too few are said now, not after an hour of sampling.
        write: makes the files named by `results` from the finished stages.

    Returns:
        True when work was done, False when everything was there.

    Raises:
        StagedError: of any stage; what is finished stays.
    """
    stages = [*corpora, *others]
    with disk_errors(root), locked(root):
        manifest = root / MANIFEST
        _claim(root, kind, stages, results)
        if manifest.is_file() and read_json(manifest).get("settings") != fingerprint(recorded, {})["settings"]:
            manifest.unlink()  # of another plan: from here on the folder is on its way to this one
        worked = False
        for corpus in corpora:
            worked |= run_here(root, corpus, report=lambda stage, share: report(stages, stage, share))
        check()
        done = {corpus.name for corpus in corpora}
        worked |= run_stages(root, others, done=done, workers=workers, report=lambda *moved: report(stages, *moved)) > 0
        wanted = fingerprint(recorded, {stage.name: root / stage.name for stage in stages})
        if not worked and is_complete(root, wanted) and all((root / name).is_file() for name in results):
            return False
        manifest.unlink(missing_ok=True)
        write()
        write_json(manifest, wanted | {"versions": versions()})
        return True


def _claim(root: Path, kind: str, stages: Sequence[Stage], results: Sequence[str]) -> None:
    """Before the long work: nothing stands in the way that is not ours, and the folder is marked as this kind's."""
    known = holds("settings", "inputs", "versions")
    for stage in stages:
        check_construction(partial_of(root / stage.name))
        if not is_complete(root / stage.name):
            check_stage(root / stage.name)
    check_replaceable(root / MANIFEST, known)
    kept = known(root / MANIFEST)  # of a version that kept no ledger
    ours = dict.fromkeys((*results, ATTACK_RESULT))  # the last also where this plan has none: one of another plan is removed
    start_ledger(root, kind, adopted=[root / name for name in (*ours, MANIFEST)] if kept else ())
    for name in ours:
        check_replaceable(root / name)


def refuse_learned(models: Sequence[str], corpus: CorpusSettings) -> None:
    """Before the long work: no model, and no encoder of a detector, has learned from what it is tested against.

    Args:
        models: by name or folder; of one that is not on this machine nothing is known.

    Raises:
        PlanError: one learned from documents outside the corpus's `pretrain` split, wherever it found them.
    """
    documents = split_documents(corpus)
    again = {text_words_digest(one.text) for one in documents if one.split == "pretrain"}  # which tests lose: `drop_duplicates`
    for name in (one for one in models if one.lower() in MINIS or own_folder(one)):
        learned = model_learned(model_folder(name))
        known = learned.among(documents, corpus.source) if learned else []
        seen = list(dict.fromkeys(one.source for one in known if text_words_digest(one.text) not in again))
        if seen:
            raise PlanError(
                f"study: model {name!r} learned from {len(seen)} sources that this plan tests against, such as {seen[0]!r}; "
                "use the corpus shares and seed it was trained with, or text that it has not seen"
            )


def _results(settings: StudySettings) -> tuple[str, ...]:
    return (*RESULTS, ATTACK_RESULT) if settings.attacks else RESULTS


def _write_results(root: Path, settings: StudySettings) -> None:
    measured = measure(root, settings)
    matrix = [one.cell for one in measured if one.cell.length_tokens == settings.length_tokens]
    curve = [one.cell for one in measured if one.cell.trained_method == MIX]
    write_json(root / "cells.json", [asdict(cell) for cell in matrix])
    write_atomic(root / "cells.csv", _csv(matrix))
    write_json(root / "lengths.json", [asdict(cell) for cell in curve if cell.tested_on == cell.trained_on])
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
    bpe = sets.tokenizer(settings)
    rows = []
    for model in ("", *settings.models):
        for name in settings.methods if model else ("",):
            texts = sets.machine(root, settings, model, name, "test") if model else sets.human(root, settings, "test")
            shown = sets.cut_to(texts[: GALLERY * (1 if model else 3)], bpe, 2 * settings.length_tokens)
            rows += [{"model": Path(model).name, "method": name, "id": one.id, "text": one.text} for one in shown]
    return rows


def _facts(root: Path, settings: StudySettings) -> dict[str, Any]:
    return {
        "settings": settings.recorded() | {"models": [Path(model).name for model in settings.models]},
        "versions": versions(),
        "corpus": read_json(root / "corpus" / "counts.json"),
        "copying": read_json(root / "copying" / "copying.json"),
        "models": [model_facts(name) for name in settings.models],
    }


def model_facts(name: str) -> dict[str, Any]:
    """What the report says of a model, the loss None where its folder does not say; and SHA-256 of the files that were studied."""
    folder = model_folder(name)
    config = read_config(folder)
    record = folder / "training.json"
    loss = read_json(record)["valid_loss_nats_per_token"] if record.is_file() else None
    shape = {"parameters": config.parameters, "layers": config.n_layer, "width": config.n_embd}
    files = {file: sha256_file(path) for file, path in model_files(folder).items()}
    return {"name": Path(name).name, **shape, "valid_loss_nats_per_token": loss, "files": files}
