"""A small RoBERTa over our own BPE: architecture, tokenizer and head are transformers' own, so hub
models take its place.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM

from staged.model.bpe import BPE
from staged.model.formats.safetensors import library_disk_errors
from staged.model.gpt2.config import END_OF_TEXT
from staged.model.sources.packaged import quiet

logging.getLogger("transformers").setLevel(logging.ERROR)

OFFSETS = (-1, 1, -2, 2)  # places at which the heads of the first layer start to look
# ids 0 … 4; the first four where RoBERTa has them
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def encoder_tokenizer(bpe: BPE, n_ctx: int) -> PreTrainedTokenizerFast:
    """`<s> text </s>` over the same merges as `bpe`.

    Args:
        n_ctx: longest input in tokens, the two marks included.
    """
    vocabulary, merges = bpe.merges()
    plain = sorted(
        (token for token in vocabulary if token != END_OF_TEXT), key=vocabulary.__getitem__
    )
    tokenizer = Tokenizer(
        models.BPE(
            {token: i for i, token in enumerate((*SPECIAL, *plain))}, merges, unk_token="<unk>"
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    names = dict(
        zip(
            ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token"), SPECIAL, strict=True
        )
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token="<s>",
        sep_token="</s>",
        model_max_length=n_ctx,
        **names,
    )


def save_pretrained(folder: Path, model: Any, tokenizer: Any) -> None:
    """Write a transformers model and its tokenizer, without a bar.

    Raises:
        OSError: the disk is full.
    """
    with quiet(), library_disk_errors():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def new_encoder(
    tokenizer: Any, *, width: int, heads: int, layers: int, n_ctx: int
) -> RobertaForMaskedLM:
    """A fresh RoBERTa with its masked-token head; dropout is 0, as passages are few epochs and the
    model small.
    """
    model = RobertaForMaskedLM(
        RobertaConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            num_attention_heads=heads,
            num_hidden_layers=layers,
            intermediate_size=4 * width,
            max_position_embeddings=n_ctx + 2,
            type_vocab_size=1,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            layer_norm_eps=1e-5,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    _start_with_neighbours(model)
    return model


def _start_with_neighbours(model: Any) -> None:
    """Let the first layer's heads look one or two places to the left and right from the start.

    A masked objective must find out where a token's neighbours are before anything else can be
    learned; from random weights a small model spends thousands of steps on that (docs/log.md). So
    the position embeddings start as sinusoids in the first dimensions, as many as a head has, and
    query and key of the first layer as the rotation that shifts them by a fixed number of places.
    All of it is trained on; the architecture is RoBERTa's.

    Source: the shift by rotation is Vaswani et al. 2017, section 3.5.
    """
    places = model.base_model.embeddings.position_embeddings.weight
    attention = model.base_model.encoder.layer[0].attention.self
    head_width = attention.attention_head_size
    waves = torch.logspace(0, -1, head_width // 2)  # radians per place
    with torch.no_grad():
        angles = torch.arange(len(places))[:, None] * waves
        places.zero_()
        places[:, :head_width] = (
            4
            * model.config.initializer_range
            * torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
        )
        for head, offset in enumerate(OFFSETS[: model.config.num_attention_heads]):
            rows = slice(head * head_width, (head + 1) * head_width)
            cos, sin = torch.cos(offset * waves), torch.sin(offset * waves)
            turn = torch.block_diag(
                *[torch.tensor([[c, s], [-s, c]]) for c, s in zip(cos, sin, strict=True)]
            )
            attention.query.weight[rows, :head_width] = 1.4 * turn
            attention.key.weight[rows, :head_width] = 1.4 * torch.eye(head_width)
