"""Samples of a chat model: the file, the columns, the command."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner, Result

import staged
from staged.cli import app
from staged.errors import PlanError, SamplingError, StagedError
from staged.model.bpe import BPE
from staged.progress import silent
from staged.samples.chat import answers
from staged.samples.chat.template import ChatPrompts
from staged.samples.columns import CHAT, LOGPROBS, SCHEMA
from staged.samples.dataset import (
    FORMATS,
    SampleSettings,
    read_samples,
    sample,
    speak,
    write_samples,
)
from staged.samples.methods import method
from staged.samples.sample_stage import FILE, keep_folder
from tests.conftest import put_json
from tests.model.llamas import SPECIAL, write_chat_model
from tests.samples.chat.test_template import ALWAYS_THINKING

TASKS = ("Write a report.", "Go on: The river")


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory, bpe: BPE) -> Path:
    return write_chat_model(tmp_path_factory.mktemp("chatty"), bpe)


def wanted(folder: Path, **changes: object) -> SampleSettings:
    base: dict[str, object] = {
        "model": str(folder),
        "method": method("temperature-1"),
        "count": 8,
        "length": 20,
        "batch": 4,
        "prompts": TASKS,
        "precision": "fp32",
        "chat": True,
    }
    return SampleSettings(**(base | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("logprobs", [False, True])
def test_a_file_has_a_chats_columns(
    chatty: Path, tmp_path: Path, suffix: str, logprobs: bool
) -> None:
    out = tmp_path / f"s{suffix}"
    settings = wanted(chatty, system="Be kind.", logprobs=logprobs)
    write_samples(out, settings)
    rows = read_samples(out)
    names = [*SCHEMA.names, *CHAT.names, *(LOGPROBS.names if logprobs else [])]
    assert all(list(row) == names for row in rows)
    assert [row["prompt"] for row in rows] == [*TASKS] * 4
    assert {(row["system"], row["refused"], row["reasoning"]) for row in rows} == {
        ("Be kind.", False, "")
    }
    assert not any(mark in row["text"] for row in rows for mark in SPECIAL)
    assert rows == list(sample(settings))
    write_samples(out, settings)  # ours, so it may be replaced
    if suffix == ".parquet":
        assert pq.read_schema(out).names == names


def test_greedy_answers_are_those_of_transformers(chatty: Path, bpe: BPE) -> None:
    settings = wanted(chatty, method=method("greedy"), count=2, length=16)
    [prompts, model] = (
        ChatPrompts(str(chatty)).encode_batch(TASKS),
        AutoModelForCausalLM.from_pretrained(chatty, dtype=torch.float32),
    )
    marks = [bpe.n_vocab, bpe.n_vocab + 1]
    for ids, row in zip(prompts, sample(settings), strict=True):
        whole = model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids)),
            do_sample=False,
            max_new_tokens=16,
            eos_token_id=[bpe.end_of_text, *marks],
            pad_token_id=bpe.end_of_text,
        )[0, len(ids) :].tolist()
        drawn = [token for token in whole if token not in (bpe.end_of_text, *marks)]
        assert row["text"] == bpe.decode(drawn).lstrip()
        assert row["ended"] == (len(drawn) < len(whole))


def always(folder: Path, token: int) -> Path:
    """Let a model draw one token, whatever stands before it."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        head = model.get_output_embeddings().weight
        model.model.norm.weight.zero_()
        model.model.norm.weight[0] = 1
        for layer in model.model.layers:  # the residual is the embedding alone
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight[:, 0] = 1
        head.zero_()
        head[token, 0] = 100
    model.save_pretrained(folder)
    return folder


def without_special(folder: Path) -> Path:
    """Let the last mark be no special token."""
    stored = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    stored["added_tokens"][-1]["special"] = False
    put_json(folder / "tokenizer.json", stored)
    return folder


@pytest.mark.parametrize("special", [True, False])
def test_the_end_of_a_turn_ends_the_answer(bpe: BPE, tmp_path: Path, special: bool) -> None:
    """Where the tokenizer calls it special, and where only the generation's settings know it."""
    end = bpe.n_vocab + 1
    folder = always(write_chat_model(tmp_path, bpe), end)
    if not special:
        without_special(folder)
        put_json(folder / "generation_config.json", {"eos_token_id": [bpe.end_of_text, end]})
    rows = list(sample(wanted(folder)))
    assert {(row["text"], row["reason"], row["length"]) for row in rows} == {("", "end", 0)}


def test_another_end_of_answers_makes_them_again(bpe: BPE, tmp_path: Path) -> None:
    end = bpe.n_vocab + 1
    folder = without_special(always(write_chat_model(tmp_path / "model", bpe), end))
    for ends, reason in (([bpe.end_of_text], "length"), ([bpe.end_of_text, end], "end")):
        put_json(folder / "generation_config.json", {"eos_token_id": ends})
        keep_folder(tmp_path / "stage", wanted(folder), progress=silent)
        rows = read_samples(tmp_path / "stage" / FILE)
        assert {row["reason"] for row in rows} == {reason}


def test_another_end_of_answers_leaves_no_piece(bpe: BPE, tmp_path: Path) -> None:
    class InterruptError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise InterruptError

    end = bpe.n_vocab + 1
    folder = without_special(always(write_chat_model(tmp_path / "model", bpe), end))
    put_json(folder / "generation_config.json", {"eos_token_id": bpe.end_of_text})
    with pytest.raises(InterruptError):
        write_samples(tmp_path / "s.jsonl", wanted(folder), progress=stop)
    put_json(folder / "generation_config.json", {"eos_token_id": end})
    write_samples(tmp_path / "s.jsonl", wanted(folder))
    assert {row["reason"] for row in read_samples(tmp_path / "s.jsonl")} == {"end"}


def test_continued_it_ends_with_the_same_bytes(chatty: Path, tmp_path: Path) -> None:
    class InterruptError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise InterruptError

    settings = wanted(chatty)
    write_samples(tmp_path / "whole.jsonl", settings)
    with pytest.raises(InterruptError):
        write_samples(tmp_path / "s.jsonl", settings, progress=stop)
    block = tmp_path / "s.jsonl.blocks" / "000000000.jsonl"
    made = block.stat().st_mtime_ns
    with pytest.raises(InterruptError):
        write_samples(tmp_path / "s.jsonl", settings, progress=stop)
    assert block.stat().st_mtime_ns == made
    write_samples(tmp_path / "s.jsonl", settings)
    assert (tmp_path / "s.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_another_template_or_system_text_is_another_stage(bpe: BPE, tmp_path: Path) -> None:
    folder = write_chat_model(tmp_path / "model", bpe)
    place = tmp_path / "stage"
    seen = []
    for settings in (wanted(folder), wanted(folder), wanted(folder, system="Be kind.")):
        keep_folder(place, settings, progress=silent)
        seen.append((place / FILE).stat().st_ino)
    (folder / "chat_template.jinja").write_text(ALWAYS_THINKING, encoding="utf-8")
    keep_folder(place, wanted(folder), progress=silent)
    seen.append((place / FILE).stat().st_ino)
    assert seen[0] == seen[1]
    assert len(set(seen[1:])) == 3
    assert all(row["reasoning"] or row["ended"] for row in read_samples(place / FILE))


BEFORE = {
    *("model", "method", "count", "length", "seed", "prompts", "per_prompt", "batch"),
    *("precision", "draft", "stop", "repetition_penalty", "logprobs", "context", "device"),
}


def test_what_decides_samples_without_a_chat_is_what_it_was(chatty: Path) -> None:
    """So a file that an older version began goes on, and a finished stage stays finished."""
    settings = wanted(chatty, chat=False)
    assert set(settings.deciding()) == BEFORE
    assert settings.deciding() == {name: asdict(settings)[name] for name in BEFORE}
    assert set(wanted(chatty).deciding()) == {*BEFORE, "chat", "system"}


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"chat": False, "system": "x"}, PlanError, "give --chat with --system"),
        ({"prompts": ()}, SamplingError, "needs something to answer"),
        ({"prompts": ("a", " \n")}, SamplingError, "needs something to answer"),
        ({"system": "\udc80"}, SamplingError, "the system text: .*UTF-8"),
    ],
)
def test_bad_settings(
    chatty: Path, changes: dict[str, object], error: type[StagedError], says: str
) -> None:
    with pytest.raises(error, match=says):
        wanted(chatty, **changes)


def test_the_template_counts_towards_the_context(chatty: Path) -> None:
    [ids] = ChatPrompts(str(chatty)).encode_batch(["A"])
    assert list(sample(wanted(chatty, prompts=("A",), count=1, length=97 - len(ids))))
    with pytest.raises(SamplingError, match=f"a prompt of {len(ids)} tokens"):
        list(sample(wanted(chatty, prompts=("A",), count=1, length=98 - len(ids))))


def test_with_a_draft(chatty: Path) -> None:
    settings = wanted(chatty, draft=str(chatty), method=method("greedy"))
    plain = wanted(chatty, method=method("greedy"))
    assert [row["text"] for row in sample(settings)] == [row["text"] for row in sample(plain)]


@pytest.mark.parametrize("stop", [(), ("e",)])
def test_spoken_is_the_answer(chatty: Path, stop: tuple[str, ...]) -> None:
    for seed in range(5):
        spoken: list[str] = []
        row = speak(wanted(chatty, count=1, seed=seed, stop=stop), spoken.append)
        assert "".join(spoken) == row["text"]


def test_from_python(chatty: Path) -> None:
    [answer] = staged.sample(
        str(chatty), "Write.", length=8, chat=True, system="Be kind.", precision="fp32"
    )
    assert (answer.system, answer.refused, answer.reasoning) == ("Be kind.", False, "")
    [text] = staged.sample(str(chatty), "Write.", length=8, precision="fp32")
    assert (text.system, text.refused, text.reasoning) == ("", False, "")


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["sample", *map(str, arguments)])


class TestCommand:
    def test_answers_alone_are_printed(self, chatty: Path) -> None:
        asked = [chatty, "--chat", "--prompt", "Write.", "--length", 8, "--precision", "fp32"]
        row = next(sample(wanted(chatty, prompts=("Write.",), count=1, length=8)))
        assert command(*asked).stdout == row["text"] + "\n"
        assert "Write." not in command(*asked, "-n", 2).stdout

    @pytest.mark.parametrize(
        ("refused", "says"),
        [
            (0, "none of 3 answers is a refusal (column refused)"),
            (1, "1 of 3 answers is a refusal: it stays in the file, column refused"),
            (2, "2 of 3 answers are refusals: they stay in the file, column refused"),
        ],
    )
    def test_refusals_are_counted(
        self,
        chatty: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        refused: int,
        says: str,
    ) -> None:
        told = iter([True] * refused + [False] * 3)
        monkeypatch.setattr(answers, "is_refusal", lambda text: next(told))
        out = tmp_path / "s.jsonl"
        result = command(chatty, "--chat", "--prompt", "x", "-n", 3, "--length", 4, "--out", out)
        assert says in " ".join(result.output.split())
        assert sum(row["refused"] for row in read_samples(out)) == refused

    def test_a_refusal_is_said_of_a_printed_text(
        self, chatty: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(answers, "is_refusal", lambda text: True)
        asked = [chatty, "--chat", "--prompt", "x", "--length", 4]
        assert "a refusal" in command(*asked).stderr
        assert command(*asked, "-n", 2).stdout.count("a refusal") == 2

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["mini-s", "--chat", "--prompt", "x"], "mini-s has no chat template: leave out"),
            (["mini-s", "--chat"], "needs something to answer"),
            (["mini-s", "--system", "x"], "give --chat"),
        ],
    )
    def test_bad_options_are_one_sentence(self, arguments: list[str], says: str) -> None:
        result = command(*arguments)
        assert isinstance(result.exception, StagedError)
        assert says in str(result.exception)
        assert "\n" not in str(result.exception)
