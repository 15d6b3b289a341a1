"""What a study's files hold: the published ones are read whole, and would be written as they are."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from staged.errors import ArtifactError
from staged.storage.json_files import read_json
from staged.storage.records import read_record, to_json
from staged.studies.detection.results import (
    FINDINGS,
    STUDY,
    AttackRow,
    Findings,
    RecordedStudy,
    StudyFacts,
)
from tests.conftest import put_json

PUBLISHED = Path(__file__).parents[3] / "docs" / "results" / "mini-full"


def test_the_published_study_is_read_as_it_was_written() -> None:
    facts, found = (
        read_record(PUBLISHED / STUDY, StudyFacts),
        read_record(PUBLISHED / FINDINGS, Findings),
    )
    assert to_json(facts) == read_json(PUBLISHED / STUDY)
    assert to_json(found) == read_json(PUBLISHED / FINDINGS)
    assert facts.settings.corpus.source == "sotu"
    assert not facts.settings.has_attacks


def test_what_a_plan_records_is_kept_whole(tmp_path: Path) -> None:
    recorded = read_json(PUBLISHED / STUDY)["settings"] | {"attacks": ["number"]}
    put_json(tmp_path / "plan.json", recorded)
    settings = read_record(tmp_path / "plan.json", RecordedStudy)
    assert to_json(settings) == recorded
    assert settings.has_attacks


def test_a_damaged_row_is_named(tmp_path: Path) -> None:
    row = dict.fromkeys(AttackRow.__dataclass_fields__, 0.5) | {
        **{"detector": "tfidf", "trained_on": "s", "attack": "number", "normalised": True},
        **{"n_human": 4, "n_machine": 4},
    }
    assert asdict(AttackRow(**row)) == row
    put_json(tmp_path / "attacks.json", [row, row | {"tpr": "high"}])
    with pytest.raises(ArtifactError, match=r"attacks\.json: .*\[1\]\.tpr is not a number"):
        read_record(tmp_path / "attacks.json", tuple[AttackRow, ...])
