"""A calibration's file read back; one that is not what was written is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from staged.detectors.calibration.calibration import KIND, Calibration
from staged.detectors.coverage.reasons import Coverage
from staged.errors import ArtifactError
from staged.storage.json_files import read_json


def load_calibration(path: str | Path) -> Calibration:
    """Read what `Calibration.save` wrote.

    Raises:
        ArtifactError: missing, not a calibration, or not what was written (its fingerprint
            differs).
    """
    path = Path(path)
    try:
        return _calibration(read_json(path))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        fault = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ArtifactError(
            f"{path}: not a readable calibration: {fault}; run `staged calibrate` again"
        ) from None


def _calibration(facts: Any) -> Calibration:
    """The calibration of a file's content.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is none, or its fingerprint differs.
    """
    if facts["kind"] != KIND:
        raise ValueError(f"it is of kind {facts['kind']!r}")
    edges = tuple(map(int, facts["edges_words"]))
    if not edges or list(edges) != sorted(edges):
        raise ValueError("its lengths are not in order")
    human, machine = (_scores(facts[name], len(edges)) for name in ("human", "machine"))
    covers = facts.get("covers")
    by_kind = facts.get("by_kind", {}).items()
    calibration = Calibration(
        detector=facts["detector"],
        edges_words=edges,
        human=human,
        machine=machine,
        domains=tuple(facts["domains"]),
        known_by=tuple(map(str, facts.get("known_by", ()))),
        covers=covers and _coverage(covers),
        by_kind={str(kind): _scores(bins, len(edges)) for kind, bins in by_kind},
    )
    if calibration.fingerprint != facts["fingerprint"]:
        raise ValueError("its content does not match its fingerprint")
    return calibration


def _coverage(covers: Any) -> Coverage:
    scripts, languages = (tuple(map(str, covers[name])) for name in ("scripts", "languages"))
    return Coverage(scripts, languages)


def _scores(by_bin: Any, bins: int) -> tuple[tuple[float, ...], ...]:
    """Scores by bin, as a file has them.

    Raises:
        ValueError: of another number of bins, or not in order.
    """
    scores = tuple(tuple(map(float, of_bin)) for of_bin in by_bin)
    if len(scores) != bins or any(list(of_bin) != sorted(of_bin) for of_bin in scores):
        raise ValueError("its scores are not in order")
    return scores
