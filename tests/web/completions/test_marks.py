"""Marks that no request can switch off: a watermark that a test finds, and a manifest that checks."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from staged.keys.ring import Key, new_key, open_key
from staged.provenance.fingerprints.opening import open_log
from staged.provenance.manifest.plain_text import verify_beside
from staged.provenance.manifest.trust import trust_from
from staged.provenance.model_facts import weights_digest
from staged.watermarks import evidence
from staged.watermarks.schemes import make_watermark
from staged.web.completions.generator import Generator, open_generator
from staged.web.completions.request import Completion
from staged.web.limits import ClientGoneError, Limits
from tests.web.fake import FakeExaminer
from tests.web.servers import serving

SWITCHES = {
    "watermark": None,
    "watermarking": False,
    "watermark_scheme": "none",
    "key": "",
    "provenance": False,
    "manifest": False,
    "extra_args": {"watermark": False},
}
PROMPT = "It was a"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Key]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAGED_KEYS", str(tmp_path_factory.mktemp("keys")))
        yield new_key("alpha")


@pytest.fixture(scope="module")
def generator(key: Key) -> Generator:
    return open_generator(
        "mini-s",
        precision="fp32",
        device="cpu",
        watermark="gumbel-dual",
        key="alpha",
        signpost="https://example.org/verify",
    )


@pytest.fixture(scope="module")
def port(generator: Generator) -> Iterator[int]:
    with serving(FakeExaminer(), generator=generator) as port:
        yield port


@pytest.fixture
def client(port: int) -> Iterator[openai.OpenAI]:
    with client_of(port) as client:
        yield client


def client_of(port: int) -> openai.OpenAI:
    return openai.OpenAI(api_key="none", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0)


def asked(**more: Any) -> dict[str, Any]:
    return {"model": "mini-s", "prompt": PROMPT, "max_tokens": 200, "seed": 3} | more


def p_value(text: str, key: Key, generator: Generator, scheme: str = "gumbel-dual") -> float:
    watermark = make_watermark(scheme, key.watermark_secret().secret, 0)
    candidate = evidence.Candidate(key.id, watermark, generator.tokenizer)
    return evidence.test_text(text, [candidate]).p_value


def check_signed(text: str, manifest: str, key: Key) -> None:
    now, trust = datetime.datetime.now(datetime.UTC), trust_from(key.certificates())
    store = base64.b64decode(manifest)
    verdict = verify_beside(text, store, trust, now)
    assert verdict.state == "valid", verdict.sentence
    facts = verdict.facts
    assert facts is not None
    assert (facts.model, facts.watermark, facts.key) == ("mini-s", "gumbel-dual", "alpha")
    assert facts.detector == "https://example.org/verify"
    assert facts.weights == weights_digest("mini-s")
    assert facts.sampling["temperature"] == 1.0
    assert verify_beside(text + "x", store, trust, now).state == "invalid"
    secret = key.watermark_secret().secret
    assert secret is not None
    assert str(secret).encode() not in store
    assert secret.to_bytes(8, "big") not in store


def test_texts_are_marked_and_signed(client: openai.OpenAI, key: Key, generator: Generator) -> None:
    raw = client.completions.with_raw_response.create(**asked(n=3))
    assert raw.headers["x-staged-watermark"] == "gumbel-dual; alpha"
    answer = raw.parse()
    told = answer.model_extra["provenance"]
    assert told["watermark"] == {"scheme": "gumbel-dual", "key": "alpha"}
    assert told["manifest_type"] == "application/c2pa"
    assert len({choice.text for choice in answer.choices}) == 3
    for choice, manifest in zip(answer.choices, told["manifests"], strict=True):
        assert p_value(choice.text, key, generator) < 1e-6
        check_signed(choice.text, manifest, key)


def test_a_stream_is_marked_and_its_last_chunk_signs_it(
    client: openai.OpenAI, key: Key, generator: Generator
) -> None:
    chunks = list(client.completions.create(**asked(stream=True)))
    text = "".join(choice.text for chunk in chunks for choice in chunk.choices)
    told = chunks[-1].model_extra["provenance"]
    assert [chunk for chunk in chunks if "provenance" in chunk.model_extra] == chunks[-1:]
    assert p_value(text, key, generator) < 1e-6
    check_signed(text, told["manifests"][0], key)


@pytest.mark.parametrize("name", SWITCHES)
def test_no_field_of_a_request_changes_a_mark(client: openai.OpenAI, name: str) -> None:
    plain = client.completions.create(**asked(max_tokens=20))
    raw = client.completions.with_raw_response.create(
        **asked(max_tokens=20), extra_body={name: SWITCHES[name]}
    )
    assert raw.headers["x-staged-watermark"] == "gumbel-dual; alpha"
    answer = raw.parse()
    assert answer.choices[0].text == plain.choices[0].text
    told = answer.model_extra["provenance"]
    assert told["watermark"]["key"] == "alpha"
    assert len(told["manifests"]) == 1


def test_the_key_remembers_with_what_it_marked(key: Key, generator: Generator) -> None:
    [use] = open_key(key.id).uses
    assert (use.scheme, use.vocabulary) == ("gumbel-dual", generator.network.config.n_vocab)


@pytest.mark.parametrize(
    ("method", "parameter"),
    [
        ({"temperature": 0}, "temperature"),
        ({"temperature": 0.01}, "temperature"),
        ({"extra_body": {"top_k": 1}}, "top_k"),
        ({"top_p": 0.01}, "top_p"),
    ],
)
def test_methods_that_leave_nothing_to_choose_are_refused(
    client: openai.OpenAI, method: dict[str, Any], parameter: str
) -> None:
    with pytest.raises(openai.BadRequestError, match="this server marks what it writes") as refusal:
        client.completions.create(**asked(**method))
    assert refusal.value.param == parameter


@pytest.mark.slow
def test_least_methods_leave_a_mark(client: openai.OpenAI, key: Key, generator: Generator) -> None:
    least = {"temperature": 0.7, "top_p": 0.8, "extra_body": {"top_k": 20}}
    answer = client.completions.create(**asked(n=8, **least))
    values = sorted(p_value(choice.text, key, generator) for choice in answer.choices)
    assert values[5] < 0.01


def test_plain_gumbel_gives_one_text_a_prompt(key: Key, generator: Generator) -> None:
    assert generator.marks is not None
    secret = key.watermark_secret().secret
    marks = replace(generator.marks, watermark=make_watermark("gumbel", secret, 0), signer=None)
    with (
        serving(FakeExaminer(), generator=replace(generator, marks=marks)) as port,
        client_of(port) as client,
    ):
        with pytest.raises(openai.BadRequestError, match="gives a prompt one text") as refusal:
            client.completions.create(**asked(n=2))
        assert refusal.value.param == "n"
        texts = [client.completions.create(**asked(seed=seed)) for seed in (1, 2)]
        # up to where a context comes again: from there on the seed draws
        beginnings = [each.choices[0].text[:60] for each in texts]
        assert beginnings[0] == beginnings[1]
        assert texts[0].model_extra["provenance"] == {
            "watermark": {"scheme": "gumbel", "key": "alpha"}
        }


def test_a_log_gets_every_text_and_finds_it_again(tmp_path: Path, key: Key) -> None:
    with open_log(str(tmp_path / "log.sqlite")) as log:
        generator = open_generator("mini-s", precision="fp32", device="cpu", log=log)
        with serving(FakeExaminer(), generator=generator) as port, client_of(port) as client:
            answer = client.completions.create(**asked(n=2))
        assert "provenance" not in answer.model_extra
        assert log.standing().models == {"mini-s": 2}
        for choice in answer.choices:
            assert log.find(choice.text)[0].similarity == 1
        assert log.find("Words that nobody wrote here, of which there are twenty. " * 5) == []


def test_a_log_gets_what_was_streamed_to_who_left(tmp_path: Path, key: Key) -> None:
    """Else whoever leaves before a stream's last token has a text of which nothing is kept."""
    with open_log(str(tmp_path / "log.sqlite")) as log:
        generator = open_generator("mini-s", precision="fp32", device="cpu", log=log)
        request = Completion.model_validate(asked(max_tokens=120))
        pieces: list[str] = []

        def still_wanted() -> None:
            if len(pieces) == 80:
                raise ClientGoneError("the client left")

        with pytest.raises(ClientGoneError):
            generator.write(
                generator.settings(request, Limits()),
                lambda _, text: pieces.append(text),
                still_wanted,
            )
        assert log.standing().texts == 1
        assert log.find("".join(pieces))[0].similarity == 1


def test_without_marks_nothing_is_said(generator: Generator) -> None:
    with (
        serving(FakeExaminer(), generator=replace(generator, marks=None)) as port,
        client_of(port) as client,
    ):
        raw = client.completions.with_raw_response.create(**asked(max_tokens=5, temperature=0))
        assert "x-staged-watermark" not in raw.headers
        assert "provenance" not in raw.parse().model_extra
