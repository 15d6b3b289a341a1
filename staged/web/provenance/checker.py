"""Signature, watermark and content of one text, as the page and the API give them; and what of them
strangers are not told.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from staged.detectors.contract import Verdict
from staged.errors import PlanError
from staged.keys.ring import open_key
from staged.provenance.examination import Examination
from staged.provenance.manifest.facts import SignatureVerdict, Signer
from staged.provenance.opened import Opened, without_manifest
from staged.provenance.reading import signature_of, trust_of_all
from staged.provenance.report import report_of, sign_report
from staged.provenance.sign import signer_of
from staged.provenance.verify import Verifier, open_verifier
from staged.settings import nearest

OPEN, VERDICT_ONLY = "open", "verdict-only"
ACCESS = (OPEN, VERDICT_ONLY)
TEXT = "text"  # what a text without a file is called


@dataclass(frozen=True)
class Checker:
    """What texts are checked with; called from one thread only.

    Attributes:
        verifier: the keys and certificates; it judges no content, which the page's own examiner
            does.
        signer: signs reports; None signs none.
        tells_p_values: whether strangers get a watermark's p-value and score, with which they could
            try until a mark is gone; else only whether it was found.
    """

    verifier: Verifier
    signer: Signer | None = None
    tells_p_values: bool = True

    def signature(self, opened: Opened) -> SignatureVerdict:
        """What the manifest in a text or file, or beside it, says."""
        return signature_of(opened.name, opened.data, opened.sidecar, trust=self.verifier.trust)

    def examine(self, opened: Opened, signature: SignatureVerdict, content: Verdict) -> Examination:
        """Everything together, as far as it may be told.

        Args:
            content: what the detector says of the text.
        """
        found = self.verifier.examine(opened.id, opened.text, signature)
        examination = replace(found, content=content)
        return examination if self.tells_p_values else _reserved(examination)

    def report(self, examination: Examination) -> bytes | None:
        """The signed report of an examination, made now; None without a key to sign it."""
        if self.signer is None:
            return None
        return sign_report(report_of(examination, datetime.datetime.now(datetime.UTC)), self.signer)


def open_checker(
    *,
    key: str = "",
    trust: Sequence[Path] = (),
    revoked: Path | None = None,
    level: float = 0.01,
    access: str = OPEN,
) -> Checker:
    """A checker by the keys of this user: it looks for the marks of all that have marked anything,
    and trusts what they signed.

    Args:
        key: the id of the key that signs reports; empty, or one for marks alone, signs none.
        trust, revoked: as `trust_of_all` takes them.
        level: the share of texts without a mark that may be called marked.
        access: one of `ACCESS`: what strangers are told of a watermark's test.

    Raises:
        PlanError: another access.
        ProvenanceError, ArtifactError, CorpusError: a key or a file of certificates.
    """
    if access not in ACCESS:
        raise PlanError(f"--watermark-detector {access!r}; {nearest(access, ACCESS)}")
    signing = open_key(key) if key else None
    signer = signer_of(signing) if signing and "signing" in signing.purposes else None
    known = trust_of_all(trust, revoked)
    return Checker(open_verifier(trust=known, detector="", level=level), signer, access == OPEN)


def opened_text(
    text: str, *, name: str = "", given: str = "", data: bytes = b"", manifest: bytes = b""
) -> Opened:
    """A text to check, as a request gives it.

    Args:
        text: with the manifest that may be in it.
        name: of its file; empty where it was pasted.
        given: what to call it; by default its file's name.
        data: the file; empty where there is none.
        manifest: that stands beside it; empty where there is none.
    """
    if data:  # as `staged verify` reads a file
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    plain = without_manifest(text)
    return Opened(given or name or TEXT, plain, name, data or text.encode(), manifest or None)


def _reserved(examination: Examination) -> Examination:
    """Without the numbers of a watermark's test."""
    mark = examination.watermark
    untold = replace(mark, p_value=None, score=None, passage=None)
    return replace(examination, watermark=untold)
