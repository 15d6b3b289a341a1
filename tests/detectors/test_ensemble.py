"""Several detectors as one: what they say together, what is kept, and files that are none."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from staged.detectors.catalog import load_detector
from staged.detectors.identity import detector_files
from staged.detectors.kinds.ensemble import Ensemble, load_ensemble
from staged.detectors.kinds.evidence import EvidenceDetector
from staged.detectors.names import parse_name
from staged.errors import CheckpointError
from staged.model.causal import load_causal
from tests.conftest import prose
from tests.detectors.test_evidence import weights

TEXTS = [prose(1, 8), prose(2, 8), ""]


@pytest.fixture
def members(tiny: Path) -> list[EvidenceDetector]:
    scorer = load_causal(str(tiny))
    return [
        EvidenceDetector(scorer, weights(), name=name, most_tokens=most)
        for name, most in (("long", 90), ("short", 30))
    ]


def test_a_score_is_the_weighted_mean(members: list[EvidenceDetector]) -> None:
    both = Ensemble(members, [3, 1], name="both")
    long, short = (one.score(TEXTS) for one in members)
    assert long[0] != pytest.approx(short[0], abs=1e-3)
    assert both.score(TEXTS) == pytest.approx(
        [(3 * a + b) / 4 for a, b in zip(long, short, strict=True)]
    )


def test_it_reads_what_its_shortest_member_reads(members: list[EvidenceDetector]) -> None:
    both = Ensemble(members, [1, 1], name="both")
    assert (both.scorer, both.most_tokens) == (members[1].scorer, 30)


def test_a_changed_member_is_another_detector(
    members: list[EvidenceDetector], tmp_path: Path
) -> None:
    """Work begun with the one is not continued with the other."""
    Ensemble(members, [1, 1], name="both").save(tmp_path)
    before = detector_files(parse_name(str(tmp_path)))
    assert sorted(before) == [
        "ensemble.json",
        *(
            f"{one}/{file}"
            for one in ("long", "short")
            for file in ("evidence.json", "scorer/model.safetensors")
        ),
    ]
    path = tmp_path / "short" / "evidence.json"
    path.write_text(path.read_text(encoding="utf-8").replace("0.1", "0.2"), encoding="utf-8")
    assert detector_files(parse_name(str(tmp_path))) != before


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"name": "x", "members": {}}, "each with a weight above 0"),
        ({"name": "x", "members": {"long": 0}}, "each with a weight above 0"),
        ({"name": "x", "members": {"../long": 1}}, "members must be folders beside it"),
        ({"name": "x", "members": {"..": 1}}, "members must be folders beside it"),
        ({"name": "x", "members": {"": 1}}, "members must be folders beside it"),
        ({"name": "x", "members": {"facts.json": 1}}, "members must be folders beside it"),
        ({"name": "x", "members": {"long": math.nan}}, "each with a weight above 0"),
        ({"name": "x", "members": {"long": math.inf}}, "each with a weight above 0"),
        ({"name": "x", "members": {"long": "much"}}, "not a readable ensemble"),
        ({"name": "x", "members": ["long"]}, "not a readable ensemble"),
        ({"members": {"long": 1}}, "not a readable ensemble"),
        (
            {"name": "x", "members": {"long": 1, "gone": 1}},
            "a detector of this kind is one evidence.json",
        ),
    ],
)
def test_a_file_that_is_none(
    made: dict, said: str, members: list[EvidenceDetector], tmp_path: Path
) -> None:  # type: ignore[type-arg]
    Ensemble(members, [1, 1], name="both").save(tmp_path)
    (tmp_path / "ensemble.json").write_text(json.dumps(made), encoding="utf-8")
    with pytest.raises(CheckpointError, match=said):
        load_detector(tmp_path)


def test_kept_and_read_again(members: list[EvidenceDetector], tmp_path: Path) -> None:
    both = Ensemble(members, [2, 1], name="both")
    both.save(tmp_path)
    again = load_ensemble(tmp_path)
    assert (again.name, again.weights, [one.most_tokens for one in again.members]) == (
        "both",
        (2.0, 1.0),
        [90, 30],
    )
    assert again.score(TEXTS) == pytest.approx(both.score(TEXTS))


def test_a_member_in_another_ones_folder(members: list[EvidenceDetector], tmp_path: Path) -> None:
    Ensemble(members, [1, 1], name="both").save(tmp_path)
    (tmp_path / "short" / "evidence.json").write_bytes(
        (tmp_path / "long" / "evidence.json").read_bytes()
    )
    with pytest.raises(CheckpointError, match="the members long, short call themselves long, long"):
        load_detector(tmp_path)
