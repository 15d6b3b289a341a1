"""A stranger can sign anything: claims, assertions and certificates of any form give a verdict."""

from __future__ import annotations

import random
from typing import Any, get_args

import cbor2
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from staged.provenance.manifest import cose
from staged.provenance.manifest.assertions import cbor_box
from staged.provenance.manifest.claim import ASSERTIONS, hashed_uri
from staged.provenance.manifest.encoding.cbor import decode
from staged.provenance.manifest.encoding.jumbf import box
from staged.provenance.manifest.facts import Ingredient, Signing, State
from staged.provenance.manifest.plain_text import sign_beside, verify_beside
from staged.provenance.manifest.store import read_store, write_manifest, write_store
from staged.provenance.manifest.trust import Trust, trust_from
from tests.provenance.signers import FACTS, NOW, SIGNING, identity

TEXT = "What a stranger signed."
ME, ROOT = identity("Me"), identity("Root", kind="ES256", authority=True)
ISSUED = identity("Issued", issuer=ROOT)
INPUT = Ingredient(sign_beside("An input.", FACTS, ME.signer, SIGNING), "input.txt", ("a.match",))
STORE = read_store(
    sign_beside(
        TEXT,
        FACTS,
        ME.signer,
        Signing(NOW, SIGNING.instance_id, SIGNING.manifest_id),
        ingredients=[INPUT],
    )
)
VALUES = {
    label: decode(each.content(b"cbor") or b"", "")
    for label, each in STORE.active.assertions.items()
}
CLAIM = decode(STORE.active.claim, "")

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64 - 1),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=40),
    st.sampled_from(["self#jumbf=", "self#jumbf=/c2pa/", "sha256", "sha1", "c2pa.created"]),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=5) | st.integers(0, 9), inner, max_size=3),
        st.builds(cbor2.CBORTag, st.sampled_from([0, 1, 2, 18, 35, 999]), inner),
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a value."""
    inside = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(each for key, part in inside for each in places(part, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    parts = value.copy()
    parts[path[0]] = replaced(value[path[0]], path[1:], other)
    return parts


def signed(values: dict[str, Any], claim: Any, around: Any = None) -> bytes:
    """A store of these assertions and this claim, whose links are made to fit where it has any."""
    boxes = [cbor_box(label, value) for label, value in values.items()]
    links = [
        hashed_uri(f"{ASSERTIONS}/{label}", whole)
        for label, whole in zip(values, boxes, strict=True)
    ]
    if isinstance(claim, dict) and claim.get("created_assertions") == CLAIM["created_assertions"]:
        claim = {**claim, "created_assertions": links}
    data = cbor2.dumps(claim)
    protected = cose.protected_header(cose.EDDSA, (ME.chain[0].public_bytes(Encoding.DER),))
    signature = ME.key.sign(cose.signed_message(protected, data))
    sealed = (
        cose.write(protected, signature)
        if around is None
        else cbor2.dumps(cbor2.CBORTag(18, [protected, around, None, signature]))
    )
    before = [box(b"jumb", each.hashed) for each in list(STORE.boxes.values())[:-1]]
    return write_store([*before, write_manifest(STORE.active.label, boxes, data, sealed)])


def test_a_store_made_by_hand_is_the_signed_one() -> None:
    verdict = verify_beside(TEXT, signed(VALUES, CLAIM), trust_from(ME.pem), NOW)
    assert (verdict.state, verdict.facts, verdict.ingredients) == ("valid", FACTS, ("input.txt",))


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_any_assertion_gives_a_verdict(data) -> None:
    label = data.draw(st.sampled_from(sorted(VALUES)))
    place = data.draw(st.sampled_from(places(VALUES[label])))
    values = {**VALUES, label: replaced(VALUES[label], place, data.draw(anything))}
    verdict = verify_beside(TEXT, signed(values, CLAIM), trust_from(ME.pem), NOW)
    assert verdict.state in get_args(State)


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_any_claim_gives_a_verdict(data) -> None:
    place = data.draw(st.sampled_from(places(CLAIM)))
    claim = replaced(CLAIM, place, data.draw(anything))
    verdict = verify_beside(TEXT, signed(VALUES, claim), trust_from(ME.pem), NOW)
    assert verdict.state in get_args(State)


@given(st.dictionaries(st.sampled_from(["pad", "pad2", "sigTst2", "sigTst", 33, "x"]), anything))
@settings(max_examples=40, deadline=None)
def test_any_header_that_nobody_signed_gives_a_verdict(around) -> None:
    verdict = verify_beside(TEXT, signed(VALUES, CLAIM, around), trust_from(ME.pem), NOW)
    assert verdict.state in get_args(State)
    if set(around) - {"pad", "pad2", "sigTst", "sigTst2"}:
        assert verdict.state == "invalid"


def test_any_certificate_gives_a_verdict(monkeypatch) -> None:
    """Certificates with changed bytes, whose owner signs with them all the same."""
    dice, trust = random.Random(5), Trust(ISSUED.chain[1:])
    leaf, root = (each.public_bytes(Encoding.DER) for each in ISSUED.chain)
    for number in range(200):
        changed = bytearray((leaf, root)[number % 2])
        for _ in range(1 + number % 3):
            changed[dice.randrange(len(changed))] = dice.randrange(256)
        chain = (bytes(changed), root) if number % 2 == 0 else (leaf, bytes(changed))
        protected = cose.protected_header(cose.EDDSA, chain)
        signature = ISSUED.key.sign(cose.signed_message(protected, STORE.active.claim))
        boxes = [box(b"jumb", each.hashed) for each in STORE.active.assertions.values()]
        sealed = cose.write(protected, signature)
        manifest = write_manifest(STORE.active.label, boxes, STORE.active.claim, sealed)
        before = [box(b"jumb", each.hashed) for each in list(STORE.boxes.values())[:-1]]
        verdict = verify_beside(TEXT, write_store([*before, manifest]), trust, NOW)
        assert verdict.state in get_args(State)
        if number % 2 == 0 and changed != leaf:
            assert verdict.state != "valid"
