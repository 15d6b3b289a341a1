"""Chunked cross-entropy: the value and gradients of `F.cross_entropy`, without ever holding all
rows' logits.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from staged.model.training.loss import chunked_cross_entropy


def problem(
    rows: int, width: int, words: int, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows)
    hidden = torch.randn(rows, width, dtype=dtype, generator=generator, requires_grad=True)
    weight = torch.randn(words, width, dtype=dtype, generator=generator, requires_grad=True)
    return hidden, weight, torch.randint(words, (rows,), generator=generator)


def plain(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(hidden, weight), targets, reduction="sum")


# More words than one slice of the head's gradient, more rows than one block of probabilities; whole
# and broken last chunks.
@pytest.mark.parametrize(("rows", "chunk"), [(80, 40), (81, 33), (7, 512), (1, 1)])
def test_equals_cross_entropy(rows: int, chunk: int) -> None:
    hidden, weight, targets = problem(rows, 5, 9000)
    ours, theirs = (
        chunked_cross_entropy(hidden, weight, targets, chunk_rows=chunk),
        plain(hidden, weight, targets),
    )
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-10 * rows)
    mine = torch.autograd.grad(3 * ours, (hidden, weight))
    for one, two in zip(mine, torch.autograd.grad(3 * theirs, (hidden, weight)), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-10)


def test_gradcheck() -> None:
    hidden, weight, targets = problem(7, 4, 11)
    assert torch.autograd.gradcheck(
        lambda h, w: chunked_cross_entropy(h, w, targets, chunk_rows=3), (hidden, weight)
    )


def test_large_logits_stay_finite() -> None:
    hidden, weight, targets = problem(6, 4, 11, torch.float32)
    loss = chunked_cross_entropy(hidden * 1e4, weight, targets)
    torch.testing.assert_close(loss, plain(hidden * 1e4, weight, targets))
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(loss, (hidden, weight)))


def test_without_a_row_it_is_zero() -> None:
    hidden, weight, targets = problem(3, 4, 11)
    loss = chunked_cross_entropy(hidden[:0], weight, targets[:0])
    assert loss.item() == 0
    assert not torch.autograd.grad(loss, weight)[0].any()


def test_under_autocast_as_close_to_float64_as_plain_cross_entropy() -> None:
    hidden, weight, targets = problem(300, 64, 2000)
    exact = torch.autograd.grad(plain(hidden, weight, targets), (hidden, weight))
    distance = {}
    for name, loss_of in (("ours", chunked_cross_entropy), ("theirs", plain)):
        inputs = hidden.detach().float().requires_grad_(), weight.detach().float().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(*inputs, targets)
        assert loss.dtype == torch.float32
        distance[name] = [
            float((g - e).norm() / e.norm())
            for g, e in zip(torch.autograd.grad(loss, inputs), exact, strict=True)
        ]
    for ours, theirs in zip(distance["ours"], distance["theirs"], strict=True):
        assert 0 < ours < 0.01
        assert ours < 1.2 * theirs


class Sizes(TorchDispatchMode):
    """Notes the largest tensor that any operation returns, forward or backward."""

    def __init__(self) -> None:
        super().__init__()
        self.largest, self.calls = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.largest = max(
            [self.largest, *(x.numel() for x in tree_leaves(result) if isinstance(x, Tensor))]
        )
        self.calls += 1
        return result


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_no_tensor_of_rows_times_vocabulary(precision: torch.dtype) -> None:
    rows, width, words, chunk = 96, 8, 3000, 16
    hidden, weight, targets = problem(rows, width, words, torch.float32)
    seen = {}
    for name, loss_of in (
        ("ours", lambda h, w, t: chunked_cross_entropy(h, w, t, chunk_rows=chunk)),
        ("theirs", plain),
    ):
        with Sizes() as sizes:
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
                loss = loss_of(hidden, weight, targets)
            loss.backward()
        assert sizes.calls > 5
        seen[name] = sizes.largest
    assert seen["theirs"] >= rows * words  # else this test would see nothing
    assert seen["ours"] == chunk * words < rows * words


def test_gradients_only_where_wanted() -> None:
    hidden, weight, targets = problem(96, 8, 3000, torch.float32)
    with torch.no_grad(), Sizes() as sizes:
        loss = chunked_cross_entropy(hidden, weight, targets, chunk_rows=2)
    assert not loss.requires_grad
    assert sizes.largest == 3000 * 8  # the head itself, in view; the chunks are smaller
    frozen = chunked_cross_entropy(hidden, weight.detach(), targets)
    assert frozen.item() == pytest.approx(loss.item(), rel=1e-5)
    (frozen / math.pi).backward()
    assert weight.grad is None
    torch.testing.assert_close(
        hidden.grad, torch.autograd.grad(plain(hidden, weight, targets), hidden)[0] / math.pi
    )
