"""What `staged detect` says of labelled sets: found and flagged by kind of text and generator.

    python bench/labelled.py FILE… [--detector NAME] [--most N] [--most-human N] [--least-words 100]
    [--careless] [--out FILE]

Files are .jsonl or .parquet with rows {"text", "label" (0 human, 1 machine)}, and where known
`domain` and `generator`. Of each file, domain and generator at most `--most` texts, by a fixed
draw. Of each: AUROC against the human texts of its file and domain, and the share that the shipped
calibration calls machine-written at 1% and 5%; of human texts the same share, and with `--careless`
that of the same texts misspelt and of their parts of 75 words. 95% intervals throughout.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from staged.attacks.kinds import attack
from staged.detectors.contract import Verdict
from staged.detectors.examiner import Examiner, segment_spans
from staged.detectors.normal.normalize import normalize
from staged.detectors.opening import open_examiner
from staged.files.texts import read_file
from staged.pages.figures import figure, percent
from staged.pages.markdown import table
from staged.records import HUMAN, count_words
from staged.stats.comparing import rate
from staged.stats.metrics import auroc
from staged.storage.json_files import write_json
from staged.streams import derive

RATES = (0.01, 0.05)
Key = tuple[str, str, str]  # file, domain, generator; the generator of a human text is empty


def texts_of(path: Path, *, least_words: int) -> Iterator[tuple[Key, str]]:
    for one in read_file(path):
        if count_words(one.text) >= least_words:
            label = one.row.get("label", HUMAN)
            generator = "" if label == HUMAN else str(one.row.get("generator") or "machine")
            yield (path.stem, str(one.row.get("domain") or "text"), generator), one.text


def gathered(
    files: Sequence[Path], *, most: int, most_human: int, least_words: int
) -> dict[Key, list[str]]:
    """At most `most` texts of each file, domain and generator."""
    found: dict[Key, list[str]] = {}
    for path in files:
        for key, text in texts_of(path, least_words=least_words):
            found.setdefault(key, []).append(text)
    for key, texts in found.items():
        order = np.random.default_rng(derive(1, *key)).permutation(len(texts))[
            : (most if key[2] else most_human or most) or None
        ]
        found[key] = [texts[i] for i in sorted(order)]
    return found


def judged(examiner: Examiner, texts: Sequence[str]) -> list[Verdict]:
    return [
        one
        for start in range(0, len(texts), 64)
        for one in examiner.examine([("", text) for text in texts[start : start + 64]])
    ]


def shares(verdicts: Sequence[Verdict], fpr: float) -> tuple[float, float, float]:
    """Called machine-written at this rate: a smaller p-value never turns a verdict back."""
    hits = sum(
        one.p_value is not None and one.p_value <= fpr and one.n_human >= 1 / fpr - 1
        for one in verdicts
    )
    return rate(hits, len(verdicts))


def careless(texts: Sequence[str]) -> dict[str, list[str]]:
    parts = [normalize(text).text for text in texts]
    return {
        "misspelt": [
            attack("misspelling", text, seed=1, id=str(i)) for i, text in enumerate(texts)
        ],
        "parts of 75 words": [text[a:b] for text in parts for a, b in segment_spans(text)],
    }


def measured(
    examiner: Examiner, texts: dict[Key, list[str]], *, with_careless: bool
) -> list[dict[str, Any]]:
    people: dict[tuple[str, str], list[float]] = {}
    rows = []
    for key in sorted(texts, key=lambda one: (one[0], one[1], one[2] != "", one[2])):
        verdicts = judged(examiner, texts[key])
        scores = [one.score for one in verdicts if one.score is not None]
        row: dict[str, Any] = dict(zip(("file", "domain", "generator"), key, strict=True)) | {
            "n": len(verdicts),
            "scored": len(scores),
        }
        row |= {f"called_{fpr:g}": shares(verdicts, fpr) for fpr in RATES}
        if key[2]:
            against = people.get(key[:2], [])
            row["auroc"] = auroc(against, scores) if against and scores else None
        else:
            people[key[:2]] = scores
            copies = careless(texts[key]) if with_careless else {}
            row |= {name: shares(judged(examiner, some), RATES[0]) for name, some in copies.items()}
        row["asked"] = sum(
            one.opinions[-1].log_odds is not None for one in verdicts if one.opinions
        )
        rows.append(row)
        Console().print(f"{' '.join(key)}: {len(verdicts)}", style="dim")
    return rows


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--detector", default="evidence")
    parser.add_argument(
        "--most", type=int, default=0, help="texts of each file, domain and generator; 0 for all"
    )
    parser.add_argument(
        "--most-human", type=int, default=0, help="likewise of human texts; 0 as --most"
    )
    parser.add_argument("--least-words", type=int, default=100)
    parser.add_argument("--careless", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("out/bench/labelled.json"))
    given = parser.parse_args(argv)
    examiner = open_examiner(given.detector, device="cpu")
    texts = gathered(
        given.files, most=given.most, most_human=given.most_human, least_words=given.least_words
    )
    rows = measured(examiner, texts, with_careless=given.careless)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        given.out,
        {
            "detector": given.detector,
            "least_words": given.least_words,
            "most": given.most,
            "rows": rows,
        },
    )
    Console().print("\n".join(tables(rows)), soft_wrap=True)


def tables(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: machine texts found, human texts flagged, both in %."""
    machine = [
        (
            row["file"],
            row["domain"],
            row["generator"],
            row["n"],
            figure(*(row["auroc"] or (None,) * 3), form=".3f"),
            *_called(row),
        )
        for row in rows
        if row["generator"]
    ]
    extra = [name for name in ("misspelt", "parts of 75 words") if any(name in row for row in rows)]
    human = [
        (
            row["file"],
            row["domain"],
            row["n"],
            *_called(row),
            *(percent(*row[name]) for name in extra),
        )
        for row in rows
        if not row["generator"]
    ]
    found = table(("set", "kind", "generator", "n", "AUROC", "found at 1%", "at 5%"), machine)
    return [*found, "", *table(("set", "kind", "n", "flagged at 1%", "at 5%", *extra), human)]


def _called(row: dict[str, Any]) -> list[str]:
    return [percent(*row[f"called_{fpr:g}"]) for fpr in RATES]


if __name__ == "__main__":
    main()
