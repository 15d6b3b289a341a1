"""From human texts to a calibration: cut to every length, split by source, scored, fitted on one
part, measured on the other.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from staged.corpus.learned import read_learned
from staged.corpus.passages import cut, word_counts
from staged.corpus.splits import assign
from staged.detectors.calibration.calibration import (
    EDGES_WORDS,
    FORM,
    PLAIN_DOMAIN,
    Calibration,
    check_fpr,
    fit_calibration,
)
from staged.detectors.calibration.error_rates import Achieved, achieved_rates, promised
from staged.detectors.calibration.scoring import in_batches, scored
from staged.detectors.contract import Detector
from staged.detectors.coverage.reasons import comparable_words, coverage_of, is_unspaced
from staged.detectors.names import parse_name
from staged.detectors.normal.normalize import normalize
from staged.errors import CorpusError, PlanError
from staged.notes import note
from staged.progress import Progress, silent
from staged.records import Document
from staged.storage.json_files import read_json
from staged.storage.pieces import continued

HELD_OUT = 0.3  # share of the human text, by characters, that a calibration is measured on
SHORTEST_BUDGET = 1.25  # times a bin's shortest length: room for whole sentences
ROW = re.compile(r"(.+):\d+(?:#\d+)*")  # the id of a file's row, or of a passage of it
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
        mine = self.calibration
        lengths = [_length(mine, index, self.fpr) for index in range(len(mine.edges_words))]
        facts = {
            "detector": mine.detector,
            "fpr": self.fpr,
            "domains": list(mine.domains),
            "fingerprint": mine.fingerprint,
        }
        return facts | {"lengths": lengths, "achieved": [asdict(one) for one in self.achieved]}


def _length(calibration: Calibration, index: int, fpr: float) -> dict[str, Any]:
    n = len(calibration.human[index])
    rate = promised(n, fpr)
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
    detector: Detector,
    human: Sequence[Document],
    *,
    fpr: float,
    identity: Mapping[str, Any],
    machine: Sequence[Document] = (),
    held_out: Sequence[Document] | None = None,
    seed: int = 1,
    edges_words: Sequence[int] = EDGES_WORDS,
    known_by: Sequence[str] = (),
    progress: Progress = silent,
) -> Fitted:
    """Fit a calibration on human documents, measure it on others, and write it; a killed run
    continues with what it has not scored.

    Documents are cut by `passages`; of equal texts the first one counts. Without `held_out`, 30% of
    the human text is held out; a source never straddles the two.

    Args:
        out: the file to write.
        name: the detector's, as `open_detector` takes it.
        human, machine, held_out: documents that did not train the detector.
        fpr: the false-positive rate to measure at; the calibration itself serves any.
        identity: what scores depend on, JSON values (`identity.scored_by`); what another detector
            scored is not continued.
        seed: of the split, and of the lengths and places of passages.
        edges_words: the shortest length of each bin.
        known_by: what the detector is beside its name (`identity.known_by`).
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
    human, machine = _distinct(human), _distinct(machine)
    held_out = None if held_out is None else _distinct(held_out)
    people = [*human, *(held_out or ())]
    refuse_shared(
        people,
        machine,
        "machine-written texts are among the human ones; a text is one or the other",
    )
    if held_out is None:
        if len({one.source for one in human}) == 1:
            raise CorpusError(
                "the human text has a single source, so none can be held out; give more, or"
                " --held-out other human text"
            )
        part = assign(human, {"valid": 1 - HELD_OUT, "test": HELD_OUT}, seed=seed)
        human, held_out = (
            [one for one in human if part[one.source] == split] for split in ("valid", "test")
        )
    else:
        refuse_shared(
            human, held_out, "held-out texts are among the human texts to fit on; hold out others"
        )
    parts = [
        [passage for one in part for passage in passages(one, seed=seed, edges_words=edges_words)]
        for part in (human, machine, held_out)
    ]
    if not parts[0]:
        spaces = (
            "; in scripts without spaces words do not say how long a text is"
            if any(is_unspaced(one.text) for one in human)
            else ""
        )
        raise CorpusError(
            f"no human text to calibrate on has {edges_words[0]} words; give longer ones{spaces}"
        )
    texts = [[normalize(one.text).text for one in part] for part in parts]
    with continued(out, identity, pieces="*.json", form=FORM) as folder:
        scores = scored(
            folder, detector, in_batches([text for part in texts for text in part]), progress
        )
        fit_on, fit_machine, measured = (
            [
                (scores[text], comparable_words(text), domain_of(one))
                for text, one in zip(*both, strict=True)
            ]
            for both in zip(texts, parts, strict=True)
        )
        calibration = fit_calibration(
            name,
            [(score, words) for score, words, _ in fit_on],
            [(score, words) for score, words, _ in fit_machine],
            domains=[domain for _, _, domain in fit_on],
            edges_words=edges_words,
            known_by=known_by,
            covers=coverage_of(texts[0]),
        )
        calibration.save(out)
    return Fitted(calibration, fpr, tuple(achieved_rates(calibration, measured, fpr)))


def refuse_taught(detector: str, human: Sequence[Document]) -> None:
    """Refuse human texts that the detector learned from, as far as its folder says: on them its
    scores are none of new texts.

    Args:
        detector: as `open_detector` takes it.

    Raises:
        CorpusError: there are some.
    """
    learned = read_learned(parse_name(detector).place)
    if taught := learned.among(human) if learned else []:
        some = ", ".join(one.id for one in taught[:NAMED]) + (" …" if len(taught) > NAMED else "")
        raise CorpusError(
            f"{len(taught):,} of the human texts taught the detector {detector!r}: {some}; leave"
            " these out"
        )


def note_taught_corpora(detector: str, corpora: Sequence[str | None]) -> None:
    """Say it where a corpus is one that the detector's plan names as its teacher: which of its
    texts taught it may not be known.
    """
    facts = parse_name(detector).place / "facts.json"
    plan = read_json(facts).get("settings", {}) if facts.is_file() else {}
    for one in {one for one in corpora if one and one in plan.get("human", ())}:
        note(
            f"{one}: a part of it taught the detector {detector!r}, so rates measured on it say"
            " little of other text"
        )


def _distinct(documents: Sequence[Document]) -> list[Document]:
    """Of equal texts the first."""
    found: dict[str, Document] = {}
    for one in documents:
        found.setdefault(one.text, one)
    return list(found.values())


def refuse_shared(those: Sequence[Document], others: Sequence[Document], said: str) -> None:
    """Refuse texts that stand in both.

    Raises:
        CorpusError: there are some; `said` goes on behind their number.
    """
    if both := {one.text for one in those} & {one.text for one in others}:
        raise CorpusError(f"{len(both):,} of the {said}")


def check_options(fpr: float, seed: int) -> None:
    """Refuse what `calibrate` cannot work with, before anything is loaded.

    Raises:
        PlanError: fpr is not in (0, 1) or seed below 0.
    """
    check_fpr(fpr)
    if seed < 0:
        raise PlanError(f"the seed must be 0 or more, not {seed}")


def passages(
    document: Document, *, seed: int, edges_words: Sequence[int] = EDGES_WORDS
) -> list[Document]:
    """A document at every length it has: at most one text a bin.

    In its own bin a document stands whole (beyond twice the last edge, as a passage of up to that);
    in each shorter one as a passage of whole sentences, of random length and from a random place.
    Passages of different bins may overlap: they are never compared with each other.
    """
    words = comparable_words(document.text)
    texts = []
    for low, high in pairwise((*edges_words, 2 * edges_words[-1] + 1)):
        if low <= words < high:
            texts.append(document)
        elif words >= high:
            stream = random.Random(f"{seed} {low} {document.id}")
            found = cut(
                document,
                word_counts,
                budget=stream.randint(min(int(low * SHORTEST_BUDGET), high - 1), high - 1),
                minimum=low,
            )
            texts += [stream.choice(found)] if found else []
    return texts


def domain_of(document: Document) -> str:
    """What a document is grouped by: the folder it lies in below the corpus's own, or the .jsonl or
    .parquet file; else `text`.
    """
    row = ROW.fullmatch(document.id)
    path = PurePosixPath(row[1] if row else document.id)
    if len(path.parts) > 1:
        return path.parts[0]
    return path.stem if row else PLAIN_DOMAIN
