"""A calibrated detector under RAID's attacks: how often it calls attacked human text
machine-written, and machine text still.

    documents ─► attacked, read as the detector reads ─► scores (each distinct text
    once) ─► verdicts ─► a row a group

Thresholds are those of the calibration that the detector has, fitted on clean human text: nobody
knows beforehand which attack will come. Human text is attacked too, since honest text arrives
misspelt, copied out of a PDF, or with another country's spelling.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from staged.attacks.kinds import ATTACKS, check_attacks
from staged.attacks.rates import CLEAN, AttackedAs, AttackRate, corrected, measured, under
from staged.detectors.calibration.calibration import Calibration, check_fpr
from staged.detectors.calibration.error_rates import ALL, grouped, is_called_machine
from staged.detectors.calibration.exact import ExactTest
from staged.detectors.calibration.parts import domain_of, refuse_shared
from staged.detectors.calibration.scoring import AT_ONCE, Scoring, in_batches
from staged.detectors.contract import Detector
from staged.detectors.coverage.reasons import comparable_words
from staged.detectors.kinds.ensemble import Ensemble
from staged.detectors.kinds.evidence import EvidenceDetector, one_line
from staged.detectors.kinds.readers.detector import ReadersDetector
from staged.engines.blocks import block_values
from staged.engines.choice import HERE, Engine
from staged.errors import PlanError
from staged.progress import Progress, silent
from staged.records import LABELS, Document
from staged.settings import check_listed
from staged.storage.forms import has_keys
from staged.storage.json_files import write_json
from staged.streams import derive


@dataclass(frozen=True)
class StressSettings:
    """What is measured.

    Attributes:
        attacks: names of ATTACKS.
        fprs: nominal false-positive rates, each in (0, 1).
        most: texts of each domain, human and machine; a random choice where there are more. 0: all.
        without_normalisation: also as the detector would read without normalisation.
        seed: of the choice and of the attacks.
    """

    attacks: tuple[str, ...] = tuple(ATTACKS)
    fprs: tuple[float, ...] = (0.01, 0.05)
    most: int = 0
    without_normalisation: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        check_attacks(self.attacks)
        for fpr in self.fprs:
            check_fpr(fpr)
        check_listed(self.fprs, where="stress: false-positive rates")
        if min(self.most, self.seed) < 0:
            raise PlanError(
                "the number of texts and the seed must be 0 or more, not"
                f" {min(self.most, self.seed)}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stressed(AttackRate):
    """A row of texts that could be called machine-written before the attack; tests are of groups of
    all lengths only.

    Attributes:
        domain, length: the group, by the clean text; `all` where it spans them.
        abstained: texts that could not, being too short or of a length with too few calibration
            texts; not in n.
    """

    domain: str
    length: str
    abstained: int


@dataclass(frozen=True)
class StressReport:
    """What was measured of a detector under attack.

    Attributes:
        identity: the detector, its files and its calibration, JSON values.
        rows: a row a group of texts, attack and nominal rate.
    """

    identity: Mapping[str, Any]
    settings: StressSettings
    rows: tuple[Stressed, ...]

    def to_json(self) -> dict[str, Any]:
        """As the file holds it."""
        rows = [asdict(row) for row in self.rows]
        return dict(self.identity) | {"settings": asdict(self.settings), "rows": rows}


def stress(
    out: Path,
    detector: Detector,
    calibration: Calibration | ExactTest,
    human: Sequence[Document],
    machine: Sequence[Document],
    settings: StressSettings,
    *,
    identity: Mapping[str, Any],
    load: Callable[[], Detector] | None = None,
    engine: Engine = HERE,
    progress: Progress = silent,
) -> StressReport:
    """Measure, and write `out`, a JSON file; a killed run continues with what it has not scored.

    Args:
        human, machine: documents that did not train or calibrate the detector, read whole; machine
            may be empty.
        identity: what scores and verdicts depend on, JSON values (`Examiner.identity`); what
            another scored is not continued.
        load: opens the detector in a worker, where the engine has some.
        engine: what computes.
        progress: called with (texts scored, all).

    Raises:
        CorpusError: a text is among the human ones and the machine ones.
        ArtifactError: the place cannot be written.
    """
    refuse_shared(
        human, machine, "machine-written texts are among the human ones; a text is one or the other"
    )
    # texts that it cannot tell apart are one
    sees = one_line if isinstance(detector, EvidenceDetector | Ensemble) else str
    documents = [document for part in (human, machine) for document in chosen(part, settings)]
    read = {
        reading: [sees(text) for text in under(documents, reading, seed=settings.seed)]
        for reading in _readings(settings)
    }
    batches = in_batches([text for texts in read.values() for text in texts])
    job = Scoring(batches, load or (lambda: detector))
    head = dict(identity) | {"settings": asdict(settings)}
    with block_values(
        out,
        identity,
        job,
        pieces="*.json",
        form=has_keys(head | {"rows": []}),
        engine=engine,
        make=job.by(detector),
        progress=job.in_texts(progress),
    ) as values:
        scores = job.scores(values)
        kinds = kinds_of(detector, list(scores))
        rows = corrected(
            list(tabulate(documents, read, scores, calibration, settings.fprs, kinds=kinds))
        )
        report = StressReport(identity, settings, tuple(rows))
        write_json(out, report.to_json())
    return report


def kinds_of(detector: Detector, texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The kinds of text that each of normalised texts may be of; none of a detector that does not
    tell them.
    """
    if not isinstance(detector, ReadersDetector):
        return {}
    batches = (texts[start : start + AT_ONCE] for start in range(0, len(texts), AT_ONCE))
    return {
        text: kinds
        for batch in batches
        for text, kinds in zip(batch, detector.plausible_kinds(batch), strict=True)
    }


def chosen(documents: Sequence[Document], settings: StressSettings) -> list[Document]:
    """At most `most` documents of each domain, in their order; a larger `most` adds to these."""
    domains: dict[str, list[int]] = {}
    for i, document in enumerate(documents):
        domains.setdefault(domain_of(document), []).append(i)
    kept: set[int] = set()
    for domain, places in domains.items():
        random.Random(derive(settings.seed, "stress", domain)).shuffle(places)
        kept |= set(places[: settings.most or None])
    return [document for i, document in enumerate(documents) if i in kept]


def _readings(settings: StressSettings) -> list[AttackedAs]:
    ways = (True, False) if settings.without_normalisation else (True,)
    return [(name, normalised) for normalised in ways for name in (CLEAN, *settings.attacks)]


def tabulate(
    documents: Sequence[Document],
    read: Mapping[AttackedAs, Sequence[str]],
    scores: Mapping[str, float],
    calibration: Calibration | ExactTest,
    fprs: Sequence[float],
    *,
    kinds: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[Stressed]:
    """Scores to rows, without Holm's correction.

    Args:
        read: attack and reading → what the detector read of each document.
        scores: of each of these texts.
        kinds: of text that each may be of, where the detector tells.
    """

    def is_called(text: str, fpr: float) -> bool | None:
        of_kinds = (kinds or {}).get(text, ())
        words = comparable_words(text)
        return is_called_machine(calibration, scores[text], words, fpr, kinds=of_kinds)

    for label, written_by in LABELS.items():
        indices = [i for i, document in enumerate(documents) if document.label == label]
        for (name, normalised), texts in read.items():
            clean, head = read[CLEAN, normalised], (written_by, name, normalised)
            where = [(comparable_words(clean[i]), domain_of(documents[i])) for i in indices]
            groups = grouped(calibration, where)
            for fpr in fprs:
                before = {i: is_called(clean[i], fpr) for i in indices}
                after = {i: is_called(texts[i], fpr) for i in indices}
                for (domain, length), places in groups.items():
                    able = [i for i in map(indices.__getitem__, places) if before[i] is not None]
                    left = len(places) - len(able)
                    row = Stressed(*head, fpr, domain=domain, length=length, abstained=left)
                    changed = [texts[i] != clean[i] for i in able]
                    verdicts = ([bool(calls[i]) for i in able] for calls in (before, after))
                    yield measured(row, changed, *verdicts, tested=length == ALL)
