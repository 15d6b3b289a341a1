"""How well a detector like `evidence` and each of its single scores find machine text that nobody
here wrote.

    python bench/evidence.py FILE.jsonl… [--score NAME] [--detector NAME] [--device cuda] [--out
    out/bench/evidence.json]

Rows are {"id", "label" (0 human, 1 machine), "pair", "text"}. Per file: AUROC; TPR at 1% and 5% FPR
with thresholds from the human texts of every other pair, reported on the rest, and the FPR achieved
there; and what the shipped calibration, which never saw such texts, calls machine-written of human
and of machine texts with as many words as it asks for. All with 95% intervals.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from staged.detectors.calibration.calibration import Calibration
from staged.detectors.calibration.calibration_file import load_calibration
from staged.detectors.calibration.error_rates import is_called_machine
from staged.detectors.catalog import calibration_file, open_detector
from staged.detectors.kinds.ensemble import Ensemble
from staged.detectors.kinds.evidence import EvidenceDetector, scored_features
from staged.detectors.kinds.features import FEATURES, SMOOTHER
from staged.detectors.names import parse_name
from staged.detectors.normal.normalize import normalize
from staged.pages.figures import figure, percent
from staged.records import HUMAN, MACHINE
from staged.stats.comparing import rate
from staged.stats.metrics import auroc
from staged.stats.thresholds import threshold_at_fpr
from staged.storage.json_files import write_json

RATES = (0.01, 0.05)
LOW_IS_MACHINE = (
    "entropy",
    "variance",
    "z-spread",
    "surprise-q0.5",
    "surprise-inside",
)  # of those that `SMOOTHER` does not turn


def columns(detector: EvidenceDetector | Ensemble, texts: Sequence[str]) -> dict[str, np.ndarray]:
    """The detector's scores, and those of every feature or member, machine-high as in the
    papers.
    """
    if isinstance(detector, Ensemble):
        members = {one.name: columns(one, texts)[one.name] for one in detector.members}
        return {detector.name: detector.pooled(list(members.values())), **members}
    features = scored_features(
        detector.scorer, [normalize(text).text for text in texts], most_tokens=detector.most_tokens
    )
    found = {detector.name: detector.weights.log_odds(features)}
    for name, column in zip(FEATURES, features.T, strict=True):
        sign = SMOOTHER.get(name, -1 if name in LOW_IS_MACHINE else 1)
        found[f"{'−' if sign < 0 else ''}{name}"] = sign * column
    return found


def measured(scores: np.ndarray, labels: np.ndarray, pairs: np.ndarray) -> dict[str, Any]:
    """AUROC, and TPR and FPR on odd pairs at thresholds from even ones."""
    human, machine = labels == HUMAN, labels == MACHINE
    row: dict[str, Any] = {"n_human": int(human.sum()), "n_machine": int(machine.sum())}
    row["auroc"] = auroc(scores[human].tolist(), scores[machine].tolist())
    odd = pairs % 2 == 1
    for fpr in RATES:
        cut = threshold_at_fpr(scores[human & ~odd].tolist(), fpr)
        for name, those in (("tpr", machine & odd), ("fpr", human & odd)):
            row[f"{name}@{fpr:g}"] = rate(int((scores[those] > cut).sum()), int(those.sum()))
    return row


def by_calibration(
    calibration: Calibration, scores: np.ndarray, words: Sequence[int], labels: np.ndarray
) -> dict[str, Any]:
    """What the shipped calibration calls machine-written, at each rate, of those texts that are
    long enough for a verdict.
    """
    row: dict[str, Any] = {}
    for label, kind, name in ((HUMAN, "human", "fpr"), (MACHINE, "machine", "tpr")):
        mine = [
            (float(s), w) for s, w, one in zip(scores, words, labels, strict=True) if one == label
        ]
        for fpr in RATES:
            able = [
                hit
                for hit in (is_called_machine(calibration, *one, fpr) for one in mine)
                if hit is not None
            ]
            row |= {f"n_{kind}": len(mine), f"judged_{kind}": len(able)}
            row[f"{name}@{fpr:g}"] = rate(sum(able), len(able)) if able else None
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument(
        "--score",
        action="append",
        help="only this score; may be given several times; all by default",
    )
    parser.add_argument(
        "--detector",
        default="evidence-2026-11",
        help="evidence, or another former one, or a folder",
    )
    parser.add_argument("--out", type=Path, default=Path("out/bench/evidence.json"))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()
    detector, beside = (
        open_detector(options.detector, device=options.device),
        calibration_file(parse_name(options.detector)),
    )
    assert isinstance(detector, EvidenceDetector | Ensemble)
    assert beside, f"{options.detector}: has no calibration beside it"
    calibration = load_calibration(beside)
    results: list[dict[str, Any]] = []
    for file in options.files:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        labels, pairs = (
            np.asarray([row["label"] for row in rows]),
            np.asarray([row["pair"] for row in rows]),
        )
        found = columns(detector, [row["text"] for row in rows])
        words = [len(row["text"].split()) for row in rows]
        table = Table(
            "score",
            "AUROC",
            *(f"{kind} at {100 * fpr:g}%" for fpr in RATES for kind in ("TPR", "FPR")),
            title=file.name,
        )
        for name, scores in found.items():
            if len(set(labels)) == 2 and name in (options.score or found):
                row = measured(scores, labels, pairs)
                results.append({"file": file.name, "score": name} | row)
                table.add_row(name, figure(*row["auroc"], form=".3f"), *_cells(row))
        row, name = (
            by_calibration(calibration, found[detector.name], words, labels),
            f"{detector.name}, shipped calibration",
        )
        results.append({"file": file.name, "score": name} | row)
        table.add_row(name, "", *_cells(row))
        Console(width=150).print(table)
        judged = f"long enough for a verdict: {row['judged_human']} and {row['judged_machine']}"
        print(
            f"n = {row['n_human']} human + {row['n_machine']} machine texts, {judged}; thresholds"
            " from half the pairs"
        )
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_json(options.out, results)


def _cells(row: dict[str, Any]) -> list[str]:
    shares = [row[f"{kind}@{fpr:g}"] for fpr in RATES for kind in ("tpr", "fpr")]
    return ["–" if one is None else percent(*one) for one in shares]


if __name__ == "__main__":
    main()
