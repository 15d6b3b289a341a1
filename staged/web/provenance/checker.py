"""Signature, watermark and content of one text, as the page and the API give them; and what of them
strangers are not told.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from staged.detectors.contract import Verdict
from staged.errors import PlanError
from staged.keys.ring import open_key
from staged.provenance.examination import Examination
from staged.provenance.manifest.facts import SignatureVerdict, Signer
from staged.provenance.manifest.trust import Trust
from staged.provenance.opened import without_manifest
from staged.provenance.reading import own_trust, signature_of, trust_by
from staged.provenance.report import report_of, sign_report
from staged.provenance.sign import signer_of
from staged.provenance.verify import Verifier
from staged.settings import nearest
from staged.watermarks.candidates import candidates_of

OPEN, VERDICT_ONLY = "open", "verdict-only"
ACCESS = (OPEN, VERDICT_ONLY)
TEXT = "text"  # what a text without a file is called


@dataclass(frozen=True)
class Asked:
    """A text to check.

    Attributes:
        name: of its file; empty where it was pasted.
        data: the file; empty where there is none.
        manifest: that stands beside it; empty where there is none.
    """

    text: str = field(repr=False)
    name: str = ""
    data: bytes = field(default=b"", repr=False)
    manifest: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Checker:
    """What texts are checked with; called from one thread only.

    Attributes:
        verifier: the keys; it judges no content, which the page's own examiner does.
        trust: whose signatures count.
        signer: signs reports; None signs none.
        tells_p_values: whether strangers get a watermark's p-value and score, with which they could
            try until a mark is gone; else only whether it was found.
    """

    verifier: Verifier
    trust: Trust
    signer: Signer | None = None
    tells_p_values: bool = True

    def opened(self, asked: Asked) -> tuple[str, SignatureVerdict]:
        """(the text without a manifest, what its signature says)."""
        data, beside = asked.data or asked.text.encode(), asked.manifest or None
        signature = signature_of(asked.name, data, beside, trust=self.trust)
        return without_manifest(asked.text), signature

    def examine(
        self, name: str, text: str, signature: SignatureVerdict, content: Verdict
    ) -> Examination:
        """Everything together, as far as it may be told.

        Args:
            text, signature: as `opened` gives them.
            content: what the detector says of the text.
        """
        examination = replace(self.verifier.examine(name, text, signature), content=content)
        return examination if self.tells_p_values else _reserved(examination)

    def report(self, examination: Examination) -> bytes | None:
        """The signed report of an examination, made now; None without a key to sign it."""
        if self.signer is None:
            return None
        return sign_report(report_of(examination, datetime.datetime.now(datetime.UTC)), self.signer)


def open_checker(
    *, key: str = "", trust: Sequence[Path] = (), level: float = 0.01, access: str = OPEN
) -> Checker:
    """A checker by the keys of this user: it looks for the marks of all that have marked anything,
    and trusts what they signed.

    Args:
        key: the id of the key that signs reports; empty, or one for marks alone, signs none.
        trust: PEM files of certificates that are trusted, too.
        level: the share of texts without a mark that may be called marked.
        access: one of `ACCESS`: what strangers are told of a watermark's test.

    Raises:
        PlanError: another access.
        ProvenanceError, ArtifactError, CorpusError: a key or a file of certificates.
    """
    if access not in ACCESS:
        raise PlanError(f"--watermark-detector {access!r}; {nearest(access, ACCESS)}")
    trusts = [own_trust(), *map(trust_by, trust)]
    anchors = tuple(anchor for each in trusts for anchor in each.anchors)
    signing = open_key(key) if key else None
    signer = signer_of(signing) if signing and "signing" in signing.purposes else None
    verifier = Verifier(candidates_of(), None, level)
    return Checker(verifier, Trust(anchors, trusts[0].revoked), signer, access == OPEN)


def _reserved(examination: Examination) -> Examination:
    """Without the numbers of a watermark's test."""
    mark = examination.watermark
    untold = replace(mark, p_value=None, score=None, passage=None)
    return replace(examination, watermark=untold)
