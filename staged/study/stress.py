"""A calibrated detector under RAID's attacks: how often it calls attacked human text machine-written, and machine text still.

    documents ─► attacked, read as the detector reads ─► scores (each distinct text once) ─► verdicts ─► a row a group

Thresholds are those of the calibration that the detector has, fitted on clean human text: nobody knows beforehand which attack will
come. Human text is attacked too, since honest text arrives misspelt, copied out of a PDF, or with another country's spelling.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from staged.artifacts import continued, digest, read_json, write_json
from staged.detectors.achieved import ALL, called, grouped
from staged.detectors.calibrate import Calibration, check_fpr
from staged.detectors.contract import Detector
from staged.detectors.evidence import EvidenceDetector, one_line
from staged.detectors.fitting import count_words, domain_of
from staged.detectors.normalize import normalize
from staged.errors import PlanError
from staged.records import HUMAN, MACHINE, Document
from staged.samples.streams import derive
from staged.study import metrics
from staged.study.attacks import ATTACKS, attack, check_attacks

CLEAN = "none"
AT_ONCE = 64  # texts whose scores are one file

Reading = tuple[str, bool]  # attack, normalised


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
        if min(self.most, self.seed) < 0:
            raise PlanError(f"the number of texts and the seed must be 0 or more, not {min(self.most, self.seed)}")


@dataclass(frozen=True, slots=True)
class Stressed:
    """One group of texts under one attack at one nominal rate; all rates are fractions in [0, 1].

    Attributes:
        written_by: `human` or `machine`.
        domain, length: the group, by the clean text; `all` where it spans them.
        attack: one of ATTACKS, or `none`.
        normalised: whether the detector read normalised texts, as `staged detect` does.
        fpr: the nominal false-positive rate.
        n: texts that could be called machine-written before the attack.
        abstained: texts that could not, being too short or of a length with too few calibration texts; not in n.
        changed: share of the n whose text the detector reads is not the clean one.
        rate: share of the n called machine-written: of human texts the false-positive rate, of machine texts the TPR.
        change: minus the same share without the attack, on the same texts.
        p, p_holm: exact McNemar against the clean texts, two-sided; corrected over the whole table. Only for groups of all lengths.

    `_low` and `_high` bound 95% intervals: Wilson's; for changes the paired normal one. None: no text in the group, or a clean row.
    """

    written_by: str
    domain: str
    length: str
    attack: str
    normalised: bool
    fpr: float
    n: int
    abstained: int
    changed: float | None = None
    rate: float | None = None
    rate_low: float | None = None
    rate_high: float | None = None
    change: float | None = None
    change_low: float | None = None
    change_high: float | None = None
    p: float | None = None
    p_holm: float | None = None


def stress(
    out: Path,
    detector: Detector,
    calibration: Calibration,
    human: Sequence[Document],
    machine: Sequence[Document],
    settings: StressSettings,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Measure, write `out`, a JSON file, and return what it holds; a killed run continues with what it has not scored.

    Args:
        human, machine: documents that did not train or calibrate the detector, read whole; machine may be empty.
        progress: called with (texts scored, all).

    Raises:
        PlanError: the settings.
        ArtifactError: the place cannot be written.
    """
    bare, sees = _undressed(detector)
    texts = [one for part in (human, machine) for one in chosen(part, settings)]
    read = {reading: [sees(text) for text in _under(texts, *reading, settings.seed)] for reading in _readings(settings)}
    wanted = {"detector": detector.name, "calibration": calibration.fingerprint}
    with continued(out, wanted, pieces="*.json") as folder:
        scores = _scored(folder, bare, list(dict.fromkeys(text for these in read.values() for text in these)), progress)
        rows = corrected(list(tabulate(texts, read, scores, calibration, settings.fprs)))
        found = wanted | {"settings": asdict(settings), "rows": [asdict(row) for row in rows]}
        write_json(out, found)
    return found


def _undressed(detector: Detector) -> tuple[Detector, Callable[[str], str]]:
    """A detector that doesn't normalise by itself, and what it makes of a text beside that."""
    if isinstance(detector, EvidenceDetector):
        return EvidenceDetector(detector.scorer, detector.weights, read=one_line), one_line
    return detector, str


def chosen(documents: Sequence[Document], settings: StressSettings) -> list[Document]:
    """At most `most` documents of each domain, in their order; a larger number takes these and others."""
    domains: dict[str, list[int]] = {}
    for i, one in enumerate(documents):
        domains.setdefault(domain_of(one), []).append(i)
    kept: set[int] = set()
    for domain, places in domains.items():
        random.Random(derive(settings.seed, "stress", domain)).shuffle(places)
        kept |= set(places[: settings.most or None])
    return [one for i, one in enumerate(documents) if i in kept]


def _readings(settings: StressSettings) -> list[Reading]:
    ways = (True, False) if settings.without_normalisation else (True,)
    return [(name, normalised) for normalised in ways for name in (CLEAN, *settings.attacks)]


def _under(documents: Sequence[Document], name: str, normalised: bool, seed: int) -> list[str]:
    """The documents' texts under an attack."""
    texts = [one.text if name == CLEAN else attack(name, one.text, seed=seed, id=one.id) for one in documents]
    return [normalize(text).text for text in texts] if normalised else texts


def _scored(folder: Path, detector: Detector, texts: Sequence[str], progress: Callable[[int, int], None]) -> dict[str, float]:
    """The score of each text; a file in the folder for every `AT_ONCE` of them."""
    found: dict[str, float] = {}
    for start in range(0, len(texts), AT_ONCE):
        some = texts[start : start + AT_ONCE]
        file = folder / f"{digest(some)}.scores.json"
        if not file.is_file():
            write_json(file, detector.score(some))
        found |= dict(zip(some, read_json(file), strict=True))
        progress(len(found), len(texts))
    return found


def tabulate(
    documents: Sequence[Document],
    read: Mapping[Reading, Sequence[str]],
    scores: Mapping[str, float],
    calibration: Calibration,
    fprs: Sequence[float],
) -> Iterator[Stressed]:
    """Scores to rows, without Holm's correction.

    Args:
        read: attack and reading → what the detector read of each document.
        scores: of each of these texts.
    """
    for label, written_by in ((HUMAN, "human"), (MACHINE, "machine")):
        mine = [i for i, one in enumerate(documents) if one.label == label]
        for (name, normalised), texts in read.items():
            clean = read[CLEAN, normalised]
            groups = grouped(calibration, [(count_words(clean[i]), domain_of(documents[i])) for i in mine])
            for fpr in fprs:
                before, after = (
                    {i: called(calibration, scores[t[i]], count_words(t[i]), fpr) for i in mine} for t in (clean, texts)
                )
                for (domain, length), places in groups.items():
                    able = [mine[place] for place in places if before[mine[place]] is not None]
                    row = Stressed(written_by, domain, length, name, normalised, fpr, len(able), len(places) - len(able))
                    changed = sum(texts[i] != clean[i] for i in able)
                    yield _measured(row, changed, [bool(before[i]) for i in able], [bool(after[i]) for i in able])


def _measured(row: Stressed, changed: int, before: Sequence[bool], after: Sequence[bool]) -> Stressed:
    """The row with its rates."""
    if not row.n:
        return row
    found: dict[str, float] = {"changed": changed / row.n} | metrics.named("rate", metrics.rate(sum(after), row.n))
    if row.attack != CLEAN:
        only_after, only_before, p = metrics.mcnemar(after, before)
        found |= metrics.named("change", metrics.paired_difference(only_after, only_before, row.n))
        if row.length == ALL:
            found["p"] = p
    return replace(row, **found)  # type: ignore[arg-type]


def corrected(rows: Sequence[Stressed]) -> list[Stressed]:
    """The table with Holm's correction over all its tests."""
    adjusted = iter(metrics.holm([row.p for row in rows if row.p is not None]))
    return [row if row.p is None else replace(row, p_holm=next(adjusted)) for row in rows]
