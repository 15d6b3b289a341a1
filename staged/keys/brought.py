"""A signing key that its user brings, with the X.509 chain that somebody issued for it."""

from __future__ import annotations

import datetime
import itertools
from typing import TYPE_CHECKING, Any

from staged.errors import ProvenanceError
from staged.keys.certificates import (
    ALGORITHMS,
    CLAIM_SIGNING,
    SIGNING_USAGES,
    algorithm_of,
    certificates_of,
    private_pem,
)
from staged.settings import Check

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


def checked_pair(private: bytes, chain: bytes) -> tuple[bytes, bytes]:
    """(PKCS#8 PEM, PEM chain) of a key and a chain that claims can be signed with.

    Raises:
        ProvenanceError: the key is encrypted or of a kind that does not sign claims, does not fit
            the leaf, the leaf is not made for signing, or the chain is out of order.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    key, (leaf, *above) = _private_key(private), certificates_of(chain)
    if not algorithm_of(key.public_key()):
        raise ProvenanceError(
            f"the private key is of a kind that does not sign claims: {ALGORITHMS}"
        )
    if key.public_key() != leaf.public_key():
        raise ProvenanceError(
            "the private key does not fit the first certificate of the chain; the signer's own"
            " certificate stands first"
        )
    for holds, fault in _leaf_checks(leaf):
        if not holds:
            raise ProvenanceError(f"the first certificate of the chain {fault}")
    _check_order([leaf, *above])
    return private_pem(key), b"".join(each.public_bytes(Encoding.PEM) for each in (leaf, *above))


def _private_key(private: bytes) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(private, None)
    except TypeError:
        raise ProvenanceError(
            "the private key is encrypted; decrypt it first, by `openssl pkey -in KEY.pem -out"
            " PLAIN.pem`, and delete that file afterwards"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ProvenanceError("the private key cannot be read; give one in PEM (PKCS#8)") from None


def _leaf_checks(leaf: Certificate) -> list[Check]:
    from cryptography import x509

    constraints = _extension(leaf, x509.BasicConstraints)
    usage = _extension(leaf, x509.KeyUsage)
    purposes = {each.dotted_string for each in _extension(leaf, x509.ExtendedKeyUsage) or ()}
    now = datetime.datetime.now(datetime.UTC)
    return [
        (
            leaf.not_valid_after_utc >= now,
            f"ended on {leaf.not_valid_after_utc:%Y-%m-%d}; renew it",
        ),
        (
            constraints is None or not constraints.ca,
            "is a certificate authority's, which signs no claims; give one issued for signing",
        ),
        (
            usage is not None and usage.digital_signature and not usage.key_cert_sign,
            "does not allow digital signatures (key usage digitalSignature)",
        ),
        (
            bool(purposes & set(SIGNING_USAGES)),
            f"names no extended key usage that claims are signed under, such as {CLAIM_SIGNING}",
        ),
    ]


def _extension(certificate: Certificate, kind: Any) -> Any:
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except ValueError:
        raise ProvenanceError("an extension of a certificate cannot be read") from None


def _check_order(chain: list[Certificate]) -> None:
    """Each certificate is signed by the next."""
    from cryptography.exceptions import InvalidSignature

    for number, (certificate, issuer) in enumerate(itertools.pairwise(chain), 1):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            raise ProvenanceError(
                f"certificate {number} of the chain was not issued by the next; put the signer's"
                " first, then the certificate of who issued it, and so on"
            ) from None
