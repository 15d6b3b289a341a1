"""Annex A.8 byte by byte, with c2pa-unstructured-text as the judge."""

from __future__ import annotations

import random

import c2pa_unstructured_text as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st

from staged.provenance.manifest.encoding.text_wrapper import (
    MARKER,
    encode,
    encode_padded,
    encoded_bytes,
    find_wrapper,
    padding,
    target_length,
)
from staged.provenance.manifest.facts import ManifestFault
from tests.provenance.texts import made_texts

MANIFESTS = [
    b"c2pa-manifest-01",
    b"\x00",
    b"\x0f\x10",
    bytes(range(256)),
    bytes(1000),
    b"\xff" * 1000,
    *(random.Random(length).randbytes(length) for length in (2, 3, 5, 55, 512, 4096)),
]


def test_the_bytes_of_a_wrapper() -> None:
    """By hand, from the mapping of the specification: U+FE00 + b below 16, U+E0100 + b - 16."""
    text = encode(b"\x00\x0f\x10\xff")
    assert text[0] == "\ufeff"
    assert [ord(each) for each in text[1:9]] == [
        *(0xE0100 + ord(letter) - 16 for letter in "C2PATXT"),
        0xFE00,
    ]
    assert [ord(each) for each in text[9:14]] == [0xFE01, 0xFE00, 0xFE00, 0xFE00, 0xFE04]
    assert [ord(each) for each in text[14:]] == [0xFE00, 0xFE0F, 0xE0100, 0xE01EF]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=range(len(MANIFESTS)))
def test_wrappers_are_those_of_the_reference(manifest: bytes) -> None:
    assert encode(manifest) == reference.encode(manifest)
    assert encode_padded(manifest) == reference.encode_padded(manifest)
    assert "Host text" + encode(manifest) == reference.embed("Host text", manifest)
    assert target_length(len(manifest)) == reference.target_length(len(manifest))
    assert encoded_bytes(manifest) == len(encode(manifest).encode())


@given(st.binary(min_size=1, max_size=300))
def test_any_manifest_is_wrapped_as_the_reference_does(manifest: bytes) -> None:
    assert encode_padded(manifest) == reference.encode_padded(manifest)


@pytest.mark.parametrize("gap", range(6, 60))
def test_every_gap_is_filled(gap: int) -> None:
    fill = padding(gap)
    assert sum(3 if byte < 16 else 4 for byte in fill) == gap
    assert fill == bytes(fill.count(0)) + b"\x10" * fill.count(0x10)


def test_the_wrapper_is_where_the_reference_sees_it() -> None:
    for number, text in enumerate(made_texts(200)):
        manifest = MANIFESTS[number % len(MANIFESTS)]
        for wrapped in (encode(manifest), encode_padded(manifest)):
            wrapper = find_wrapper(text + wrapped + "tail"[: number % 5])
            theirs = reference.extract(text + wrapped + "tail"[: number % 5])
            assert wrapper is not None
            assert wrapper.manifest == theirs["payload"] == manifest
            assert (wrapper.start, wrapper.lengths[-1]) == (theirs["start"], theirs["length"])


def test_texts_without_a_wrapper_have_none() -> None:
    assert all(find_wrapper(text) is None for text in made_texts(300, seed=1))
    assert find_wrapper("") is None
    assert find_wrapper(MARKER * 100 + "❤\ufe0f" * 100) is None


def test_two_wrappers_are_one_too_many() -> None:
    with pytest.raises(ManifestFault) as caught:
        find_wrapper("a" + encode(b"one") + "b" + encode(b"two"))
    assert caught.value.code == "manifest.text.multipleWrappers"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(MARKER, ""),
        lambda text: text[:-1],
        lambda text: text[:1] + text[2:],
        lambda text: text.replace(chr(0xFE01), chr(0xFE02), 1),  # version 2
        lambda text: text[:30],
        lambda text: "".join(each for each in text if ord(each) > 0xFFFF),
    ],
    ids=["marker", "end", "magic", "version", "cut", "low selectors"],
)
def test_remains_of_a_wrapper_are_seen(damage) -> None:
    with pytest.raises(ManifestFault) as caught:
        find_wrapper("text" + damage(encode(bytes(range(60)))) + "text")
    assert caught.value.code == "manifest.text.corruptedWrapper"


def test_remains_beside_a_whole_wrapper_do_not_hide_it() -> None:
    whole = encode(bytes(range(60)))
    wrapper = find_wrapper(f"a{whole}b{whole[:-1]}")
    assert wrapper is not None
    assert wrapper.manifest == bytes(range(60))


def test_a_length_that_is_a_lie_allocates_nothing() -> None:
    lie = encode(b"x" * 20).replace(
        "".join(chr(0xFE00) for _ in range(3)) + chr(0xE0100 + 4), chr(0xE01EF) * 4
    )
    with pytest.raises(ManifestFault):
        find_wrapper("text" + lie)
