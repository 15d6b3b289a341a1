"""The decoder of fixed places computes what the exact model computes; on a GPU a replayed graph
what the code itself does.
"""

from __future__ import annotations

import gc

import pytest
import torch

from staged.model.gpt2.config import GPT2Config
from staged.model.gpt2.cuda_graph import SHORTEST_SPAN, StaticGPT2, span_of, static_is_native
from staged.model.gpt2.model import GPT2, initialise

N_CTX = 300  # two spans and a context that is no power of two
GPU = pytest.mark.skipif(
    not static_is_native(), reason="needs a CUDA GPU that computes in bfloat16; none is here"
)
DEVICES = ["cpu", pytest.param("cuda", marks=GPU)]


@pytest.fixture(scope="module")
def exact() -> GPT2:
    model = GPT2(GPT2Config(n_vocab=301, n_ctx=N_CTX, n_embd=64, n_head=2, n_layer=2))
    initialise(model, torch.Generator().manual_seed(3))
    with torch.no_grad():
        for weight in model.parameters():  # away from the near-uniform start
            weight.mul_(4 if weight.dim() > 1 else 1)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=DEVICES)
def static(exact: GPT2, request: pytest.FixtureRequest) -> StaticGPT2:
    model = GPT2(exact.config).eval().requires_grad_(False)
    model.load_state_dict(exact.state_dict())
    return StaticGPT2(model.to(request.param))


def tokens(batch: int, length: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(301, (batch, length), generator=torch.Generator().manual_seed(seed))


def same(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found.cpu(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("batch", [1, 3, 16])
@pytest.mark.parametrize(
    "chunks",
    [[N_CTX], [1] * 140, [7, 130, 1, 1, 20], [299, 1], [5, 3, 8, 120]],
    ids=lambda c: f"{len(c)}-chunks",
)
def test_logits_are_the_exact_models_in_any_chunks(
    exact: GPT2, static: StaticGPT2, batch: int, chunks: list[int]
) -> None:
    text = tokens(batch, sum(chunks))
    cache = static.new_cache(batch)
    parts = [static(part.to(static.device), cache) for part in text.split(chunks, dim=1)]
    same(torch.cat(parts, dim=1), exact(text))
    assert cache.length == sum(chunks)


def test_next_logits_are_the_last_ones(exact: GPT2, static: StaticGPT2) -> None:
    text = tokens(4, 50)
    cache = static.new_cache(4)
    same(static.next_logits(text[:, :30], cache), exact(text[:, :30])[:, -1])
    same(static.next_logits(text[:, 30:], cache), exact(text)[:, -1])


def test_the_context_can_be_filled_and_not_overfilled(exact: GPT2, static: StaticGPT2) -> None:
    text = tokens(2, N_CTX)
    cache = static.new_cache(2)
    static.next_logits(text[:, :-1], cache)
    same(static.next_logits(text[:, -1:], cache), exact(text)[:, -1])
    with pytest.raises(ValueError, match="301 tokens"):
        static.next_logits(text[:, -1:], cache)


def test_rows_can_leave_the_batch(exact: GPT2, static: StaticGPT2) -> None:
    text, step = tokens(5, 40), tokens(5, 3, seed=2)
    cache = static.new_cache(5)
    static.next_logits(text, cache)
    first, second = (
        torch.tensor([True, False, True, True, False]),
        torch.tensor([False, True, True]),
    )
    for kept in (first, second):
        cache.keep(kept.to(static.device))
        text, step = text[kept], step[kept]
    same(static(step, cache), exact(torch.cat([text, step], dim=1))[:, -3:])


def test_length_can_be_set_back(exact: GPT2, static: StaticGPT2) -> None:
    text, other = tokens(2, 140), tokens(2, 10, seed=5)
    cache = static.new_cache(2)
    for part in text.split(4, dim=1):
        static(part, cache)
    cache.length = 120
    same(static(other, cache), exact(torch.cat([text[:, :120], other], dim=1))[:, -10:])


def test_the_next_batch_takes_the_place_of_one_that_is_gone_but_of_no_other(
    static: StaticGPT2, exact: GPT2
) -> None:
    first = static.new_cache(4)
    block = first.store.kv.data_ptr()
    static.next_logits(tokens(4, 60), first)
    second = static.new_cache(4)
    assert second.store.kv.data_ptr() != block
    del first, second
    gc.collect()
    third = static.new_cache(3)  # of what the last one left behind, nothing is seen
    text = tokens(3, 20, seed=6)
    same(static(text, third), exact(text))
    assert len(static.spare) == 0
    assert third.store.kv.size(2) == 4


def test_a_span_holds_its_tokens_and_few_spans_do() -> None:
    spans = {end: span_of(end, N_CTX) for end in range(1, N_CTX + 1)}
    assert all(span >= end for end, span in spans.items())
    assert set(spans.values()) == {SHORTEST_SPAN, 256, N_CTX}


@GPU
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_replay_gives_what_the_code_gives(exact: GPT2, dtype: torch.dtype) -> None:
    def loaded() -> StaticGPT2:
        model = GPT2(exact.config)
        model.load_state_dict(exact.state_dict())
        return StaticGPT2(model.to("cuda", dtype).eval().requires_grad_(False))

    graphed, plain = loaded(), loaded()
    plain.pool = None  # no graphs
    caches = graphed.new_cache(3), plain.new_cache(3)
    allowed = 1e-4 if dtype == torch.float32 else 2e-2
    for part in tokens(3, 200).to("cuda").split([20, *[1] * 172, 8], dim=1):
        torch.testing.assert_close(
            graphed(part, caches[0]), plain(part, caches[1]), atol=allowed, rtol=0
        )
    assert {key[1:] for key in caches[0].store.steps} == {(1, 128), (1, 256), (8, 256)}


def test_a_cache_spans_what_is_asked_for_and_grows_by_being_made_anew(
    static: StaticGPT2, exact: GPT2
) -> None:
    static.spare.clear()
    short = static.new_cache(2, 20)
    assert short.store.kv.size(4) == span_of(20, static.config.n_ctx)
    text = tokens(2, 20, seed=3)
    same(static(text, short), exact(text))
    del short
    gc.collect()
    whole = static.new_cache(2)
    assert whole.store.kv.size(4) == static.config.n_ctx
    text = tokens(2, static.config.n_ctx, seed=4)
    same(static(text, whole), exact(text))
