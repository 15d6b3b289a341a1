"""Records call things by name, wherever they lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from staged.storage.placeless import is_place, named, place_name


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("/home/me/speeches/", "speeches"),
        ("../speeches", "speeches"),
        ("./speeches.jsonl", "speeches.jsonl"),
        ("texts/of/speeches", "speeches"),
        ("my texts/speeches", "speeches"),
        ("texts/", "texts"),
        ("~/speeches", "speeches"),
        ("C:\\texts\\speeches", "speeches"),
        ("C:/texts/speeches", "speeches"),
        ("\\\\host\\share\\speeches", "speeches"),
        ("file:///home/me/speeches", "speeches"),
        ("openai:large-7b@http://10.0.0.7:8000/v1", "large-7b"),
        ("openai:owner/large@https://host.example/v1", "owner/large"),
        ("openai:a@b@http://h/v1", "a@b"),
        ("openai:@cf/llama@https://host.example/v1", "@cf/llama"),
        ("openai:my model@http://h/v1", "my model"),
        ("openai:x@HTTP://h/v1", "x"),
    ],
)
def test_a_place_becomes_its_name(place: str, name: str) -> None:
    assert is_place(place)
    assert place_name(place) == name


@pytest.mark.parametrize(
    "name",
    [
        "sotu",
        "mini-s",
        "openai-community/gpt2",
        "openai:124M",
        "",
        "https://host.example/a",
        "one\n/two",
    ],
)
def test_a_name_stays(name: str) -> None:
    assert place_name(name) == name


def test_a_folder_that_is_there_is_a_place_though_it_reads_like_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert place_name("models/small") == "models/small"
    (tmp_path / "models" / "small").mkdir(parents=True)
    assert place_name("models/small") == "small"
    assert place_name(".") == tmp_path.name


def test_records_are_changed_under_their_keys_only() -> None:
    record = {
        "settings": {
            "models": ["mini-s", "/m/small"],
            "corpus": {"source": "/t/x"},
            "roberta": {"base": "../e"},
        },
        "styles": {"news": "/t/news.jsonl", "base": "/t/b"},
        "measures": [{"source": "Someone and another / 2019"}],
        "sources": ["a/b.txt", "/t/c.txt", 3],
        "cells": [{"id": "tfidf/a/b", "text": "/t/x"}],
        "n": None,
    }
    replaced: dict[str, str] = {}
    assert named(record, replaced) == {
        "settings": {
            "models": ["mini-s", "small"],
            "corpus": {"source": "x"},
            "roberta": {"base": "e"},
        },
        "styles": {"news": "news.jsonl", "base": "b"},
        "measures": [{"source": "Someone and another / 2019"}],
        "sources": ["a/b.txt", "c.txt", 3],
        "cells": [{"id": "tfidf/a/b", "text": "x"}],
        "n": None,
    }
    assert replaced["/t/x"] == "x"


def test_a_probes_models_go_by_their_last_part() -> None:
    record = {
        "models": ["models/small", "openai-community/gpt2"],
        "differences": [{"first": "./small", "second": "man"}],
        "n": "a/b",
    }
    assert named(record, owners=False) == {
        "models": ["small", "gpt2"],
        "differences": [{"first": "small", "second": "man"}],
        "n": "a/b",
    }


def test_a_result_calls_its_model_and_its_text_by_name() -> None:
    record = {"model": "openai:large@http://10.0.0.7:8000/v1", "file": "texts/speeches.txt"}
    inner = {"rows": [{"file": "texts/a.txt"}]}
    assert named(record | inner) == {"model": "large", "file": "speeches.txt"} | inner


def test_what_lies_on_this_machine_gets_a_name_under_any_key(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    record = {"whatever": [str(tmp_path / "texts")], "other": "/nobody/has/this", "root": "/tmp"}
    record |= {"long": "/long/" + "word/" * 2000}
    assert named(record) == record | {"whatever": ["texts"]}
