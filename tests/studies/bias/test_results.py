"""What bias.json holds: the published one is read whole, and would be written as it is."""

from __future__ import annotations

from pathlib import Path

from staged.storage.json_files import read_json
from staged.storage.records import read_record, to_json
from staged.studies.bias.page import page
from staged.studies.bias.results import BiasResult

PUBLISHED = Path(__file__).parents[3] / "docs" / "results" / "bias"


def test_the_published_probes_are_read_and_shown_as_they_were() -> None:
    found = read_record(PUBLISHED / "bias.json", BiasResult)
    table = read_json(PUBLISHED / "bias.json")
    table["settings"]["device"] = "cpu"  # which that version did not say
    assert to_json(found) == table
    assert page(found) == (PUBLISHED / "bias.md").read_text(encoding="utf-8")
