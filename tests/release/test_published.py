"""The minis' releases as they are committed: cards of the committed evidence, records of their
decisions, no weights.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from staged.plans.shipped import find_plan
from staged.release.advance import status
from staged.release.card.check import html_figures, untrue, untrue_index
from staged.release.card.markdown import figures_in
from staged.release.card.read_measured import read_evidence
from staged.release.outcomes import Decision
from staged.release.package.layout import parse_sums
from staged.release.plan import read_release
from staged.storage.digests import sha256_file
from staged.storage.json_files import read_json
from staged.storage.records import read_record, to_json

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs" / "results" / "release"
RELEASE = read_release(find_plan("release"))
STAGES = [stage.name for stage in RELEASE.stages]
NOW, BY_OVERRIDE = PUBLISHED / RELEASE.version, PUBLISHED / "1.0"


@pytest.mark.parametrize("folder", [NOW, BY_OVERRIDE], ids=lambda one: one.name)
@pytest.mark.parametrize("stage", STAGES)
def test_cards_are_of_the_published_study(folder: Path, stage: str) -> None:
    cells = read_evidence([ROOT / "docs" / "results" / "mini-full"]).cells
    markdown, page = (
        (folder / stage / name).read_text(encoding="utf-8") for name in ("README.md", "card.html")
    )
    assert untrue(figures_in(markdown), cells) == []
    assert untrue_index(markdown, cells, ()) == []
    assert untrue(html_figures(page), cells) == []


@pytest.mark.parametrize("stage", STAGES)
def test_records_of_the_packages_are_whole_and_say_what_was_not_measured(stage: str) -> None:
    folder = BY_OVERRIDE / stage
    decision = read_json(folder / "decision.json")
    for name in ("README.md", "DECISION.md"):
        assert decision["override"]["reason"] in (folder / name).read_text(encoding="utf-8")
    sums = parse_sums((folder / "SHA256SUMS").read_text(encoding="utf-8"))
    kept = [path for path in folder.iterdir() if path.name not in ("SHA256SUMS", "REFUSED.md")]
    assert {path.name: sums[path.name] for path in kept} == {
        path.name: sha256_file(path) for path in kept
    }


def test_todays_cards_and_refusals_say_what_the_evidence_says(tmp_path: Path) -> None:
    """Fails when the evidence, the gates or a template change: run `python
    tools/publish_release.py`.
    """
    bias = read_json(ROOT / "docs" / "results" / "bias" / "bias.json")
    assert bias["models"] == STAGES
    for one in status(RELEASE, tmp_path):
        card, record = (
            (NOW / one.stage / name).read_text(encoding="utf-8")
            for name in ("README.md", "REFUSED.md")
        )
        for gate in one.outcomes:
            assert f"| {gate.gate} | **{gate.state}** | {gate.numbers} |" in record
        said = [row["text"] for row in bias["sentences"] if one.stage in row["models"]]
        assert len(said) == 3
        assert all(text in card for text in said)
        found = [
            row
            for row in bias["between_groups"]
            if row["models"] == [one.stage] and row["verdict"] == "differs"
        ]
        assert f"{len(found)} of 70 differences between groups are significant" in card
        assert "*Blank: human credibility" in card


def test_no_weights_and_little_space() -> None:
    sizes = [path.stat().st_size for path in PUBLISHED.rglob("*") if path.is_file()]
    assert sum(sizes) < 1_500_000
    assert not list(PUBLISHED.rglob("*.safetensors"))


@pytest.mark.parametrize("stage", STAGES)
def test_decisions_are_read_as_they_were_written(stage: str) -> None:
    path = BY_OVERRIDE / stage / "decision.json"
    assert to_json(read_record(path, Decision)) == read_json(path)
