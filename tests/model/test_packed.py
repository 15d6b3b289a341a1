"""The packed decoder computes what the model computes, within what its precision allows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from staged.errors import SamplingError
from staged.model import devices
from staged.model.checkpoints import load_model
from staged.model.gpt2 import bag_attention as bags
from staged.model.gpt2 import packed_linear as linear
from staged.model.gpt2.config import GPT2Config
from staged.model.gpt2.model import GPT2, causal_mask, initialise
from staged.model.gpt2.packed import PackedGPT2, fold
from staged.model.gpt2.packed_linear import bf16_is_native, int8_is_native
from staged.samples import decoders
from staged.samples.engine import generate
from staged.samples.methods import method

NATIVE = {"bf16": bf16_is_native(), "int8": int8_is_native()}
KINDS = [("bf16", 16), ("int8", 16), ("int8", 1)]
# Mean KL from float32 in nats. bfloat16 rounds to 8 bits, int8 to 7 and a sign with one scale a
# column.
ALLOWED = {"bf16": 2e-3, "int8": 2e-2}


def pack(model: GPT2, precision: str, *, rows: int = 16) -> PackedGPT2:
    return PackedGPT2(model.config, model.state_dict().__getitem__, precision=precision, rows=rows)


@pytest.fixture(scope="module")
def mini() -> GPT2:
    return load_model("mini-m")[0]


@pytest.fixture(params=KINDS, ids=[f"{precision}-{rows}" for precision, rows in KINDS])
def packed(request: pytest.FixtureRequest, mini: GPT2) -> PackedGPT2:
    precision, rows = request.param
    if not NATIVE[precision]:
        pytest.skip(f"this processor has no {precision}")
    return pack(mini, precision, rows=rows)


def kl(exact: torch.Tensor, other: torch.Tensor) -> float:
    p, q = exact.log_softmax(-1), other.log_softmax(-1)
    return float((p.exp() * (p - q)).sum(-1).mean())


def test_logits_are_close_to_float32(packed: PackedGPT2, mini: GPT2) -> None:
    tokens = torch.randint(4096, (3, 40), generator=torch.Generator().manual_seed(1))
    assert 0 <= kl(mini(tokens), packed(tokens, packed.new_cache(3))) < ALLOWED[packed.precision]


@pytest.mark.parametrize("block", [3, 32], ids=["many blocks", "one block"])
@pytest.mark.parametrize("few_rows", [1, 8], ids=["many rows", "few rows"])
def test_token_by_token_is_the_same_as_at_once(
    packed: PackedGPT2, mini: GPT2, block: int, few_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bags, "BLOCK", block)
    monkeypatch.setattr(linear, "FEW_ROWS", few_rows)
    tokens = torch.randint(4096, (2, 12), generator=torch.Generator().manual_seed(2))
    cache = packed.new_cache(2)
    packed.next_logits(tokens[:, :5], cache)  # a prompt, two tokens with a past, then one at a time
    packed(tokens[:, 5:7], cache)
    steps = torch.stack(
        [packed.next_logits(tokens[:, i : i + 1], cache) for i in range(7, 12)], dim=1
    )
    assert kl(mini(tokens)[:, 7:], steps) < ALLOWED[packed.precision]
    assert cache.length == 12


@pytest.mark.parametrize(
    ("precision", "rows", "few_rows"),
    [("bf16", 5, 8), ("int8", 5, 8), ("int8", 1, 1), ("int8", 1, 99)],
)
def test_a_position_knows_nothing_of_what_comes_later_or_beside_it(
    mini: GPT2, precision: str, rows: int, few_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What speculation needs to be exact: judging seven guesses at once gives the first ones the
    same numbers as judging four.
    """
    if not NATIVE[precision]:
        pytest.skip(f"this processor has no {precision}")
    monkeypatch.setattr(linear, "FEW_ROWS", few_rows)
    packed = pack(mini, precision, rows=rows)
    tokens = torch.randint(4096, (4, 12), generator=torch.Generator().manual_seed(7))
    for few, more in ((5, 8), (9, 12)):  # sums of rows, and PyTorch's attention
        alone = packed(tokens[:1, :few], packed.new_cache(1))[0]
        among = packed(tokens[:, :more], packed.new_cache(4))[0, :few]
        assert (
            float((alone - among).abs().max()) < 0.02
        )  # the model's logits differ from float32's by 0.1 and more in int8


@pytest.mark.parametrize("block", [4, 32], ids=["many blocks", "one block"])
def test_many_tokens_behind_others_are_the_same_as_at_once(
    packed: PackedGPT2, mini: GPT2, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than attend by sums of rows, with keys and values of tokens before them."""
    monkeypatch.setattr(bags, "BLOCK", block)
    tokens = torch.randint(
        4096, (2, 5 + bags.FEW_TOKENS + 3), generator=torch.Generator().manual_seed(5)
    )
    cache = packed.new_cache(2)
    packed(tokens[:, :5], cache)
    assert kl(mini(tokens)[:, 5:], packed(tokens[:, 5:], cache)) < ALLOWED[packed.precision]


def test_a_context_holds_no_more(packed: PackedGPT2) -> None:
    cache = packed.new_cache(1)
    cache.length = packed.config.n_ctx - 1
    with pytest.raises(ValueError, match="don't fit a context"):
        packed(torch.zeros(1, 2, dtype=torch.int64), cache)


@pytest.mark.parametrize("block", [4, 32], ids=["two blocks", "one block"])
def test_rows_can_leave_the_batch(
    packed: PackedGPT2, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bags, "BLOCK", block)
    tokens = torch.randint(4096, (4, 6), generator=torch.Generator().manual_seed(3))
    cache = packed.new_cache(4)
    packed.next_logits(tokens[:, :5], cache)
    packed.next_logits(
        tokens[:, 5:], cache
    )  # one token, as the step below: what stood ready for four rows must not serve two
    keep = torch.tensor([True, False, True, False])
    cache.keep(keep)
    alone = packed.new_cache(2)
    packed.next_logits(tokens[keep], alone)
    step = tokens[keep][:, :1]
    assert (
        kl(packed.next_logits(step, alone), packed.next_logits(step, cache))
        < ALLOWED[packed.precision]
    )


@pytest.mark.parametrize("tokens", [1, 2, 6])
@pytest.mark.parametrize("end", [6, 8, 11, 13])
def test_sums_of_rows_are_attention(tokens: int, end: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against PyTorch's attention in float32, of the last of `end` tokens; what was set back does
    not count.
    """
    monkeypatch.setattr(bags, "BLOCK", 4)
    q, k, v = torch.randn(
        3, 2, 14, 3, 1, 8, generator=torch.Generator().manual_seed(8)
    ).bfloat16()  # (B, T, H, 1, D)
    cache = bags.BlockCache(GPT2Config(n_vocab=9, n_ctx=14, n_embd=24, n_head=3, n_layer=2), 2, 14)
    past, new = end - tokens, slice(end - tokens, end)
    cache.begin(14)
    cache.append(1, k.flip(1), v.flip(1))
    if past:
        cache.begin(past)
        cache.append(1, k[:, :past], v[:, :past])
        cache.length = past
    cache.begin(tokens)
    got = cache.attend(1, q[:, new], k[:, new], v[:, new]).view(2, tokens, 3, 8).transpose(1, 2)
    last, keys, values = (
        part.float()[:, :, :, 0].transpose(1, 2) for part in (q[:, new], k[:, :end], v[:, :end])
    )
    mask = causal_mask(tokens, past, q.device)
    assert torch.allclose(
        got.float(),
        F.scaled_dot_product_attention(last, keys, values, attn_mask=mask, scale=1.0),
        atol=0.03,
    )
    assert [
        torch.equal(a.float(), b) for a, b in zip(cache.read(1, end), (keys, values), strict=True)
    ] == [True, True]


def test_folding_a_norm_into_a_projection_changes_nothing() -> None:
    stream = torch.Generator().manual_seed(4)
    x, gain, shift = (torch.randn(shape, generator=stream) for shape in ((7, 16), (16,), (16,)))
    weight, bias = torch.randn(16, 24, generator=stream), torch.randn(24, generator=stream)
    folded = fold(gain, shift, weight, bias)
    expected = F.layer_norm(x, (16,), gain, shift) @ weight + bias
    assert torch.allclose(F.layer_norm(x, (16,)) @ folded[0] + folded[1], expected, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 3, 20])
def test_a_bias_far_from_zero_is_not_rounded_like_a_weight(rows: int) -> None:
    """Two rows of bytes hold it: 0.01 of its spread would be lost in one."""
    stream = torch.Generator().manual_seed(9)
    x, weight = torch.randn(rows, 32, generator=stream), torch.randn(32, 48, generator=stream)
    bias = 100 * torch.randn(48, generator=stream)
    got = linear.Int8FewRowsLinear(weight, bias)(x)
    scale = (weight.amax(dim=1) - weight.amin(dim=1)) / 255  # of each input's bytes
    rounding = (x.abs() * scale).sum(dim=1, keepdim=True) / 2 + 0.02 * (rows > linear.FEW_ROWS) * (
        x.abs() @ weight.abs()
    )
    assert ((got - x @ weight - bias).abs() <= rounding + 0.02).all()


def test_vocabulary_of_any_size_comes_back_whole() -> None:
    if not NATIVE["int8"]:
        pytest.skip("this processor has no int8")
    model = GPT2(GPT2Config(n_vocab=301, n_ctx=16, n_embd=64, n_head=1, n_layer=1)).eval()
    initialise(model, torch.Generator().manual_seed(5))
    assert pack(model, "int8").next_logits(
        torch.tensor([[7]]), pack(model, "int8").new_cache(1)
    ).shape == (1, 301)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_loading_by_precision_generates(precision: str) -> None:
    if not NATIVE.get(precision, True):
        pytest.skip(f"this processor has no {precision}")
    decoder, bpe = decoders.load_decoder("mini-s", precision=precision)
    out = generate(
        decoder, [[bpe.end_of_text]] * 3, method("top-k-40"), length=20, end=bpe.end_of_text, seed=1
    )
    assert all(one.tokens for one in out)


def test_without_the_instructions_the_plain_path_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (decoders, devices):
        monkeypatch.setattr(module, "bf16_is_native", lambda: False)
    monkeypatch.setattr(decoders, "int8_is_native", lambda: False)
    assert decoders.best_precision() == "fp32"
    assert isinstance(decoders.load_decoder("mini-s")[0], GPT2)
    assert isinstance(decoders.load_decoder("mini-s", precision="bf16")[0], GPT2)
    with pytest.raises(SamplingError, match="no int8"):
        decoders.load_decoder("mini-s", precision="int8")


@pytest.mark.slow
def test_1558m_samples_in_int8_within_3_gb(tmp_path: Path) -> None:
    """The largest size, its weights on disk in bfloat16, generates with a peak below 3,000 MB
    (checked by the kernel's count).
    """
    if not NATIVE["int8"]:
        pytest.skip("this processor has no int8")
    script = """
import json, sys
import torch
from staged.model.gpt2.config import RELEASED
from staged.model.gpt2.packed import PackedGPT2
from staged.model.memory import peak_memory_mb
from staged.model.formats.safetensors import read_safetensors
from pathlib import Path
stored = read_safetensors(Path(sys.argv[1]))
model = PackedGPT2(RELEASED["gpt2-xl"], lambda key: stored[key].read(torch.float32), precision="int8", rows=1)
cache = model.new_cache(1)
for token in range(20):
    logits = model.next_logits(torch.tensor([[token]]), cache)
print(json.dumps([peak_memory_mb("cpu"), bool(torch.isfinite(logits).all())]))
"""
    from staged.model.formats.safetensors import write_safetensors
    from staged.model.gpt2.config import GPT2_SIZES
    from staged.model.gpt2.weights import shapes

    stream = torch.Generator().manual_seed(6)
    sizes = shapes(GPT2_SIZES["gpt2-xl"])
    weights = lambda key: torch.randn(sizes[key], generator=stream) * 0.02  # noqa: E731
    write_safetensors(tmp_path / "model.safetensors", sizes, torch.bfloat16, weights)
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "model.safetensors")],
        capture_output=True,
        text=True,
        check=True,
    )
    peak_mb, finite = json.loads(run.stdout)
    assert finite
    assert peak_mb < 3000
