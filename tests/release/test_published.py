"""The minis' release as it is committed: cards of the committed study's cells, records of their decisions, no weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from staged.artifacts import read_json, sha256_file
from staged.release.contents import parse_sums
from staged.release.decision import decision_markdown
from staged.release.evidence import read_evidence
from staged.release.plan import read_release
from staged.release.traced import html_figures, index_figures, markdown_figures, untrue

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs" / "results" / "release"
STAGES = [stage.name for stage in read_release(ROOT / "plans" / "release.toml").stages]


@pytest.mark.parametrize("stage", STAGES)
def test_cards_are_of_the_published_study(stage: str) -> None:
    cells = read_evidence([ROOT / "docs" / "results" / "mini-full"]).cells
    markdown, page = ((PUBLISHED / stage / name).read_text(encoding="utf-8") for name in ("README.md", "card.html"))
    assert untrue(markdown_figures(markdown), cells) == []
    assert untrue(index_figures(markdown), cells, exact=True) == []
    assert untrue(html_figures(page), cells) == []


@pytest.mark.parametrize("stage", STAGES)
def test_records_are_whole_and_say_what_was_not_measured(stage: str) -> None:
    folder = PUBLISHED / stage
    decision = read_json(folder / "decision.json")
    assert (folder / "DECISION.md").read_text(encoding="utf-8") == decision_markdown(decision)
    if [one for one in decision["gates"] if one["state"] in ("not met", "not measured")]:
        assert decision["override"]["reason"] in (folder / "README.md").read_text(encoding="utf-8")
    sums = parse_sums((folder / "SHA256SUMS").read_text(encoding="utf-8"))
    kept = [path for path in folder.iterdir() if path.name not in ("SHA256SUMS", "REFUSED.md")]
    assert {path.name: sums[path.name] for path in kept} == {path.name: sha256_file(path) for path in kept}


def test_no_weights_and_little_space() -> None:
    sizes = [path.stat().st_size for path in PUBLISHED.rglob("*") if path.is_file()]
    assert sum(sizes) < 1_000_000
    assert not list(PUBLISHED.rglob("*.safetensors"))
