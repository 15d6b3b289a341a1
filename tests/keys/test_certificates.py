"""Leaves that sign claims: ours hold before judges nobody here wrote, a user's are taken when they
fit.
"""

from __future__ import annotations

import datetime

import c2patxt
import encypher_c2pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from staged.errors import ProvenanceError
from staged.keys.brought import checked_pair
from staged.keys.certificates import (
    CLAIM_SIGNING,
    CertificateFacts,
    certificates_of,
    facts_of,
    self_signed,
)
from staged.keys.ring import Key, Origin, new_key
from tests.conftest import prose
from tests.keys.chains import KEYS, chain


def signed(key: Key, text: str) -> str:
    """A text with a manifest that another library made with our key."""
    private = load_pem_private_key(key.signing_pem(), None)
    leaf = x509.load_pem_x509_certificate(key.certificates())
    signer = c2patxt.Signer(private_key=private, certificates=(leaf,))  # type: ignore[arg-type]
    disclosure = c2patxt.Disclosure(media_type="text/plain", model_type=c2patxt.ModelType.GENERIC)
    return c2patxt.embed(text, signer, disclosure)


def judged(text: str, trusted: Key) -> str:
    """What a validator says that trusts this key alone."""
    report = encypher_c2pa.verify(
        text.encode(),
        "text/plain",
        trust_pem=trusted.certificates().decode(),
        no_default_trust=True,
        telemetry=False,
        online=False,
    )
    return str(report["validation_state"])


@pytest.mark.parametrize("name", ["", "Žofie's press, 北京"])
def test_judges_take_our_leaf(name: str) -> None:
    key, stranger = new_key(origin=Origin(name)), new_key()
    for seed in range(20):
        text = signed(key, f"{prose(seed, 3)} — naïve 🙂")
        assert c2patxt.verify(text).state is c2patxt.Provenance.VALID
        assert (judged(text, key), judged(text, stranger)) == ("Trusted", "Valid")
        changed = text.replace("The", "Tha", 1)
        assert c2patxt.verify(changed).state is c2patxt.Provenance.INVALID
        assert judged(changed, key) == "Invalid"


def test_the_leaf_is_what_c2pa_asks_for() -> None:
    private, chain_pem = self_signed("Example Press", 30)
    (leaf,) = certificates_of(chain_pem)
    constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert leaf.version is x509.Version.v3
    assert (constraints.critical, constraints.value.ca) == (True, False)
    assert (usage.critical, usage.value.digital_signature, usage.value.key_cert_sign) == (
        True,
        True,
        False,
    )
    assert [each.dotted_string for each in purposes] == [CLAIM_SIGNING]
    leaf.verify_directly_issued_by(leaf)
    assert checked_pair(private, chain_pem) == (private, chain_pem)


def test_facts_and_standing() -> None:
    facts = facts_of(self_signed("Example Press", 40)[1])
    assert (facts.subject, facts.algorithm, facts.is_self_signed) == (
        "Example Press",
        "Ed25519",
        True,
    )
    day = datetime.timedelta(days=1)
    ends = facts.ends
    standings = [facts.standing(ends - 31 * day), facts.standing(ends - 29 * day)]
    standings += [facts.standing(ends + day), facts.standing(facts.begins - day)]
    assert standings == ["", "ends soon", "expired", "not yet valid"]
    assert facts.ends - facts.begins == 40 * day


@pytest.mark.parametrize(
    ("name", "days"), [("", 9), (" ", 9), ("x" * 65, 9), ("a\nb", 9), ("a", 0)]
)
def test_a_leaf_that_cannot_be_made_is_one_sentence(name: str, days: int) -> None:
    with pytest.raises(ProvenanceError, match="--name" if days else "--days"):
        self_signed(name, days)


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_users_chain_is_taken(algorithm: str) -> None:
    private, certificates = chain(algorithm)
    for length in (1, 2, 3):
        pem = b"".join(certificates[:length])
        kept, taken = checked_pair(private, pem)
        assert (kept, taken) == (private, pem)
        facts = facts_of(taken)
        assert (facts.algorithm, facts.issuer) == (algorithm, "Middle")
        assert not facts.is_self_signed
    email = chain(algorithm, eku=ExtendedKeyUsageOID.EMAIL_PROTECTION.dotted_string)
    assert isinstance(facts_of(checked_pair(email[0], email[1][0])[1]), CertificateFacts)


@pytest.mark.parametrize(
    ("leaf", "fault"),
    [
        ({"eku": None}, "names no extended key usage"),
        ({"eku": ExtendedKeyUsageOID.SERVER_AUTH.dotted_string}, "names no extended key usage"),
        ({"ca": True}, "certificate authority's"),
        ({"signs": False}, "does not allow digital signatures"),
        ({"days": 9}, "ended on"),
    ],
)
def test_a_leaf_that_validators_refuse_is_refused(leaf: dict[str, object], fault: str) -> None:
    private, certificates = chain(**leaf)  # type: ignore[arg-type]
    with pytest.raises(ProvenanceError, match=fault):
        checked_pair(private, b"".join(certificates))


def test_what_does_not_fit_is_refused() -> None:
    private, (leaf, middle, root) = chain()
    other, _ = chain()
    encrypted = load_pem_private_key(private, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")
    )
    for key, pem, fault in (
        (other, leaf, "does not fit the first certificate"),
        (private, middle + leaf, "does not fit the first certificate"),
        (private, leaf + root + middle, "certificate 1 of the chain was not issued by the next"),
        (private, leaf + middle + middle, "certificate 2 of the chain"),
        (encrypted, leaf, "is encrypted"),
        (b"no key", leaf, "private key cannot be read"),
        (private, b"no chain", "certificate chain cannot be read"),
    ):
        with pytest.raises(ProvenanceError, match=fault) as refusal:
            checked_pair(key, pem)
        assert "BEGIN" not in str(refusal.value)
