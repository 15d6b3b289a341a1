"""Verbs about how often a detector is wrong: calibrate it, attack its texts, measure it
on labelled ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from staged.engines.choice import HERE, Engine
from staged.errors import CheckpointError
from staged.progress import Progress, silent
from staged.records import MACHINE, Document
from staged.verbs.given import path_of
from staged.verbs.texts import open_examiner

if TYPE_CHECKING:  # what only a checker reads: `import staged` loads no model's library
    from staged.attacks.stress import StressReport
    from staged.detectors.calibration.calibration import Calibration
    from staged.detectors.calibration.exact import ExactTest
    from staged.detectors.calibration.fit import Fitted
    from staged.detectors.calibration.key_rates import KeyRates
    from staged.detectors.examiner import Examiner
    from staged.detectors.names import DetectorName
    from staged.raid.results import RaidResult, RaidScores
    from staged.raid.settings import RaidSettings

__all__ = ["calibrate", "calibrate_watermark", "evaluate_raid", "stress"]


def calibrate(
    human: str | Path,
    *,
    detector: str | Path = "evidence",
    fpr: float = 0.01,
    machine: str | Path | None = None,
    held_out: str | Path | None = None,
    out: str | Path = "calibration.json",
    literal: bool = False,
    seed: int = 1,
    device: str = "auto",
    engine: Engine = HERE,
    progress: Progress = silent,
) -> Fitted:
    """Fit a detector's p-values on human texts, and measure the false-positive rate on others. A
    killed call continues with the texts that it has not scored.

    Args:
        human: a file or folder (docs/formats.md) of texts that taught the detector nothing.
        fpr: the rate to report on, in (0, 1); the calibration serves any.
        machine: machine-written text, which sharpens the verdict `human-like`.
        held_out: human text to measure the achieved rate on; else 30% of `human`, by whole sources.
        out: the file to write, which `detect` takes as its calibration.
        literal: `<|endoftext|>` in a file is a part of its text; else it separates texts.
        seed: of the split, and of the lengths and places of passages.
        engine: what computes.

    Raises:
        CorpusError: no text is long enough, or a text stands where it may not.
        CheckpointError: no such detector, or a score that is not finite.
        PlanError, ArtifactError: fpr or seed out of range; `out` is read here, or not writable.

    Example:
        >>> import staged
        >>> fitted = staged.calibrate("essays", fpr=0.02, out="essays.json")  # doctest: +SKIP
    """
    from staged.detectors.calibration import fit
    from staged.detectors.catalog import loader
    from staged.detectors.identity import known_by, scored_by
    from staged.detectors.names import parse_name
    from staged.model.devices import chosen_device
    from staged.places.mirror import place

    fit.check_options(fpr, seed)
    name = parse_name(str(detector))
    people, machines = _read(out, human, machine, held_out, literal=literal)
    others = _people(held_out, literal) if held_out is not None else None
    fit.note_taught_corpora(name.given, (str(human), str(held_out or "")))
    device = chosen_device(device)
    return fit.calibrate(
        place(out),
        name.given,
        loader(name.given, device=device, engine=engine),
        people,
        fpr=fpr,
        identity=scored_by(name, device),
        machine=machines,
        held_out=others,
        seed=seed,
        edges_words=_edges_words(name),
        known_by=known_by(name),
        engine=engine,
        progress=progress,
    )


def calibrate_watermark(
    key: str,
    human: str | Path,
    *,
    fpr: float = 0.01,
    out: str | Path | None = None,
    literal: bool = False,
    progress: Progress = silent,
) -> KeyRates:
    """How often a key calls human texts marked: its own false-positive rate, for each scheme and
    tokenizer that it has marked with.

    Args:
        key: its id.
        human: a file or folder (docs/formats.md) of texts that nobody marked.
        fpr: a rate to report on beside 0.01 and 0.001, in (0, 1).
        out: a JSON file to write.
        literal: as `calibrate` takes it.

    Raises:
        ProvenanceError: no such key, or it has marked nothing.
        CorpusError: no text, or none with enough tokens.
        PlanError, ArtifactError: fpr out of range; `out` is read here, or not writable.

    Example:
        >>> import staged
        >>> rates = staged.calibrate_watermark("alpha", "essays")  # doctest: +SKIP
        >>> [(rate.scheme, rate.level, rate.rate) for rate in rates.rates]  # doctest: +SKIP
    """
    from staged.detectors.calibration.calibration import check_fpr
    from staged.detectors.calibration.key_rates import LEVELS, key_rates
    from staged.files.places import refuse_to_replace
    from staged.places.files import sent
    from staged.places.mirror import place
    from staged.watermarks.candidates import candidates_of

    check_fpr(fpr)
    refuse_to_replace(path_of(out), str(human))
    candidates = candidates_of([key])
    levels = sorted({*LEVELS, fpr}, reverse=True)
    rates = key_rates(key, candidates, _people(human, literal), levels=levels, progress=progress)
    if out is not None:
        with sent(place(out)):
            rates.save(place(out))
    return rates


def _edges_words(name: DetectorName) -> tuple[int, ...]:
    """The lengths of the detector's own calibration, where it has one."""
    from staged.detectors.calibration.calibration import EDGES_WORDS
    from staged.detectors.calibration.calibration_file import load_calibration
    from staged.detectors.catalog import calibration_file

    file = calibration_file(name)
    return load_calibration(file).edges_words if file else EDGES_WORDS


def _read(
    out: str | Path,
    human: str | Path,
    machine: str | Path | None,
    *places: str | Path | None,
    literal: bool,
) -> tuple[list[Document], list[Document]]:
    """Human and machine texts; `out` may not be one of the places that are read."""
    from staged.corpus.files import read_corpus
    from staged.files.places import refuse_to_replace

    read = [str(place) for place in (human, machine, *places) if place is not None]
    refuse_to_replace(Path(out), *read)
    people = _people(human, literal)
    return people, read_corpus(str(machine), label=MACHINE, literal=literal) if machine else []


def _people(human: str | Path, literal: bool) -> list[Document]:
    from staged.corpus.files import read_corpus

    return read_corpus(str(human), generated=False, literal=literal)


def stress(
    human: str | Path,
    *,
    machine: str | Path | None = None,
    attacks: Sequence[str] = (),
    fprs: Sequence[float] = (0.01, 0.05),
    detector: str | Path = "evidence",
    calibration: str | Path | None = None,
    most: int = 200,
    without_normalisation: bool = False,
    literal: bool = False,
    seed: int = 1,
    out: str | Path = "stress.json",
    device: str = "auto",
    engine: Engine = HERE,
    progress: Progress = silent,
) -> StressReport:
    """How often a detector accuses human text that went through an attack, and how much machine
    text it still finds. A killed call continues.

    Args:
        human, machine: files or folders of texts that did not calibrate the detector.
        attacks: names of RAID's; all by default.
        fprs: nominal false-positive rates, each in (0, 1).
        detector, calibration, device: as `detect` takes them.
        most: texts of each domain, chosen at random; 0 takes all.
        without_normalisation: also as it would be if texts were not normalised first.
        literal, seed: as `calibrate` takes them; the seed also of the attacks.
        engine: what computes.
        out: the file to write.

    Raises:
        CheckpointError: no such detector, or one without a calibration.
        CorpusError: a text that taught the detector, or that stands in both corpora.
        PlanError, ArtifactError: no such attack or rate; `out` is read here, or not writable.

    Example:
        >>> import staged
        >>> report = staged.stress("essays", attacks=["homoglyph"], most=50)  # doctest: +SKIP
        >>> [(row.attack, row.rate) for row in report.rows]  # doctest: +SKIP
    """
    from staged.attacks.kinds import ATTACKS
    from staged.attacks.stress import StressSettings
    from staged.attacks.stress import stress as measure
    from staged.detectors.calibration.fit import note_taught_corpora, refuse_taught
    from staged.detectors.catalog import open_detector
    from staged.model.devices import chosen_device
    from staged.places.mirror import place

    detector, names = str(detector), tuple(attacks or ATTACKS)
    settings = StressSettings(names, tuple(fprs), most, without_normalisation, seed)
    people, machines = _read(out, human, machine, calibration, literal=literal)
    refuse_taught(detector, people, or_chose=True)
    note_taught_corpora(detector, (str(human),))
    examiner = open_examiner(detector, fpr=settings.fprs[0], calibration=calibration, device=device)
    return measure(
        place(out),
        examiner.detector,
        _calibration_of(examiner),
        people,
        machines,
        settings,
        identity=examiner.identity,
        load=partial(open_detector, detector, device=chosen_device(device)),
        engine=engine,
        progress=progress,
    )


def _calibration_of(examiner: Examiner) -> Calibration | ExactTest:
    if examiner.calibration is None:
        raise CheckpointError(
            f"detector {examiner.name!r}: has no calibration to judge by; make one with `staged"
            " calibrate`"
        )
    return examiner.calibration


def evaluate_raid(
    file: str | Path,
    *,
    detector: str | Path = "",
    predictions: str | Path | None = None,
    settings: RaidSettings | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    engine: Engine = HERE,
    progress: Progress = silent,
) -> RaidResult | RaidScores:
    """Measure a detector on texts of which is known who wrote them: RAID's files, or a user's own
    with a column `label`.

    Args:
        file: .csv, .jsonl or .parquet.
        detector, predictions: one of them: who scores, as `detect` takes it, or a file of scores.
        settings: rates, and which texts choose thresholds; by default as `RaidSettings()`.
        out: a folder that receives evaluation.json, predictions.json and raid_results.json; a
            killed call then continues.
        engine: what computes; where that is not this process, `out` is needed.
        progress: called with (texts scored, all).

    Returns:
        What was measured, field for field as docs/raid.md lists it; of a file without labels
        `RaidScores`.

    Raises:
        CorpusError: the file or the predictions.
        PlanError: the settings.
        CheckpointError: the detector.
        ArtifactError: `out` cannot be written.

    Example:
        >>> import staged
        >>> result = staged.evaluate_raid("mine.jsonl", detector="evidence")  # doctest: +SKIP
        >>> if isinstance(result, staged.RaidResult):  # doctest: +SKIP
        ...     print(result.cells[0].auroc.value)
    """
    from staged.raid import evaluate
    from staged.raid.settings import RaidSettings

    return evaluate.evaluate_raid(
        Path(file),
        settings or RaidSettings(),
        detector=str(detector),
        predicted=path_of(predictions),
        out=path_of(out),
        device=device,
        engine=engine,
        progress=progress,
    )
