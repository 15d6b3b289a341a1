"""Models behind a server: the same texts as here where it draws as we do, nothing lost and nothing
asked twice, no key in what is written, and one sentence for what goes wrong.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from staged.cli import app
from staged.errors import CheckpointError, PlanError, SamplingError, StagedError
from staged.samples.columns import SCHEMA, Sample
from staged.samples.dataset import SampleSettings, read_samples, sample, speak, write_samples
from staged.samples.methods import method
from staged.samples.writers import pace, route
from tests.samples.completions_server import CompletionsServer

ROOT = Path(__file__).parents[2]
KEY = "sk-very-secret-0123456789"
THEIRS = ("model", "semantics")  # columns in which a server's rows differ from ours


def wanted(model: str | Path, **changes: object) -> SampleSettings:
    base: dict[str, object] = {
        "model": str(model),
        "method": method("nucleus"),
        "count": 10,
        "length": 12,
        "batch": 4,
        "prompts": ("The river", "A bridge"),
    }
    return SampleSettings(**(base | changes))  # type: ignore[arg-type]


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["sample", *map(str, arguments)])


def without(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{name: row[name] for name in row if name not in THEIRS} for row in rows]


@pytest.mark.parametrize("name", ["nucleus", "temperature-0.7+top-k-40", "greedy"])
def test_it_writes_what_the_model_writes_here(
    name: str, tiny: Path, completions_server: CompletionsServer, tmp_path: Path
) -> None:
    completions_server.knows(1, range(10))
    asked = {"method": method(name), "stop": ("e", "\n"), "length": 40}
    done: list[tuple[int, int]] = []
    path = write_samples(
        tmp_path / "s.jsonl",
        wanted(completions_server.model, **asked),
        progress=lambda *both: done.append(both),
    )
    rows = read_samples(tmp_path / "s.jsonl")
    here = list(sample(wanted(tiny, precision="fp32", **asked)))
    assert without(rows) == without(here)
    assert list(rows[0]) == SCHEMA.names
    assert {row["semantics"] for row in rows} == {"server"}
    assert {row["model"] for row in rows} == {"openai:tiny"}
    assert name == "greedy" or "stop" in {row["reason"] for row in rows}
    assert path == "openai completions, model tiny"
    assert done == [(i, 10) for i in range(1, 11)]
    assert [file.name for file in tmp_path.iterdir()] == ["s.jsonl"]
    assert Sample.of(rows[0]).text == rows[0]["text"]


def test_what_a_request_says(completions_server: CompletionsServer) -> None:
    drawn = wanted(completions_server.model, count=4, per_prompt=2, stop=(".",))
    rows = list(sample(drawn))
    bodies = {body["seed"]: body for body in completions_server.asked}
    assert len(bodies) == 4
    assert all(seed < 2**31 for seed in bodies)
    assert sorted(round(body["top_p"], 6) for body in bodies.values()) == sorted(
        row["top_p"] for row in rows
    )
    assert len({row["top_p"] for row in rows}) == 4
    for body in bodies.values():
        assert (body["max_tokens"], body["temperature"], body["stop"]) == (12, 1.0, ["."])
        assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (-1, 0.0, 1.0)
    assert [row["prompt"] for row in rows] == ["The river", "The river", "A bridge", "A bridge"]
    again = list(sample(drawn))
    assert again == rows  # this server keeps to its seeds
    completions_server.asked.clear()
    list(sample(wanted(completions_server.model, method=method("top-k-40"), count=1)))
    [body] = completions_server.asked
    assert (body["top_k"], body["top_p"]) == (40, 1.0)


def test_a_server_that_refuses_to_switch_its_defaults_off(
    completions_server: CompletionsServer, caplog: pytest.LogCaptureFixture
) -> None:
    completions_server.refuses_off = True
    rows = list(sample(wanted(completions_server.model, method=method("temperature-1"))))
    assert [row["semantics"] for row in rows] == ["server, plain"] * 10
    assert len(completions_server.asked) == 11  # the first one twice, before all others
    assert not {"top_p", "top_k", "min_p"} & set(completions_server.asked[-1])
    assert "its own defaults were at work" in caplog.text


def test_a_refusal_later_on_switches_nothing(
    completions_server: CompletionsServer, tmp_path: Path
) -> None:
    def trouble(done: int, _: int) -> None:
        completions_server.refusing = done == 3

    asked = wanted(completions_server.model, batch=1)
    with pytest.raises(SamplingError, match="answers 400; out of sorts"):
        write_samples(tmp_path / "s.jsonl", asked, progress=trouble)
    write_samples(tmp_path / "s.jsonl", asked)
    assert {row["semantics"] for row in read_samples(tmp_path / "s.jsonl")} == {"server"}
    assert all(body["top_k"] == -1 for body in completions_server.asked)


def test_where_the_first_request_fails_no_other_is_sent(
    completions_server: CompletionsServer,
) -> None:
    completions_server.failing = 99
    with pytest.raises(SamplingError, match="answers 500"):
        list(sample(wanted(completions_server.model, batch=10)))
    assert len(completions_server.asked) == 4


def test_what_is_not_promised_is_said(
    completions_server: CompletionsServer, caplog: pytest.LogCaptureFixture
) -> None:
    spoken: list[str] = []
    row = speak(wanted(completions_server.model, count=1), spoken.append)
    assert spoken == ["The river", row["text"]]
    [record] = caplog.records
    assert record.getMessage().startswith(f"{completions_server.model}: a server promises neither")


def test_where_it_does_not_say_how_a_text_ended(
    tiny: Path, completions_server: CompletionsServer
) -> None:
    completions_server.knows(1, range(40))
    asked = {"stop": ("e",), "length": 30, "count": 40, "prompts": ("The river",)}
    here = list(sample(wanted(tiny, precision="fp32", **asked)))
    completions_server.shows_stop, completions_server.tells_stop = True, False
    rows = list(sample(wanted(completions_server.model, **asked)))
    for row, ours in zip(rows, here, strict=True):
        assert row["text"] == ours["text"]
        assert row["stopped"] == ours["stopped"]
    completions_server.shows_stop, completions_server.counts = False, False
    rows = list(sample(wanted(completions_server.model, **asked)))
    assert {row["reason"] for row in rows} <= {"stop", "length"}
    assert {row["stopped"] for row in rows} == {None}
    assert {row["length"] for row in rows} == {None}
    rows = list(sample(wanted(completions_server.model, **asked | {"stop": ()})))
    ours = list(sample(wanted(tiny, precision="fp32", **asked | {"stop": ()})))
    assert [row["reason"] for row in rows] == [row["reason"] for row in ours]


def test_a_count_that_is_not_given_is_null_in_both_formats(
    completions_server: CompletionsServer, tmp_path: Path
) -> None:
    completions_server.counts = False
    for suffix in (".jsonl", ".parquet"):
        write_samples(tmp_path / f"s{suffix}", wanted(completions_server.model))
    rows = read_samples(tmp_path / "s.jsonl")
    assert read_samples(tmp_path / "s.parquet") == rows
    assert {row["length"] for row in rows} == {None}


def test_half_a_character_and_a_servers_own_word_for_an_end(
    completions_server: CompletionsServer,
) -> None:
    completions_server.answer = {
        "choices": [{"index": 0, "text": "a \ud83d", "finish_reason": "content_filter"}]
    }
    [row] = sample(wanted(completions_server.model, count=1))
    assert (row["text"], row["reason"], row["ended"]) == ("a \ufffd", "content_filter", False)
    done = command(completions_server.model, "--prompt", "x")
    assert done.exit_code == 0, done.output
    assert "content_filter" in done.output


def test_it_asks_again_where_that_helps(completions_server: CompletionsServer) -> None:
    completions_server.limited, completions_server.failing = 2, 1
    rows = list(sample(wanted(completions_server.model, batch=1)))
    assert len(rows) == 10
    assert len(completions_server.asked) == 13
    completions_server.limited, completions_server.retry_after = 1, "0.4"
    before = time.monotonic()
    list(sample(wanted(completions_server.model, count=1)))
    assert time.monotonic() - before >= 0.4


def test_requests_keep_to_the_pace(
    completions_server: CompletionsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(pace.PACE, "")  # the command sets it
    before = time.monotonic()
    done = command(completions_server.model, "--prompt", "x", "-n", 4, "--requests-per-minute", 600)
    assert done.exit_code == 0, done.output
    assert time.monotonic() - before >= 0.3
    for given in ("many", "-1", "٣"):
        monkeypatch.setenv(pace.PACE, given)
        with pytest.raises(PlanError, match=pace.PACE):
            list(sample(wanted(completions_server.model)))
    refused = command(completions_server.model, "--requests-per-minute", -1)
    assert isinstance(refused.exception, PlanError)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_server_that_dies_and_comes_back_is_asked_nothing_twice(
    suffix: str, completions_server: CompletionsServer, tmp_path: Path
) -> None:
    whole, broken = tmp_path / f"whole{suffix}", tmp_path / f"broken{suffix}"
    write_samples(whole, wanted(completions_server.model))
    completions_server.answered.clear()
    for answers in (3, 7):
        completions_server.dies_after = answers
        with pytest.raises(SamplingError, match=r"cannot be reached, tried .*start it") as error:
            write_samples(broken, wanted(completions_server.model))
        assert "\n" not in str(error.value)
        kept = sorted((tmp_path / f"broken{suffix}.blocks").glob("?????????.jsonl"))
        assert len(kept) == sum(completions_server.answered.values()) >= answers
        completions_server.start()
    write_samples(broken, wanted(completions_server.model))
    assert broken.read_bytes() == whole.read_bytes()
    assert sorted(completions_server.answered.values()) == [1] * 10


def test_a_server_that_comes_back_elsewhere_is_asked_nothing_twice(
    completions_server: CompletionsServer, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    write_samples(whole, wanted(completions_server.model))
    completions_server.answered.clear()
    completions_server.dies_after, before = 3, completions_server.model
    with pytest.raises(SamplingError, match="cannot be reached"):
        write_samples(broken, wanted(before))
    completions_server.move()
    assert completions_server.model != before
    # how many at once, and how a model here would compute, decides nothing
    write_samples(broken, wanted(completions_server.model, batch=1, device="cuda"))
    assert broken.read_bytes() == whole.read_bytes()
    assert sorted(completions_server.answered.values()) == [1] * 10


def test_a_killed_run_continues(completions_server: CompletionsServer, tmp_path: Path) -> None:
    """What was answered is there; what was under way when the process died is asked again."""
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    asked = [completions_server.model, "--prompt", "The river", "-n", "40", "--length", "12"]
    assert command(*asked, "--out", whole).exit_code == 0
    completions_server.answered.clear()
    line = [sys.executable, "-m", "staged.cli", "sample", *asked, "--out", str(broken)]
    limits = os.environ | {pace.PACE: "1200"}
    with subprocess.Popen(line, cwd=ROOT, env=limits, stderr=subprocess.DEVNULL) as process:
        while sum(completions_server.answered.values()) < 5:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    time.sleep(0.1)  # what it had asked is answered meanwhile
    before = completions_server.answered.copy()
    kept = len(list((tmp_path / "broken.jsonl.blocks").glob("?????????.jsonl")))
    assert 0 < kept <= len(before) < 40
    assert command(*asked, "--out", broken).exit_code == 0
    assert broken.read_bytes() == whole.read_bytes()
    assert sum(completions_server.answered.values()) == sum(before.values()) + 40 - kept


def test_a_key_is_sent_and_never_written(
    completions_server: CompletionsServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    completions_server.key, completions_server.dies_after = KEY, 4
    outputs = [
        command(completions_server.model, "--prompt", "x", "-n", 9, "--out", tmp_path / "s.jsonl")
    ]
    completions_server.start()
    assert list(tmp_path.rglob("0*.jsonl"))
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    outputs.append(
        command(completions_server.model, "--prompt", "x", "-n", 9, "--out", tmp_path / "s.jsonl")
    )
    assert outputs[1].exit_code == 0, outputs[1].output
    completions_server.failing = 99  # and tells the key in its message
    outputs.append(command(completions_server.model, "--prompt", "x"))
    assert "answers 500; broken, as … can see; tried 4 times" in str(outputs[-1].exception)
    completions_server.failing, completions_server.key = 0, "another"
    outputs.append(command(completions_server.model, "--prompt", "x"))
    assert "answers 401; it wants another key; set OPENAI_API_KEY" in str(outputs[-1].exception)
    written += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    said = [f"{done.output}{done.stderr}{done.exception!r}" for done in outputs] + [caplog.text]
    assert not any(KEY in text for text in said)
    assert not any(KEY.encode() in data for data in written)


def said(settings: SampleSettings) -> str:
    with pytest.raises(StagedError) as error:
        list(sample(settings))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_goes_wrong_is_one_sentence(
    completions_server: CompletionsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = wanted(completions_server.model, count=1)
    where = f"the server at 127.0.0.1:{completions_server.port}"
    completions_server.key = KEY
    assert said(asked) == f"{where} answers 401; it wants a key; set OPENAI_API_KEY"
    completions_server.key = ""
    completions_server.refuses_empty = True
    assert (
        f"{where} answers 400; prompt is empty; many servers begin no text by themselves: give --prompt"
        in said(wanted(completions_server.model, prompts=()))
    )
    completions_server.limited = 99
    assert (
        f"{where} answers 429; too many requests; tried 4 times; it asks to wait 0.01 s, or"
        in said(asked)
    )
    completions_server.limited, completions_server.retry_after = 99, "3600"
    assert "tried 1 time; it asks to wait 3600 s" in said(asked)
    completions_server.limited = 0
    elsewhere = wanted(completions_server.model.removesuffix("/v1"))
    assert re.search("answers 404; .*look at the name 'tiny', and at the URL", said(elsewhere))
    for strange in ({"choices": []}, {"choices": [{"text": None}]}, [1], b"<html>", b"{"):
        completions_server.answer = strange
        assert said(asked).startswith(f"{where} answers, but not as a completions route does")
    completions_server.answer = {"choices": [{"text": "x", "finish_reason": None}]}
    assert "not as a completions route does" in said(asked)
    monkeypatch.setattr(route, "TIMEOUT_S", 0.05)
    with completions_server.lock:
        assert f"{where} gave no answer within 0.05 s, tried 2 times" in said(asked)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-é")
    assert said(asked) == "OPENAI_API_KEY: holds characters that no key has; set it anew"


def test_an_error_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    model = "openai:llama3@http://127.0.0.1:1/v1"
    line = [sys.executable, "-m", "staged.cli", "sample", model, "--logprobs"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"staged: sample: {model} is behind a server, whose completions")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"logprobs": True}, "--logprobs"),
        ({"repetition_penalty": 1.2}, "--repetition-penalty"),
        ({"context": "slide"}, "--context"),
        ({"draft": "mini-s"}, "--draft"),
        ({"precision": "fp32"}, "--precision"),
        ({"method": method("nucleus+released")}, "released semantics of top-p"),
    ],
)
def test_what_the_route_cannot_carry_is_refused(changes: dict[str, object], what: str) -> None:
    asked = wanted("openai:llama3@http://127.0.0.1:1/v1", **changes)
    with pytest.raises(PlanError, match=f"whose completions route has no {re.escape(what)}; leave"):
        list(sample(asked))


def test_a_draft_is_a_model_that_is_here(tiny: Path) -> None:
    asked = wanted(tiny, draft="openai:llama3@http://127.0.0.1:1/v1")
    with pytest.raises(CheckpointError, match="behind a server has no files"):
        list(sample(asked))


def test_the_python_verb(completions_server: CompletionsServer, tmp_path: Path) -> None:
    import staged

    rows = staged.sample(
        completions_server.model, ["The river"], number=3, length=4, out=tmp_path / "s.jsonl"
    )
    assert [row.id for row in rows] == [0, 1, 2]
    assert json.loads((tmp_path / "s.jsonl").read_text().split("\n")[0])["model"] == rows[0].model
