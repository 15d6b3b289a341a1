"""Tiny random models of three other families than GPT-2, as folders in the hub's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, processors
from transformers import (
    AutoModelForCausalLM,
    GPTNeoXConfig,
    LlamaConfig,
    Qwen2Config,
)

from staged.model.bpe import BPE
from staged.model.gpt2.config import END_OF_TEXT

BEGIN = "<s>"
LIKE_LLAMA = {"intermediate_size": 48, "num_key_value_heads": 2}
CONFIGS: dict[str, tuple[Any, dict[str, Any]]] = {  # a head of its own; dropout; a tied head
    "llama": (LlamaConfig, LIKE_LLAMA),
    "gpt_neox": (GPTNeoXConfig, {"intermediate_size": 64, "hidden_dropout": 0.1}),
    "qwen2": (Qwen2Config, LIKE_LLAMA | {"tie_word_embeddings": True}),
}
FAMILIES = tuple(CONFIGS)


def write_family(
    folder: Path, bpe: BPE, family: str, *, seed: int = 5, spread: float = 0.1
) -> Path:
    """A random model of two layers, 32 wide, with a context of 96 tokens.

    A Llama's texts begin with a token of its own, as the published ones' do; the others' begin at
    `<|endoftext|>`.

    Args:
        family: one of FAMILIES.
        spread: of the weights; 0.3 is so far from uniform that greedy texts differ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bpe.save(folder)
    kind, own = CONFIGS[family]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    end = begin = tokenizer.token_to_id(END_OF_TEXT)
    if family == "llama":
        tokenizer.add_special_tokens([BEGIN])
        begin = tokenizer.token_to_id(BEGIN)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BEGIN} $A", special_tokens=[(BEGIN, begin)]
        )
        tokenizer.save(str(folder / "tokenizer.json"))
    config = kind(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=96,
        initializer_range=spread,
        bos_token_id=begin,
        eos_token_id=end,
        pad_token_id=None,
        **own,
    )
    torch.manual_seed(seed)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder
