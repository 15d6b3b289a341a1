"""Tokenizers of other families than GPT-2's, and their folders' configurations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from staged.errors import CheckpointError, first_line
from staged.model.bpe import without_callers_state
from staged.model.formats.layouts import GENERATION, read_object
from staged.model.gpt2.config import END_OF_TEXT
from staged.model.sources.packaged import quiet


class OutsideTokenizer:
    """Text ↔ token ids, by a folder's `tokenizer.json`; the names are those of `BPE`.

    Special tokens written in a text are ordinary characters; the tokens that the model wants before
    each text are put there.

    Args:
        end: the id that ends a text where the tokenizer has no `<|endoftext|>`.
        ends: ids that end a text too; those that are no marks of the tokenizer's are passed over.

    Attributes:
        specials: its special tokens and `ends`, none of which stands in a text.

    Raises:
        CheckpointError: no such file, or damaged.
    """

    def __init__(self, folder: Path, end: int | None, *, ends: Sequence[int] = ()) -> None:
        try:
            self._tokenizer = without_callers_state(
                Tokenizer.from_file(str(folder / "tokenizer.json"))
            )
        except Exception as error:  # tokenizers raises bare Exception for every damaged file
            raise CheckpointError(
                f"{folder / 'tokenizer.json'}: not a readable tokenizer: {error}"
            ) from None
        self._tokenizer.encode_special_tokens = True
        # ids may have gaps
        self.n_vocab = max(self._tokenizer.get_vocab().values(), default=-1) + 1
        added = self._tokenizer.get_added_tokens_decoder()
        self.specials = sorted(i for i, token in added.items() if token.special or i in ends)
        self.end_of_text = self._end(folder, end)
        # what stands behind it is a training's, not the model's
        marked = self._tokenizer.encode("a")
        self.before = [
            token
            for token, _ in takewhile(
                lambda pair: pair[1], zip(marked.ids, marked.special_tokens_mask, strict=True)
            )
        ]
        # some decoders cut a text's first space off
        self._first = list(self._tokenizer.encode("a", add_special_tokens=False).ids)
        self._first_length = len(self._tokenizer.decode(self._first))

    def _end(self, folder: Path, configured: int | None) -> int:
        """The id of the mark that ends a text."""
        found = self._tokenizer.token_to_id(END_OF_TEXT)
        chosen = configured if found is None else int(found)
        if chosen is None or not 0 <= chosen < self.n_vocab:
            raise CheckpointError(
                f"{folder}: the tokenizer has no {END_OF_TEXT}, and config.json no eos_token_id"
                " that it knows: no text would end"
            )
        return chosen

    def encode(self, text: str) -> list[int]:
        """Token ids of one text."""
        return [*self.before, *self._tokenizer.encode(text, add_special_tokens=False).ids]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of many texts."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [[*self.before, *encoding.ids] for encoding in encodings]

    def encode_spans(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Token ids of texts, with their characters start … end − 1; none for ids before a text."""
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        nowhere = [(0, 0)] * len(self.before)
        return [
            ([*self.before, *encoding.ids], [*nowhere, *encoding.offsets]) for encoding in encodings
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids in the middle of a text, special ones left out."""
        return str(self._tokenizer.decode([*self._first, *ids], skip_special_tokens=True))[
            self._first_length :
        ]

    def count(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text, without those that stand before it."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]

    def truncate(self, texts: Sequence[str], tokens: int) -> list[str]:
        """Each text's first `tokens` tokens, without those that stand before it; a character that
        the cut would halve is left out.
        """
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [
            text[: _end_of(encoding.offsets, tokens)] if len(encoding.ids) > tokens else text
            for text, encoding in zip(texts, encodings, strict=True)
        ]

    def vocabulary(self) -> dict[str, int]:
        """Token → id."""
        return dict(self._tokenizer.get_vocab())


def _end_of(spans: Sequence[tuple[int, int]], tokens: int) -> int:
    """Where the first tokens of a text end; before a character that the next one shares."""
    return min(spans[tokens - 1][1], spans[tokens][0]) if tokens else 0


def load_outside_tokenizer(folder: Path) -> OutsideTokenizer:
    """The tokenizer of a folder's model of another family.

    Raises:
        CheckpointError: no such file, or damaged; a model that ends no text.
    """
    ends = _listed(hub_config(folder).eos_token_id)
    place = folder / GENERATION
    others = _listed(read_object(place).get("eos_token_id")) if place.is_file() else []
    return OutsideTokenizer(folder, ends[0] if ends else None, ends=[*ends, *others])


def _listed(ids: Any) -> list[int]:
    return ids if isinstance(ids, list) else [] if ids is None else [ids]


def hub_config(folder: Path) -> Any:
    """A folder's configuration, as transformers fills it up.

    Raises:
        CheckpointError: of no family that transformers knows, or damaged.
    """
    from transformers import AutoConfig

    try:
        with quiet():
            return AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # many kinds, as for weights
        raise CheckpointError(
            f"{folder}: transformers does not know this kind of model: {first_line(error)}"
        ) from None
