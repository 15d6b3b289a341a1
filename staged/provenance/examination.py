"""What is found out about one text: its signature, its watermark and its content, in that order,
and the one conclusion that they allow together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from staged.detectors.contract import MACHINE_WRITTEN, NOT_ENOUGH, Verdict
from staged.pages.figures import p_text
from staged.provenance.manifest.facts import SignatureVerdict
from staged.watermarks.evidence import Passage

SIGNED, WATERMARKED, LOOKS_WRITTEN, NOTHING = (
    "signed",
    "watermarked",
    "looks machine-written",
    "no evidence",
)
CONCLUSIONS = (SIGNED, WATERMARKED, LOOKS_WRITTEN, NOTHING)
# which of the Code of Practice's techniques a conclusion rests on
TECHNIQUES = {SIGNED: "metadata", WATERMARKED: "watermark", LOOKS_WRITTEN: "forensic", NOTHING: ""}
# of each kind of evidence: what it proves, and what not
PROVES = {
    "signature": (
        "who signed this text, and that it has not changed since",
        "that what the signer says of it is true",
    ),
    "watermark": (
        "that the key's owner's model very likely wrote most of what was counted",
        "who asked for it, or that nobody edited it; without a mark a text is not therefore human",
    ),
    "content": (
        "that it resembles what machines write more than nearly all human texts do",
        "that a machine wrote it; nobody should be accused on a score alone",
    ),
}


@dataclass(frozen=True)
class WatermarkFinding:
    """What the tests for marks say of a text.

    Attributes:
        found: p_value is at most the level asked for.
        p_value: of the strongest candidate, corrected for all that were tested; None where there
            was nothing to test for, or too little text, or it is not to be told.
        tokens: that were counted.
        scheme, key, model: of the strongest candidate; the model is the one whose tokenizer read,
            by its name and not by where it lies.
        score: sum of the tokens' values.
        passage: the part of the text that carries the mark, where it is not the whole.
        reason: one sentence for a person.
        warning: what has to be known of the key: that others had it, and since when.
    """

    found: bool
    p_value: float | None
    tokens: int
    scheme: str | None
    key: str | None
    reason: str
    model: str | None = None
    score: float | None = None
    passage: Passage | None = None
    warning: str = ""


@dataclass(frozen=True)
class Examination:
    """Everything that was found out about one text.

    Attributes:
        id: the text's name.
        sha256: of the text without a manifest, in UTF-8, 64 hexadecimal digits.
        level: of the watermark's test and the detector: the share of texts without a mark, and of
            human texts, that may be called so.
        signature: of the file, or of the text itself.
        content: None where no detector was asked.
    """

    id: str
    sha256: str
    level: float
    signature: SignatureVerdict
    watermark: WatermarkFinding
    content: Verdict | None

    @property
    def conclusion(self) -> str:
        """The strongest evidence that speaks, one of `CONCLUSIONS`."""
        if self.signature.state == "valid":
            return SIGNED
        if self.watermark.found:
            return WATERMARKED
        if self.content is not None and self.content.verdict == MACHINE_WRITTEN:
            return LOOKS_WRITTEN
        return NOTHING

    @property
    def technique(self) -> str:
        """Which technique spoke: `metadata`, `watermark` or `forensic`; empty where none did."""
        return TECHNIQUES[self.conclusion]

    @property
    def sentence(self) -> str:
        """The conclusion for a person."""
        match self.conclusion:
            case "signed":
                return f"signed by {self.signature.signer}, and unchanged since"
            case "watermarked":
                mark = self.watermark
                how = "" if mark.p_value is None else f" (p {p_text(mark.p_value)})"
                warning = f"; {mark.warning}" if mark.warning else ""
                return f"the {mark.scheme} mark of key {mark.key} stands in it{how}{warning}"
            case "looks machine-written":
                return (
                    "no valid signature and no mark, but its words look machine-written; that is"
                    " no proof"
                )
        return "nothing here says where it comes from; that does not make it human"

    def row(self) -> dict[str, Any]:
        """A JSON object, as `staged verify --json` prints it; of the text itself only its hash."""
        return {
            "id": self.id,
            "sha256": self.sha256,
            "conclusion": self.conclusion,
            "technique": self.technique,
            "sentence": self.sentence,
            "level": self.level,
            "signature": self.signature.state,
            "manifest": _manifest(self.signature),
            "watermark": _plain(asdict(self.watermark)),
            "content": self._content(),
        }

    def _content(self) -> dict[str, Any]:
        if self.content is None:
            return {"verdict": NOT_ENOUGH, "p_value": None, "reason": "no detector was asked"}
        names = ("verdict", "p_value", "score", "detector", "fpr", "words", "n_human", "reason")
        return {name: getattr(self.content, name) for name in names}


def _manifest(verdict: SignatureVerdict) -> dict[str, Any]:
    """What a signature's check says beside its state."""
    known = asdict(verdict)
    known.pop("state")
    known["signed_at"] = verdict.signed_at.isoformat() if verdict.signed_at else None
    return _plain(known)


def _plain(known: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in known.items()
    }


def signer_says(signature: SignatureVerdict) -> Iterator[tuple[str, str]]:
    """(name, value) of what the signer says; nothing where the signature does not hold."""
    if signature.signer:
        yield "signer", signature.signer
    if signature.signed_at:
        by = f"by {signature.stamped_by}" if signature.stamped_by else "by the signer’s own clock"
        yield "time", f"{signature.signed_at:%Y-%m-%d %H:%M} UTC, {by}"
    facts = signature.facts
    for name in ("model", "watermark", "key", "detector") if facts else ():
        if value := getattr(facts, name):
            yield name, value
    if signature.ingredients:
        yield "made from", ", ".join(signature.ingredients)
