"""GPT-2's byte-level BPE, built on `tokenizers`.

As in the released encoder, `<|endoftext|>` inside a text is ordinary characters: only the program puts token n_vocab − 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from staged.artifacts import write_atomic, write_json
from staged.errors import CheckpointError
from staged.model.config import END_OF_TEXT
from staged.model.layouts import tokenizer_files
from staged.model.stored import refuse_foreign

BYTES = 256
REPLACEMENT = "\ufffd"


class BPE:
    """Text ↔ token ids.

    Args:
        tokenizer: byte-level BPE whose vocabulary is 256 bytes, the merges, and `<|endoftext|>` last.
        where: how errors call it.

    Raises:
        CheckpointError: the constants above don't hold.
    """

    def __init__(self, tokenizer: Tokenizer, *, where: str) -> None:
        vocabulary = tokenizer.get_vocab()
        self.n_vocab = len(vocabulary)
        self.end_of_text = self.n_vocab - 1
        if sorted(vocabulary.values()) != list(range(self.n_vocab)):
            raise CheckpointError(f"{where}: token ids are not 0…{self.n_vocab - 1} without a gap")
        if vocabulary.get(END_OF_TEXT) != self.end_of_text:
            raise CheckpointError(f"{where}: {END_OF_TEXT} is not the last token")
        missing = [byte for byte in pre_tokenizers.ByteLevel.alphabet() if byte not in vocabulary]
        if missing:
            raise CheckpointError(f"{where}: {len(missing)} of the 256 bytes have no token; not a byte-level BPE")
        self._tokenizer = tokenizer
        self._tokenizer.encode_special_tokens = True
        self.before: list[int] = []  # tokens that stand before each text: none

    def encode(self, text: str) -> list[int]:
        """Token ids of one text; no token is added."""
        return list(self._tokenizer.encode(text).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of many texts."""
        return [list(encoding.ids) for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    def encode_spans(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Token ids of many texts, and characters start … end − 1 of each; tokens that share a character overlap."""
        return [(list(one.ids), list(one.offsets)) for one in self._tokenizer.encode_batch(list(texts))]

    def vocabulary(self) -> dict[str, int]:
        """Token → id."""
        return dict(self._tokenizer.get_vocab())

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids; bytes that are not UTF-8 become U+FFFD."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def count(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text."""
        return [len(ids) for ids in self.encode_batch(texts)]

    def truncate(self, texts: Sequence[str], tokens: int) -> list[str]:
        """Each text's first `tokens` tokens; a character cut in half at the end is left out."""
        return [
            text if len(ids) <= tokens else self.decode(ids[:tokens]).rstrip(REPLACEMENT)
            for text, ids in zip(texts, self.encode_batch(texts), strict=True)
        ]

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`, which transformers' AutoTokenizer reads."""
        write_atomic(folder / "tokenizer.json", self._tokenizer.to_str(pretty=True).encode())
        write_json(
            folder / "tokenizer_config.json",
            {
                "tokenizer_class": "GPT2Tokenizer",
                "add_prefix_space": False,
                "bos_token": END_OF_TEXT,
                "eos_token": END_OF_TEXT,
                "unk_token": END_OF_TEXT,
            },
        )

    def merges(self) -> tuple[dict[str, int], list[tuple[str, str]]]:
        """The vocabulary and the merges, for building a tokenizer with other special tokens over the same text."""
        model: dict[str, Any] = json.loads(self._tokenizer.to_str())["model"]
        return model["vocab"], [tuple(pair) for pair in model["merges"]]


def train_bpe(texts: Iterable[str], n_vocab: int) -> BPE:
    """Learn a BPE of `n_vocab` entries, `<|endoftext|>` and the 256 bytes among them.

    Raises:
        CheckpointError: fewer entries than bytes, or too little text for so many merges.
    """
    if n_vocab <= BYTES:
        raise CheckpointError(
            f"tokenizer: n_vocab {n_vocab} has no room for {BYTES} bytes and the end of text; {BYTES + 1} is the least"
        )
    trainer = trainers.BpeTrainer(vocab_size=n_vocab - 1, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() != n_vocab - 1:
        raise CheckpointError(
            f"tokenizer: the text gives {tokenizer.get_vocab_size() + 1} entries, not n_vocab {n_vocab}; give more text"
        )
    tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
    return BPE(tokenizer, where="trained tokenizer")


def load_bpe(folder: Path) -> BPE:
    """Read `tokenizer.json`, or the released pair `encoder.json` and `vocab.bpe` (on the hub: `vocab.json`, `merges.txt`).

    Raises:
        CheckpointError: no such files, damaged, or not GPT-2's kind of tokenizer.
    """
    paths = tokenizer_files(folder)
    for path in paths:
        refuse_foreign(path)
    try:
        return BPE(Tokenizer.from_file(str(paths[0])), where=str(paths[0])) if len(paths) == 1 else _from_released(*paths)
    except CheckpointError:
        raise
    except Exception as error:  # tokenizers raises bare Exception for every damaged file
        raise CheckpointError(f"{' and '.join(map(str, paths))}: not a readable tokenizer: {error}") from None


def _from_released(vocabulary: Path, merges: Path) -> BPE:
    tokenizer = Tokenizer(models.BPE.from_file(str(vocabulary), str(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
    return BPE(tokenizer, where=str(vocabulary))
