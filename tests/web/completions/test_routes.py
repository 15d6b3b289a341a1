"""The completions route, as OpenAI's own client and our own sampling see it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import httpx2
import openai
import pytest
from typer.testing import CliRunner

from staged.cli import app
from staged.samples.dataset import speak
from staged.samples.methods import from_numbers
from staged.samples.writers.contract import SampleSettings
from staged.web.completions.generator import Generator, Written, open_generator
from staged.web.limits import ClientGoneError, Limits
from tests.web.fake import FakeExaminer
from tests.web.servers import serving

PROMPT = "The ship was"
LIMITS = Limits(samples=40)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return open_generator("mini-s", precision="fp32", device="cpu")


@pytest.fixture(scope="module")
def port(generator: Generator) -> Iterator[int]:
    with serving(FakeExaminer(), LIMITS, generator=generator) as port:
        yield port


@pytest.fixture
def client(port: int) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        api_key="none", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0
    ) as client:
        yield client


def write(client: openai.OpenAI, prompt: Any = PROMPT, **asked: Any) -> Any:
    return client.completions.create(**{"model": "mini-s", "prompt": prompt, "seed": 1} | asked)


def by_staged(prompts: tuple[str, ...], **how: Any) -> str:
    """What `staged sample` writes."""
    settings = SampleSettings("mini-s", from_numbers(None, None, None), 1, 16, prompts=prompts)
    return str(speak(replace(settings, precision="fp32", **how), lambda _: None)["text"])


def test_a_text_and_its_count(client: openai.OpenAI) -> None:
    answer = write(client)
    [choice] = answer.choices
    assert choice.text == by_staged((PROMPT,))
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "length", None)
    assert answer.usage.completion_tokens == 16
    assert answer.usage.total_tokens == 16 + answer.usage.prompt_tokens
    assert (answer.object, answer.model) == ("text_completion", "mini-s")
    assert answer.id.startswith("cmpl-")
    assert abs(answer.created - time.time()) < 60


def test_the_method_and_seed_are_those_asked_for(client: openai.OpenAI) -> None:
    asked = {"temperature": 0.7, "top_p": 0.9, "seed": 5, "max_tokens": 30}
    method = from_numbers(0.7, 20, 0.9)
    expected = by_staged((PROMPT,), method=method, seed=5, length=30)
    assert write(client, **asked, extra_body={"top_k": 20}).choices[0].text == expected
    assert write(client, seed=-1).choices[0].text == by_staged((PROMPT,), seed=2**64 - 1)
    greedy = by_staged((PROMPT,), method=from_numbers(0.0, 0, None))
    assert write(client, temperature=0, seed=8).choices[0].text == greedy


def test_without_a_seed_texts_differ(client: openai.OpenAI) -> None:
    texts = {write(client, seed=None).choices[0].text for _ in range(3)}
    assert len(texts) == 3


def test_several_prompts_and_texts_a_prompt(client: openai.OpenAI) -> None:
    prompts = [PROMPT, "Of all the people in the old house", ""]
    answer = write(client, prompts, n=6, max_tokens=8)  # 18 texts are more than a batch
    assert [choice.index for choice in answer.choices] == list(range(18))
    texts = [choice.text for choice in answer.choices]
    assert texts[0] == by_staged((PROMPT,), length=8)
    assert len(set(texts)) == 18
    assert answer.usage.completion_tokens == sum(map(len_in_tokens, answer.choices))
    each = [write(client, prompt, max_tokens=1).usage.prompt_tokens for prompt in prompts]
    assert answer.usage.prompt_tokens == sum(each)
    assert each[2] == 1


def len_in_tokens(choice: Any) -> int:
    return 8 if choice.finish_reason == "length" else len(choice.text.split())


def test_a_stop_string_ends_a_text_before_it(client: openai.OpenAI) -> None:
    whole = write(client, max_tokens=40).choices[0].text
    stop = whole[20:23]
    for stops in (stop, ["no such string", stop]):
        [choice] = write(client, max_tokens=40, stop=stops).choices
        assert choice.text == whole[: whole.index(stop)]
        assert choice.finish_reason == "stop"
        assert choice.model_extra["stop_reason"] == stop


def test_a_stream_is_the_same_text_in_pieces(client: openai.OpenAI) -> None:
    whole = write(client, n=2, max_tokens=30, stop=[" th"])
    texts, reasons, used = {0: "", 1: ""}, {}, None
    chunks = list(
        write(
            client,
            n=2,
            max_tokens=30,
            stop=[" th"],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert len(chunks) > 10
    assert len({chunk.id for chunk in chunks}) == 1
    for chunk in chunks:
        used = chunk.usage or used
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
    assert [texts[choice.index] for choice in whole.choices] == [c.text for c in whole.choices]
    assert [reasons[choice.index] for choice in whole.choices] == [
        choice.finish_reason for choice in whole.choices
    ]
    assert used == whole.usage


def test_a_stream_ends_with_done(port: int) -> None:
    body = {"model": "mini-s", "prompt": PROMPT, "max_tokens": 3, "stream": True}
    answer = httpx2.post(f"http://127.0.0.1:{port}/v1/completions", json=body, timeout=30)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    events = answer.text.strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    assert all(json.loads(event.removeprefix("data: ")) for event in events[:-1])


def test_the_models(client: openai.OpenAI) -> None:
    [model] = client.models.list().data
    assert (model.id, model.object, model.model_extra["max_model_len"]) == ("mini-s", "model", 256)
    assert client.models.retrieve("mini-s") == model
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other/model")


@pytest.mark.parametrize(
    ("asked", "parameter"),
    [
        ({"extra_body": {"min_p": 0.1}}, "min_p"),
        ({"logprobs": 0}, "logprobs"),
        ({"echo": True}, "echo"),
        ({"best_of": 3}, "best_of"),
        ({"suffix": "the end"}, "suffix"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"logit_bias": {"7": 1}}, "logit_bias"),
        ({"n": 41}, "n"),
        ({"n": 0}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 300}, "max_tokens"),
        ({"prompt": "word " * 300}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[1, 2, 3]]}, "prompt"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": ""}, "stop"),
    ],
)
def test_what_is_refused_names_the_parameter(
    client: openai.OpenAI, asked: dict[str, Any], parameter: str | None
) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as refusal:
            write(client, **asked, stream=stream)
        assert refusal.value.type == "invalid_request_error"
        assert refusal.value.param == parameter
        assert "data:" not in str(refusal.value.message)


def test_values_that_switch_off_are_taken(client: openai.OpenAI) -> None:
    off = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "best_of": 1, "logit_bias": {}}
    answer = write(client, echo=False, presence_penalty=0, extra_body=off | {"unknown": [1]})
    assert answer.choices[0].text == by_staged((PROMPT,))


def test_another_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refusal:
        write(client, model="gpt-3.5-turbo-instruct")
    assert refusal.value.code == "model_not_found"
    assert "mini-s" in refusal.value.message


def half(asked: dict[str, str], field: str) -> dict[str, Any]:
    """A body in which a field holds half of a surrogate pair."""
    headers = {"content-type": "application/json"}
    return {"headers": headers, "content": json.dumps(asked | {field: "a\ud83d"})}


def test_other_errors_have_the_same_form(port: int) -> None:
    at = f"http://127.0.0.1:{port}/v1"
    asked = {"model": "mini-s", "prompt": "x"}
    for answer, status in (
        (httpx2.get(f"{at}/embeddings", headers={"accept": "text/html"}), 404),
        (httpx2.get(f"{at}/completions"), 405),
        (httpx2.post(f"{at}/completions", content=json.dumps(asked)), 415),
        (httpx2.post(f"{at}/completions", json=asked | {"prompt": "x" * 5_000_000}), 413),
        (httpx2.post(f"{at}/completions", json=asked | {"prompt": "x" * 60_000}), 413),
        (httpx2.post(f"{at}/completions", **half(asked, "prompt")), 400),
        (httpx2.post(f"{at}/completions", **half(asked, "stop")), 400),
    ):
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert httpx2.post(f"http://127.0.0.1:{port}/api/detect", content="{}").json() == {
        "error": 'Send JSON: Content-Type: application/json, {"texts": ["…"]}.'
    }


def test_without_a_generator_there_is_none(port: int) -> None:
    with serving(FakeExaminer()) as other:
        assert httpx2.get(f"http://127.0.0.1:{other}/v1/models").status_code == 404


class WatchedGenerator(Generator):
    """Notes what ended each request."""

    endings: ClassVar[list[BaseException]] = []

    def write(self, *how: Any) -> Written:
        try:
            return super().write(*how)
        except BaseException as ending:
            self.endings.append(ending)
            raise


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_ends_the_writing(generator: Generator, stream: bool) -> None:
    WatchedGenerator.endings.clear()
    watched = WatchedGenerator(**vars(generator))
    with serving(FakeExaminer(), generator=watched) as port:
        body = {"model": "mini-s", "prompt": PROMPT, "n": 64, "max_tokens": 250, "stream": stream}
        head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
        data = json.dumps(body).encode()
        with socket.create_connection(("127.0.0.1", port), timeout=15) as client:
            client.sendall(f"{head}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
            if stream:
                assert client.recv(100).startswith(b"HTTP/1.1 200")
            else:
                time.sleep(0.1)
        until = time.monotonic() + 15
        while not WatchedGenerator.endings and time.monotonic() < until:
            time.sleep(0.02)
    assert [type(ending) for ending in WatchedGenerator.endings] == [ClientGoneError]


def test_time_is_up(generator: Generator) -> None:
    with (
        serving(FakeExaminer(), Limits(generate_s=0.2), generator=generator) as port,
        openai.OpenAI(
            api_key="none", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0
        ) as client,
    ):
        with pytest.raises(openai.InternalServerError, match=r"longer than 0.2 seconds"):
            write(client, n=40, max_tokens=250)
        with pytest.raises(openai.APIError, match=r"longer than 0.2 seconds"):
            for _ in write(client, n=40, max_tokens=250, stream=True):
                pass


def test_our_own_route_samples_from_it(port: int, client: openai.OpenAI) -> None:
    model = f"openai:mini-s@http://127.0.0.1:{port}/v1"
    command = ["sample", model, "-n", "1", "--prompt", PROMPT, "--length", "12"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert len(result.stdout.split()) > 3
