"""A trained detector's calibration, as a stage of its own: `detectors/KIND/…` has it as
`calibrations/KIND/…/calibration.json`, where `detect` finds it.

It is of all human `valid` passages, at every length that they have. They chose the detector's epoch
or its regularisation and taught it nothing; the test texts stay out, so what the cells say holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from staged.corpus.build import PASSAGES, documents_digest, read_documents
from staged.detectors.calibration.fit import calibrate
from staged.detectors.catalog import CALIBRATION, CALIBRATIONS, DETECTORS_FOLDER, load_detector
from staged.detectors.identity import known_by
from staged.detectors.names import parse_name
from staged.errors import CorpusError
from staged.pipeline.stage import Inputs, Stage
from staged.progress import Progress, silent
from staged.records import Document
from staged.storage.json_files import write_json
from staged.studies.computed import record_device
from staged.studies.stages import Corpus, TrainedDetector

FPR = 0.01  # only what is reported of it: a calibration serves any rate
NONE = "none.json"  # in the place of a calibration: the reason why there is none


@dataclass(frozen=True, kw_only=True)
class Calibrated(Stage):
    """`calibration.json` of one detector; `none.json` where no passage is long enough.

    Attributes:
        corpora: where the detector's human texts come from.
    """

    detector: TrainedDetector
    corpora: tuple[Corpus, ...]

    @property
    def name(self) -> str:
        return f"{CALIBRATIONS}/{Path(self.detector.name).relative_to(DETECTORS_FOLDER).as_posix()}"

    @property
    def cost(self) -> float:
        return self.detector.cost / 3

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        people = valid_passages([inputs[corpus.name] for corpus in self.corpora])
        detector, device = inputs[self.detector.name], self.detector.computes_on
        try:
            write_calibration(
                folder / CALIBRATION, detector, people, bulk=True, device=device, progress=progress
            )
            record_device(folder, device)
        except CorpusError as error:  # all are too short: no reason to end a study
            write_json(folder / NONE, {"reason": str(error)})


def calibrated(detector: TrainedDetector) -> Calibrated:
    """The stage of a detector's calibration."""
    return Calibrated(detector=detector, corpora=detector.corpora)


def valid_passages(corpora: Sequence[Path]) -> list[Document]:
    """All human `valid` passages of the stages of human text."""
    return [
        document
        for corpus in corpora
        for document in read_documents(corpus / PASSAGES, split="valid")
    ]


def write_calibration(
    out: Path,
    folder: Path,
    people: Sequence[Document],
    *,
    bulk: bool = False,
    device: str = "cpu",
    progress: Progress = silent,
) -> None:
    """A detector's calibration of human texts, none of them held out: what it achieves is measured
    elsewhere, on other texts.

    Args:
        folder: the detector's.
        people: texts that did not teach it.
        bulk, device: as `load_detector` takes them.

    Raises:
        CorpusError: no text is long enough.
        StagedError: the detector cannot be opened, or gives scores that are not finite.
    """
    detector = load_detector(folder, bulk=bulk, device=device)
    digests = known_by(parse_name(str(folder)), with_scorer=True)
    identity = {"detector": list(digests), "human": documents_digest(people)}
    calibrate(
        out,
        detector.name,
        lambda: detector,
        people,
        fpr=FPR,
        identity=identity,
        held_out=(),
        known_by=digests,
        progress=progress,
    )
