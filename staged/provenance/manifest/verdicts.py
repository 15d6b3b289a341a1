"""What a check of a manifest can end with, and what a person is told of it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from cryptography import x509

from staged.provenance.manifest.encoding.text_wrapper import CORRUPTED, MULTIPLE
from staged.provenance.manifest.facts import Facts, ManifestFault, SignatureVerdict, State
from staged.provenance.manifest.trust import fingerprint, name_of

STAMP_FAULT = "timeStamp.mismatch"
# reason: (state, what a person is told)
SENTENCES: dict[str, tuple[State, str]] = {
    "trusted": ("valid", "The text is what was signed, and the signer is trusted."),
    "absent": ("absent", "There is no signature; that says nothing about who wrote it."),
    "stripped": (
        "invalid",
        "Remains of a signed manifest are in the text: it was damaged or partly removed, so that"
        " nothing of it can be relied on.",
    ),
    "doubled": ("invalid", "The text carries more than one manifest, where only one may be."),
    "text changed": ("invalid", "The text was changed after it was signed."),
    "copied": (
        "invalid",
        "The manifest is intact, and was made for another text: it was copied onto this one.",
    ),
    "changed or copied": (
        "invalid",
        "The manifest is intact, and this is not the text that it was made for: the text was"
        " changed, or the manifest copied from another one.",
    ),
    "manifest changed": ("invalid", "The manifest was changed after it was signed."),
    "unreadable": ("invalid", "The manifest cannot be read: it is damaged, or of another kind."),
    "certificate unfit": ("invalid", "The certificate in the manifest may not sign such claims."),
    "time stamp broken": ("invalid", "The time stamp is not of this signature."),
    "not yet valid": ("invalid", "It was signed before the signer's certificate was valid."),
    "expired": (
        "expired",
        "The signer's certificate has expired, and no trusted time stamp shows that the text was"
        " signed before.",
    ),
    "expired when signed": (
        "expired",
        "The signer's certificate had expired when the text was signed, by its time stamp.",
    ),
    "revoked": ("revoked", "The signer's certificate was revoked."),
    "self-signed": (
        "untrusted",
        "The text is what was signed, by a key that only its owner vouches for: anybody can make"
        " one under any name.",
    ),
    "unknown issuer": (
        "untrusted",
        "The text is what was signed, by somebody whose certificate no trusted authority issued.",
    ),
}


@dataclass
class Course:
    """What a check has seen so far: what can be told wherever it ends."""

    codes: list[str] = field(default_factory=list)
    chain: list[x509.Certificate] = field(default_factory=list)
    facts: Facts | None = None
    signed_at: datetime.datetime | None = None
    stamped_by: str | None = None
    ingredients: tuple[str, ...] = ()

    def verdict(self, reason: str, more: str = "") -> SignatureVerdict:
        state, sentence = SENTENCES[reason]
        leaf = self.chain[0] if self.chain and self.facts else None
        return SignatureVerdict(
            state,
            reason,
            f"{sentence} {more}".strip(),
            name_of(leaf) if leaf else None,
            fingerprint(leaf) if leaf else None,
            self.signed_at,
            self.stamped_by,
            self.facts,
            self.ingredients,
            tuple(self.codes),
        )


def absent_verdict() -> SignatureVerdict:
    """Of an asset without a manifest."""
    return Course().verdict("absent")


def fault_verdict(fault: ManifestFault, course: Course | None = None) -> SignatureVerdict:
    """Of an asset whose manifest cannot be relied on."""
    course = course or Course()
    course.codes.append(fault.code)
    return course.verdict(_reason(fault.code), f"({fault})")


def _reason(code: str) -> str:
    reasons = {
        CORRUPTED: "stripped",
        MULTIPLE: "doubled",
        "assertion.dataHash.mismatch": "changed or copied",
        "assertion.dataHash.malformed": "changed or copied",
        "assertion.collectionHash.mismatch": "changed or copied",
        "assertion.collectionHash.malformed": "changed or copied",
        "signingCredential.invalid": "certificate unfit",
        STAMP_FAULT: "time stamp broken",
        "claimSignature.mismatch": "manifest changed",
        "assertion.hashedURI.mismatch": "manifest changed",
        "assertion.undeclared": "manifest changed",
        "ingredient.manifest.mismatch": "manifest changed",
        "ingredient.manifest.missing": "manifest changed",
        "manifest.unreferenced": "manifest changed",
    }
    return reasons.get(code, "unreadable")
