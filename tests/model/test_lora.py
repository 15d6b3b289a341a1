"""LoRA: starts as the base, trains only its own matrices, and merges into a plain GPT-2 that
computes the same.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from staged.model.checkpoints import load_model
from staged.model.gpt2.model import GPT2, Projection
from staged.model.training.lora import LowRank, add_low_rank, merge_low_rank

IDS = torch.arange(24).view(2, 12)


@pytest.fixture
def base(tiny: Path) -> GPT2:
    return load_model(str(tiny))[0]


@pytest.fixture
def adapted(tiny: Path) -> GPT2:
    model = load_model(str(tiny))[0].train()
    add_low_rank(model, model.h, rank=3, alpha=6.0, generator=torch.Generator().manual_seed(1))
    return model


def spread(model: GPT2) -> None:
    """Give every B values, as training would."""
    generator = torch.Generator().manual_seed(2)
    for module in model.modules():
        if isinstance(module, LowRank):
            module.b.data.normal_(std=0.05, generator=generator)


def test_before_training_the_output_is_the_base_models(base: GPT2, adapted: GPT2) -> None:
    assert torch.equal(adapted(IDS), base(IDS))


def test_only_its_matrices_get_gradients(adapted: GPT2) -> None:
    spread(adapted)
    adapted(IDS).square().mean().backward()
    trained = {name for name, weight in adapted.named_parameters() if weight.grad is not None}
    assert trained == {name for name, weight in adapted.named_parameters() if weight.requires_grad}
    assert {name.rsplit(".", 1)[1] for name in trained} == {"a", "b"}
    assert len(trained) == 2 * 4 * len(adapted.h)
    assert all(weight.grad.any() for name, weight in adapted.named_parameters() if name in trained)


def test_number_of_trained_weights(adapted: GPT2) -> None:
    width, rank = adapted.config.n_embd, 3
    ends = (
        (1 + 3) + (1 + 1) + (1 + 4) + (4 + 1)
    )  # in and out of c_attn, c_proj, c_fc, c_proj, in widths
    trained = sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)
    assert trained == len(adapted.h) * rank * width * ends


def test_merged_computes_what_unmerged_did(base: GPT2, adapted: GPT2) -> None:
    spread(adapted)
    before = adapted(IDS).detach()
    merge_low_rank(adapted)
    assert (before - base(IDS)).abs().max() > 0.01
    torch.testing.assert_close(adapted(IDS), before, rtol=0, atol=1e-5)
    assert set(adapted.state_dict()) == set(base.state_dict())
    assert not any(isinstance(module, LowRank) for module in adapted.modules())
    merge_low_rank(adapted)
    torch.testing.assert_close(adapted(IDS), before, rtol=0, atol=1e-5)


def test_formula() -> None:
    frozen = Projection(4, 6)
    torch.nn.init.normal_(frozen.weight)
    module = LowRank(frozen, 2, 8.0, torch.Generator().manual_seed(1))
    torch.nn.init.normal_(module.b)
    x = torch.randn(3, 4)
    torch.testing.assert_close(
        module(x), x @ frozen.weight + frozen.bias + 8 / 2 * (x @ module.a @ module.b)
    )
