"""Plain text, signed and checked: by us, and by judges that nobody here wrote."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import c2pa_unstructured_text as reference
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from staged.errors import ProvenanceError
from staged.provenance.manifest.encoding.text_wrapper import encode, find_wrapper
from staged.provenance.manifest.facts import Facts, Ingredient, ManifestFault
from staged.provenance.manifest.plain_text import (
    sign_beside,
    sign_text,
    sketch_of,
    verify_beside,
    verify_text,
)
from staged.provenance.manifest.sign import new_signing
from staged.provenance.manifest.trust import trust_from
from tests.provenance.signers import FACTS, KEYS, NOW, SIGNING, identity, native_judge
from tests.provenance.texts import is_stream_safe, made_texts

ME = identity("Me")
MINE = trust_from(ME.pem)
TEXT = "The river crosses the old mill, and nobody measures the winter."


def signed(text: str = TEXT, facts: Facts = FACTS, **more) -> str:
    return sign_text(text, facts, ME.signer, SIGNING, **more)


def test_a_signed_text_says_who_and_what() -> None:
    verdict = verify_text(signed(title="A river"), MINE, NOW)
    assert (verdict.state, verdict.reason, verdict.signer) == ("valid", "trusted", "Me")
    assert verdict.facts == FACTS
    assert verdict.signed_at == NOW
    assert not verdict.timestamped
    assert verdict.codes[-3:] == (
        "assertion.dataHash.match",
        "claimSignature.insideValidity",
        "signingCredential.trusted",
    )


def test_a_signed_text_reads_as_before() -> None:
    text = signed()
    assert text.startswith(TEXT)
    assert not text[len(TEXT) :].isprintable()
    assert find_wrapper(text).start == len(TEXT.encode())  # type: ignore[union-attr]


def test_the_same_facts_give_the_same_bytes() -> None:
    assert signed() == signed()
    assert sign_beside(TEXT, FACTS, ME.signer, SIGNING) == sign_beside(
        TEXT, FACTS, ME.signer, SIGNING
    )
    assert signed(facts=replace(FACTS, key="beta")) != signed()


def test_a_secret_stands_nowhere() -> None:
    signer = ME.signer
    assert "PRIVATE" not in repr(signer)
    assert signer.private_key not in sign_beside(TEXT, FACTS, signer, SIGNING)


def test_what_is_not_said_is_not_there() -> None:
    verdict = verify_text(signed(facts=Facts()), MINE, NOW)
    assert verdict.facts == Facts()
    assert len(signed(facts=Facts())) < len(signed())


@pytest.mark.parametrize("kind", KEYS)
def test_every_kind_of_key_signs(kind: str) -> None:
    signer = identity("Somebody", kind=kind)
    text = sign_text(TEXT, FACTS, signer.signer, SIGNING)
    assert verify_text(text, trust_from(signer.pem), NOW).state == "valid"
    judge = native_judge(text.encode(), signer.pem)
    assert (judge["validation_state"], judge["failures"]) == ("Trusted", [])


def test_judges_verify_what_we_sign() -> None:
    """200 texts of every kind of Unicode: encypher-c2pa and c2patxt verify each, and the hash is
    what c2pa-unstructured-text computes.
    """
    c2patxt = pytest.importorskip("c2patxt", reason="pins another cryptography: pip --no-deps")
    context = c2patxt.VerifyContext(now=NOW)
    seen = 0
    for text in made_texts(225):
        if find_wrapper(text) is not None or not is_stream_safe(text):
            continue
        marked = sign_text(text, FACTS, ME.signer, new_signing(NOW))
        judge = native_judge(marked.encode(), ME.pem)
        assert (judge["validation_state"], judge["failures"]) == ("Trusted", []), ascii(text)
        assert str(c2patxt.verify(marked, context=context).state) == "valid", ascii(text)
        assert verify_text(marked, MINE, NOW).state == "valid", ascii(text)
        theirs = reference.compute_data_hash(marked)
        body = unicodedata.normalize("NFC", text).encode()
        assert theirs["exclusions"] == [(len(body), len(marked.encode()) - len(body))]
        seen += 1
    assert seen >= 200


def test_we_verify_what_a_judge_signs() -> None:
    c2patxt = pytest.importorskip("c2patxt", reason="pins another cryptography: pip --no-deps")
    signer = c2patxt.Signer(ME.key, ME.chain)
    disclosure = c2patxt.Disclosure(media_type="text/plain", model_type="c2pa.types.model")
    context = c2patxt.EmbedContext(when=NOW)
    seen = 0
    for text in filter(is_stream_safe, made_texts(205, seed=3)):
        marked = c2patxt.embed(text, signer, disclosure, context=context)
        verdict = verify_text(marked, MINE, NOW)
        assert verdict.state == "valid", (ascii(text), verdict)
        assert verdict.facts is not None
        assert verdict.facts.source_type == FACTS.source_type
        assert verify_text("x" + marked, MINE, NOW).reason == "changed or copied"
        seen += 1
    assert seen >= 200


def test_padded_wrappers_are_the_reference_s() -> None:
    """The reference's padding; encypher-c2pa takes no padding but zeros, c2patxt none at all, so
    that it is not what `sign_text` writes by itself.
    """
    for text in made_texts(40, seed=5):
        marked = sign_text(text, FACTS, ME.signer, new_signing(NOW), padded=True)
        wrapper = find_wrapper(marked)
        assert wrapper is not None
        body = unicodedata.normalize("NFC", text)
        assert marked == body + reference.encode_padded(wrapper.manifest)
        assert verify_text(marked, MINE, NOW).state == "valid"
        theirs = reference.compute_data_hash(marked)
        assert theirs["exclusions"] == [(wrapper.start, wrapper.lengths[-1])]


unicode_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(unicode_texts)
@settings(max_examples=60, deadline=None)
def test_any_text_is_signed_and_verified(text: str) -> None:
    assume("\ufe0f" * 8 not in text)
    marked = signed(text)
    wrapper = find_wrapper(marked)
    assert wrapper is not None
    assert marked.encode()[: wrapper.start] == unicodedata.normalize("NFC", text).encode()
    assert verify_text(marked, MINE, NOW).state == "valid"
    store = sign_beside(text, FACTS, ME.signer, SIGNING)
    assert verify_beside(text, store, MINE, NOW).state == "valid"


def is_equivalent(one: str, other: str) -> bool:
    return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


@pytest.mark.parametrize("text", ["Sie maß 3 m.", "e\u0301 שלום", "日本。", "👩\u200d👧 ok"])
def test_every_change_of_a_character_is_caught(text: str) -> None:
    """Exhaustive: each character left out, doubled, and replaced by each of a few others, in the
    text and in the wrapper.
    """
    marked = signed(text)
    seen = 0
    for place, letter in enumerate(marked):
        others = ["", letter * 2, chr(ord(letter) ^ 1), "x", " ", "\ufe00", "\U000e0100", "\ufeff"]
        for other in others if place < len(text) + 20 else others[place % 8 :: 8][: place % 2]:
            changed = marked[:place] + other + marked[place + 1 :]
            if changed == marked or is_equivalent(changed, marked):
                continue
            assert verify_text(changed, MINE, NOW).state in ("invalid", "absent"), (place, other)
            seen += 1
    assert seen > 1000


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_change_of_a_character_is_caught(data) -> None:
    marked = MARKED
    place = data.draw(st.integers(0, len(marked)))
    letter = data.draw(st.characters(exclude_categories=["Cs"]))
    replaces = data.draw(st.booleans())
    changed = marked[:place] + letter + marked[place + replaces :]
    assume(not is_equivalent(changed, marked))
    assert verify_text(changed, MINE, NOW).state == "invalid"


MARKED = signed("Größe und Maß, \u05e9\u05dc\u05d5\u05dd, 日本 — 👩\u200d👧.")


def test_equivalent_spellings_are_the_same_text() -> None:
    """U+212B is the angstrom sign, which NFC writes as a letter; U+F900 is written as U+8C48, in
    as many bytes.
    """
    marked = signed("\uf900 豈")
    assert marked.startswith("豈")
    assert verify_text("\uf900" + marked[1:], MINE, NOW).state == "valid"


def test_a_text_is_changed_or_another() -> None:
    store = find_wrapper(signed()).manifest  # type: ignore[union-attr]
    wrapper = signed()[len(TEXT) :]
    assert verify_text("X" + signed(), MINE, NOW).reason == "text changed"
    assert verify_text(signed().replace("river", "canal"), MINE, NOW).reason == "text changed"
    other = "A letter of another winter: gardens are opened by those who keep them, not read."
    assert verify_text(other + wrapper, MINE, NOW).reason == "copied"
    assert verify_text(other[: len(TEXT)] + wrapper, MINE, NOW).reason == "copied"
    assert verify_beside(other, store, MINE, NOW).state == "invalid"
    beside = sign_beside(TEXT, FACTS, ME.signer, SIGNING)
    assert verify_beside(other, beside, MINE, NOW).reason == "copied"
    assert verify_beside(TEXT + "!", beside, MINE, NOW).reason == "text changed"


def test_a_sketch_tells_alike_texts_from_others() -> None:
    def alike(one: str, other: str) -> int:
        return sum(a == b for a, b in zip(sketch_of(one), sketch_of(other), strict=True))

    prose = " ".join(made_texts(40, seed=8)[number] for number in range(1, 40, 4))
    assert alike(prose, prose.upper().lower()) >= 12
    assert alike(prose, prose[: len(prose) * 3 // 4]) >= 6
    others = [text for text in made_texts(400, seed=9) if len(text) > 100 and "日" not in text]
    english = "the quick brown fox jumps over the lazy dog " * 3
    assert sum(alike(english, text) > 1 for text in others) <= len(others) // 50
    assert sketch_of("  \n") == b""
    assert len(sketch_of("a")) == 16


def test_remains_and_doubles_have_reasons_of_their_own() -> None:
    marked = signed()
    assert verify_text(TEXT, MINE, NOW).state == "absent"
    assert verify_text(marked[:-1], MINE, NOW).reason == "stripped"
    assert verify_text(marked.replace("\ufeff", ""), MINE, NOW).reason == "stripped"
    assert verify_text(marked + marked[len(TEXT) :], MINE, NOW).reason == "doubled"
    padded = signed(padded=True)
    assert verify_text(padded[:-1], MINE, NOW).reason == "stripped"
    assert verify_text(TEXT + "\ud800", MINE, NOW).state == "invalid"


def test_what_cannot_be_signed_is_refused() -> None:
    for text in (signed(), signed()[:-1], "a\ud800", "a" + "\u0301" * 300):
        with pytest.raises(ProvenanceError):
            signed(text)
    with pytest.raises(ProvenanceError, match="hexadecimal"):
        Facts(weights="abc")
    with pytest.raises(ProvenanceError, match="cannot hold"):
        signed(facts=Facts(sampling={"temperature": object()}))  # type: ignore[dict-item]


def test_no_combining_marks_without_end() -> None:
    """Putting n marks in order takes n² steps: a stranger's text does not get to ask for it."""
    marked = signed()
    verdict = verify_text("a" + "\u0301\u0316" * 100_000 + marked, MINE, NOW)
    assert verdict.state == "invalid"


def test_an_input_s_manifest_is_kept_and_cited() -> None:
    first = find_wrapper(signed("An input."))
    assert first is not None
    codes = verify_text(signed("An input."), MINE, NOW).codes
    cited = Ingredient(first.manifest, "input.txt", codes)
    second = sign_text(TEXT, FACTS, ME.signer, new_signing(NOW), ingredients=[cited])
    verdict = verify_text(second, MINE, NOW)
    assert (verdict.state, verdict.ingredients) == ("valid", ("input.txt",))
    judge = native_judge(second.encode(), ME.pem)
    assert (judge["validation_state"], judge["failures"]) == ("Trusted", [])
    assert len(judge["manifest_report"]["manifests"]) == 2
    again = Ingredient(find_wrapper(second).manifest, "rewritten.txt")  # type: ignore[union-attr]
    third = sign_text("Third.", FACTS, ME.signer, new_signing(NOW), ingredients=[again, cited])
    verdict = verify_text(third, MINE, NOW)
    assert (verdict.state, verdict.ingredients) == ("valid", ("rewritten.txt", "input.txt"))
    with pytest.raises(ProvenanceError, match=r"input\.txt cannot be kept"):
        signed(ingredients=[Ingredient(first.manifest[:-1], "input.txt")])


def test_a_manifest_beside_a_text_is_what_a_judge_takes() -> None:
    """encypher-c2pa reads none beside `text/plain`; beside Markdown it hashes the bytes as well."""
    for text in made_texts(30, seed=6):
        store = sign_beside(text, FACTS, ME.signer, new_signing(NOW))
        assert verify_beside(text, store, MINE, NOW).state == "valid"
        judge = native_judge(text.encode(), ME.pem, beside=store)
        assert (judge["validation_state"], judge["failures"]) == ("Trusted", []), ascii(text)
        other = unicodedata.normalize("NFD", text)
        if other != text:
            judge = native_judge(other.encode(), ME.pem, beside=store)
            assert judge["validation_state"] == "Invalid"
            assert verify_beside(other, store, MINE, NOW).state == "invalid"


def test_a_stamp_is_promised_room_before_it_is_known() -> None:
    for length in (900, 901, 2500):
        tokens = iter([b"\x30" * length, b"\x31" * (length + 5)])
        marked = sign_text(TEXT, FACTS, ME.signer, SIGNING, timestamp=lambda _, t=tokens: next(t))
        assert verify_text(marked, MINE, NOW).state == "valid"
        tokens = iter([b"\x30" * length, b"\x31" * (length + 5)])
        marked = sign_text(
            TEXT, FACTS, ME.signer, SIGNING, timestamp=lambda _, t=tokens: next(t), padded=True
        )
        assert verify_text(marked, MINE, NOW).state == "valid"


def test_the_size_that_the_docs_say() -> None:
    text = signed("A text of forty-four characters, no more not")
    assert len("A text of forty-four characters, no more not") == 44
    assert 6_000 < len(text.encode()) < 8_500


def test_an_empty_wrapper_is_no_manifest() -> None:
    with pytest.raises(ManifestFault):
        find_wrapper("text" + encode(b"") + "\ufe00" * 16)
