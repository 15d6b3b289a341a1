"""A signed report: what was found out about a text, by what, and how often such a finding is wrong,
as JSON that anybody can read and whose signature anybody can check.

    {"report": {…}, "signature": base64 of a COSE_Sign1 without its payload}

What is signed is the report's canonical form: JSON with sorted keys, without white space, in UTF-8;
the signer's certificates stand in the signature. The text itself is not in it, only its SHA-256.
"""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

import staged
from staged.errors import ProvenanceError
from staged.provenance.examination import PROVES, Examination
from staged.provenance.manifest import cose
from staged.provenance.manifest.facts import ManifestFault, Signer
from staged.provenance.manifest.trust import (
    Trust,
    fingerprint,
    first_outside,
    name_of,
    path_to_trust,
    read_chain,
    revocation,
)
from staged.storage.writing import disk_errors, write_atomic

FORMAT = "staged report 1"
TOLD = ("time", "conclusion", "sentence")  # what a reader is shown of every report


@dataclass(frozen=True)
class ReportVerdict:
    """What a check of a signed report says.

    Attributes:
        state: `valid`, `invalid`, `untrusted`, `expired` or `revoked`.
        reason: one sentence for a person.
        signer: the name in the certificate; None where the signature does not hold.
        fingerprint: SHA-256 of that certificate, in hexadecimal digits.
        report: what was signed; None where the signature does not hold.
    """

    state: str
    reason: str
    signer: str | None = None
    fingerprint: str | None = None
    report: Mapping[str, Any] | None = None

    def is_of(self, sha256: str) -> bool:
        """Whether the signed report is about the text of this hash."""
        return self.report is not None and self.report["text"] == {"sha256": sha256}


def report_of(examination: Examination, when: datetime.datetime) -> dict[str, Any]:
    """The report of one text, in JSON values.

    Args:
        when: when it was examined, with a time zone.
    """
    row = examination.row()
    content = examination.content
    return {
        "format": FORMAT,
        "time": when.astimezone(datetime.UTC).isoformat(timespec="seconds"),
        "software": {"name": "staged", "version": staged.__version__},
        "text": {"sha256": examination.sha256},
        "conclusion": examination.conclusion,
        "technique": examination.technique,
        "sentence": examination.sentence,
        "signature": {"state": row["signature"]} | row["manifest"],
        "watermark": row["watermark"] | {"false_positive_rate": examination.level},
        "content": row["content"] | {"false_positive_rate": content.fpr if content else None},
        "proves": {kind: {"yes": yes, "no": no} for kind, (yes, no) in PROVES.items()},
    }


def sign_report(report: Mapping[str, Any], signer: Signer) -> bytes:
    """The report with its signature, as JSON in UTF-8; the same report and Ed25519 key give the
    same bytes.
    """
    key = load_pem_private_key(signer.private_key, None)
    algorithm = cose.algorithm_of(key.public_key())
    if algorithm is None:
        raise ProvenanceError("a report is signed with an Ed25519, P-256, P-384 or RSA key")
    chain = tuple(
        each.public_bytes(Encoding.DER) for each in load_pem_x509_certificates(signer.chain)
    )
    protected = cose.protected_header(algorithm, chain)
    message = cose.signed_message(protected, canonical(report))
    signature = cose.write(protected, cose.signing_function(key)(message))
    signed = {"report": report, "signature": base64.b64encode(signature).decode()}
    return json.dumps(signed, ensure_ascii=False, allow_nan=False, indent=2).encode() + b"\n"


def write_report(path: Path, examination: Examination, signer: Signer) -> None:
    """Write the signed report of an examination, made now.

    Raises:
        ArtifactError: something else than a signed report stands there, such as one that somebody
            has changed, or it cannot be written.
    """
    now = datetime.datetime.now(datetime.UTC)
    data = sign_report(report_of(examination, now), signer)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data, form=partial(_is_as_signed, now=now))


def _is_as_signed(path: Path, now: datetime.datetime) -> bool:
    return check_report(path.read_bytes(), Trust(), now).state != "invalid"


def check_report(data: bytes, trust: Trust, now: datetime.datetime) -> ReportVerdict:
    """Whether a report is as it was signed, and by whom.

    Args:
        data: any bytes.
        now: when certificates have to be valid: the report's own time is its signer's word.
    """
    try:
        report, signature = _parts(data)
        signed = cose.read(signature)
        chain = read_chain(signed.certificates)
        cose.check(signed, canonical(report), chain[0].public_key())
    except ManifestFault as fault:
        return ReportVerdict("invalid", f"The report does not hold: {fault}.")
    state, reason = "valid", "The report is what was signed, and the signer is trusted."
    outside, path = first_outside(chain[:1], now), path_to_trust(chain, trust, now)
    if gone := revocation((*chain, *(path or ())), trust):
        state, reason = "revoked", f"The certificate of {gone[0]} was revoked."
    elif outside is not None:
        state = "expired" if outside[1] else "invalid"
        reason = "The signer's certificate is not valid today."
    elif path is None:
        state, reason = "untrusted", "The report is what was signed; the signer is not trusted."
    return ReportVerdict(state, reason, name_of(chain[0]), fingerprint(chain[0]), report)


def is_report(data: bytes) -> bool:
    """Whether these bytes look like a signed report, whole or damaged."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and set(value) == {"report", "signature"}


def canonical(report: Mapping[str, Any]) -> bytes:
    """What of a report is signed."""
    return json.dumps(
        report, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def _parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    """(report, signature).

    Raises:
        ManifestFault: they are not there.
    """
    try:
        value = json.loads(data, object_pairs_hook=_once)
        report, signature = value["report"], base64.b64decode(value["signature"], validate=True)
        is_known = set(value) == {"report", "signature"} and report["format"] == FORMAT
        canonical(report)
        told = [report["text"]["sha256"], *(report[name] for name in TOLD)]
        if is_known and all(isinstance(each, str) for each in told):
            return report, signature
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise ManifestFault("report.malformed", "it is no signed report of a known form")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, whose names occur once: readers differ in which of two they take."""
    known = dict(pairs)
    if len(known) < len(pairs):
        raise ValueError("a name twice")
    return known
