"""Each way that a signature can stand has its own verdict."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass, replace

import pytest

from staged.errors import ProvenanceError
from staged.provenance.manifest.assertions import DataHash
from staged.provenance.manifest.encoding.text_wrapper import find_wrapper
from staged.provenance.manifest.plain_text import sign_text, verify_text
from staged.provenance.manifest.sign import sign_asset, sign_claim, size_of
from staged.provenance.manifest.trust import (
    Trust,
    fingerprints,
    read_revocations,
    trust_from,
)
from staged.provenance.manifest.verdicts import SENTENCES
from staged.provenance.manifest.verify import BytesAsset, verify_store
from tests.provenance.signers import DAY, FACTS, NOW, SIGNING, Identity, identity, native_judge

TEXT = "What a model wrote, and somebody signed."
NOBODY = Trust()


def signed_by(who: Identity, when: datetime.datetime = NOW, **more) -> str:
    return sign_text(TEXT, FACTS, who.signer, replace(SIGNING, when=when), **more)


@dataclass(frozen=True)
class Stamp:
    time: datetime.datetime
    trusted: bool
    authority: str = "Authority"


def stamper(message: bytes) -> bytes:
    """A token that holds the digest of what it stamps, for `reader`."""
    return b"stamp of " + hashlib.sha256(message).digest()


def reader(time: datetime.datetime, *, trusted: bool = True):
    def read(token: bytes, message: bytes) -> Stamp:
        if token != stamper(message):
            raise ProvenanceError("the time stamp is of another message")
        return Stamp(time, trusted)

    return read


ME = identity("Me")
ROOT = identity("Root", kind="ES256", authority=True)
MIDDLE = identity("Middle", issuer=ROOT, kind="ES384", authority=True)
ISSUED = identity("Issued", issuer=MIDDLE)


def test_a_self_signed_key_is_its_owner_s_word() -> None:
    text = signed_by(ME)
    assert (verdict := verify_text(text, NOBODY, NOW)).state == "untrusted"
    assert verdict.reason == "self-signed"
    assert verdict.signer == "Me"
    assert verdict.facts == FACTS
    assert verdict.fingerprint == fingerprints(ME.pem)[0]
    assert verify_text(text, trust_from(ME.pem), NOW).state == "valid"
    assert verify_text(text, trust_from(identity("Me").pem), NOW).state == "untrusted"


def test_a_chain_leads_to_whom_the_reader_trusts() -> None:
    text = signed_by(ISSUED)
    verdict = verify_text(text, NOBODY, NOW)
    assert (verdict.state, verdict.reason) == ("untrusted", "unknown issuer")
    for trusted in (ROOT, MIDDLE, ISSUED):
        pem = trusted.pem[: trusted.pem.index(b"-----END") + 26]
        assert verify_text(text, trust_from(pem), NOW).state == "valid"
    other = identity("Root", kind="ES256", authority=True)
    assert verify_text(text, trust_from(other.pem), NOW).state == "untrusted"
    assert native_judge(text.encode(), ROOT.pem)["validation_state"] == "Trusted"


def test_a_chain_without_its_middle_leads_nowhere() -> None:
    alone = Identity(ISSUED.key, ISSUED.chain[:1])
    assert verify_text(signed_by(alone), trust_from(ROOT.pem), NOW).state == "untrusted"


def test_a_leaf_cannot_vouch_for_another() -> None:
    forged = identity("Forged", issuer=ME)
    verdict = verify_text(signed_by(forged), trust_from(ME.pem), NOW)
    assert verdict.state == "untrusted"


def test_an_authority_that_was_not_valid_vouches_for_nothing() -> None:
    old = identity("Old root", kind="ES256", authority=True, ends=NOW - DAY)
    young = identity("Young", issuer=old)
    leaf = Identity(young.key, young.chain[:1])
    assert verify_text(signed_by(leaf), trust_from(old.pem), NOW).state == "untrusted"


def test_an_expired_certificate_needs_a_time_stamp() -> None:
    old = identity("Old", begins=NOW - 400 * DAY, ends=NOW - 10 * DAY)
    trust = trust_from(old.pem)
    then = NOW - 100 * DAY
    plain, stamped = signed_by(old, then), signed_by(old, then, timestamp=stamper)
    assert verify_text(plain, trust, NOW).reason == "expired"
    assert verify_text(plain, trust, then).state == "valid"
    verdict = verify_text(stamped, trust, NOW, reader(then))
    assert (verdict.state, verdict.signed_at) == ("valid", then)
    assert verdict.timestamped
    assert verdict.stamped_by == "Authority"
    assert verify_text(stamped, trust, NOW, reader(then, trusted=False)).reason == "expired"
    assert verify_text(stamped, trust, NOW).reason == "expired"
    late = verify_text(stamped, trust, NOW, reader(NOW - DAY))
    assert (late.state, late.reason) == ("expired", "expired when signed")
    assert verify_text(stamped, NOBODY, NOW, reader(then)).state == "untrusted"


def test_a_certificate_of_the_future_is_not_valid_yet() -> None:
    later = identity("Later", begins=NOW + 10 * DAY)
    text = signed_by(later, NOW + 20 * DAY)
    verdict = verify_text(text, trust_from(later.pem), NOW)
    assert (verdict.state, verdict.reason) == ("invalid", "not yet valid")
    assert verify_text(text, trust_from(later.pem), NOW + 20 * DAY).state == "valid"


def test_a_revoked_certificate_counts_no_more() -> None:
    [mine] = fingerprints(ME.pem)
    colons = ":".join(mine[place : place + 2] for place in range(0, 64, 2)).upper()
    revoked = read_revocations(f"# ours\n\n{colons} key was stolen\n{'0' * 64}\n")
    assert revoked == {mine: "key was stolen", "0" * 64: ""}
    verdict = verify_text(signed_by(ME), trust_from(ME.pem, revoked), NOW)
    assert verdict.state == "revoked"
    assert "key was stolen" in verdict.sentence
    middle = {fingerprints(MIDDLE.pem)[0]: ""}
    assert verify_text(signed_by(ISSUED), trust_from(ROOT.pem, middle), NOW).state == "revoked"
    with pytest.raises(ProvenanceError, match="line 2"):
        read_revocations(f"{mine}\nnot a fingerprint")


def test_a_time_stamp_of_another_signature_is_broken() -> None:
    text = signed_by(ME, timestamp=lambda _: stamper(b"another"))
    verdict = verify_text(text, trust_from(ME.pem), NOW, reader(NOW))
    assert (verdict.state, verdict.reason) == ("invalid", "time stamp broken")


def test_changed_texts_stay_invalid_whoever_signed() -> None:
    old = identity("Old", begins=NOW - 400 * DAY, ends=NOW - 10 * DAY)
    text = signed_by(old, NOW - 100 * DAY).replace("model", "person")
    revoked = {fingerprints(old.pem)[0]: ""}
    assert verify_text(text, trust_from(old.pem, revoked), NOW).state == "invalid"


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"authority": True}, "authority"),
        ({"purpose": "1.3.6.1.5.5.7.3.1"}, "extended key usage"),  # web servers
        ({"purpose": "1.3.6.1.5.5.7.3.8"}, "extended key usage"),  # time stamps
        ({"purpose": "2.5.29.37.0"}, "extended key usage"),  # anything
        ({"ends": NOW - DAY}, "has expired"),
        ({"begins": NOW + DAY}, "not valid yet"),
    ],
)
def test_certificates_that_cannot_sign_are_refused(more, word: str) -> None:
    with pytest.raises(ProvenanceError, match=word):
        signed_by(identity("Unfit", **more))


def test_keys_and_chains_that_do_not_belong_together_are_refused() -> None:
    signer = ME.signer
    with pytest.raises(ProvenanceError, match="not the signing key's"):
        sign_text(TEXT, FACTS, replace(signer, chain=ISSUED.pem), SIGNING)
    for broken in (replace(signer, private_key=b"x"), replace(signer, chain=b"x")):
        with pytest.raises(ProvenanceError, match="cannot be read"):
            sign_text(TEXT, FACTS, broken, SIGNING)
    with pytest.raises(ProvenanceError, match="not in PEM"):
        trust_from(b"no certificates")
    assert trust_from(b" \n").anchors == ()


def test_a_certificate_for_something_else_signs_nothing(monkeypatch) -> None:
    """A signature by a web server's key, which our own `sign` refuses to make."""
    server = identity("Server", purpose="1.3.6.1.5.5.7.3.1")
    with monkeypatch.context() as patch:
        patch.setattr("staged.provenance.manifest.sign.profile_fault", lambda leaf: None)
        text = signed_by(server)
    verdict = verify_text(text, trust_from(server.pem), NOW)
    assert (verdict.state, verdict.reason) == ("invalid", "certificate unfit")
    assert "extended key usage" in verdict.sentence


def test_every_verdict_says_its_sentence() -> None:
    states = {state for state, _ in SENTENCES.values()}
    assert states == {"valid", "invalid", "absent", "untrusted", "expired", "revoked"}
    assert all(sentence.endswith(".") for _, sentence in SENTENCES.values())


def test_bytes_are_hashed_as_they_are() -> None:
    data, trust = b"%PDF \xff\x00 some file", trust_from(ME.pem)
    binding = DataHash(hashlib.sha256(data).digest())
    store = sign_asset(binding, FACTS, ME.signer, SIGNING, media_type="application/pdf")
    assert verify_store(store, BytesAsset(data), trust, NOW).state == "valid"
    assert verify_store(store, BytesAsset(data + b"\n"), trust, NOW).reason == "changed or copied"
    inside = data[:5] + b"[MANIFEST]" + data[5:]
    store = sign_asset(replace(binding, exclusions=((5, 10),)), FACTS, ME.signer, SIGNING)
    assert verify_store(store, BytesAsset(inside, ((5, 10),)), trust, NOW).state == "valid"
    for ranges in ((), ((5, 9),), ((4, 10),), ((0, 5), (5, 10))):
        assert verify_store(store, BytesAsset(inside, ranges), trust, NOW).state == "invalid"


def test_a_store_is_filled_up_to_any_length() -> None:
    """The judge reads padding of every length: CBOR's headers grow at 24 and 256 bytes."""
    binding = DataHash(hashlib.sha256(TEXT.encode()).digest())
    least = size_of(sign_claim(binding, FACTS, ME.signer, SIGNING))
    for size in [*range(least, least + 40), *range(least + 235, least + 260)]:
        store = sign_asset(binding, FACTS, ME.signer, SIGNING, size=size)
        assert len(store) == size
        assert verify_store(store, BytesAsset(TEXT.encode()), NOBODY, NOW).state == "untrusted"
        assert native_judge(TEXT.encode(), beside=store)["validation_state"] == "Valid"
    with pytest.raises(ProvenanceError, match="does not fit"):
        sign_asset(binding, FACTS, ME.signer, SIGNING, size=least - 40)


def test_the_manifest_is_all_that_a_text_carries() -> None:
    wrapper = find_wrapper(signed_by(ME))
    assert wrapper is not None
    assert b"PRIVATE" not in wrapper.manifest
