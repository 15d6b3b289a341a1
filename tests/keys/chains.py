"""X.509 chains as an authority would issue them, right or wrong in one respect."""

from __future__ import annotations

import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier

from staged.keys.certificates import CLAIM_SIGNING, private_pem

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
USAGES = (
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
KEYS: dict[str, Any] = {
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "PS256": lambda: rsa.generate_private_key(65537, 2048),
}


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def issue(
    key: Any,
    subject: str,
    issuer: str,
    signer: Any,
    *,
    ca: bool = False,
    eku: str | None = CLAIM_SIGNING,
    signs: bool = True,
    days: int = 90,
) -> x509.Certificate:
    """A certificate that began ten days ago."""
    usage = dict.fromkeys(USAGES, False) | {"key_cert_sign": ca, "crl_sign": ca}
    usage["digital_signature"] = signs
    usage["content_commitment"] = not signs
    begins = NOW - datetime.timedelta(days=10)
    builder = (
        x509.CertificateBuilder(issuer_name=name(issuer), subject_name=name(subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if eku and not ca:
        purposes = x509.ExtendedKeyUsage([ObjectIdentifier(eku)])
        builder = builder.add_extension(purposes, critical=False)
    is_edwards = isinstance(signer, ed25519.Ed25519PrivateKey)
    return builder.sign(signer, None if is_edwards else hashes.SHA256())


def chain(algorithm: str = "Ed25519", **leaf: Any) -> tuple[bytes, list[bytes]]:
    """(private PEM, PEM of the leaf, of the authority between, of the root)."""
    root, middle = (KEYS["ES256"]() for _ in range(2))
    key = KEYS[algorithm]()
    certificates = [
        issue(key, "Example Press", "Middle", middle, **leaf),
        issue(middle, "Middle", "Root", root, ca=True),
        issue(root, "Root", "Root", root, ca=True),
    ]
    return private_pem(key), [each.public_bytes(Encoding.PEM) for each in certificates]
