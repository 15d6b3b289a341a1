"""Certificates that claims are signed under: a self-signed leaf of our own, or a chain that its
user brings.

The profile is C2PA 2.4, 14.5.1: digitalSignature, no certificate authority, an extended key usage.
What a certificate says of its owner is the certificate's word: nobody is asked to trust a
self-signed leaf who was not given it by its owner.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from staged.errors import ProvenanceError, first_line

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

CLAIM_SIGNING = "1.3.6.1.4.1.62558.2.1"  # id-kp of C2PA's own
# What C2PA's validators take for signing claims: its own, e-mail protection, document signing.
SIGNING_USAGES = (CLAIM_SIGNING, "1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.36")
ALGORITHMS = "Ed25519, ES256 (P-256), ES384 (P-384) or PS256 (RSA of at least 2048 bits)"
DAYS = 365
LONGEST_NAME = 64  # characters of a common name, by X.520
MOST_DAYS = 36_500
SOON_DAYS = 30
EARLIER = datetime.timedelta(minutes=5)  # another machine's clock may be late
LEAST_RSA_BITS = 2048


@dataclass(frozen=True)
class CertificateFacts:
    """What a chain's leaf says.

    Attributes:
        subject: its common name; its whole name where it has none.
        issuer: the same of who signed it.
        algorithm: Ed25519, ES256, ES384 or PS256.
        begins, ends: when it is valid, both ends included, in UTC.
        is_self_signed: whether nobody but its owner vouches for it.
    """

    subject: str
    issuer: str
    algorithm: str
    begins: datetime.datetime
    ends: datetime.datetime
    is_self_signed: bool

    def days_left(self, now: datetime.datetime) -> int:
        """Whole days until it ends; below 0 once it has."""
        return (self.ends - now).days

    def standing(self, now: datetime.datetime) -> str:
        """`expired`, `ends soon` (within 30 days), `not yet valid`, or empty."""
        if now < self.begins:
            return "not yet valid"
        if now > self.ends:
            return "expired"
        return "ends soon" if self.days_left(now) < SOON_DAYS else ""


def self_signed(name: str, days: int = DAYS) -> tuple[bytes, bytes]:
    """(PKCS#8 PEM of a new Ed25519 key, PEM of its self-signed leaf).

    Raises:
        ProvenanceError: no name that a certificate can hold, or no number of days.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding

    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise ProvenanceError(
            f"--name {name!r}: a certificate's name has 1 to {LONGEST_NAME} printable characters"
        )
    if not 1 <= days <= MOST_DAYS:
        raise ProvenanceError(f"--days {days}: give a number from 1 to {MOST_DAYS}")
    key = Ed25519PrivateKey.generate()
    begins = datetime.datetime.now(datetime.UTC).replace(microsecond=0) - EARLIER
    owner = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, name),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
        ]
    )
    builder = (
        x509.CertificateBuilder(issuer_name=owner, subject_name=owner)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + datetime.timedelta(days=days))
    )
    for extension, is_critical in _profile(key.public_key()):
        builder = builder.add_extension(extension, critical=is_critical)
    return private_pem(key), builder.sign(key, None).public_bytes(Encoding.PEM)


def _profile(public: Any) -> list[tuple[Any, bool]]:
    """(extension, whether it is critical) of a leaf that signs claims."""
    from cryptography import x509

    others = (
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    usage = x509.KeyUsage(digital_signature=True, **dict.fromkeys(others, False))
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage, True),
        (x509.ExtendedKeyUsage([x509.ObjectIdentifier(CLAIM_SIGNING)]), False),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False),
    ]


def private_pem(key: Any) -> bytes:
    """PKCS#8 PEM of a private key, not encrypted."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem


def facts_of(chain: bytes) -> CertificateFacts:
    """What the leaf of a PEM chain says.

    Raises:
        ProvenanceError: no certificates in PEM, or a leaf of another algorithm.
    """
    leaf = certificates_of(chain)[0]
    algorithm = algorithm_of(leaf.public_key())
    if not algorithm:
        raise ProvenanceError(f"the certificate's key is of a kind that cannot sign: {ALGORITHMS}")
    return CertificateFacts(
        _name(leaf.subject),
        _name(leaf.issuer),
        algorithm,
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        leaf.issuer == leaf.subject,
    )


def certificates_of(chain: bytes) -> list[Certificate]:
    """The certificates of a PEM file, as they stand there.

    Raises:
        ProvenanceError: none in PEM.
    """
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(chain)
    except ValueError as error:
        raise ProvenanceError(
            f"the certificate chain cannot be read: {first_line(error)}; give certificates in PEM,"
            " the signer's first"
        ) from None


def algorithm_of(public: Any) -> str:
    """How a key signs claims: Ed25519, ES256, ES384 or PS256; empty where it cannot."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(public, ed25519.Ed25519PublicKey):
        return "Ed25519"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return {"secp256r1": "ES256", "secp384r1": "ES384"}.get(public.curve.name, "")
    is_long_rsa = isinstance(public, rsa.RSAPublicKey) and public.key_size >= LEAST_RSA_BITS
    return "PS256" if is_long_rsa else ""


def _name(name: Any) -> str:
    from cryptography.x509 import NameOID

    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else str(name.rfc4514_string())
