"""A detector leaves with a calibration: its own, the one that its study made, or one from the human
`valid` texts of that study.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from staged.detectors.calibration.calibration_file import load_calibration
from staged.detectors.catalog import CALIBRATION, CALIBRATION_OF_WORDS, calibration_file
from staged.detectors.identity import known_by
from staged.detectors.names import parse_name
from staged.errors import CorpusError, ReleaseError
from staged.notes import note
from staged.release.origin import corpora_of, study_of
from staged.storage.placeless import place_name
from staged.studies import calibrations

__all__ = ["human_texts", "write_calibration"]


def human_texts(detector: Path) -> list[Path]:
    """The stages of human text in the study that a detector lies in; none where it lies in no
    study, or has a calibration.
    """
    root = study_of(detector)
    return (
        [root / name for name in corpora_of(detector)]
        if root and not calibration_file(parse_name(str(detector)))
        else []
    )


def write_calibration(source: Path, packaged: Path) -> None:
    """Leave a calibration beside the detector in the package, whose name says nothing of where
    either lay.

    Where there is no text to make one of, a note says so.

    Raises:
        ReleaseError: the calibration that lies there is another detector's.
        StagedError: the detector cannot be opened, or the texts are damaged.
    """
    for file, with_scorer in ((CALIBRATION, True), (CALIBRATION_OF_WORDS, False)):
        if (packaged / file).is_file():
            _rename(file, source, packaged, with_scorer=with_scorer)
    if (packaged / CALIBRATION).is_file():
        return
    documents = calibrations.valid_passages(human_texts(source))
    why = "it lies in no study whose human texts could make one"
    if documents:
        try:
            calibrations.write_calibration(packaged / CALIBRATION, packaged, documents)
            return
        except CorpusError as error:  # all are too short
            why = str(error)
    note(
        f"{source}: goes out without a calibration, so it gives no verdict: {why}; `staged"
        f" calibrate --detector {source} --human FOLDER --out {source / CALIBRATION}` makes one"
    )


def _rename(file: str, source: Path, packaged: Path, *, with_scorer: bool) -> None:
    """A calibration that was copied, as the packaged detector's own."""
    own = load_calibration(packaged / file)
    there = known_by(parse_name(str(source)), with_scorer=with_scorer)
    if own.known_by and own.known_by != there:
        place = calibration_file(parse_name(str(source))) or source / file
        raise ReleaseError(
            f"{place}: calibrates another detector than {source} holds now; run `staged calibrate`,"
            " or the study that trained it, again"
        )
    names = known_by(parse_name(str(packaged)), with_scorer=with_scorer)
    replace(own, detector=place_name(own.detector), known_by=names).save(packaged / file)
