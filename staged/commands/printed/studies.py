"""What a finished study's command shows of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from staged.pages.figures import estimate, percent
from staged.screen import print_table, say

if TYPE_CHECKING:
    from staged.studies.detection.report.matrix import Matrix
    from staged.studies.finetune.results import FinetuneResult


def print_study(folder: Path) -> None:
    """The transfer matrix by size on the post's method, the findings in a line each, and where the
    report is.
    """
    from staged.cells import length_of, load_cells, values
    from staged.storage.records import read_record
    from staged.studies.detection.report.matrix import by_size
    from staged.studies.detection.results import AGAIN, FINDINGS, Findings

    cells = load_cells(folder / "cells.json")
    methods = values(cells, "tested_method")
    for detector in values(cells, "detector"):
        _print_matrix(by_size(cells, detector, "nucleus" if "nucleus" in methods else methods[0]))
    _print_published(values(cells, "trained_on"))
    say(
        f"n = {cells[0].n_human} human + {cells[0].n_machine} machine texts of at most"
        f" {' '.join(map(str, length_of(cells[0])))} a cell"
    )
    for finding in read_record(folder / FINDINGS, Findings, again=AGAIN).findings:
        say(f"{finding.verdict}: {finding.claim}")
    say(f"\nreport: {folder / 'report.html'}")


def _print_matrix(matrix: Matrix) -> None:
    rows = [
        (
            name,
            *(
                percent(cell.accuracy, cell.accuracy_low, cell.accuracy_high) if cell else "–"
                for cell in line
            ),
        )
        for name, line in zip(matrix.rows, matrix.cells, strict=True)
    ]
    title = f"{matrix.detector}, {matrix.fixed}: accuracy in % [95% interval]"
    print_table(title, ("trained on ↓  tested on →", *matrix.columns), rows)


def _print_published(models: Sequence[str]) -> None:
    """What was published of the four sizes, where these are the study's models."""
    from staged.studies.detection.report.matrix import (
        PUBLISHED,
        PUBLISHED_SIZES,
        PUBLISHED_TFIDF,
        are_published,
    )

    if not are_published(models):
        return
    sizes = zip(PUBLISHED_SIZES, PUBLISHED, strict=True)
    rows = [(size, *(f"{value:.1f}" for value in line)) for size, line in sizes]
    title = "published in 2019, RoBERTa, nucleus: accuracy in %, n = 5,000 + 5,000, 510 tokens"
    print_table(title, ("trained on ↓  tested on →", *PUBLISHED_SIZES), rows)
    rows = [(name, *(f"{value:.2f}" for value in line)) for name, line in PUBLISHED_TFIDF.items()]
    title = "published in 2019, TF-IDF, trained and tested on the same texts: accuracy in %"
    print_table(title, ("method", *PUBLISHED_SIZES), rows)


def print_finetune(folder: Path) -> None:
    """Detection before and after fine-tuning beside what was published, the style classifier, and
    where the report is.
    """
    from staged.storage.records import read_record
    from staged.studies.detection.results import AGAIN
    from staged.studies.finetune.results import FINETUNE, FinetuneResult

    result = read_record(folder / FINETUNE, FinetuneResult, again=AGAIN)
    for detector in result.settings.detectors:
        _print_drops(result, detector)
    n = result.drops[0].n_machine
    say(f"n = {n} human + {n} machine texts before, and for each style")
    _print_styles(result)
    say(f"\nreport: {folder / 'report.html'}")


def _print_drops(result: FinetuneResult, detector: str) -> None:
    """One detector's accuracy, style by style, and the styles by verdict."""
    again = {
        cell.tested_on: cell
        for cell in result.cells
        if (cell.detector, cell.trained_on) == (detector, "fine-tuned")
    }
    drops = [row for row in result.drops if row.detector == detector]
    rows = []
    for row in drops:
        cell = again.get(row.style)
        shown = [percent(*estimate(row, name)) for name in ("before", "after", "drop")]
        share = percent(*estimate(row, "share_by_length"), digits=0)
        retrained = percent(*estimate(cell, "accuracy")) if cell else ""
        rows.append((row.style, *shown, share, retrained))
    if detector == "tfidf":
        rows.append(("published, GPT-2 1.5B", "92.7", "70.2", "22.5", "about half", ""))
    header = ("", "before", "after", "drop", "of it by length", "retrained")
    print_table(f"{detector}: accuracy in % [95% interval]", header, rows)
    for verdict in dict.fromkeys(row.verdict for row in drops):
        styles = [row.style for row in drops if row.verdict == verdict]
        say(f"{verdict}: {', '.join(styles)}")


def _print_styles(result: FinetuneResult) -> None:
    """How often whole texts are called their style; of the untuned model's, how they are called."""
    whole = [row for row in result.styles if row.part == "whole"]
    right = [
        (row.text, row.style, str(row.n), percent(*estimate(row, "accuracy")))
        for row in whole
        if row.style
    ]
    title = "style classifier, whole texts: called rightly, in %"
    print_table(title, ("text", "style", "n", "accuracy"), right)
    chance = f"{100 / len(result.settings.styles):.0f}"
    for row in (row for row in whole if not row.style):
        shares = ", ".join(
            f"{name} {100 * count / row.n:.0f}" for name, count in row.called.items()
        )
        say(f"the untuned model's texts are called, in %: {shares}; chance {chance} (n = {row.n})")


def print_provenance(folder: Path) -> None:
    """False alarms and power of each scheme, and where the report is."""
    from staged.storage.records import read_record
    from staged.studies.detection.results import AGAIN
    from staged.studies.provenance.results import PROVENANCE, ProvenanceResult
    from staged.studies.provenance.tested import WHOLE

    result = read_record(folder / PROVENANCE, ProvenanceResult, again=AGAIN)
    rows = [
        (
            row.scheme,
            f"{row.n:,}",
            percent(*estimate(row, "flagged_1"), digits=2),
            f"{row.tokens:.0f}",
        )
        for row in result.human
    ]
    title = "human text called marked at p ≤ 0.01, in % [95% interval]"
    print_table(title, ("scheme", "tests", "flagged", "tokens"), rows)
    read = [row for row in result.power if row.form == WHOLE]
    lengths = sorted({row.length for row in read})
    for model, method in dict.fromkeys((row.model, row.method) for row in read):
        cells = {
            (row.scheme, row.length): f"{100 * row.found_1:.0f}"
            for row in read
            if (row.model, row.method) == (model, method)
        }
        schemes = dict.fromkeys(scheme for scheme, _ in cells)
        print_table(
            f"{model}, {method}: marked texts found at p ≤ 0.01, in %, by tokens",
            ("scheme", *map(str, lengths)),
            [(name, *(cells.get((name, n), "–") for n in lengths)) for name in schemes],
        )
    say(f"\nreport: {folder / 'report.html'}")
