"""GPT-2's byte-level BPE, built on `tokenizers`.

As in the released encoder, `<|endoftext|>` inside a text is ordinary characters: only the program
puts token n_vocab − 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from staged.errors import CheckpointError
from staged.model.formats.file_tensor import refuse_foreign
from staged.model.formats.layouts import tokenizer_files
from staged.model.gpt2.config import END_OF_TEXT
from staged.notes import note
from staged.storage.json_files import write_json
from staged.storage.writing import write_atomic

BYTES = 256
REPLACEMENT = "\ufffd"
RANDOM = ("dropout", "alpha", "nbest_size")  # of a BPE, and of a unigram model
# what a tokenizer that changes texts would change
PROBE = " It's\tÀÉÎ e\u0301 ﬁ ٣5,\r\n\n  東京 🎈<|x|> \u00a0."


class BPE:
    """Text ↔ token ids.

    Args:
        tokenizer: byte-level BPE whose vocabulary is 256 bytes, the merges, and `<|endoftext|>`
            last.
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
            raise CheckpointError(
                f"{where}: {len(missing)} of the 256 bytes have no token; not a byte-level BPE"
            )
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
        """Token ids of many texts, and characters start … end − 1 of each; tokens that share a
        character overlap.
        """
        return [
            (list(encoding.ids), list(encoding.offsets))
            for encoding in self._tokenizer.encode_batch(list(texts))
        ]

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
        """Write `tokenizer.json` and `tokenizer_config.json`, as AutoTokenizer reads them."""
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
        """The vocabulary and the merges, for building a tokenizer with other special tokens over
        the same text.
        """
        model: dict[str, Any] = json.loads(self._tokenizer.to_str())["model"]
        return model["vocab"], [tuple(pair) for pair in model["merges"]]


def train_bpe(texts: Iterable[str], n_vocab: int) -> BPE:
    """Learn a BPE of `n_vocab` entries, `<|endoftext|>` and the 256 bytes among them.

    Raises:
        CheckpointError: fewer entries than bytes, or too little text for so many merges.
    """
    if n_vocab <= BYTES:
        raise CheckpointError(
            f"tokenizer: n_vocab {n_vocab} has no room for {BYTES} bytes and the end of text;"
            f" {BYTES + 1} is the least"
        )
    trainer = trainers.BpeTrainer(
        vocab_size=n_vocab - 1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() != n_vocab - 1:
        raise CheckpointError(
            f"tokenizer: the text gives {tokenizer.get_vocab_size() + 1} entries, not n_vocab"
            f" {n_vocab}; give more text"
        )
    tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
    return BPE(tokenizer, where="trained tokenizer")


def load_bpe(folder: Path) -> BPE:
    """Read `tokenizer.json`, or the released pair `encoder.json` and `vocab.bpe` (on the hub:
    `vocab.json`, `merges.txt`).

    Of a `tokenizer.json` only what belongs to the vocabulary counts; how its last caller used it
    does not.

    Raises:
        CheckpointError: no such files, damaged, or not GPT-2's kind of tokenizer.
    """
    paths = tokenizer_files(folder)
    for path in paths:
        refuse_foreign(path)
    try:
        return _from_file(paths[0]) if len(paths) == 1 else _from_released(*paths)
    except CheckpointError:
        raise
    except Exception as error:  # tokenizers raises bare Exception for every damaged file
        raise CheckpointError(
            f"{' and '.join(map(str, paths))}: not a readable tokenizer: {error}"
        ) from None


def _from_released(vocabulary: Path, merges: Path) -> BPE:
    model = models.BPE.from_file(str(vocabulary), str(merges))
    return BPE(
        _byte_level(model, pre_tokenizers.ByteLevel(add_prefix_space=False)), where=str(vocabulary)
    )


def _from_file(path: Path) -> BPE:
    """Built anew from the file's model, its way of cutting texts into words, and its normal form.

    So truncation, padding, dropout, tokens put around a text, and flags of added tokens stay
    behind, whoever saved them.
    """
    stored = without_callers_state(Tokenizer.from_file(str(path)))
    if not isinstance(stored.model, models.BPE):
        raise CheckpointError(
            f"{path}: a {type(stored.model).__name__} tokenizer; a GPT-2's is a byte-level BPE"
        )
    _check_added(stored, path)
    _without_first_space(stored.pre_tokenizer)
    tokenizer = _byte_level(stored.model, stored.pre_tokenizer)
    if stored.normalizer is not None:
        tokenizer.normalizer = stored.normalizer
    bpe = BPE(tokenizer, where=str(path))
    _check_given_back(bpe, stored.normalizer, path)
    return bpe


def without_callers_state(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer, without what its last user's calls left in it: truncation, padding,
    random ways to cut a word.
    """
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for name in RANDOM:
        if hasattr(tokenizer.model, name):
            setattr(tokenizer.model, name, None)
    return tokenizer


def _byte_level(model: models.BPE, words: Any) -> Tokenizer:
    """A tokenizer of this model, with `<|endoftext|>` where it has that, else as the last token."""
    tokenizer = Tokenizer(model)
    if words is not None:
        tokenizer.pre_tokenizer = words
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
    return tokenizer


def _check_added(stored: Tokenizer, path: Path) -> None:
    """Of added tokens a GPT-2 has one; special ones behind it, such as a `[PAD]`, no text is
    written with.
    """
    added = stored.get_added_tokens_decoder()
    end = stored.token_to_id(END_OF_TEXT)
    if end is None:
        raise CheckpointError(f"{path}: has no token {END_OF_TEXT}, at which a GPT-2's texts end")
    words = [
        repr(token.content)
        for token in added.values()
        if not token.special and token.content != END_OF_TEXT
    ]
    if words:
        raise CheckpointError(
            f"{path}: tokens were added to its vocabulary as whole words, of which a GPT-2 has"
            f" none: {_some(words)}"
        )
    behind = [repr(token.content) for number, token in sorted(added.items()) if number > end]
    if end != len(stored.get_vocab()) - 1 - len(behind):
        raise CheckpointError(f"{path}: {END_OF_TEXT} is not the last token")
    if behind:
        note(
            f"{path}: {_some(behind)} behind {END_OF_TEXT} left out: special tokens that no text is"
            " written with"
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def _without_first_space(words: Any) -> None:
    """No blank is put before a text: GPT-2's encoder puts none."""
    parts: Any = words if isinstance(words, pre_tokenizers.Sequence) else [words]
    for part in parts:
        if isinstance(part, pre_tokenizers.ByteLevel):
            part.add_prefix_space = False


def _check_given_back(bpe: BPE, normalizer: Any, path: Path) -> None:
    """Tokens give their text back, but for a vocabulary's normal form, which is said."""
    wanted = PROBE if normalizer is None else normalizer.normalize_str(PROBE)
    if bpe.decode(bpe.encode(PROBE)) != wanted:
        raise CheckpointError(
            f"{path}: its tokens do not give a text back as it was; a GPT-2's byte-level BPE does"
        )
    if wanted != PROBE:
        kind = type(normalizer).__name__
        note(
            f"{path}: changes texts before they are read, by {kind}; a GPT-2's tokenizer reads them"
            " as they are"
        )
