"""An examiner by name: a detector, and the calibration that is its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from staged.detectors.calibration.calibration import Calibration, check_fpr
from staged.detectors.calibration.calibration_file import load_calibration
from staged.detectors.calibration.exact import ExactTest
from staged.detectors.catalog import calibration_file, open_detector
from staged.detectors.contract import Detector, Explaining
from staged.detectors.examiner import Examiner
from staged.detectors.identity import known_by, scored_by
from staged.detectors.kinds.marks import MarkDetector
from staged.detectors.names import DetectorName, parse_name
from staged.detectors.scorer import Scorer
from staged.errors import CheckpointError
from staged.model.devices import chosen_device
from staged.places.files import fetched


@dataclass(frozen=True)
class ExaminerSettings:
    """What `open_examiner` takes, as a value that any process can open."""

    detector: str = "evidence"
    fpr: float = 0.01
    calibration: str | Path | None = None
    kind: str = ""
    device: str = "auto"

    def open(self) -> Examiner:
        """Raises as `open_examiner`."""
        return open_examiner(
            self.detector,
            fpr=self.fpr,
            calibration=self.calibration,
            kind=self.kind,
            device=self.device,
        )


def open_examiner(
    detector: str = "evidence",
    *,
    fpr: float = 0.01,
    calibration: str | Path | None = None,
    kind: str = "",
    device: str = "auto",
) -> Examiner:
    """A detector with its calibration, by name.

    Args:
        detector: as `open_detector` takes it.
        fpr, kind: as the examiner has them.
        calibration: the file to judge by; without it, the detector's own if it has one.
        device: as `open_detector` takes it.

    Raises:
        CheckpointError: no such detector; a calibration of another detector.
        PlanError: fpr out of range; a kind that the calibration does not have.
        ProvenanceError: of `watermark@KEY`: no such key, or it has marked nothing.
    """
    check_fpr(fpr)
    name, device = parse_name(detector), chosen_device(device)
    opened = open_detector(detector, device=device)
    file = fetched(calibration) if calibration else calibration_file(name)
    loaded = load_calibration(file) if file else None
    if isinstance(opened, MarkDetector) and loaded is None:
        return _exact(opened, name, fpr, kind, device)
    if loaded and file and not _is_calibrated_by(opened, name, loaded, file):
        raise CheckpointError(
            f"{file}: calibrates the detector {loaded.detector!r}, not {detector!r} as it is now;"
            " run `staged calibrate`"
        )
    fingerprint = loaded.fingerprint if loaded else None
    identity = scored_by(name, device) | {"calibration": fingerprint, "kind": kind}
    scorer = Scorer(opened, device=device)
    return Examiner(opened, loaded, detector, fpr, kind, identity, scorer)


def _exact(
    opened: MarkDetector, name: DetectorName, fpr: float, kind: str, device: str
) -> Examiner:
    """Of a detector whose scores are p-values as they are."""
    judge = ExactTest(name.full, f"a mark of key {opened.candidates[0].key}")
    identity = scored_by(name, device) | {"calibration": judge.fingerprint, "kind": kind}
    scorer = Scorer(opened, device=device)
    return Examiner(opened, judge, name.given, fpr, kind, identity, scorer)


def _is_calibrated_by(
    detector: Detector, name: DetectorName, calibration: Calibration, file: Path
) -> bool:
    """Whether these are scores of this detector: its files say so where the calibration knows them,
    else its name.
    """
    # a detector of several readers has a name that another had before it
    if calibration.known_by or isinstance(detector, Explaining):
        return calibration.known_by == known_by(name)
    names, own_file = {name.full}, calibration_file(name)
    # another folder's detector may call itself the same
    if not Path(name.given).exists() or (own_file and own_file.samefile(file)):
        names.add(detector.name)
    return parse_name(calibration.detector).full in names
