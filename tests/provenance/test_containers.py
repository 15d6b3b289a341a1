"""Signed files of every kind: read by us, judged by others, and each way to be wrong has a verdict
of its own.
"""

from __future__ import annotations

import base64
import datetime
import io
import zipfile
from collections.abc import Callable

import docx
import pytest

from staged.errors import ProvenanceError
from staged.provenance.containers import html, word
from staged.provenance.containers.kinds import Kind, kind_of
from staged.provenance.manifest.collection_hash import Binding
from staged.provenance.manifest.sign import filled, new_signing, sign_claim, size_of
from staged.provenance.reading import signature_of
from staged.provenance.sign import Order, sign
from tests.provenance.signing import FACTS, encypher, made, official, owner

INSIDE = ("txt", "html", "docx", "pdf")
ME, OTHER = owner(), owner("Somebody else")
LATER = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=400)


def embedded(kind: str, seed: int = 1, *, by: object = ME) -> bytes:
    signed = sign(f"a.{kind}", made(kind, seed), by.signer, Order(FACTS, "A title", True))  # type: ignore[attr-defined]
    assert (signed.sidecar, signed.why_beside) == (None, "")
    return signed.data


def beside(kind: str, seed: int = 1) -> tuple[bytes, bytes]:
    data = made(kind, seed)
    signed = sign(f"a.{kind}", data, ME.signer, Order(FACTS, "A title", False))
    assert signed.data == data
    assert signed.sidecar
    return data, signed.sidecar


@pytest.mark.parametrize("kind", INSIDE)
def test_a_manifest_in_a_file_is_valid_to_everybody(kind: str) -> None:
    data = embedded(kind)
    verdict = signature_of(f"a.{kind}", data, trust=ME.trust)
    assert (verdict.state, verdict.facts, verdict.timestamped) == ("valid", FACTS, False)
    assert verdict.signer == "A test signer"
    assert encypher(data, kind, ME.anchors) == "Trusted"
    if kind == "pdf":
        assert official(data, kind, ME.anchors) == "Trusted"


@pytest.mark.parametrize("kind", [*INSIDE, "bin"])
def test_a_manifest_beside_a_file_is_valid_to_everybody(kind: str) -> None:
    data, sidecar = beside(kind)
    verdict = signature_of(f"a.{kind}", data, sidecar, trust=ME.trust)
    assert (verdict.state, verdict.facts) == ("valid", FACTS)
    assert signature_of(f"a.{kind}", data, trust=ME.trust).state == "absent"
    if kind in ("txt", "html", "pdf"):  # in a package it wants a hash of each member
        judged_as = "md" if kind == "txt" else kind  # and plain text only with a wrapper in it
        assert encypher(data, judged_as, ME.anchors, sidecar) == "Trusted"


def test_a_chain_that_an_authority_issued() -> None:
    issued = owner("An issued signer", "issued")
    for kind in INSIDE:
        data = embedded(kind, by=issued)
        assert signature_of(f"a.{kind}", data, trust=issued.trust).state == "valid"
        assert encypher(data, kind, issued.anchors) == "Trusted"


def changed(data: bytes, kind: str) -> bytes:
    """The same file with a word changed in it."""
    if kind != "docx":
        return data.replace(b"The ", b"Thy ", 1)
    package = word.read_package(data)
    members = [
        word.replaced(each, each.content().replace(b"The ", b"Thy ", 1))
        if each.name == word.DOCUMENT
        else each
        for each in package.members
    ]
    return word.write_package(members)


@pytest.mark.parametrize("kind", INSIDE)
def test_each_way_to_be_wrong_inside(kind: str) -> None:
    data, name = embedded(kind), f"a.{kind}"
    assert signature_of(name, data).state == "untrusted"
    assert signature_of(name, data, trust=OTHER.trust).state == "untrusted"
    assert signature_of(name, data, trust=ME.trust, now=LATER).state == "expired"
    assert signature_of(name, data, trust=ME.revoking).state == "revoked"
    tampered = signature_of(name, changed(data, kind), trust=ME.trust)
    assert (tampered.state, tampered.reason) == (
        "invalid",
        "changed or copied" if kind == "pdf" else "text changed",
    )
    assert encypher(changed(data, kind), kind, ME.anchors).startswith("Invalid")


def another(kind: str) -> bytes:
    """A file that has nothing in common with the others."""
    words = " ".join(str(n * n) for n in range(10**6, 10**6 + 3000, 7))
    if kind == "docx":
        document, buffer = docx.Document(), io.BytesIO()
        document.add_paragraph(words)
        document.save(buffer)
        return buffer.getvalue()
    return f"<html><head></head>{words}".encode() if kind == "html" else words.encode()


@pytest.mark.parametrize("kind", INSIDE)
def test_each_way_to_be_wrong_beside(kind: str) -> None:
    (data, sidecar), name = beside(kind), f"a.{kind}"
    assert signature_of(name, data, sidecar).state == "untrusted"
    assert signature_of(name, data, sidecar, trust=ME.trust, now=LATER).state == "expired"
    assert signature_of(name, data, sidecar, trust=ME.revoking).state == "revoked"
    tampered = signature_of(name, changed(data, kind), sidecar, trust=ME.trust)
    moved = signature_of(name, another(kind), sidecar, trust=ME.trust)
    is_pdf = kind == "pdf"
    assert (tampered.state, moved.state) == ("invalid", "invalid")
    assert tampered.reason == ("changed or copied" if is_pdf else "text changed")
    assert moved.reason == ("changed or copied" if is_pdf else "copied")
    torn = signature_of(name, data, sidecar[:-40], trust=ME.trust)
    assert (torn.state, torn.reason) == ("invalid", "unreadable")


def test_a_manifest_copied_into_another_page() -> None:
    page = embedded("html")
    [(start, length)] = html.extract(page).exclusions
    other = b"x" * (start - 12) + another("html")
    place = other.index(b"<head>") + 6
    copied = other[:place] + page[start : start + length] + other[place:]
    verdict = signature_of("a.html", copied, trust=ME.trust)
    assert (verdict.state, verdict.reason, place) == ("invalid", "copied", start)
    moved = signature_of("a.html", b" " + page, trust=ME.trust)
    assert (moved.state, moved.reason) == ("invalid", "changed or copied")


def test_nothing_that_can_be_seen_hides_in_the_manifest_s_element() -> None:
    """Padding beside the signature is signed by nobody: a manifest that is written again without it
    leaves room in what the hash leaves out.
    """
    claims, room, signing = [], 90, new_signing(datetime.datetime.now(datetime.UTC))

    def filled_up(binding_of: Callable[[int], Binding]) -> bytes:
        draft = sign_claim(binding_of(1 << 16), FACTS, ME.signer, signing)
        size = size_of(draft) + room
        claims.append(sign_claim(binding_of(size), FACTS, ME.signer, signing))
        return filled(claims[0], size)

    page = html.embed(made("html", 1), filled_up)
    assert signature_of("a.html", page, trust=ME.trust).state == "valid"
    [(start, length)] = html.extract(page).exclusions
    letters = base64.b64encode(filled(claims[0], size_of(claims[0])))
    style = b' style="display:block;background:url(another.png)"'
    opening = html.OPENING[:-1] + style
    opening += b" " * (length - len(opening) - 1 - len(letters) - len(html.CLOSING)) + b">"
    forged = page[:start] + opening + letters + html.CLOSING + page[start + length :]
    assert len(forged) == len(page)
    verdict = signature_of("a.html", forged, trust=ME.trust)
    assert (verdict.state, verdict.codes) == ("invalid", (html.CORRUPTED,))


def test_stripped_and_doubled() -> None:
    text, page, document = embedded("txt"), embedded("html"), embedded("docx")
    assert signature_of("a.txt", text.decode()[:-50].encode()).reason == "stripped"
    assert signature_of("a.txt", text + text.decode()[-2500:].encode()).state == "invalid"
    assert signature_of("a.html", html.remove(page)).state == "absent"
    assert html.remove(page) == made("html", 1)
    [(start, length)] = html.extract(page).exclusions
    element = page[start : start + length]
    doubled = signature_of("a.html", page[:start] + element + page[start:])
    assert (doubled.state, doubled.codes) == ("invalid", (html.MULTIPLE,))
    assert signature_of("a.docx", word.remove(document)).state == "absent"


def test_a_page_that_only_points_to_its_manifest() -> None:
    page = made("html", 1).replace(
        b"<title>", b'<link href="https://a.example/m.c2pa" REL="prefetch c2pa-manifest"><title>'
    )
    verdict = signature_of("a.html", page)
    assert (verdict.state, verdict.codes) == ("invalid", ("manifest.inaccessible",))
    assert "not fetched" in verdict.sentence


@pytest.mark.parametrize(
    "page",
    [
        b"<p>no head at all",
        b"<!-- <head> --><p>in a comment",
        b"<script>'<head>'</script>",
        b"<title><head></title>",
        "<html><head></head>".encode("utf-16"),
        b"",
    ],
)
def test_a_page_without_a_head_is_signed_beside(page: bytes) -> None:
    signed = sign("a.html", page, ME.signer, Order(FACTS))
    assert signed.data == page
    assert "no <head>" in signed.why_beside
    assert signature_of("a.html", page, signed.sidecar, trust=ME.trust).state == "valid"


@pytest.mark.parametrize(
    "head",
    [
        b"<HEAD>",
        b'<head lang="a>b">',
        b"<!-- <head> --><head\n>",
        b"<head><!-- <script type='application/c2pa'>x</script> -->",
        b"<head><style><script type=application/c2pa></style>",
    ],
)
def test_heads_as_people_write_them(head: bytes) -> None:
    page = b"<!doctype html><html>" + head + b"<title>T</title></head><body>The end</body></html>"
    signed = sign("a.html", page, ME.signer, Order(FACTS))
    assert signed.why_beside == ""
    assert signature_of("a.html", signed.data, trust=ME.trust).state == "valid"
    assert html.remove(signed.data) == page
    assert encypher(signed.data, "html", ME.anchors) == "Trusted"


def test_word_reads_what_was_signed() -> None:
    before, after = made("docx", 1), embedded("docx")
    paragraphs = [each.text for each in docx.Document(io.BytesIO(before)).paragraphs]
    assert [each.text for each in docx.Document(io.BytesIO(after)).paragraphs] == paragraphs
    with zipfile.ZipFile(io.BytesIO(after)) as package, zipfile.ZipFile(io.BytesIO(before)) as old:
        assert package.testzip() is None
        assert set(package.namelist()) == {*old.namelist(), word.PLACE.decode()}
        types = package.read("[Content_Types].xml")
        for name in set(old.namelist()) - {"[Content_Types].xml"}:
            assert package.read(name) == old.read(name)
    assert types.count(b'<Default Extension="c2pa" ContentType="application/c2pa"/>') == 1
    assert word.remove(after) == word.remove(word.embed(word.remove(after), lambda _: b"x"))


def test_every_change_in_a_package_is_seen() -> None:
    data = embedded("docx")
    package = word.read_package(data)
    own = package.member(word.PLACE)
    assert own
    skipped = range(own.header[0] + 16, own.header[0] + 20)  # its checksum, which no hash covers
    for place in range(0, len(data), 997):
        if place in skipped or own.span[0] <= place < own.span[0] + 30:
            continue
        broken = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        assert signature_of("a.docx", broken, trust=ME.trust).state != "valid", place


def with_member(data: bytes, name: bytes) -> bytes:
    package = word.read_package(data)
    return word.write_package([*package.members, word.stored(name, b"more")])


def test_a_member_that_came_later_or_went_is_seen() -> None:
    data = embedded("docx")
    package = word.read_package(data)
    more = with_member(data, b"word/more.xml")
    less = word.write_package([each for each in package.members if b"theme" not in each.name])
    for other in (more, less):
        assert signature_of("a.docx", other, trust=ME.trust).state == "invalid"
        assert encypher(other, "docx", ME.anchors).startswith("Invalid")


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"\xd0\xcf\x11\xe0 an encrypted one", b"PK" * 99]
)
def test_no_word_file_is_signed_beside(data: bytes) -> None:
    signed = sign("a.docx", data, ME.signer, Order(FACTS))
    assert signed.data == data
    assert "Word file" in signed.why_beside
    assert signature_of("a.docx", data, signed.sidecar, trust=ME.trust).state == "valid"


def test_pdfs_that_are_left_alone() -> None:
    for part, sentence in ((b"/ByteRange", "PDF's own way"), (b"/Encrypt", "encrypted")):
        data = made("pdf", 1) + b"% " + part
        signed = sign("a.pdf", data, ME.signer, Order(FACTS))
        assert signed.data == data
        assert sentence in signed.why_beside
        assert signature_of("a.pdf", data, signed.sidecar, trust=ME.trust).state == "valid"
    signed = sign("a.pdf", b"%PDF-1.4 and nothing more", ME.signer, Order(FACTS))
    assert "c2pa-python cannot write into it" in signed.why_beside


def test_a_kind_that_has_no_place_is_signed_beside() -> None:
    for name, data in (("a.json", b"{}"), ("a.txt", b"\xff\xfe"), ("", b"\x00\xff")):
        signed = sign(name, data, ME.signer, Order(FACTS, inside=True))
        assert (signed.data, signed.cited) == (data, ())
        assert "plain text (UTF-8)" in signed.why_beside
        assert signature_of(name, data, signed.sidecar, trust=ME.trust).state == "valid"


@pytest.mark.parametrize("kind", INSIDE)
def test_signing_what_is_signed_keeps_and_cites_it(kind: str) -> None:
    first, name = embedded(kind), f"a.{kind}"
    again = sign(name, first, OTHER.signer, Order(FACTS, inside=True))
    assert (again.cited, again.why_beside) == ((name,), "")
    verdict = signature_of(name, again.data, trust=OTHER.trust)
    assert (verdict.state, verdict.ingredients, verdict.facts) == ("valid", (name,), FACTS)
    assert encypher(again.data, kind, OTHER.anchors + ME.anchors) == "Trusted"
    third = sign(name, changed(again.data, kind), ME.signer, Order(FACTS, inside=True))
    assert signature_of(name, third.data, trust=ME.trust).state == "valid"
    assert encypher(third.data, kind, OTHER.anchors + ME.anchors) == "Trusted"
    if kind == "pdf":
        assert official(again.data, kind, OTHER.anchors + ME.anchors) == "Trusted"


@pytest.mark.parametrize("kind", INSIDE)
def test_signing_beside_what_is_signed(kind: str) -> None:
    data, name = embedded(kind), f"a.{kind}"
    signed = sign(name, data, OTHER.signer, Order(FACTS, inside=False))
    assert (signed.data, signed.cited) == (data, (name,))  # the mark inside stays where it is
    both = signature_of(name, data, signed.sidecar, trust=OTHER.trust)
    assert (both.state, both.ingredients) == ("valid", (name,))
    assert signature_of(name, data, trust=ME.trust).state == "valid"
    stale = signature_of(name, data, beside(kind, 7)[1], trust=ME.trust)
    assert stale.state == "valid"  # of another file: the one inside counts


@pytest.mark.parametrize("kind", ["txt", "html", "docx"])
def test_a_sidecar_goes_into_the_file(kind: str) -> None:
    data, sidecar = beside(kind)
    signed = sign(f"a.{kind}", data, ME.signer, Order(FACTS, inside=True), sidecar=sidecar)
    verdict = signature_of(f"a.{kind}", signed.data, trust=ME.trust)
    assert (verdict.state, verdict.ingredients) == ("valid", (f"a.{kind}",))


def test_what_cannot_be_kept_is_refused() -> None:
    torn = embedded("txt").decode()[:-50].encode()
    with pytest.raises(ProvenanceError, match="cannot be kept"):
        sign("a.txt", torn, ME.signer, Order(FACTS, inside=True))
    with pytest.raises(ProvenanceError, match="cannot be kept"):
        sign("a.txt", made("txt", 1), ME.signer, Order(FACTS), sidecar=b"no manifest")


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.txt", b"<html><head>", Kind.TEXT),
        ("a", b"plain", Kind.TEXT),
        ("", b"<!DOCTYPE html><p>", Kind.PAGE),
        ("", b"%PDF-1.7", Kind.PDF),
        ("", made("docx", 1), Kind.WORD),
        ("a.HTM", b"", Kind.PAGE),
        ("a.txt", b"\xff", Kind.OTHER),
        ("a.csv", b"a,b", Kind.OTHER),
    ],
)
def test_kinds(name: str, data: bytes, kind: Kind) -> None:
    assert kind_of(name, data) is kind


@pytest.mark.slow
@pytest.mark.parametrize("kind", INSIDE)
def test_two_hundred_files_of_a_kind(kind: str) -> None:
    """By two signers in turn, embedded and beside, signed once or again: all agree."""
    people = (ME, owner("An issued signer", "issued"))
    for seed in range(200):
        person = people[seed % 2]
        name, data = f"a.{kind}", made(kind, seed, 1 + seed % 12)
        signed = sign(name, data, person.signer, Order(FACTS, f"Number {seed}", True))
        if seed % 5 == 4:
            person = people[(seed + 1) % 2]
            signed = sign(name, signed.data, person.signer, Order(FACTS, inside=True))
        assert signature_of(name, signed.data, trust=person.trust).state == "valid", seed
        anchors = people[0].anchors + people[1].anchors
        assert encypher(signed.data, kind, anchors) == "Trusted", seed
        if kind == "pdf":
            assert official(signed.data, kind, anchors) == "Trusted", seed
        assert signature_of(name, changed(signed.data, kind), trust=person.trust).state == "invalid"
