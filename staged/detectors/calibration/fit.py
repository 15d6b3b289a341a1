"""From human texts to a calibration: cut to every length, split by source, scored, fitted on one
part, measured on the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from staged.corpus.learned import read_learned
from staged.detectors.calibration.calibration import (
    EDGES_WORDS,
    FORM,
    Calibration,
    check_fpr,
    fit_calibration,
)
from staged.detectors.calibration.error_rates import Achieved, achieved_rates, expected_fpr
from staged.detectors.calibration.parts import cut_up, domain_of, parted
from staged.detectors.calibration.scoring import Scoring, in_batches
from staged.detectors.contract import Detector
from staged.detectors.coverage.reasons import comparable_words, coverage_of
from staged.detectors.names import parse_name
from staged.engines.blocks import block_values
from staged.engines.choice import HERE, Engine
from staged.errors import CorpusError, PlanError
from staged.notes import note
from staged.progress import Progress, silent
from staged.records import Document
from staged.storage.json_files import read_json

NAMED = 3  # of the texts that are refused


@dataclass(frozen=True)
class Fitted:
    """A calibration, the rate it was made for, and what it achieved on texts that it never saw."""

    calibration: Calibration
    fpr: float
    achieved: tuple[Achieved, ...]

    def to_json(self) -> dict[str, Any]:
        """Thresholds by length and achieved rates, JSON values; what was not measured, or cannot
        be, is null.
        """
        calibration = self.calibration
        lengths = [
            _length(calibration, index, self.fpr) for index in range(len(calibration.edges_words))
        ]
        facts = {
            "detector": calibration.detector,
            "fpr": self.fpr,
            "domains": list(calibration.domains),
            "fingerprint": calibration.fingerprint,
        }
        return facts | {"lengths": lengths, "achieved": [asdict(rate) for rate in self.achieved]}


def _length(calibration: Calibration, index: int, fpr: float) -> dict[str, Any]:
    n = len(calibration.human[index])
    rate = expected_fpr(n, fpr)
    mean, low, high = rate or (None, None, None)
    facts = {
        "length": calibration.bin_name(index),
        "n_human": n,
        "n_machine": len(calibration.machine[index]),
    }
    return facts | {
        "threshold": calibration.threshold(index, fpr) if rate else None,
        "rate": mean,
        "rate_low": low,
        "rate_high": high,
    }


def calibrate(
    out: Path,
    name: str,
    load: Callable[[], Detector],
    human: Sequence[Document],
    *,
    fpr: float,
    identity: Mapping[str, Any],
    machine: Sequence[Document] = (),
    held_out: Sequence[Document] | None = None,
    seed: int = 1,
    edges_words: Sequence[int] = EDGES_WORDS,
    known_by: Sequence[str] = (),
    engine: Engine = HERE,
    progress: Progress = silent,
) -> Fitted:
    """Fit a calibration on human documents, measure it on others, and write it; a killed run
    continues with what it has not scored.

    Documents are cut by `passages`; of equal texts the first one counts. Without `held_out`, 30% of
    the human text is held out; a source never straddles the two.

    Args:
        out: the file to write.
        name: the detector's, as `open_detector` takes it.
        load: opens it, here or in a worker.
        human, machine, held_out: documents that did not train the detector.
        fpr: the false-positive rate to measure at; the calibration itself serves any.
        identity: what scores depend on, JSON values (`identity.scored_by`); what another detector
            scored is not continued.
        seed: of the split, and of the lengths and places of passages.
        edges_words: the shortest length of each bin.
        known_by: what the detector is beside its name (`identity.known_by`).
        engine: what computes.
        progress: called with (texts scored, all).

    Raises:
        PlanError: fpr is not in (0, 1) or seed below 0.
        CorpusError: a text that taught the detector; a single source and no `held_out`; a text that
            stands in two of the three; or no text is long enough.
        CheckpointError: a score is not finite.
        ArtifactError: the place cannot be written.
    """
    check_options(fpr, seed)
    refuse_taught(name, [*human, *(held_out or ())])
    refuse_taught(name, machine, what="machine-written")
    parts = parted(human, machine, held_out, seed=seed)
    people, machines, unseen = cut_up(parts, seed=seed, edges_words=edges_words)
    texts = [document.text for document in (*people, *machines, *unseen)]
    job = Scoring(in_batches(texts), load)
    with block_values(
        out,
        identity,
        job,
        pieces="*.json",
        form=FORM,
        engine=engine,
        progress=job.in_texts(progress),
    ) as values:
        scores = job.scores(values)
        calibration = _fitted(
            name, people, machines, scores, edges_words=edges_words, known_by=known_by
        )
        calibration.save(out)
    rates = achieved_rates(calibration, _rows(unseen, scores), fpr)
    return Fitted(calibration, fpr, tuple(rates))


def _fitted(
    name: str,
    people: Sequence[Document],
    machines: Sequence[Document],
    scores: Mapping[str, float],
    *,
    edges_words: Sequence[int],
    known_by: Sequence[str],
) -> Calibration:
    rows = _rows(people, scores)
    return fit_calibration(
        name,
        [(score, words) for score, words, _ in rows],
        [(score, words) for score, words, _ in _rows(machines, scores)],
        domains=[domain for _, _, domain in rows],
        edges_words=edges_words,
        known_by=known_by,
        covers=coverage_of([document.text for document in people]),
    )


def _rows(
    documents: Sequence[Document], scores: Mapping[str, float]
) -> list[tuple[float, int, str]]:
    """(score, words, domain) of each."""
    return [
        (scores[document.text], comparable_words(document.text), domain_of(document))
        for document in documents
    ]


def refuse_taught(
    detector: str, documents: Sequence[Document], *, or_chose: bool = False, what: str = "human"
) -> None:
    """Refuse texts that the detector learned from, as far as its folder says: on them its scores
    are none of new texts.

    Args:
        detector: as `open_detector` takes it.
        or_chose: also those that only chose its epoch or a setting, as they may calibrate it.
        what: the texts are, for the sentence of the error.

    Raises:
        CorpusError: there are some.
    """
    learned = read_learned(parse_name(detector).place)
    if learned and not or_chose:
        learned = learned.taught
    if taught := learned.among(documents) if learned else []:
        names = ", ".join(document.id for document in taught[:NAMED])
        more = " …" if len(taught) > NAMED else ""
        raise CorpusError(
            f"{len(taught):,} of the {what} texts taught the detector {detector!r}: {names}{more};"
            " leave these out"
        )


def note_taught_corpora(detector: str, corpora: Sequence[str | None]) -> None:
    """Say it where a corpus is one that the detector's plan names as its teacher: which of its
    texts taught it may not be known.
    """
    facts = parse_name(detector).place / "facts.json"
    plan = read_json(facts).get("settings", {}) if facts.is_file() else {}
    for corpus in {name for name in corpora if name and name in plan.get("human", ())}:
        note(
            f"{corpus}: a part of it taught the detector {detector!r}, so rates measured on it say"
            " little of other text"
        )


def check_options(fpr: float, seed: int) -> None:
    """Refuse what `calibrate` cannot work with, before anything is loaded.

    Raises:
        PlanError: fpr is not in (0, 1) or seed below 0.
    """
    check_fpr(fpr)
    if seed < 0:
        raise PlanError(f"the seed must be 0 or more, not {seed}")
