"""Who is trusted to sign: certificates that are given as trust, chains that lead to them, the
profile of C2PA 2.4 (14.5.1), and certificates that are revoked.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from staged.errors import ProvenanceError
from staged.provenance.manifest.cose import algorithm_of
from staged.provenance.manifest.facts import ManifestFault

CLAIM_SIGNING = "1.3.6.1.4.1.62558.2.1"  # C2PA's own purpose
DOCUMENT_SIGNING = "1.3.6.1.5.5.7.3.36"
PURPOSES = {CLAIM_SIGNING, DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION.dotted_string}
# A certificate for one of these is for nothing else (14.5.1.1).
EXCLUSIVE = {
    ExtendedKeyUsageOID.TIME_STAMPING.dotted_string,
    ExtendedKeyUsageOID.OCSP_SIGNING.dotted_string,
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string,
}
CURVES = ("secp256r1", "secp384r1", "secp521r1")
LEAST_RSA_BITS = 2048
LONGEST_CHAIN = 8
UNFIT = "signingCredential.invalid"
Kind = TypeVar("Kind", bound=x509.ExtensionType)
FINGERPRINT = re.compile(r"(?:[0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}")


@dataclass(frozen=True)
class Trust:
    """What a reader takes as given.

    Attributes:
        anchors: certificates that are trusted, of signers or of who issues theirs.
        revoked: fingerprints (SHA-256, hexadecimal) of certificates that count no more, with what
            is said of it.
    """

    anchors: tuple[x509.Certificate, ...] = ()
    revoked: Mapping[str, str] = field(default_factory=dict)


def trust_from(pem: bytes, revoked: Mapping[str, str] | None = None) -> Trust:
    """Trust in the certificates of a PEM file; an empty one trusts nobody.

    Raises:
        ProvenanceError: no PEM certificates.
    """
    try:
        anchors = x509.load_pem_x509_certificates(pem) if pem.strip() else []
    except ValueError:
        raise ProvenanceError("the certificates are not in PEM (-----BEGIN …)") from None
    return Trust(tuple(anchors), dict(revoked or {}))


def joined(trusts: Iterable[Trust]) -> Trust:
    """Everybody whom one of them trusts, and whom none of them has revoked."""
    several = list(trusts)
    return Trust(
        tuple(anchor for trust in several for anchor in trust.anchors),
        {mark: why for trust in several for mark, why in trust.revoked.items()},
    )


def read_revocations(text: str) -> dict[str, str]:
    """Fingerprints, each with its reason, of a revocation list.

    Args:
        text: a line a certificate: its SHA-256 fingerprint, with or without colons, and after a
            space the reason; lines that are empty or start with # say nothing.

    Raises:
        ProvenanceError: a line that starts with something else.
    """
    reasons = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        first, _, reason = line.strip().partition(" ")
        if not FINGERPRINT.fullmatch(first):
            raise ProvenanceError(
                f"revocation list, line {number}: no SHA-256 fingerprint of 64 hexadecimal digits"
            )
        reasons[first.replace(":", "").lower()] = reason.strip()
    return reasons


def fingerprints(pem: bytes) -> list[str]:
    """Fingerprints of the certificates of a PEM file, in its order.

    Raises:
        ProvenanceError: no PEM certificates.
    """
    return [fingerprint(each) for each in trust_from(pem).anchors]


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of a certificate, 64 hexadecimal digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def name_of(certificate: x509.Certificate) -> str:
    """The common name, else the organisation, else the whole name."""
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        if values := certificate.subject.get_attributes_for_oid(kind):
            return str(values[0].value)
    return certificate.subject.rfc4514_string()


def read_chain(ders: Sequence[bytes]) -> list[x509.Certificate]:
    """A signature's certificates, read to the last field.

    Raises:
        ManifestFault: no certificates, or such as may not sign claims.
    """
    try:
        chain = [x509.load_der_x509_certificate(der) for der in ders]
        for each in chain:
            _ = (each.extensions, each.subject, each.issuer, each.public_key(), each.version)
            _ = (each.not_valid_before_utc, each.not_valid_after_utc, each.signature_hash_algorithm)
        fault = profile_fault(chain[0])
    except Exception as error:  # certificates of strangers are parsed late, in many ways
        raise ManifestFault(UNFIT, f"a certificate cannot be read: {error}") from None
    if fault:
        raise ManifestFault(UNFIT, fault)
    return chain


def profile_fault(leaf: x509.Certificate) -> str | None:
    """Why a certificate may not sign claims (14.5.1.1); None where it may."""
    if leaf.version is not x509.Version.v3:
        return "the certificate is not of version 3"
    if key_fault := _key_fault(leaf):
        return key_fault
    constraints = _extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        return "the certificate is a certificate authority's"
    usage = _extension(leaf, x509.KeyUsage)
    if usage is None or not usage.digital_signature or usage.key_cert_sign:
        return "the certificate's key usage is not digital signature alone"
    purposes = {each.dotted_string for each in _extension(leaf, x509.ExtendedKeyUsage) or ()}
    if not purposes & PURPOSES or purposes & EXCLUSIVE:
        return "the certificate is not for signing claims (extended key usage)"
    return None


def _key_fault(leaf: x509.Certificate) -> str | None:
    key = leaf.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return None if key.key_size >= LEAST_RSA_BITS else f"an RSA key of {key.key_size} bits"
    known = algorithm_of(key) is not None or getattr(getattr(key, "curve", 0), "name", 0) in CURVES
    return None if known else "a key of a kind that signs no claims"


def first_outside(
    chain: Iterable[x509.Certificate], when: datetime.datetime
) -> tuple[x509.Certificate, bool] | None:
    """The first certificate that is not valid at a time, and whether it had ended by then."""
    for each in chain:
        if when > each.not_valid_after_utc:
            return each, True
        if when < each.not_valid_before_utc:
            return each, False
    return None


def path_to_trust(
    chain: Sequence[x509.Certificate], trust: Trust, when: datetime.datetime
) -> list[x509.Certificate] | None:
    """Certificates from the signer's up to one that is trusted, each issued by the next and valid
    at this time; None where none leads there.
    """
    trusted = {fingerprint(each) for each in trust.anchors}
    path = [chain[0]]
    while fingerprint(path[-1]) not in trusted:
        above = [
            each
            for each in (*trust.anchors, *chain[1:])
            if each not in path and issues(each, path[-1], below=len(path) - 1)
        ]
        if not above or len(path) == LONGEST_CHAIN:
            return None
        path.append(above[0])
    return path if first_outside(path[1:], when) is None else None


def issues(issuer: x509.Certificate, subject: x509.Certificate, below: int = 0) -> bool:
    """Whether one certificate vouches for another, and may with this many authorities between."""
    try:
        subject.verify_directly_issued_by(issuer)
        constraints = _extension(issuer, x509.BasicConstraints)
        usage = _extension(issuer, x509.KeyUsage)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.DuplicateExtension):
        return False
    if constraints is None or not constraints.ca:
        return False
    if constraints.path_length is not None and below > constraints.path_length:
        return False
    return usage is None or usage.key_cert_sign


def revocation(chain: Iterable[x509.Certificate], trust: Trust) -> tuple[str, str] | None:
    """(name, reason) of the first certificate that is revoked."""
    for each in chain:
        if (reason := trust.revoked.get(fingerprint(each))) is not None:
            return name_of(each), reason
    return None


def _extension(certificate: x509.Certificate, kind: type[Kind]) -> Kind | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
