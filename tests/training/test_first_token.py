"""A last layer that computes the first token alone gives the same logits and gradients."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from staged.detectors.kinds.roberta import batch_of, encode, load_classifier
from staged.training.first_token import FirstTokenLayer, read_first_token
from tests.conftest import prose

TEXTS = ["a", "🎈\u3000 \t\n e\u0301", *(prose(seed, 2)[-5 - 9 * seed :] for seed in range(5))]


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[-1:]], ids=["padded", "alone"])
def test_logits_and_gradients_are_those_of_the_whole_layer(
    tiny_encoder: Path, texts: list[str]
) -> None:
    torch.manual_seed(5)
    whole, tokenizer = load_classifier(str(tiny_encoder), num_labels=2)
    first = copy.deepcopy(whole)
    read_first_token(first)
    assert isinstance(first.roberta.encoder.layer[-1], FirstTokenLayer)
    batch = batch_of(tokenizer, encode(tokenizer, texts))
    logits = [model.train()(**batch).logits for model in (whole, first)]
    torch.testing.assert_close(*logits)
    for part in logits:
        (part[:, 0] - part[:, 1]).sum().backward()
    wanted, got = (
        {name: weight.grad for name, weight in model.named_parameters()} for model in (whole, first)
    )
    assert got.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(got[name], gradient, atol=1e-5, rtol=1e-3, msg=name)


def test_another_kernel_of_attention_keeps_its_layer(tiny_encoder: Path) -> None:
    model, _ = load_classifier(str(tiny_encoder), device="cuda", num_labels=2)
    layer = model.roberta.encoder.layer[-1]
    read_first_token(model)
    assert model.roberta.encoder.layer[-1] is layer
