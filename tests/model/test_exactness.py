"""At the released sizes our float32 logits equal transformers', with random weights that both
models share.
"""

from __future__ import annotations

import pytest
import torch
from transformers import GPT2Config as HubConfig
from transformers import GPT2LMHeadModel

from staged.model.gpt2.config import GPT2_SIZES
from staged.model.gpt2.model import GPT2, initialise


def assert_same_logits(name: str) -> float:
    """Largest difference of the two models' float32 logits; they share one copy of the random
    weights.
    """
    config = GPT2_SIZES[name]
    with torch.device("meta"):
        ours, theirs = (
            GPT2(config),
            GPT2LMHeadModel(HubConfig.from_dict(config.to_hub(), attn_implementation="eager")),
        )
    ours = ours.to_empty(device="cpu").eval().requires_grad_(False)
    initialise(ours, torch.Generator().manual_seed(11))
    for (
        key,
        weight,
    ) in ours.named_parameters():  # gains and biases as trained ones are: not 1, not 0
        if weight.dim() == 1:
            weight += 0.1 * torch.randn(
                weight.shape, generator=torch.Generator().manual_seed(len(key))
            )
    weights = {f"transformer.{key}": tensor for key, tensor in ours.state_dict().items()}
    missing, unknown = theirs.load_state_dict(weights, strict=False, assign=True)
    assert (missing, unknown) == (["lm_head.weight"], [])
    theirs.tie_weights()
    theirs.eval()
    assert theirs.lm_head.weight.data_ptr() == ours.wte.weight.data_ptr()
    assert sum(tensor.numel() for tensor in ours.parameters()) == config.parameters
    tokens = torch.randint(0, config.n_vocab, (2, 24), generator=torch.Generator().manual_seed(12))
    with torch.inference_mode():
        got, expected = ours(tokens), theirs(tokens, use_cache=False).logits
    assert expected.std() > 0.1  # not all alike
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)
    return float((got - expected).abs().max())


@pytest.mark.parametrize(
    "name",
    [
        "gpt2",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("gpt2-medium", "gpt2-large", "gpt2-xl")
        ),
    ],
)
def test_logits_of_the_released_shapes_equal_transformers(name: str) -> None:
    assert 0 <= assert_same_logits(name) <= 1e-4
