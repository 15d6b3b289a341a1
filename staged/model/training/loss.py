"""Cross-entropy over a large vocabulary without the logits of all rows: computed some rows at a
time, gradients included.

Axes: N rows (positions with a target) · R rows of one chunk · C = n_embd · V vocabulary.
GPT-2's 50,257 logits a position are what a training step needs most memory for: at 4 × 512 tokens
412 MB in float32, and as much again for each of log-probabilities and gradient. Here a chunk's
logits become its gradients at once, in the forward pass, and are gone before the next chunk; what
is kept for the backward pass is (N, C) and (V, C).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK_ROWS = 512  # the head's gradient is added up once a chunk, so not too few
BLOCK_ROWS = 32  # of float32 probabilities at once on a CPU: what fits its cache
SLICE_WORDS = 8192  # of the head's gradient at once


def chunked_cross_entropy(
    hidden_NC: Tensor, weight_VC: Tensor, targets_N: Tensor, *, chunk_rows: int = CHUNK_ROWS
) -> Tensor:
    """Summed cross-entropy, in nats, of the logits `hidden @ weight.T`: `F.cross_entropy(…,
    reduction="sum")` in less memory.

    Under autocast the products run in its type; log-sum-exp, loss and the sum of the head's
    gradient are float32 (float64 for float64 inputs). Gradients are computed in the forward pass,
    where any are wanted; they can't be differentiated again.

    Args:
        targets_N: int64 in [0, V); rows without a target must have been left out.
        chunk_rows: rows whose logits exist at once.
    """
    device = hidden_NC.device.type
    low = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_NC.dtype
    with_gradients = torch.is_grad_enabled()
    loss: Tensor = _ChunkedCrossEntropy.apply(
        hidden_NC, weight_VC, targets_N, chunk_rows, low, with_gradients
    )
    return loss


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_NC: Tensor,
        weight_VC: Tensor,
        targets_N: Tensor,
        chunk_rows: int,
        low: torch.dtype,
        with_gradients: bool,
    ) -> Tensor:
        exact = torch.promote_types(low, torch.float32)
        loss = torch.zeros((), dtype=exact, device=hidden_NC.device)
        grad_hidden = (
            torch.empty_like(hidden_NC) if with_gradients and ctx.needs_input_grad[0] else None
        )
        grad_weight = (
            torch.zeros_like(weight_VC, dtype=exact)
            if with_gradients and ctx.needs_input_grad[1]
            else None
        )
        with torch.autocast(hidden_NC.device.type, enabled=False):
            head_VC = weight_VC.to(low)
            for start in range(0, len(targets_N), chunk_rows):
                rows = slice(start, start + chunk_rows)
                hidden_RC = hidden_NC[rows].to(low)
                logits_RV = hidden_RC @ head_VC.t()
                loss += _turn_into_gradients(logits_RV, targets_N[rows], exact)
                if grad_hidden is not None:
                    grad_hidden[rows] = logits_RV @ head_VC
                if grad_weight is not None:
                    _add_product(grad_weight, logits_RV, hidden_RC)
                del logits_RV  # else the next chunk's would be made beside it
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.weight_dtype = weight_VC.dtype
        return loss

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_loss: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None, None, None, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        if grad_hidden is not None:
            grad_hidden = grad_hidden * grad_loss.to(grad_hidden.dtype)
        if grad_weight is not None:
            grad_weight = (grad_weight * grad_loss).to(ctx.weight_dtype)
        return grad_hidden, grad_weight, None, None, None, None


def _turn_into_gradients(logits_RV: Tensor, targets_R: Tensor, exact: torch.dtype) -> Tensor:
    """The chunk's summed loss; in place of its logits, softmax − one-hot: the loss's gradient with
    respect to them.
    """
    block = BLOCK_ROWS if logits_RV.device.type == "cpu" else len(logits_RV)
    loss = torch.zeros((), dtype=exact, device=logits_RV.device)
    for logits, targets in zip(
        logits_RV.split(block), targets_R[:, None].split(block), strict=True
    ):
        p = logits.to(exact)  # the logits themselves where they are that exact already
        p -= p.amax(1, keepdim=True)
        loss -= p.gather(1, targets).sum()
        total = p.exp_().sum(1, keepdim=True)
        loss += total.log().sum()
        p /= total
        p.scatter_add_(1, targets, p.new_full((1, 1), -1.0).expand(targets.shape))
        if p is not logits:
            logits.copy_(p)
    return loss


def _add_product(sum_VC: Tensor, gradients_RV: Tensor, hidden_RC: Tensor) -> None:
    """sum += gradientsᵀ hidden, some words at a time, so that the product needs no (V, C) tensor
    beside the sum.
    """
    for part, columns in zip(
        sum_VC.split(SLICE_WORDS), gradients_RV.split(SLICE_WORDS, dim=1), strict=True
    ):
        part += columns.t() @ hidden_RC
