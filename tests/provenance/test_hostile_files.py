"""Files of strangers: whatever their bytes are, there is a verdict, soon, and none that verifies."""

from __future__ import annotations

import random
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staged.provenance.containers import html, pdf, word
from staged.provenance.containers.zip_package import PackageFault, read_package, stored
from staged.provenance.reading import signature_of
from staged.provenance.sign import Order, sign
from tests.provenance.signing import FACTS, made, owner

ME = owner()
KINDS = ("html", "docx", "pdf")


def free_places(data: bytes, kind: str) -> set[int]:
    """Bytes that no hash covers and nobody reads: a manifest's checksum and headers, its tags."""
    if kind == "docx":
        member = read_package(data).member(word.PLACE)
        assert member
        begins, ends = member.span
        checksum = range(member.header[0] + 16, member.header[0] + 20)
        return {*checksum, *range(begins, ends - len(member.packed))}
    if kind == "html":
        [(start, length)] = html.extract(data).exclusions
        end = start + length
        return {*range(start, start + len(html.OPENING)), *range(end - len(html.CLOSING), end)}
    return set()


def mutated(data: bytes, draw: random.Random, free: set[int]) -> bytes:
    """One byte changed, cut out or put in; or a stretch that is cut, doubled or moved."""
    place = draw.choice([each for each in draw.sample(range(len(data)), 9) if each not in free])
    stretch = data[place : place + draw.choice((1, 1, 2, 50, 5000))]
    change = draw.randrange(5)
    if change < 2:
        return data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :]
    if change == 2:
        return data[:place] + data[place + len(stretch) :]
    if change == 3:
        return data[:place] + stretch + data[place:]
    return data[:place] + bytes(draw.randbytes(len(stretch))) + data[place + len(stretch) :]


def hold_against_mutations(kind: str, count: int) -> None:
    data = sign(f"a.{kind}", made(kind, 1), ME.signer, Order(FACTS)).data
    draw, free, name = random.Random(7), free_places(data, kind), f"a.{kind}"
    assert signature_of(name, data, trust=ME.trust).state == "valid"
    for number in range(count):
        other = mutated(data, draw, free)
        if other != data:
            assert signature_of(name, other, trust=ME.trust).state != "valid", number


@pytest.mark.parametrize("kind", KINDS)
def test_no_mutation_verifies(kind: str) -> None:
    hold_against_mutations(kind, 150)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_mutations(kind: str) -> None:
    hold_against_mutations(kind, 10_000)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["html", "docx", "pdf", "txt", "bin", ""]))
def test_any_bytes_have_a_verdict(data: bytes, kind: str) -> None:
    for begin in (b"", b"<head><script type=application/c2pa>", b"PK\x03\x04", pdf.STORE):
        name = f"a.{kind}" if kind else ""
        assert signature_of(name, begin + data).state in ("absent", "invalid")
        assert signature_of(name, begin + data, data).state == "invalid"


@pytest.mark.parametrize(
    "page",
    [
        b"<a" * 400_000,
        b'<a "' * 200_000,
        b"<a '" * 200_000 + b'"',
        b"<head>" + b"<script></script " * 50_000,
        b"<head><script>" + b"</script " * 90_000,
        b"<head>" + b"<!--" * 200_000,
        b"<head " + b"''" * 400_000,
    ],
)
def test_a_page_is_read_in_one_pass(page: bytes) -> None:
    started = time.process_time()
    assert html.extract(page).manifest is None
    assert time.process_time() - started < 2


def test_a_package_that_unpacks_to_too_much() -> None:
    bomb = stored(word.DOCUMENT, b"")
    press = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = press.compress(bytes(1 << 20)) + press.flush()
    for size in (65 << 20, 10):
        member = word.replaced(bomb, b"")
        member = type(member)(**(vars(member) | {"method": 8, "packed": packed, "size": size}))
        with pytest.raises(PackageFault):
            member.content()


@pytest.mark.parametrize("cut", [10, 22, 46, 200, 5000])
def test_a_package_that_is_cut_off(cut: int) -> None:
    data = made("docx", 1)
    with pytest.raises(PackageFault):
        read_package(data[:-cut])
    with pytest.raises(PackageFault):
        read_package(data[cut:])
