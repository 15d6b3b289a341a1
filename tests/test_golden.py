"""What staged wrote in November 2026, before its modules moved, is read as it was: detector,
calibration, samples, cells, plan.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from staged.cells import load_cells
from staged.cli import app
from staged.samples.columns import is_samples
from staged.samples.dataset import read_samples
from staged.studies.detection.plan import read_study

GOLDEN = Path(__file__).parent / "golden" / "2026-11"


def test_a_detector_and_its_calibration_judge_as_they_did() -> None:
    options = [
        "--detector",
        str(GOLDEN / "detector"),
        "--calibration",
        str(GOLDEN / "calibration.json"),
    ]
    found = CliRunner().invoke(
        app, ["detect", str(GOLDEN / "texts.jsonl"), *options, "--fpr", "0.05", "--json"]
    )
    assert found.exit_code == 0, found.output
    verdicts = [json.loads(line) for line in found.stdout.splitlines()]
    kept = [
        json.loads(line)
        for line in (GOLDEN / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    for now, then in zip(verdicts, kept, strict=True):
        assert now.pop("score") == pytest.approx(then.pop("score"), abs=1e-9)
        assert now | {"detector": ""} == then | {"detector": ""}  # which is called by its path


def test_samples_are_known_as_ours(tmp_path: Path) -> None:
    out = tmp_path / "samples.jsonl"
    out.write_bytes((GOLDEN / "samples.jsonl").read_bytes())
    assert is_samples(out)
    assert len(read_samples(out)) == 40
    options = [
        "--method",
        "nucleus",
        "--number",
        "40",
        "--length",
        "60",
        "--seed",
        "1",
        "--batch",
        "20",
        "--out",
        str(out),
    ]
    assert (
        CliRunner().invoke(app, ["sample", "mini-s", *options]).exit_code == 0
    )  # and may be written again
    assert len(read_samples(out)) == 40


def test_cells_and_plans_are_read() -> None:
    cells = load_cells(GOLDEN / "cells.json")
    assert [(cell.detector, cell.n_human, cell.n_machine) for cell in cells] == [
        ("tfidf", 500, 500)
    ] * 3
    assert read_study(GOLDEN / "plan.toml").models == ("mini-s", "mini-m", "mini-l", "mini-xl")
