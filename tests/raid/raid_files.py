"""A made-up file in RAID's format: 5 columns of labels, human and machine texts of the same
sources, attacked and not.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Sequence
from pathlib import Path

NAMES = [
    "id",
    "adv_source_id",
    "source_id",
    "model",
    "decoding",
    "repetition_penalty",
    "attack",
    "domain",
    "title",
    "prompt",
]
NAMES += ["generation"]


def raid_rows(
    sources: int = 60, seed: int = 1, text: Callable[[str, int], str] | None = None
) -> list[dict[str, str]]:
    """Per domain so many sources, each a human text and four machine ones, all of them also
    attacked; the text names the score.
    """
    stream, rows = random.Random(seed), []
    for domain, shift in (("news", 0.0), ("poetry", 1.5)):
        for i in range(sources):
            source = f"{domain}-{i}"
            for model, decoding, penalty in [("human", "", "")] + [
                (model, decoding, "no" if decoding == "greedy" else "yes")
                for model in ("gpt2", "mpt")
                for decoding in ("greedy", "sampling")
            ]:
                for attack in ("none", "homoglyph"):
                    score = stream.gauss(shift, 1) + (
                        0 if model == "human" else 2.5 if model == "gpt2" else 1
                    )
                    score = round(
                        score - (0.7 if attack != "none" else 0), 1
                    )  # rounded, so that there are ties
                    identity = f"{source}-{model}-{decoding}-{attack}"
                    said = text(model, len(rows)) if text else f"text, with a\nbreak, “{i}” {score}"
                    row = [
                        identity,
                        identity,
                        source,
                        model,
                        decoding,
                        penalty,
                        attack,
                        domain,
                        "t",
                        "p",
                        said,
                    ]
                    rows.append(dict(zip(NAMES, row, strict=True)))
    return rows


def write_csv(path: Path, rows: Sequence[dict[str, str]], leave_out: Sequence[str] = ()) -> Path:
    names = [name for name in NAMES if name not in leave_out]
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def score_of(text: str) -> float:
    """What the stub detector says: the text's last word."""
    return float(text.rsplit(" ", 1)[1])


class Stub:
    """A detector whose scores are known; it can fail at its n-th call, as a killed one would."""

    name = "stub"

    def __init__(self, fail_at: int = -1) -> None:
        self.fail_at, self.calls, self.seen = fail_at, 0, 0

    def score(self, texts: Sequence[str]) -> list[float]:
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        self.calls, self.seen = self.calls + 1, self.seen + len(texts)
        return [score_of(text) for text in texts]
