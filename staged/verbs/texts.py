"""Verbs about a text in hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from staged.progress import Progress, silent
from staged.verbs.given import named_texts

if TYPE_CHECKING:  # what only a checker reads: `import staged` loads no model's library
    from staged.detectors.contract import Verdict
    from staged.detectors.examiner import Examiner

__all__ = ["detect", "open_examiner"]


def detect(
    texts: str | Sequence[str] | Mapping[str, str],
    *,
    detector: str | Path = "evidence",
    fpr: float = 0.01,
    calibration: str | Path | None = None,
    kind: str = "",
    segments: bool = False,
    device: str = "auto",
    progress: Progress = silent,
) -> list[Verdict]:
    """Whether texts were written by a machine, how sure that is, and why.

    Nobody should be accused on a score alone.

    Args:
        texts: one text, several, or name → text; without names they go by their number, `0` first.
        detector: `evidence`, a former one such as `evidence-2026-11`, a zero-shot score such as
            `fast-detectgpt@gpt2`, a released one, a detector's folder, or a two-label classifier on
            the hub.
        fpr: the share of human texts that may be called machine-written, in (0, 1).
        calibration: the file to judge by; without it, the detector's own. Where there is none,
            every p-value is None and every verdict `not enough evidence`.
        kind: of text that all are, such as `essay`; without it, each text's own by its words.
        segments: judge the parts of each text as well, for texts of several authors.
        device: `cpu`, `cuda`, or `auto` for a GPU where there is one.
        progress: called with (texts judged, all).

    Returns:
        A verdict a text, in order.

    Raises:
        CheckpointError: no such detector, or a calibration of another one.
        PlanError: fpr out of range; a kind that the calibration does not have; no texts.

    Example:
        >>> import staged
        >>> verdict, = staged.detect("Too short to say anything.", detector="lrr@mini-s")
        >>> verdict.verdict
        'not enough evidence'
    """
    from staged.detectors.verdicts import judged

    named = named_texts(texts)
    examiner = open_examiner(detector, fpr=fpr, calibration=calibration, kind=kind, device=device)
    verdicts: list[Verdict] = []
    for verdict in judged(examiner, named, segments=segments):
        verdicts.append(verdict)
        progress(len(verdicts), len(named))
    return verdicts


def open_examiner(
    detector: str | Path = "evidence",
    *,
    fpr: float = 0.01,
    calibration: str | Path | None = None,
    kind: str = "",
    device: str = "auto",
) -> Examiner:
    """A detector with its calibration, for texts that come one after the other; as `detect`.

    Example:
        >>> import staged
        >>> examiner = staged.open_examiner("lrr@mini-s", device="cpu")
        >>> [verdict.words for verdict in examiner.examine([("a", "Six words, and not one more.")])]
        [6]
    """
    from staged.detectors import opening

    return opening.open_examiner(
        str(detector), fpr=fpr, calibration=calibration, kind=kind, device=device
    )
