"""Verbs about a text in hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from staged.engines.choice import HERE, Engine
from staged.progress import Progress, silent
from staged.verbs.given import named_texts, names_of

if TYPE_CHECKING:  # what only a checker reads: `import staged` loads no model's library
    from staged.detectors.contract import Verdict
    from staged.detectors.examiner import Examiner
    from staged.provenance.examination import Examination
    from staged.provenance.report import ReportVerdict

__all__ = ["check_report", "detect", "detect_files", "open_examiner", "verify_texts"]


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


def detect_files(
    places: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    detector: str | Path = "evidence",
    fpr: float = 0.01,
    calibration: str | Path | None = None,
    kind: str = "",
    segments: bool = False,
    device: str = "auto",
    engine: Engine = HERE,
    progress: Progress = silent,
) -> Path:
    """Verdicts of any number of texts into a file, by one process or many; a killed call continues.

    Args:
        places: files of any kind, folders, files of rows, as `staged detect` reads them.
        out: a .jsonl or .parquet file, a row a text in the order of the texts.
        detector, …, device: as `detect` takes them.
        engine: what computes.
        progress: called with (texts judged, all).

    Returns:
        The file.

    Raises:
        CorpusError: a text that cannot be read; all are looked at before the first is judged.
        CheckpointError, PlanError: as `detect`; another ending of `out`.
        ArtifactError: `out` cannot be written, or is not ours to replace.
        ShardDone: the engine does a share of the texts, and the file is another's to write.

    Example:
        >>> import staged
        >>> from pathlib import Path
        >>> _ = Path("rows.jsonl").write_text('{"id": "a", "text": "Too short."}')
        >>> staged.detect_files("rows.jsonl", "scores.parquet", detector="lrr@mini-s").name
        'scores.parquet'
    """
    from staged.detectors.bulk.blocks import write_verdicts
    from staged.detectors.bulk.columns import holds_verdicts
    from staged.detectors.bulk.inputs import look_at
    from staged.detectors.opening import ExaminerSettings
    from staged.files.places import refuse_to_replace
    from staged.places.mirror import place

    names, file = names_of(places), place(out)
    refuse_to_replace(file, *names, passed_over=holds_verdicts)
    settings = ExaminerSettings(str(detector), fpr, calibration, kind, device)
    texts = look_at(names, out=file)
    write_verdicts(file, texts, settings, segments=segments, engine=engine, progress=progress)
    return file


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


def verify_texts(
    places: str | Path | Sequence[str | Path],
    *,
    keys: Sequence[str] = (),
    model: str = "",
    trust: Sequence[str | Path] = (),
    revoked: str | Path | None = None,
    manifest: str | Path | None = None,
    detector: str = "evidence",
    level: float = 0.01,
    device: str = "auto",
) -> Iterator[Examination]:
    """Where texts come from: the signature of each, its watermark and its content, what each says,
    and one conclusion.

    Args:
        places: files of any kind, folders, files of rows; `-` is standard input.
        keys: ids of the keys whose marks are looked for; by default all of your own.
        model: whose tokenizer reads, for keys that have marked nothing here.
        trust: PEM files of certificates that you trust; those of your own keys are.
        revoked: a file of certificates that count no more, a SHA-256 fingerprint a line, and why.
        manifest: of the one file that is given; by default FILE.c2pa beside each.
        detector: as `detect` takes it; empty asks none.
        level: the share of texts without a mark that may be called marked, and of human texts that
            may be called machine-written, in (0, 1).
        device: where the detector computes.

    Returns:
        An examination a text, in order, each when it is asked for.

    Raises:
        CorpusError: nothing at a place.
        CheckpointError, PlanError, ProvenanceError: the detector, the level, a key, a certificate.

    Example:
        >>> import staged
        >>> from pathlib import Path
        >>> _ = Path("note.txt").write_text("The boat came in.")
        >>> [examination] = staged.verify_texts("note.txt", detector="")
        >>> examination.conclusion
        'no evidence'
    """
    from staged.errors import PlanError
    from staged.provenance.opened import opened_places
    from staged.provenance.reading import trust_of_all
    from staged.provenance.verify import open_verifier

    given = [places] if isinstance(places, str | Path) else list(places)
    if manifest and (len(given) != 1 or Path(given[0]).is_dir()):
        raise PlanError("verify: --manifest is one file's; give that file alone")
    beside = Path(manifest) if manifest else None
    opened = list(opened_places(map(str, given), beside))
    verifier = open_verifier(
        keys=keys,
        model=model,
        trust=trust_of_all(trust, revoked),
        detector=detector,
        level=level,
        device=device,
    )
    return verifier.verify(opened)


def check_report(
    file: str | Path, *, trust: Sequence[str | Path] = (), revoked: str | Path | None = None
) -> ReportVerdict:
    """Whether a signed report of `staged verify`, or of the page, is as it was signed, and by whom.

    Args:
        file: the report.
        trust, revoked: as `verify_texts` takes them.

    Raises:
        CorpusError: it cannot be read.
        ProvenanceError: a certificate that is none.
    """
    import datetime

    from staged.provenance import report
    from staged.provenance.reading import read_file, trust_of_all

    now = datetime.datetime.now(datetime.UTC)
    return report.check_report(read_file(Path(file)), trust_of_all(trust, revoked), now)
