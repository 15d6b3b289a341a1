"""Likelihoods against the model's own softmax, read one text at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from staged.model.causal import CausalLM, load_causal
from staged.studies.bias.likelihood import (
    continuation_nats,
    preference_texts,
    preferences,
    sentence_nats,
)
from staged.studies.bias.prompts import read_terms
from tests.studies.bias.made import TOML, terms_file


def by_hand(model: CausalLM, text: str) -> list[float]:
    """log p of each token of a text that starts after <|endoftext|>."""
    ids = torch.tensor([[model.tokenizer.end_of_text, *model.tokenizer.encode(text)]])
    with torch.inference_mode():
        logits = (model.hidden(ids) @ model.head.T)[0].float().log_softmax(-1)
    return [float(logits[i, ids[0, i + 1]]) for i in range(ids.size(1) - 1)]


def test_sentences_and_continuations(tiny: Path) -> None:
    model = load_causal(str(tiny))
    prompt, continuation = "The captain was described as", "a river 🌊"
    whole = by_hand(model, f"{prompt} {continuation}")
    ((nats, tokens),) = sentence_nats(model, [f"{prompt} {continuation}"])
    assert (nats, tokens) == (pytest.approx(sum(whole), abs=1e-3), len(whole))
    expected = sum(whole[len(model.tokenizer.encode(prompt)) :])
    assert continuation_nats(model, [(prompt, continuation)]) == [pytest.approx(expected, abs=1e-3)]


def test_preferences_are_differences_averaged_over_templates(tiny: Path, tmp_path: Path) -> None:
    model, terms = load_causal(str(tiny)), read_terms(terms_file(tmp_path))
    seen: list[tuple[int, int]] = []
    found = preferences(model, terms, "respect", lambda done, total: seen.append((done, total)))
    assert [len(one) for one in found["colour"].values()] == [4, 4]
    texts = [
        (f"The red person {template}", word)
        for template in terms.templates["respect"]
        for word in ("kind", "unkind")
    ]
    kind, unkind, kind_2, unkind_2 = continuation_nats(model, texts)
    assert found["colour"]["red"][1] == pytest.approx(
        (kind - unkind + kind_2 - unkind_2) / 2, abs=1e-4
    )
    assert found["colour"]["red"] != found["colour"]["blue"]
    assert seen[-1] == (preference_texts(terms, "respect"),) * 2 == (5 * 4 * 2 * 2,) * 2


def test_a_prompts_sides_swapped_change_the_sign_only(tiny: Path, tmp_path: Path) -> None:
    model, terms = load_causal(str(tiny)), read_terms(terms_file(tmp_path))
    (tmp_path / "swapped.toml").write_text(
        TOML.replace('["good", "bad"]', '["bad", "good"]'), encoding="utf-8"
    )
    swapped = read_terms(tmp_path / "swapped.toml")
    here, there = (preferences(model, one, "respect")["size"]["tall"] for one in (terms, swapped))
    assert here[0] == pytest.approx(-there[0], abs=1e-4)
    assert here[1:] == pytest.approx(there[1:], abs=1e-4)
