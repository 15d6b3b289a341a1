"""Tiny random models of another family than GPT-2, as folders in the hub's layout."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from staged.model.bpe import BPE
from staged.model.gpt2.config import END_OF_TEXT
from tests.conftest import put_json

SPECIAL = ("<|im_start|>", "<|im_end|>")


def write_llama(
    folder: Path, bpe: BPE, *, seed: int = 5, spare_rows: int = 0, specials: tuple[str, ...] = ()
) -> Path:
    """A random Llama over the vocabulary of `bpe`, with `specials` behind it.

    Args:
        spare_rows: of the output head beyond the tokenizer's vocabulary, as many published models
            have; negative: missing ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bpe.save(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(list(specials))
    tokenizer.save(str(folder / "tokenizer.json"))
    end = tokenizer.token_to_id(END_OF_TEXT)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size() + spare_rows,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=96,
        initializer_range=0.3,  # far from uniform, so that tests can see differences
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


CHATML = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def write_chat_model(
    folder: Path, bpe: BPE, *, template: object = CHATML, specials: tuple[str, ...] = SPECIAL
) -> Path:
    """A random Llama with a chat template: one, or several as `tokenizer_config.json` lists them."""
    write_llama(folder, bpe, specials=specials)
    config = {"bos_token": END_OF_TEXT, "eos_token": specials[-1], "chat_template": template}
    put_json(folder / "tokenizer_config.json", config)
    return folder
