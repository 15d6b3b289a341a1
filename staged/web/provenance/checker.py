"""Signature, watermark and content of one text, as the page and the API give them; and what of them
strangers are not told.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace

from staged.detectors.contract import Verdict
from staged.provenance.examination import Examination
from staged.provenance.manifest.encoding.text_wrapper import find_wrapper
from staged.provenance.manifest.facts import ManifestFault, SignatureVerdict, Signer
from staged.provenance.manifest.plain_text import stripped
from staged.provenance.manifest.trust import Trust
from staged.provenance.reading import signature_of
from staged.provenance.report import report_of, sign_report
from staged.provenance.verify import Verifier

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
        return _without_manifest(asked.text), signature

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


def _without_manifest(text: str) -> str:
    try:
        return stripped(text, find_wrapper(text))
    except ManifestFault:  # remains of one: the detector's own cleaning takes them away
        return text


def _reserved(examination: Examination) -> Examination:
    """Without the numbers of a watermark's test."""
    mark = examination.watermark
    untold = replace(mark, p_value=None, score=None, passage=None)
    return replace(examination, watermark=untold)
