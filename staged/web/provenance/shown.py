"""What the page shows of where a text comes from: three kinds of evidence, the strongest first,
each with what it proves and what it does not, and the one conclusion.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from staged.pages.figures import counted, p_text
from staged.provenance.examination import (
    LOOKS_WRITTEN,
    NOTHING,
    PROVES,
    SIGNED,
    WATERMARKED,
    Examination,
    WatermarkFinding,
    signer_says,
)

HEADLINES = {
    SIGNED: "This text is signed",
    WATERMARKED: "This text carries a watermark",
    LOOKS_WRITTEN: "This scores like machine-written text",
    NOTHING: "No evidence of where it comes from",
}
WARNINGS = ("invalid", "revoked", "expired")  # states of a signature that are no mere absence
CSS_NAMES = {SIGNED: "signed", WATERMARKED: "machine", LOOKS_WRITTEN: "machine", NOTHING: "open"}


def origin(examination: Examination, report: bytes | None) -> dict[str, Any]:
    """What the template shows.

    Args:
        report: signed, to be downloaded.
    """
    sentence = examination.sentence
    return {
        "headline": HEADLINES[examination.conclusion],
        "conclusion": examination.conclusion,
        "kind": CSS_NAMES[examination.conclusion],
        "sentence": f"{sentence[0].upper()}{sentence[1:]}.",
        "technique": examination.technique,
        "evidence": list(_evidence(examination)),
        "sha256": examination.sha256,
        "report": base64.b64encode(report).decode() if report else "",
    }


def _evidence(examination: Examination) -> Iterator[dict[str, Any]]:
    signature, mark, content = (
        examination.signature,
        examination.watermark,
        examination.content,
    )
    yield _row("signature", signature.state, signature.sentence, signature.state == "valid") | {
        "facts": list(signer_says(signature))
    }
    says = f"{mark.reason[0].upper()}{mark.reason[1:]}."
    if mark.p_value is not None:
        says += f" Its p‑value is {p_text(mark.p_value)}."  # a hyphen that stays on its line
    yield _row("watermark", _state(mark), says, mark.found)
    if content is not None:
        machine = examination.conclusion == LOOKS_WRITTEN
        says = f"{content.detector}, {counted(content.words, 'word')}; the whole verdict is below."
        yield _row("content", content.verdict, says, machine)


def _state(mark: WatermarkFinding) -> str:
    if mark.found:
        return "found"
    return "not found" if mark.scheme else "not enough evidence" if mark.tokens else "not tested"


def _row(kind: str, state: str, says: str, speaks: bool) -> dict[str, Any]:
    yes, no = PROVES[kind]
    return {
        "kind": kind,
        "state": state,
        "says": says,
        "css": "speaks" if speaks else "warns" if state in WARNINGS else "silent",
        "yes": yes,
        "no": no,
        "facts": [],
    }
