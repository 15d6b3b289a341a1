"""Keys and certificates for tests, made anew in every run, and judges that nobody here wrote."""

from __future__ import annotations

import datetime
import json
import os
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID, ObjectIdentifier

from staged.provenance.manifest.facts import Facts, Signer, Signing

os.environ["ENCYPHER_C2PA_TELEMETRY"] = "off"

CLAIM_SIGNING = "1.3.6.1.4.1.62558.2.1"
NOW = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
SIGNING = Signing(
    NOW, "0b7a4a32-5a3c-4d55-9d9e-6a1f5f0c3b11", "5d3ee3f0-64e5-4d0f-8a3b-c1b1f3a0e7aa"
)
FACTS = Facts(
    model="staged/small",
    weights="5e" * 32,
    sampling={"temperature": 1.0, "top_k": 40, "seed": 7},
    watermark="gumbel",
    key="alpha",
    detector="staged verify FILE",
)


@dataclass(frozen=True)
class Identity:
    """A private key with its certificate, and those above it."""

    key: Any
    chain: tuple[x509.Certificate, ...]

    @property
    def signer(self) -> Signer:
        private = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Signer(private, self.pem)

    @property
    def pem(self) -> bytes:
        return b"".join(each.public_bytes(Encoding.PEM) for each in self.chain)


KEYS = {
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "PS256": lambda: rsa.generate_private_key(65537, 2048),
}


def identity(
    name: str = "Tester",
    *,
    kind: str = "Ed25519",
    issuer: Identity | None = None,
    begins: datetime.datetime = NOW - 30 * DAY,
    ends: datetime.datetime = NOW + 300 * DAY,
    authority: bool = False,
    purpose: str = CLAIM_SIGNING,
) -> Identity:
    """A new key and its certificate: self-signed, or issued; a leaf, or an authority's."""
    key: Any = KEYS[kind]()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    above = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.chain[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(_usage(authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), critical=False
        )
    )
    if not authority:
        extended = x509.ExtendedKeyUsage([ObjectIdentifier(purpose)])
        builder = builder.add_extension(extended, critical=False)
    digest = None if isinstance(above, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Identity(key, (builder.sign(above, digest), *(issuer.chain if issuer else ())))


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def native_judge(data: bytes, trust: bytes = b"", beside: bytes | None = None) -> dict[str, Any]:
    """What encypher-c2pa says of a plain text; its fields `validation_state` and `failures`."""
    from encypher_c2pa import verify

    report = dict(
        verify(
            data,
            "text/plain" if beside is None else "text/markdown",
            manifest_store=beside,
            trust_pem=trust.decode() or None,
            no_default_trust=True,
            online=False,
            validation_time=f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
        )
    )
    results = json.loads(json.dumps(report["validation_results"]))
    return report | {"failures": [each["code"] for each in results["failure"]]}
