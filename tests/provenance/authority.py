"""A time-stamp authority on this machine, for tests: real RFC 3161 answers, signed by a certificate
made for it, and switches that make it as difficult as authorities are.

    with Authority() as authority: staged sign … --tsa {authority.url}
"""

from __future__ import annotations

import datetime
import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

YEARS_10 = datetime.timedelta(days=3650)
REPLY = "application/timestamp-reply"
POLICY = "1.2.3.4.1"


@dataclass
class Authority:
    """Answers POST with a time stamp.

    Attributes:
        time: that it says; None is now.
        name: in its certificate.
        refuses: with a status of 2, and these words.
        status: of HTTP.
        kind: of what it answers.
        body: in place of an answer.
        other_nonce: answers as if asked with another nonce.
        other_imprint: stamps something else.
    """

    time: datetime.datetime | None = None
    name: str = "A test authority"
    refuses: str = ""
    status: int = 200
    kind: str = REPLY
    body: bytes | None = None
    other_nonce: bool = False
    other_imprint: bool = False
    asked: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.root = _certificate(f"{self.name}'s root", self._root_key, f"{self.name}'s root")
        self.leaf = _certificate(
            self.name, self._root_key, f"{self.name}'s root", of=self._key, stamps=True
        )

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    @property
    def root_pem(self) -> bytes:
        """What a reader trusts."""
        return self.root.public_bytes(Encoding.PEM)

    def __enter__(self) -> Self:
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = self.rfile.read(int(self.headers["Content-Length"]))
                authority.asked.append(asked)
                body = authority.answer(asked) if authority.body is None else authority.body
                self.send_response(authority.status)
                self.send_header("Content-Type", authority.kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Tests read what the program says."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, asked: bytes) -> bytes:
        """TimeStampResp for a TimeStampReq, both DER."""
        if self.refuses:
            status = {"status": "rejection", "status_string": [self.refuses]}
            refusal: bytes = core.SequenceOf(
                [tsp.PKIStatusInfo(status)], spec=tsp.PKIStatusInfo
            ).dump()
            return refusal  # a response without a token, which asn1crypto does not write
        token = cms.ContentInfo({"content_type": "signed_data", "content": self._signed(asked)})
        granted = {"status": {"status": "granted"}, "time_stamp_token": token}
        body: bytes = tsp.TimeStampResp(granted).dump()
        return body

    def _info(self, asked: bytes) -> tsp.TSTInfo:
        request = tsp.TimeStampReq.load(asked)
        imprint = request["message_imprint"]
        if self.other_imprint:
            imprint = {
                "hash_algorithm": {"algorithm": "sha256"},
                "hashed_message": hashlib.sha256(b"another").digest(),
            }
        time = self.time or datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        return tsp.TSTInfo(
            {
                "version": "v1",
                "policy": POLICY,
                "message_imprint": imprint,
                "serial_number": len(self.asked),
                "gen_time": time,
                "nonce": request["nonce"].native + (1 if self.other_nonce else 0),
            }
        )

    def _signed(self, asked: bytes) -> cms.SignedData:
        content = self._info(asked).dump()
        leaf, root = (
            asn1_x509.Certificate.load(each.public_bytes(Encoding.DER))
            for each in (self.leaf, self.root)
        )
        attributes = _attributes(content, leaf)
        signature = self._key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256()))
        signer = {
            "version": "v1",
            "sid": cms.IssuerAndSerialNumber(
                {"issuer": leaf.issuer, "serial_number": leaf.serial_number}
            ),
            "digest_algorithm": {"algorithm": "sha256"},
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": signature,
        }
        return cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [algos.DigestAlgorithm({"algorithm": "sha256"})],
                "encap_content_info": {
                    "content_type": "tst_info",
                    "content": core.ParsableOctetString(content),
                },
                "certificates": [leaf, root],
                "signer_infos": [signer],
            }
        )


def _attributes(content: bytes, leaf: asn1_x509.Certificate) -> cms.CMSAttributes:
    certificate = {"cert_hash": hashlib.sha256(leaf.dump()).digest()}
    return cms.CMSAttributes(
        [
            {"type": "content_type", "values": ["tst_info"]},
            {"type": "message_digest", "values": [hashlib.sha256(content).digest()]},
            {
                "type": "signing_certificate_v2",
                "values": [tsp.SigningCertificateV2({"certs": [certificate]})],
            },
        ]
    )


def _certificate(
    name: str,
    signs: ec.EllipticCurvePrivateKey,
    issuer: str,
    *,
    of: ec.EllipticCurvePrivateKey | None = None,
    stamps: bool = False,
) -> x509.Certificate:
    key = of or signs
    begins = datetime.datetime.now(datetime.UTC) - YEARS_10
    usage = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
            *("encipher_only", "decipher_only"),
        ),
        False,
    )
    builder = (
        x509.CertificateBuilder(_name(issuer), _name(name), key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + 2 * YEARS_10)
        .add_extension(x509.BasicConstraints(ca=not stamps, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=stamps, key_cert_sign=not stamps, crl_sign=not stamps, **usage
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signs.public_key()), critical=False
        )
    )
    if stamps:
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usages, critical=True)
    return builder.sign(signs, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "staged's tests"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )
