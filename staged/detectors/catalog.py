"""Every detector by name: those that a study trains, and those that a text is shown to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from staged.detectors.contract import Detector, Trained
from staged.detectors.names import HUB, KNOWN, DetectorName, parse_name
from staged.engines.choice import Engine
from staged.errors import CheckpointError
from staged.model.checkpoints import is_at_hand
from staged.model.devices import best_dtype, chosen_device
from staged.model.sources.places import is_written_as_path, why_not_there
from staged.settings import nearest

DETECTORS = ("tfidf", "roberta")  # what a study trains
# beside a detector's parts: how it scores human texts, with all its readers and without the one
# that reads with a language model
CALIBRATION, CALIBRATION_OF_WORDS = "calibration.json", "calibration-words.json"
# a study's folders: of what it trained, and of the calibrations of that
DETECTORS_FOLDER, CALIBRATIONS = "detectors", "calibrations"


def open_detector(name: str | Path, *, device: str = "auto") -> Detector:
    """A detector ready to score.

    Args:
        name: one of `names.KNOWN`; a trained detector's folder; a `detector-*.pt` file; a two-label
            classifier on the hub, `owner/model`. A name of KNOWN means that detector; write
            `./name` for a folder or file that is called like one.
        device: where its model computes: `cpu`, `cuda`, or `auto`, which takes a GPU where there is
            one.

    Raises:
        CheckpointError: none of these, or it cannot be loaded.
        ArtifactError: a download found the disk full.
        PlanError, SamplingError: as `chosen_device`.
        ProvenanceError: of `watermark@KEY`: no such key, or it has marked nothing.
    """
    name = str(name)
    device, parsed = chosen_device(device), parse_name(name)
    match parsed.kind:
        case "shipped" | "folder":
            return load_detector(parsed.place, device=device)
        case "zero-shot":
            from staged.detectors.kinds.zero_shot import load_zero_shot

            return load_zero_shot(parsed, device=device)
        case "watermark":
            from staged.detectors.kinds.marks import load_marks

            return load_marks(parsed)
        case "released":
            return _released(name, device)
        case "file":
            return _original(parsed.place, device)
        case "hub":
            return _on_hub(name, device)
    if is_written_as_path(name):
        raise CheckpointError(f"detector {name!r}: {why_not_there(name, known=KNOWN, files=True)}")
    raise CheckpointError(
        f"detector {name!r}: neither a known detector nor a folder or file; {nearest(name, KNOWN)}"
    )


def loader(name: str, *, device: str, engine: Engine) -> Callable[[], Detector]:
    """What gives a detector to whoever scores: opened now where this process does, else by each
    worker.

    Raises:
        StagedError: as `open_detector`, now or then.
    """
    if not engine.is_here:
        return partial(open_detector, name, device=device)
    detector = open_detector(name, device=device)
    return lambda: detector


def calibration_file(name: DetectorName) -> Path | None:
    """The calibration that comes with a detector, where one does: beside it, else its study's; of
    one that judges without its language model here, of that.
    """
    file = name.place / (CALIBRATION if reads_fully(name.place) else CALIBRATION_OF_WORDS)
    return file if file.is_file() else study_calibration(name.place)


def study_calibration(folder: Path) -> Path | None:
    """The calibration that a study made of the detector in this folder of the study, if any."""
    place = folder.resolve()
    for over in place.parents:
        if over.name == DETECTORS_FOLDER:
            file = over.parent / CALIBRATIONS / place.relative_to(over) / CALIBRATION
            if file.is_file():
                return file
    return None


def reads_fully(folder: Path) -> bool:
    """Whether all readers of a detector's folder can read here; one of several may lack its
    language model.
    """
    from staged.detectors.kinds.readers.numbers import scorer_of

    scorer = scorer_of(folder)
    return scorer is None or is_at_hand(scorer)


def _released(name: str, device: str) -> Detector:
    from staged.detectors.kinds.released import load_released

    short = next((short for short, repository in HUB.items() if repository == name), name)
    return load_released(short).to(device)


def _original(path: Path, device: str) -> Detector:
    if path.suffix != ".pt":
        raise CheckpointError(
            f"{path}: not a detector; give a detector's folder, or a detector-*.pt file"
        )
    from staged.detectors.kinds.released import load_original

    return load_original(path).to(device)


def _on_hub(name: str, device: str) -> Detector:
    from staged.detectors.kinds.roberta import load_roberta
    from staged.model.sources.repositories import check_hub_sums, hub_folder

    folder = hub_folder(name)
    check_hub_sums(folder)
    return load_roberta(str(folder), device=device)


def load_detector(folder: str | Path, *, bulk: bool = False, device: str = "cpu") -> Trained:
    """A trained detector from its folder; `open_detector` takes names as well.

    Args:
        bulk: for thousands of texts: an encoder in bfloat16 where the processor has it, see
            `RobertaDetector`.
        device: where its model computes, `cpu` or `cuda`.

    Raises:
        CheckpointError: not a detector's folder, or damaged.
    """
    folder = Path(folder)
    if (folder / "readers.json").is_file():
        from staged.detectors.kinds.readers.detector import load_readers

        return load_readers(folder, device=device)
    if (folder / "ensemble.json").is_file():
        from staged.detectors.kinds.ensemble import load_ensemble

        return load_ensemble(folder, device=device)
    if (folder / "evidence.json").is_file():
        from staged.detectors.kinds.evidence import load_evidence

        return load_evidence(folder, device=device)
    if (folder / "detector.json").is_file():
        from staged.detectors.kinds.tfidf import load_tfidf

        return load_tfidf(folder)
    if (folder / "config.json").is_file():
        from staged.detectors.kinds.roberta import load_roberta

        dtype = best_dtype(device) if bulk else torch.float32
        return load_roberta(str(folder), dtype=dtype, device=device)
    raise CheckpointError(
        f"{folder}: not a detector's folder; it holds no readers.json, detector.json, config.json,"
        " evidence.json or ensemble.json"
    )
