"""Time stamps by RFC 3161: an authority's word that a signature was there at a time.

What is stamped is the signature of a claim, as C2PA 2.4 (10.3.2.5) has it: the token says that the
claim had been signed by then, whatever the signer's own clock said. Without one, a time is the
signer's own word.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from staged.errors import ProvenanceError, first_line
from staged.provenance.manifest.trust import fingerprint

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MISSING = "time stamps need the extra: pip install 'staged[provenance]'"
QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"
TIMEOUT_S = 20
LARGEST_REPLY_BYTES = 1 << 20
GRANTED = bytes.fromhex("3003020100")  # PKIStatusInfo of a token that was granted


@dataclass(frozen=True)
class TimeStamp:
    """What a token says.

    Attributes:
        time: when the signature was there, in UTC.
        authority: who says so, by the name in its certificate.
        trusted: whether that certificate leads to an authority that the reader trusts.
    """

    time: datetime
    authority: str
    trusted: bool


def request_stamp(message: bytes, url: str) -> bytes:
    """An authority's token (DER) over a message's SHA-256, checked before it is used.

    Args:
        message: what is stamped, at least one byte; only its digest leaves this machine.
        url: of an authority, `http` or `https`.

    Raises:
        ProvenanceError: no such URL, no answer, a refusal, or an answer to something else; or the
            extra is not installed.
    """
    client = _client()
    _check_url(url)
    asked = (
        client.TimestampRequestBuilder()
        .data(message)
        .hash_algorithm(client.HashAlgorithm.SHA256)
        .build()
    )
    try:
        answer = client.decode_timestamp_response(_posted(url, asked.as_bytes()))
    except ValueError as error:
        raise ProvenanceError(
            f"{url}: its answer is no time stamp: {first_line(error)}; is it the URL of an RFC 3161"
            " authority?"
        ) from None
    if answer.status != client.PKIStatus.GRANTED:
        raise ProvenanceError(
            f"{url}: the authority refused: {'; '.join(answer.status_string) or answer.status}"
        )
    if answer.tst_info.nonce != asked.nonce:
        raise ProvenanceError(f"{url}: its time stamp answers another request (other nonce)")
    token: bytes = answer.time_stamp_token()
    try:
        read_stamp(token, message)
    except ProvenanceError as error:
        raise ProvenanceError(f"{url}: {error}") from None
    return token


def read_stamp(
    token: bytes,
    message: bytes,
    anchors: Sequence[Certificate] = (),
    revoked: Container[str] = (),
) -> TimeStamp:
    """What a token says of a message.

    Args:
        token: TimeStampToken, DER.
        message: what should be stamped.
        anchors: certificates of authorities that the reader trusts, or of who vouches for them.
        revoked: fingerprints of certificates (SHA-256, hexadecimal) that count no more: a stamp
            that holds one is not trusted, nor is one that leads to it.

    Raises:
        ProvenanceError: no token, one of another message, or not signed by the certificate that it
            names; or the extra is not installed.
    """
    client = _client()
    answer = _answer_with(client, token)
    certificates = _certificates_in(answer)
    # its own certificates as roots: whether the token is whole, whoever made it
    fault = _fault(client, answer, message, certificates)
    if fault:
        raise ProvenanceError(f"the time stamp does not hold: {fault}")
    authority = _authority_of(answer, certificates)
    counting = [each for each in anchors if fingerprint(each) not in revoked]
    gone = any(fingerprint(each) in revoked for each in certificates)
    trusted = bool(counting) and not gone and not _fault(client, answer, message, counting)
    return TimeStamp(answer.tst_info.gen_time.astimezone(UTC), authority, trusted)


def _check_url(url: str) -> None:
    """Raises:
    ProvenanceError: no URL of a server, or one with a password, which is not quoted.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if "@" in url.partition("?")[0]:  # nothing of it is shown, however it is mistyped
        raise ProvenanceError(
            "--tsa: the URL holds a user or a password, which would stand in every message; leave"
            " them out: no authority is logged into"
        )
    if not host or parts.scheme not in ("http", "https"):
        raise ProvenanceError(f"--tsa {url!r}: give an http or https URL of a time-stamp authority")


def _client() -> ModuleType:
    try:
        import rfc3161_client
    except ImportError:
        raise ProvenanceError(MISSING) from None
    return rfc3161_client


def _posted(url: str, query: bytes) -> bytes:
    """What a server answers to a query.

    Raises:
        ProvenanceError: nothing, an error, another kind of answer, or too long a one.
    """
    request = urllib.request.Request(
        url, data=query, headers={"Content-Type": QUERY, "Accept": REPLY}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
            kind = reply.headers.get_content_type()
            body: bytes = reply.read(LARGEST_REPLY_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise ProvenanceError(
            f"{url}: the authority answered {error.code} {error.reason}"
        ) from None
    except (OSError, ValueError) as error:  # URLError is an OSError, a broken answer either
        reason = getattr(error, "reason", error)
        raise ProvenanceError(
            f"{url}: the time-stamp authority cannot be reached: {first_line(reason)}; try again,"
            " or sign without --tsa (the time is then your own word)"
        ) from None
    if kind != REPLY or len(body) > LARGEST_REPLY_BYTES:
        raise ProvenanceError(
            f"{url}: answered {kind}, no time stamp; is it the URL of an RFC 3161 authority?"
        )
    return body


def _answer_with(client: ModuleType, token: bytes) -> Any:
    """The answer of an authority that granted a token: manifests hold the token alone."""
    body = GRANTED + token
    try:
        return client.decode_timestamp_response(b"\x30" + _der_length(len(body)) + body)
    except ValueError as error:
        raise ProvenanceError(f"the time stamp cannot be read: {first_line(error)}") from None


def _der_length(length: int) -> bytes:
    if length < 0x80:
        return bytes([length])
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(digits)]) + digits


def _certificates_in(answer: Any) -> list[Certificate]:
    from cryptography.x509 import load_der_x509_certificate

    certificates = []
    for der in answer.signed_data.certificates:
        with suppress(ValueError):
            certificates.append(load_der_x509_certificate(der))
    return sorted(certificates, key=lambda each: each.serial_number)


def _fault(
    client: ModuleType, answer: Any, message: bytes, roots: Sequence[Certificate]
) -> str | None:
    """Why a token of this message does not lead to one of these certificates; None where it
    does.
    """
    if not roots:
        return "it names no certificate"
    builder = client.VerifierBuilder(roots=list(roots))
    try:
        builder.build().verify_message(answer, message)
    except (client.VerificationError, ValueError) as error:
        return first_line(error)
    return None


def _authority_of(answer: Any, certificates: Sequence[Certificate]) -> str:
    from cryptography.x509 import NameOID

    [signer] = answer.signed_data.signer_infos
    [leaf] = [
        each
        for each in certificates
        if (each.issuer, each.serial_number) == (signer.issuer, signer.serial_number)
    ][:1]
    common = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else leaf.subject.rfc4514_string()
