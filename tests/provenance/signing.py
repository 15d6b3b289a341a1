"""Small files of each kind, keys made in memory, and the judges that nobody here wrote."""

from __future__ import annotations

import datetime
import io
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import docx
import encypher_c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from staged.keys.certificates import CLAIM_SIGNING, private_pem, self_signed
from staged.provenance.containers import html, pdf, word
from staged.provenance.manifest.facts import Facts, Signer
from staged.provenance.manifest.trust import Trust, fingerprint, trust_from
from tests.conftest import prose

TYPES = {
    "txt": "text/plain",
    "md": "text/markdown",
    "html": html.MEDIA_TYPE,
    "docx": word.MEDIA_TYPE,
    "pdf": pdf.MEDIA_TYPE,
}
FACTS = Facts(
    model="mini-s",
    weights="5a" * 32,
    sampling={"method": "top-k-40", "temperature": 0.7, "top_k": 40},
    watermark="gumbel",
    key="alpha",
    detector="https://detector.example/verify",
)


@dataclass(frozen=True)
class Owner:
    """Who signs, and what a reader has to trust for it."""

    signer: Signer
    anchors: bytes

    @property
    def trust(self) -> Trust:
        return trust_from(self.anchors)

    @property
    def revoking(self) -> Trust:
        """The same, with the signer's certificate revoked."""
        leaf = x509.load_pem_x509_certificates(self.signer.chain)[0]
        return trust_from(self.anchors, {fingerprint(leaf): "the key was stolen"})


@cache
def owner(name: str = "A test signer", kind: str = "own") -> Owner:
    """A signer with a self-signed Ed25519 leaf (`own`), or a P-256 one that an authority issued
    (`issued`).
    """
    if kind == "own":
        private, chain = self_signed(name)
        return Owner(Signer(private, chain), chain)
    key, authority = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = certificate(f"{name}'s root", authority, f"{name}'s root", authority)
    leaf = certificate(name, key, f"{name}'s root", authority, signs=True)
    chain = leaf.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM)
    return Owner(Signer(private_pem(key), chain), root.public_bytes(Encoding.PEM))


def certificate(
    name: str,
    key: Any,
    issuer: str,
    issued_by: Any,
    *,
    signs: bool = False,
    days: tuple[int, int] = (-1, 365),
) -> x509.Certificate:
    """A leaf that signs claims, or an authority."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    begins, ends = (now + datetime.timedelta(days=each) for each in days)
    others = (
        *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("encipher_only", "decipher_only"),
    )
    usage = x509.KeyUsage(
        digital_signature=signs,
        key_cert_sign=not signs,
        crl_sign=not signs,
        **dict.fromkeys(others, False),
    )
    builder = (
        x509.CertificateBuilder(_name(issuer), _name(name), key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=not signs, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issued_by.public_key()),
            critical=False,
        )
    )
    if signs:
        usages = x509.ExtendedKeyUsage([x509.ObjectIdentifier(CLAIM_SIGNING)])
        builder = builder.add_extension(usages, critical=False)
    edwards = isinstance(issued_by, ed25519.Ed25519PrivateKey)
    return builder.sign(issued_by, None if edwards else hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "staged's tests"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def made(kind: str, seed: int, sentences: int = 6) -> bytes:
    """A file with some prose in it, different for every seed."""
    text = prose(seed, sentences)
    if kind == "html":
        body = "".join(f"<p>{part}</p>" for part in text.split("\n\n"))
        head = f"<meta charset=utf-8><title>Page {seed}</title>"
        return f"<!DOCTYPE html>\n<html>\n<head>{head}</head>\n<body>{body}</body></html>".encode()
    if kind == "docx":
        return _word(text)
    return _pdf(text) if kind == "pdf" else text.encode()


def _word(text: str) -> bytes:
    document, buffer = docx.Document(), io.BytesIO()
    for part in text.split("\n\n"):
        document.add_paragraph(part)
    document.save(buffer)
    return buffer.getvalue()


def _pdf(text: str) -> bytes:
    writer, buffer = PdfWriter(), io.BytesIO()
    page = writer.add_blank_page(595, 842)
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    fonts = DictionaryObject(
        {
            NameObject("/F1"): DictionaryObject(
                {NameObject(name): NameObject(value) for name, value in font.items()}
            )
        }
    )
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    content = DecodedStreamObject()
    lines = "".join(f"({line}) Tj T* " for line in text.replace("\n\n", " ").split(". "))
    content.set_data(f"BT /F1 10 Tf 12 TL 50 800 Td {lines}ET".encode())
    page[NameObject("/Contents")] = writer._add_object(content)
    writer.write(buffer)
    return buffer.getvalue()


def encypher(data: bytes, kind: str, anchors: bytes, sidecar: bytes | None = None) -> str:
    """What encypher-c2pa says of a file: `Trusted`, `Valid`, `Invalid` …, and why where it is not
    trusted.
    """
    report = encypher_c2pa.verify(
        data,
        TYPES[kind],
        manifest_store=sidecar,
        trust_pem=anchors.decode(),
        no_default_trust=True,
        online=False,
    )
    state = str(report["validation_state"])
    why = [each["code"] for each in report["validation_results"]["failure"]]
    return state if state == "Trusted" else f"{state}: {', '.join(why)}"


def official(data: bytes, kind: str, anchors: bytes) -> str:
    """What c2pa-python says of a file, in the same words."""
    import c2pa

    trust = {"user_anchors": anchors.decode(), "trust_config": CLAIM_SIGNING}
    settings = {"version": 1, "trust": trust, "verify": {"verify_trust": True}}
    with (
        c2pa.Settings.from_dict(settings) as made_settings,
        c2pa.Context(made_settings) as context,
        c2pa.Reader(TYPES[kind], io.BytesIO(data), context=context) as reader,
    ):
        report = json.loads(reader.json())
    why = [each["code"] for each in report.get("validation_status", [])]
    state = str(report["validation_state"])
    return state if state == "Trusted" else f"{state}: {', '.join(why)}"
