"""One changed cell changes card, report and README: their numbers are generated, not written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from staged.release.card.card import card_of
from staged.release.card.detector import detector_card
from staged.release.card.paragraphs import Words
from staged.release.card.read_measured import read_evidence
from staged.release.card.render import card_html, card_markdown, detector_markdown
from staged.storage.json_files import read_json
from staged.studies.detection.report.page import write_report
from tests.conftest import put_json
from tests.test_docs import README, ROOT, generate

CELL = "roberta/mini-xl/nucleus/mini-xl/nucleus/128"
DETECTOR = "roberta/mini-xl/nucleus"


def shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    evidence = read_evidence([folder])
    card = card_of(evidence, Words())
    detector = detector_card(evidence, Words(), model="mini-xl", detector=DETECTOR)
    write_report(folder)
    monkeypatch.setattr(generate, "RESULT", folder)
    return {
        "card": card_markdown(card),
        "detector": detector_markdown(detector),
        "page": card_html(card),
        "report": (folder / "report.html").read_text(encoding="utf-8"),
        "readme": generate.readme(README),
    }


def test_all_show_a_changed_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(ROOT / "docs" / "results" / "mini-full", tmp_path / "mini-full")
    put_json(folder / "gallery.json", [])  # not committed with the published run
    before = shown(folder, monkeypatch)
    rows = read_json(folder / "cells.json")
    for row in rows:
        if row["id"] == CELL:
            row.update(accuracy=0.0314, accuracy_low=0.0271, accuracy_high=0.0365)
    put_json(folder / "cells.json", rows)
    after = shown(folder, monkeypatch)
    for name, low, high in (
        ("card", "[2.7, ", "3.6]"),
        ("detector", "[2.7, ", "3.6]"),
        ("page", "[2.7,\u00a0", "3.6]"),
        ("report", "2.7–", "–3.6"),
        ("readme", "[2.7, ", "3.6]"),
    ):
        assert before[name] != after[name]
        for text in (low, high):
            assert text not in before[name] or before[name].count(text) < after[name].count(text), (
                name,
                text,
            )
            assert text in after[name], (name, text)
    assert "value: 0.0314" in after["detector"]  # the model-index
