"""A packed RoBERTa against transformers' own in float32."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from staged.detectors.kinds.packed_roberta import PackedRoberta, can_be_packed
from staged.detectors.kinds.roberta import RobertaDetector, batch_of, encode, load_classifier
from staged.model.gpt2.packed_linear import bf16_is_native
from tests.conftest import prose

TEXTS = ["", "a", "🎈\u3000 \t\n e\u0301", *(prose(seed, 2)[-5 - 5 * seed :] for seed in range(9))]

native = pytest.mark.skipif(not bf16_is_native(), reason="this processor has no bfloat16")


@pytest.fixture(scope="module")
def exact(tiny_encoder: Path) -> RobertaDetector:
    torch.manual_seed(5)
    model, tokenizer = load_classifier(str(tiny_encoder), num_labels=2)
    with torch.no_grad():  # fresh weights are small, and a layer left out would not show
        for name, weight in model.named_parameters():
            weight.mul_(1.0 if "LayerNorm" in name else 8.0)
    return RobertaDetector(model, tokenizer)


@native
def test_packed_scores_are_transformers_own_but_for_rounding(exact: RobertaDetector) -> None:
    wanted = torch.tensor(exact.score(TEXTS))
    again, tokenizer = _copied(exact), exact.tokenizer
    packed = RobertaDetector(again, tokenizer, dtype=torch.bfloat16)
    assert can_be_packed(packed.model)
    got = torch.tensor(packed.score(TEXTS))
    assert wanted.std() > 0.1
    assert (got - wanted).abs().max() < 0.05 * wanted.std()


@native
def test_a_text_does_not_depend_on_its_neighbours_padding(exact: RobertaDetector) -> None:
    packed = PackedRoberta(_copied(exact).to(torch.bfloat16))
    ids = encode(exact.tokenizer, TEXTS)
    with torch.inference_mode():
        together = packed(**batch_of(exact.tokenizer, ids))
        alone = torch.cat([packed(**batch_of(exact.tokenizer, [row])) for row in ids])
    torch.testing.assert_close(together, alone, atol=0.03, rtol=0.03)


def test_what_is_no_published_roberta_in_bfloat16_stays_as_it_is(exact: RobertaDetector) -> None:
    assert not can_be_packed(exact.model)
    other = _copied(exact).to(torch.bfloat16)
    other.config.hidden_act = "relu"
    assert not can_be_packed(other)


def _copied(detector: RobertaDetector) -> torch.nn.Module:
    model: torch.nn.Module = copy.deepcopy(detector.model)
    return model
