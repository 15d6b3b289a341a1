"""A verifier: the keys, the certificates and the detector that texts are examined with.

file ─► signature of the file          ─► text without a manifest
     ─► tests for every key's marks    ┐
     ─► the detector's verdict         ┴─► one conclusion
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from staged.detectors.calibration.calibration import check_fpr
from staged.detectors.examiner import Examiner
from staged.detectors.normal.normalize import normalize
from staged.detectors.opening import open_examiner
from staged.pages.figures import counted, p_text
from staged.provenance.examination import Examination, WatermarkFinding
from staged.provenance.manifest.facts import SignatureVerdict
from staged.provenance.manifest.trust import Trust
from staged.provenance.opened import Opened
from staged.provenance.reading import NOBODY, signature_of
from staged.storage.placeless import place_name
from staged.watermarks.candidates import candidates_of
from staged.watermarks.evidence import MIN_TOKENS, Candidate, MarkTest, test_text


@dataclass(frozen=True)
class Verifier:
    """What texts are examined with.

    Attributes:
        candidates: what may have marked them.
        examiner: judges their content; None does not.
        level: the share of texts without a mark that may be called marked.
        trust: whose signatures count.
    """

    candidates: tuple[Candidate, ...]
    examiner: Examiner | None
    level: float = 0.01
    trust: Trust = NOBODY

    def verify(self, opened: Iterable[Opened]) -> Iterator[Examination]:
        """Files, rows and texts, each with the signature in it or beside it; that of a file is
        checked once for all its rows.
        """
        for (name, data, sidecar), texts in groupby(opened, key=_signed_part):
            signature = signature_of(name, data, sidecar, trust=self.trust)
            for each in texts:
                yield self.examine(each.id, each.text, signature)

    def examine(self, name: str, text: str, signature: SignatureVerdict) -> Examination:
        """Everything that can be found out about one text.

        Args:
            text: without a manifest.
            signature: what the check of the file's, or the text's, manifest said.
        """
        return Examination(
            name,
            hashlib.sha256(text.encode()).hexdigest(),
            self.level,
            signature,
            self.watermark(text),
            self.examiner.examine([(name, text)])[0] if self.examiner else None,
        )

    def watermark(self, text: str) -> WatermarkFinding:
        """What the tests for all keys' marks say of a text."""
        if not self.candidates:
            why = "no key of yours has marked anything, so there was nothing to test for"
            return WatermarkFinding(False, None, 0, None, None, why)
        test = test_text(normalize(text).text, self.candidates, passages=True)
        told = finding(test, self.level, len(self.candidates))
        warnings = [each.warning for each in self.candidates if each.key == test.key]
        if not (told.found and warnings[0]):
            return told
        return replace(told, warning=warnings[0], reason=f"{told.reason}; {warnings[0]}")


def _signed_part(opened: Opened) -> tuple[str, bytes, bytes | None]:
    return opened.name, opened.data, opened.sidecar


def open_verifier(
    *,
    keys: Sequence[str] = (),
    model: str = "",
    trust: Trust = NOBODY,
    detector: str = "evidence",
    level: float = 0.01,
    device: str = "auto",
) -> Verifier:
    """A verifier of some keys, certificates and a detector.

    Args:
        keys, model: as `candidates_of` takes them.
        detector: as `open_examiner` takes it; empty asks none.
        level: in (0, 1).

    Raises:
        CheckpointError, PlanError, ProvenanceError: as these two.
    """
    check_fpr(level)
    examiner = open_examiner(detector, fpr=level, device=device) if detector else None
    return Verifier(candidates_of(keys, model=model), examiner, level, trust)


def finding(test: MarkTest, level: float, candidates: int) -> WatermarkFinding:
    """What a test says, in words.

    Args:
        level: the p-value up to which a mark is called found.
        candidates: how many were tested.
    """
    if not test.enough:
        why = (
            f"not enough evidence: {counted(test.tokens, 'token')} of the {MIN_TOKENS} that a test"
            " needs"
        )
        return WatermarkFinding(False, None, test.tokens, None, None, why)
    found = test.p_value <= level
    of = f"{counted(test.tokens, 'token')}, {counted(candidates, 'candidate')} tested"
    where = (
        f"in its characters {test.passage.start:,} to {test.passage.end:,} " if test.passage else ""
    )
    why = (
        f"the {test.scheme} mark of key {test.key} stands {where}({of})"
        if found
        else f"no mark of these keys at p ≤ {p_text(level)} ({of})"
    )
    return WatermarkFinding(
        found,
        test.p_value,
        test.tokens,
        test.scheme,
        test.key,
        why,
        place_name(test.tokenizer),
        test.score,
        test.passage,
    )
