"""Documents as a model reads them: what stands before a text, its tokens, and how many bytes of the
text each of them is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from staged.errors import CorpusError
from staged.model.bpe import BPE
from staged.model.causal import CausalLM, TextTokenizer
from staged.notes import note

PIECE = 2**20  # characters; the tokenizer needs some hundred bytes of memory for each at a time
CUT = re.compile(r"(?<=\S)(?=[ \n])")

Ids = npt.NDArray[np.int32]
Sizes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Encoded:
    """A document as token ids.

    Attributes:
        ids: `start_of_text`, then the text's tokens.
        sizes: bytes of the text that each of its tokens is; they sum to the text's.
        is_text: whether the tokens say the text as it was: some tokenizers change characters, or
            leave some out.
    """

    ids: Ids
    sizes: Sizes
    is_text: bool


def start_of_text(tokenizer: TextTokenizer) -> list[int]:
    """What a model reads before a text that nothing precedes, at least one token: those that its
    tokenizer puts before each text (such as `<s>`), else its end of text, as in GPT-2.

    Source: EleutherAI's harness and transformers' perplexity guide do the same.
    """
    return tokenizer.before or [tokenizer.end_of_text]


def written(tokenizer: TextTokenizer, ids: Sequence[int]) -> str:
    """Tokens as the vocabulary writes them."""
    names = {index: token for token, index in tokenizer.vocabulary().items()}
    return "".join(names[index] for index in ids)


def encode_documents(lm: CausalLM, texts: Sequence[str], where: str) -> list[Encoded]:
    """Documents as a model reads them, with a note where their tokens do not say the texts as they
    are.

    A GPT-2's are encoded in pieces, so that a text of any length needs little memory beside its
    tokens; another tokenizer needs some hundred bytes for each character of a text.

    Args:
        where: how errors and notes call the texts.

    Raises:
        CorpusError: the tokenizer has no token for any of them.
    """
    bpe = lm.tokenizer
    encoded = list(_as_gpt2(bpe, texts) if isinstance(bpe, BPE) else _by_spans(bpe, texts))
    if not any(len(document.sizes) for document in encoded):
        raise CorpusError(f"{where}: the tokenizer of {lm.name} has no token for any of it")
    changed = sum(not document.is_text for document in encoded)
    if changed:
        note(
            f"{where}: the tokenizer of {lm.name} changes {changed:,} of {len(encoded):,} documents"
            " (by a normal form, or by characters that it leaves out); what the model reads is"
            " scored, and divided by the bytes and words of the texts as they are"
        )
    return encoded


def _as_gpt2(bpe: BPE, texts: Sequence[str]) -> Iterator[Encoded]:
    width = token_bytes(bpe)
    for text in texts:
        ids = encode_document(bpe, text)
        yield Encoded(ids, width[ids[1:]], is_text=True)


def _by_spans(tokenizer: TextTokenizer, texts: Sequence[str]) -> Iterator[Encoded]:
    start, given = start_of_text(tokenizer), len(tokenizer.before)
    for text in texts:
        ids, spans = tokenizer.encode_spans([text])[0]
        tokens = ids[given:]
        yield Encoded(
            np.array([*start, *tokens], dtype=np.int32),
            span_bytes(text, spans[given:]),
            # some decoders put a space before a text
            is_text=tokenizer.decode(tokens) in (text, f" {text}"),
        )


def encode_document(bpe: BPE, text: str, *, piece: int = PIECE) -> Ids:
    """`<|endoftext|>` and the text's tokens, encoded in pieces.

    Pieces end before a space or line feed that no white space precedes, where GPT-2's pattern
    always ends a match; the ids are those of the whole.

    Args:
        piece: characters after which the next such place is taken.

    Raises:
        UnicodeEncodeError: the text holds half a surrogate pair, which no UTF-8 file can.
    """
    parts: list[Ids] = [np.array([bpe.end_of_text], dtype=np.int32)]
    start = 0
    while start < len(text):
        cut = CUT.search(text, start + piece)
        end = cut.start() if cut else len(text)
        parts.append(np.array(bpe.encode(text[start:end]), dtype=np.int32))
        start = end
    return np.concatenate(parts)


def token_bytes(bpe: BPE) -> Sizes:
    """(V,) number of bytes of each token; 0 for `<|endoftext|>`."""
    lengths = np.zeros(bpe.n_vocab, dtype=np.int64)
    for token, index in bpe.merges()[0].items():
        lengths[index] = len(token)  # the vocabulary writes each byte as one character
    lengths[bpe.end_of_text] = 0
    return lengths


def span_bytes(text: str, spans: Sequence[tuple[int, int]]) -> Sizes:
    """Bytes of a text that each of its tokens is, given their characters start … end − 1.

    A character that several tokens share counts with the first of them, what none covers with the
    token behind it (at the text's end with the last).
    """
    if not spans:
        return np.zeros(0, dtype=np.int64)
    letters = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    sizes = 1 + (letters > 0x7F) + (letters > 0x7FF).astype(np.int64) + (letters > 0xFFFF)
    bytes_before = np.concatenate([[0], np.cumsum(sizes)])
    ends = np.maximum.accumulate([end for _, end in spans])
    ends[-1] = len(text)
    return np.diff(bytes_before[ends], prepend=0)
