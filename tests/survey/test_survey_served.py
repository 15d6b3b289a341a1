"""A questionnaire whose texts a server writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from staged.errors import ArtifactError, PlanError, SamplingError
from staged.model.checkpoints import model_folder
from staged.survey.design import make_survey
from staged.survey.plan import SurveySettings
from tests.conftest import prose
from tests.samples.completions_server import CompletionsServer


def test_a_questionnaire_of_two_models_one_behind_a_server(
    completions_server: CompletionsServer, tmp_path: Path
) -> None:
    sentences = tmp_path / "sentences.txt"
    sentences.write_text("\n".join(f"{text}." for text in prose(3, 8).split(". ")))
    with CompletionsServer(model_folder("mini-s")) as server:
        settings = SurveySettings(
            (server.model, "mini-s"),
            sheets=2,
            each=2,
            length=60,
            sentences=str(sentences),
            precision="fp32",
        )
        server.dies_after = 2
        with pytest.raises(SamplingError, match="cannot be reached"):
            make_survey(settings, tmp_path / "out")
        server.move()
        settings = replace(settings, models=(server.model, "mini-s"))
        assert make_survey(settings, tmp_path / "out") == 2
        assert set(server.answered.values()) == {1}
    key = (tmp_path / "out" / "key.json").read_text(encoding="utf-8")
    assert key.count(f'"model": "{server.model}"') == 4
    moved = replace(settings, models=("openai:tiny@http://127.0.0.1:9/v1", "mini-s"))
    for again in (settings, moved):  # finished, it needs no server
        assert make_survey(again, tmp_path / "out") == 2
    with pytest.raises(ArtifactError, match="other settings"):
        make_survey(replace(moved, batch=2), tmp_path / "out")


def test_the_same_model_at_two_servers_is_one() -> None:
    with pytest.raises(PlanError, match="openai:x is given twice"):
        SurveySettings(("openai:x@http://a/v1", "openai:x@http://b/v1"))
