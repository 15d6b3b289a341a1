"""LoRA, over our GPT-2 and other families alike: starts as the base, trains only its own matrices,
and merges into a plain model that computes the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from staged.errors import CheckpointError
from staged.model.bpe import BPE
from staged.model.gpt2.model import Projection
from staged.model.training.lora import LowRank, add_low_rank, merge_low_rank
from staged.model.training.plan import TrainSettings
from staged.model.training.trainable.contract import Trainable
from staged.model.training.trainable.start import start
from tests.families import FAMILIES, write_family

IDS = torch.arange(24).view(2, 12)
WIDTH, LAYERS = 32, 2
ENDS = {  # of a layer's linear layers, in + out, in widths
    "gpt2": (1 + 3) + (1 + 1) + (1 + 4) + (4 + 1),
    "gpt_neox": (1 + 3) + (1 + 1) + (1 + 2) + (2 + 1),
    # queries, keys and values of half as many heads, output; gate, up, down
    "llama": (1 + 1) + 2 * (1 + 0.5) + (1 + 1) + 2 * (1 + 1.5) + (1.5 + 1),
}
ENDS["qwen2"] = ENDS["llama"]


@dataclass(frozen=True)
class Pair:
    """A model as it was, and the same one adapted."""

    family: str
    base: Trainable
    adapted: Trainable

    def spread(self) -> None:
        """Give every B values, as training would."""
        generator = torch.Generator().manual_seed(2)
        for module in self.adapted.module.modules():
            if isinstance(module, LowRank):
                module.b.data.normal_(std=0.05, generator=generator)


@pytest.fixture(params=["gpt2", *FAMILIES])
def pair(request: pytest.FixtureRequest, tiny: Path, bpe: BPE, tmp_path: Path) -> Pair:
    family = request.param
    folder = tiny if family == "gpt2" else write_family(tmp_path, bpe, family)
    base, adapted = (start(TrainSettings(init=str(folder)), ()) for _ in range(2))
    base.module.eval()
    adapted.module.eval()  # without dropout
    generator = torch.Generator().manual_seed(1)
    add_low_rank(adapted.module, adapted.blocks, rank=3, alpha=6.0, generator=generator)
    return Pair(family, base, adapted)


def logits(model: Trainable) -> Tensor:
    return model.hidden(IDS) @ model.head.t()


def test_before_training_the_output_is_the_base_models(pair: Pair) -> None:
    assert torch.equal(logits(pair.adapted), logits(pair.base))


def test_only_its_matrices_get_gradients(pair: Pair) -> None:
    pair.spread()
    logits(pair.adapted).square().mean().backward()
    weights = dict(pair.adapted.module.named_parameters())
    trained = {name for name, weight in weights.items() if weight.grad is not None}
    assert trained == {name for name, weight in weights.items() if weight.requires_grad}
    assert {name.rsplit(".", 1)[1] for name in trained} == {"a", "b"}
    assert all(weights[name].grad.any() for name in trained)


def test_number_of_trained_weights(pair: Pair) -> None:
    trained = sum(x.numel() for x in pair.adapted.module.parameters() if x.requires_grad)
    assert trained == LAYERS * 3 * WIDTH * ENDS[pair.family]


def test_merged_computes_what_unmerged_did(pair: Pair) -> None:
    pair.spread()
    model, before = pair.adapted.module, logits(pair.adapted).detach()
    merge_low_rank(model)
    assert (before - logits(pair.base)).abs().max() > 0.01
    torch.testing.assert_close(logits(pair.adapted), before, rtol=0, atol=1e-5)
    assert set(model.state_dict()) == set(pair.base.module.state_dict())
    assert not any(isinstance(module, LowRank) for module in model.modules())
    merge_low_rank(model)
    torch.testing.assert_close(logits(pair.adapted), before, rtol=0, atol=1e-5)


@pytest.mark.parametrize("frozen", [Projection(4, 6), nn.Linear(4, 6), nn.Linear(4, 6, bias=False)])
def test_formula(frozen: Projection | nn.Linear) -> None:
    nn.init.normal_(frozen.weight)
    module = LowRank(frozen, 2, 8.0, torch.Generator().manual_seed(1))
    nn.init.normal_(module.b)
    x = torch.randn(3, 4)
    expected = frozen(x) + 8 / 2 * (x @ module.a @ module.b)
    torch.testing.assert_close(module(x), expected)
    torch.testing.assert_close(module.merged()(x), expected)


def test_layers_without_a_linear_layer_are_refused() -> None:
    model = nn.Sequential(nn.Conv1d(2, 2, 1))
    with pytest.raises(CheckpointError, match="hold no linear layer that LoRA could adapt"):
        add_low_rank(model, model, rank=1, alpha=1.0, generator=torch.Generator())
