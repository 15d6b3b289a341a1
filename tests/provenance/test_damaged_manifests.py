"""Damaged bytes: no crash, no manifest that verifies, and no work without end."""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections import Counter

import cbor2
import pytest

from staged.provenance.manifest.encoding import cbor, jumbf
from staged.provenance.manifest.encoding.text_wrapper import encode, find_wrapper
from staged.provenance.manifest.facts import Ingredient, ManifestFault
from staged.provenance.manifest.plain_text import sign_beside, sign_text, verify_beside, verify_text
from staged.provenance.manifest.sign import new_signing
from staged.provenance.manifest.store import read_store
from staged.provenance.manifest.trust import trust_from
from tests.provenance.signers import FACTS, KEYS, NOW, SIGNING, identity

ME = identity("Me")
MINE = trust_from(ME.pem)
TEXT = "A text that is signed, and then damaged."
FIRST = sign_beside("An input.", FACTS, ME.signer, new_signing(NOW))


def mutated(data: bytes, dice: random.Random) -> bytes:
    """Bytes flipped, replaced, left out, put in, doubled, exchanged or cut off."""
    place, length = dice.randrange(len(data)), dice.choice((1, 1, 1, 2, 4, 8, 50))
    piece = data[place : place + length]
    kind = dice.randrange(7)
    if kind == 0:
        return data[:place] + bytes([data[place] ^ 1 << dice.randrange(8)]) + data[place + 1 :]
    if kind == 1:
        return data[:place] + dice.randbytes(len(piece)) + data[place + len(piece) :]
    if kind == 2:
        return data[:place] + data[place + length :]
    if kind == 3:
        return data[:place] + dice.randbytes(length) + data[place:]
    if kind == 4:
        return data[:place] + piece + data[place:]
    if kind == 5:
        other = dice.randrange(len(data))
        return data[:place] + data[other : other + length] + data[place + length :]
    return data[: max(place, 1)]


def check_mutations(count: int, seed: int) -> Counter[str]:
    """Manifests beside and inside a text, of every kind of key, with and without an input."""
    dice = random.Random(seed)
    signers = [identity(kind, kind=kind) for kind in KEYS]
    trusts = [trust_from(each.pem) for each in signers]
    inputs = [Ingredient(FIRST, "input.txt")]
    beside = [
        sign_beside(TEXT, FACTS, each.signer, SIGNING, ingredients=cited)
        for each in signers
        for cited in ([], inputs)
    ]
    inside = [sign_text(TEXT, FACTS, each.signer, SIGNING) for each in signers]
    padded = [sign_text(TEXT, FACTS, each.signer, SIGNING, padded=True) for each in signers]
    outcomes: Counter[str] = Counter()
    for number in range(count):
        which = number % len(signers)
        if number % 3 == 0:
            data = beside[number % len(beside)]
            changed = mutated(data, dice)
            verdict = verify_beside(TEXT, changed, trusts[number % len(beside) // 2], NOW)
            same = changed == data
        elif number % 3 == 1:  # manifest's bytes, in a wrapper that is whole
            manifest = find_wrapper(inside[which]).manifest  # type: ignore[union-attr]
            changed = mutated(manifest, dice)
            verdict = verify_text(TEXT + encode(changed), trusts[which], NOW)
            same = changed == manifest
        else:  # the wrapper's own bytes
            text = (inside, padded)[number % 2][which]
            body = mutated(text.encode()[len(TEXT) :], dice).decode(errors="ignore")
            verdict = verify_text(TEXT + body, trusts[which], NOW)
            same = TEXT + body == text
        assert same or verdict.state in ("invalid", "absent"), (seed, number, verdict)
        outcomes[verdict.reason] += 1
    return outcomes


def test_no_mutation_verifies() -> None:
    outcomes = check_mutations(2_000, seed=24)
    assert {"manifest changed", "unreadable", "stripped"} <= set(outcomes)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_mutation_of_a_hundred_thousand_verifies() -> None:
    outcomes = check_mutations(100_000, seed=2026)
    assert outcomes.total() == 100_000


def test_every_byte_of_a_manifest_is_covered() -> None:
    """Exhaustive: nothing in a manifest can be changed, not even what no signature covers."""
    for cited, step in (([], 1), ([Ingredient(FIRST)], 5)):
        store = sign_beside(TEXT, FACTS, ME.signer, SIGNING, ingredients=cited)
        assert verify_beside(TEXT, store, MINE, NOW).state == "valid"
        for place in range(0, len(store), step):
            bit = 1 << place % 8
            changed = store[:place] + bytes([store[place] ^ bit]) + store[place + 1 :]
            assert verify_beside(TEXT, changed, MINE, NOW).state == "invalid", place


def test_random_bytes_are_no_manifest() -> None:
    dice = random.Random(1)
    for length in (0, 1, 7, 8, 9, 100, 5000):
        verdict = verify_beside(TEXT, dice.randbytes(length), MINE, NOW)
        assert (verdict.state, verdict.reason) == ("invalid", "unreadable")


def nested(depth: int) -> bytes:
    inside = jumbf.box(b"cbor", b"\xa0")
    for _ in range(depth):
        inside = jumbf.superbox(b"c2pa", "c2pa", inside)
    return inside


BOMBS = {
    "boxes in boxes": nested(2_000),
    "many boxes": jumbf.superbox(b"c2pa", "c2pa", jumbf.superbox(b"c2ma", "a") * 50_000),
    "empty boxes": jumbf.superbox(b"c2pa", "c2pa", jumbf.box(b"free", b"") * 500_000),
    "a box of no length": b"\x00\x00\x00\x00jumb" * 1_000,
    "a box of all lengths": b"\xff\xff\xff\xffjumb" * 1_000,
    "too large": bytes(17 << 20),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_put_out_early(name: str) -> None:
    began = time.process_time()
    assert verify_beside(TEXT, BOMBS[name], MINE, NOW).reason == "unreadable"
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "data",
    [
        b"\x81" * 100_000,
        b"\xa1\x61a" * 100_000,
        b"\xc6" * 100_000,
        b"\x9b" + b"\xff" * 8,
        b"\x5b" + b"\xff" * 8,
        b"\xbb\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\xc2\x5a\x00\x0f\x42\x40" + b"\xff" * 1_000_000,
        b"\xc4\x82\x1a\x7f\xff\xff\xff\x01",
        b"\xd8\x23\x78\x20" + b"(a+)+" * 6 + b"$$",
        b"\xa2\x01\x02\x01\x03",
        b"\x9f\xff",
        b"\x00\x00",
        b"",
        b"\x61\xff",
    ],
    ids=lambda data: data[:6].hex(),
)
def test_cbor_is_read_within_limits(data: bytes) -> None:
    began = time.process_time()
    with contextlib.suppress(ManifestFault):
        value = cbor.decode(data, "code")
        assert isinstance(value, cbor2.CBORTag)  # nothing that a tag stands for was made
        assert not isinstance(value.value, re.Pattern)
    assert time.process_time() - began < 1


def test_tags_keep_what_stands_under_them() -> None:
    for tag in cbor.MEANINGS:
        tagged = cbor.decode(cbor.encode(cbor2.CBORTag(tag, [1, "a"])), "code")
        assert tagged == cbor2.CBORTag(tag, [1, "a"])
    with pytest.raises(ManifestFault):
        cbor.decode_exactly(b"\x18\x01", "code")
    assert cbor.decode(b"\x18\x01", "code") == 1


def test_cbor_is_written_in_the_one_order() -> None:
    """RFC 8949, 4.2.1: keys by their bytes, numbers and lengths as short as they can be."""
    assert cbor.encode({"bb": 1, "a": 2, 33: 3, 1: 4}).hex() == "a4010418210361610262626201"
    assert cbor.encode([23, 24, 256, 1.5, -1]).hex() == "851718181901 00f93e0020".replace(" ", "")


def test_boxes_are_read_as_written() -> None:
    written = jumbf.superbox(
        b"c2pa", "c2pa", jumbf.superbox(b"cbor", "a.b", jumbf.box(b"cbor", b"\xa0"))
    )
    box = jumbf.read_superbox(written)
    assert (box.kind, box.label, box.toggles) == (b"c2pa", "c2pa", 3)
    [inner] = box.superboxes()
    assert (inner.label, inner.content(b"cbor"), inner.content(b"json")) == ("a.b", b"\xa0", None)
    assert jumbf.box(b"jumb", box.hashed) == written


@pytest.mark.parametrize(
    ("toggles", "rest", "is_read"),
    [
        (0x03, b"", True),
        (0x07, b"abcd", True),
        (0x0B, bytes(32), True),
        (0x13, b"salt", True),
        (0x03, b"x", False),
        (0x07, b"abc", False),
        (0x13, b"", False),
        (0x01, b"", False),
        (0x23, b"", False),
    ],
)
def test_descriptions_are_as_long_as_their_toggles_say(
    toggles: int, rest: bytes, is_read: bool
) -> None:
    described = b"cbor" + jumbf.TAIL + bytes([toggles]) + b"label\x00" + rest
    data = jumbf.box(b"jumb", jumbf.box(b"jumd", described))
    if is_read:
        assert jumbf.read_superbox(data).toggles == toggles
    else:
        with pytest.raises(ManifestFault):
            jumbf.read_superbox(data)


def test_a_manifest_twice_is_no_store() -> None:
    store = read_store(FIRST)
    [manifest] = [jumbf.box(b"jumb", each.hashed) for each in store.boxes.values()]
    with pytest.raises(ManifestFault, match="twice"):
        read_store(jumbf.superbox(b"c2pa", "c2pa", manifest, manifest))


def test_a_manifest_that_nobody_cites_is_seen() -> None:
    """A stranger's manifest put before the asset's own would pass for an input's."""
    boxes = [
        jumbf.box(b"jumb", each.hashed)
        for data in (FIRST, sign_beside(TEXT, FACTS, ME.signer, SIGNING))
        for each in read_store(data).boxes.values()
    ]
    verdict = verify_beside(TEXT, jumbf.superbox(b"c2pa", "c2pa", *boxes), MINE, NOW)
    assert verdict.codes[-1] == "manifest.unreferenced"
