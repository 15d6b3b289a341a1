"""vLLM's keyed random numbers, `philox4x32-10-v1`: a word of 32 bits for each context and token.

Words are int64 tensors that hold numbers in [0, 2³²), so that nothing depends on the device.
Sources: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", for Philox; vLLM's
documentation of `vllm.v1.watermarking` for how contexts and tokens enter it.

Axes: N contexts · W tokens of a context · K tokens for each context.
"""

from __future__ import annotations

import torch
from torch import Tensor

MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
OF_CONTEXTS, OF_TOKENS = 0x574D4358, 0x574D544B  # keep the two uses of a key apart
LEVELS = 2**24 + 1  # a word becomes one of the 2²⁴ fractions between 0 and 1 with this divisor

Word = int | Tensor
Words = tuple[Tensor, Tensor, Tensor, Tensor]


def philox4x32(counter: tuple[Word, Word, Word, Word], key: tuple[Word, Word]) -> Words:
    """Philox4x32-10: four words of a counter under a key of two, all of shapes that broadcast."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        product0, product1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0 = (product1 >> 32) & MASK ^ c1 ^ k0
        c2 = (product0 >> 32) & MASK ^ c3 ^ k1
        c1, c3 = product1 & MASK, product0 & MASK
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return c0, c1, c2, c3  # type: ignore[return-value]  # tensors, as one of the counter's is


def context_state(contexts_NW: Tensor, key: tuple[Word, Word]) -> Words:
    """What a key makes of contexts: four words (N,) each.

    Args:
        contexts_NW: int64 token ids, or −1 where there is none.
        key: the low and the high word, numbers or (N,) tensors.
    """
    width = contexts_NW.size(1)
    state: tuple[Word, Word, Word, Word] = (OF_CONTEXTS, width, 0, 0)
    for offset in range(0, width, 4):
        block = [
            contexts_NW[:, offset + i] & MASK if offset + i < width else MASK - i for i in range(4)
        ]
        counter = tuple(word ^ token for word, token in zip(state, block, strict=True))
        state = philox4x32(counter, (key[0] ^ offset, key[1]))  # type: ignore[arg-type]
    return state  # type: ignore[return-value]


def token_words(state: Words, key: tuple[Word, Word], tokens_NK: Tensor) -> Tensor:
    """(N, K) words of tokens in contexts.

    Args:
        state: of `context_state` under the same key.
        tokens_NK: int64 ids.
    """
    s0, s1, s2, s3 = (word[:, None] for word in state)
    k0, k1 = (word[:, None] if isinstance(word, Tensor) else word for word in key)
    return word_of(philox4x32((tokens_NK >> 2, s0, s1, s2), (k0 ^ s3, k1 ^ OF_TOKENS)), tokens_NK)


def first_words(state: Words, key: tuple[Word, Word], count: int) -> Tensor:
    """(N, count) words of the tokens 0 … count − 1: `token_words` at a quarter of its price, as
    four neighbours share a counter.
    """
    s0, s1, s2, s3 = (word[:, None] for word in state)
    k0, k1 = (word[:, None] if isinstance(word, Tensor) else word for word in key)
    fours = torch.arange(-(-count // 4), device=s0.device)
    words = philox4x32((fours, s0, s1, s2), (k0 ^ s3, k1 ^ OF_TOKENS))
    return torch.stack(words, dim=2).flatten(1)[:, :count]


def word_of(words: Words, tokens: Tensor) -> Tensor:
    """Of the four words that neighbouring tokens share, each token's own."""
    at = tokens & 3
    first = torch.where(at == 0, words[0], words[1])
    return torch.where(at < 2, first, torch.where(at == 2, words[2], words[3]))


def uniform(words: Tensor) -> Tensor:
    """Float32 in (0, 1), of each word's 24 highest bits: ln and ln(1 − u) are finite."""
    return (((words >> 8).double() + 1) / LEVELS).float()


def key_words(key: int) -> tuple[int, int]:
    """The low and the high word of a key of 64 bits."""
    return key & MASK, key >> 32
