"""Chat models behind a server: the same answers as here where it draws as we do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import SamplingError
from staged.model.bpe import BPE
from staged.progress import silent
from staged.samples.columns import CHAT, SCHEMA
from staged.samples.dataset import read_samples, sample, speak, write_samples
from staged.samples.sample_stage import FILE, keep_folder
from tests.model.llamas import write_chat_model
from tests.samples.chat.test_chat_samples import TASKS, wanted
from tests.samples.completions_server import CompletionsServer, ask_again_at_once


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory, bpe: BPE) -> Path:
    return write_chat_model(tmp_path_factory.mktemp("chatty"), bpe)


@pytest.fixture
def server(chatty: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CompletionsServer]:
    ask_again_at_once(monkeypatch)
    with CompletionsServer(chatty) as server:
        yield server


@pytest.mark.parametrize("system", ["", "Be kind."])
def test_it_answers_what_the_model_answers_here(
    chatty: Path, server: CompletionsServer, tmp_path: Path, system: str
) -> None:
    server.knows(1, range(8))
    write_samples(tmp_path / "s.jsonl", wanted(chatty, system=system))
    served = wanted(chatty, system=system, model=server.model, precision="")
    write_samples(tmp_path / "t.jsonl", served)
    here, there = read_samples(tmp_path / "s.jsonl"), read_samples(tmp_path / "t.jsonl")
    theirs = {"model": "openai:tiny", "semantics": "server"}
    assert there == [row | theirs for row in here]
    assert list(there[0]) == [*SCHEMA.names, *CHAT.names]
    roles = [[message["role"] for message in body["messages"]] for body in server.asked]
    assert roles == [["system", "user"] if system else ["user"]] * 8
    assert {body["messages"][-1]["content"] for body in server.asked} == set(TASKS)
    assert server.asked[0]["chat_template_kwargs"] == {"enable_thinking": False}


def test_nothing_is_asked_twice(chatty: Path, server: CompletionsServer, tmp_path: Path) -> None:
    served = wanted(chatty, model=server.model, precision="", batch=1)
    server.dies_after = 3
    with pytest.raises(SamplingError, match="cannot be reached"):
        keep_folder(tmp_path / "stage", served, progress=silent)
    server.start()
    keep_folder(tmp_path / "stage", served, progress=silent)
    assert max(server.answered.values()) == 1
    assert len(read_samples(tmp_path / "stage" / FILE)) == 8


def test_reasoning_apart_and_reasoning_within(chatty: Path, server: CompletionsServer) -> None:
    served = wanted(chatty, model=server.model, precision="", count=1)
    server.reasoning = "A river?"
    [row] = sample(served)
    assert row["reasoning"] == "A river?"
    for content, text, reasoning in (
        ("<think>Hm.</think>\n\nIt rose.", "It rose.", "Hm."),
        (None, "", ""),
        ("I'm sorry, but I can't write that.", "I'm sorry, but I can't write that.", ""),
    ):
        message = {"role": "assistant", "content": content}
        server.answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        [row] = sample(served)
        assert (row["text"], row["reasoning"]) == (text, reasoning)
        assert row["refused"] == text.startswith("I'm sorry")


def test_a_server_that_knows_no_switch_for_reasoning(
    chatty: Path, server: CompletionsServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.refuses_switch = True
    rows = list(sample(wanted(chatty, model=server.model, precision="")))
    assert {row["semantics"] for row in rows} == {"server"}
    assert len(rows) == 8
    assert len(server.asked) == 9
    assert "chat_template_kwargs" not in server.asked[-1]
    assert server.asked[-1]["top_k"] == -1
    assert "it refused to switch reasoning off" in caplog.text
    assert "its own defaults" not in caplog.text


@pytest.mark.parametrize("refuses_switch", [True, False])
def test_a_server_that_samples_by_itself(
    chatty: Path, server: CompletionsServer, refuses_switch: bool
) -> None:
    server.refuses_off, server.refuses_switch = True, refuses_switch
    rows = list(sample(wanted(chatty, model=server.model, precision="")))
    assert {row["semantics"] for row in rows} == {"server, plain"}
    assert ("chat_template_kwargs" in server.asked[-1]) != refuses_switch
    assert "top_k" not in server.asked[-1]


def test_spoken_and_from_the_command(chatty: Path, server: CompletionsServer) -> None:
    spoken: list[str] = []
    row = speak(wanted(chatty, model=server.model, precision="", count=1), spoken.append)
    assert spoken == [row["text"]]
    asked = [server.model, "--chat", "--prompt", "Write.", "--length", "8"]
    done = CliRunner().invoke(app, ["sample", *asked])
    assert done.exit_code == 0, done.output
    assert "Write." not in done.stdout


@pytest.mark.parametrize("answer", [{}, {"choices": []}, {"choices": [{"message": {}}]}, []])
def test_what_is_no_answer(chatty: Path, server: CompletionsServer, answer: object) -> None:
    server.answer = answer
    with pytest.raises(SamplingError, match="the server at"):
        list(sample(wanted(chatty, model=server.model, precision="", count=1)))
