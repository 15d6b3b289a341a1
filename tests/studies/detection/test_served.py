"""Studies of a model behind a server: killed in the middle nothing is lost; and of an instruct
model that is given tasks.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import staged
from staged.errors import PlanError, SamplingError
from staged.model.bpe import BPE
from staged.storage.digests import sha256_file
from staged.storage.records import read_record
from staged.studies.detection.results import STUDY, StudyFacts
from tests.model.llamas import write_chat_model
from tests.samples.completions_server import CompletionsServer
from tests.studies.detection.test_families import RESULTS, put_plan

TEXTS = 60  # a model and method: train, valid and test


def test_a_server_gone_in_the_middle_loses_nothing(
    completions_server: CompletionsServer, tiny: Path, human_folder: Path, tmp_path: Path
) -> None:
    plan = put_plan(tmp_path, human_folder, tiny, completions_server.model.replace("tiny", "far"))
    completions_server.dies_after = 70
    with pytest.raises(SamplingError, match=r"127\.0\.0\.1"):
        staged.study(plan, tmp_path / "study", engine=staged.Engine(workers=1))
    assert not (tmp_path / "study" / "cells.json").exists()
    completions_server.dies_after = 0
    completions_server.start()
    assert staged.study(plan, tmp_path / "study", engine=staged.Engine(workers=1)).cells()
    prompts = [request["prompt"] for request in completions_server.asked]
    assert all(len(prompt.split()) == 8 for prompt in prompts)
    answered = completions_server.answered
    assert len(answered) == 2 * TEXTS
    assert set(answered.values()) == {1}
    staged.study(plan, tmp_path / "again", engine=staged.Engine(workers=1))
    for name in RESULTS:
        assert sha256_file(tmp_path / "study" / name) == sha256_file(tmp_path / "again" / name)


def test_what_is_said_of_a_served_model(
    completions_server: CompletionsServer, human_folder: Path, tmp_path: Path
) -> None:
    plan = put_plan(tmp_path, human_folder, completions_server.model, more="opening_words = 5")
    staged.study(plan, tmp_path / "study", engine=staged.Engine(workers=1))
    facts = read_record(tmp_path / "study" / STUDY, StudyFacts)
    (model,) = facts.models
    assert (model.name, model.parameters) == ("tiny", None)
    assert model.origin == "behind a server, as tiny"
    assert facts.settings.opening_words == 5
    page = (tmp_path / "study" / "report.html").read_text()
    assert "The first 5 words of human passages are what models are given" in page
    assert "not known" in page
    # finished, it asks no more
    completions_server.stop()
    staged.study(plan, tmp_path / "study", engine=staged.Engine(workers=1))


def test_the_server_may_move(
    completions_server: CompletionsServer, human_folder: Path, tmp_path: Path
) -> None:
    plan = put_plan(tmp_path, human_folder, completions_server.model)
    staged.study(plan, tmp_path / "study", engine=staged.Engine(workers=1))
    before = len(completions_server.asked)
    put_plan(tmp_path, human_folder, "openai:tiny@http://127.0.0.1:9/v1")
    staged.study(plan, tmp_path / "study", engine=staged.Engine(workers=1))
    assert len(completions_server.asked) == before


def test_an_instruct_model_answers_tasks(
    bpe: BPE, tiny: Path, human_folder: Path, tmp_path: Path
) -> None:
    chatty = write_chat_model(tmp_path / "chatty", bpe)
    more = "opening_words = 3\nchat = { tasks = ['{opening}'], system = 'Hi', models = ['chatty'] }"
    plan = put_plan(tmp_path, human_folder, tiny, chatty, more=more)
    staged.study(plan, tmp_path / "study", engine=staged.Engine(workers=1))
    facts = read_record(tmp_path / "study" / STUDY, StudyFacts)
    assert facts.written is not None
    told = {row.text: (row.refused, row.opened) for row in facts.written}
    assert told["tiny"] == told["human"] == (None, None)
    assert told["chatty"] == (0, 0)
    assert "began with their opening" in (tmp_path / "study" / "report.html").read_text()


def test_a_model_without_a_template_is_said_before_the_work(
    tiny: Path, human_folder: Path, tmp_path: Path
) -> None:
    plan = put_plan(tmp_path, human_folder, tiny, more="chat = { tasks = ['Write.'] }")
    with pytest.raises(PlanError, match="chat template"):
        staged.study(plan, tmp_path / "study", engine=staged.Engine(workers=1))
    assert not (tmp_path / "study").exists()
