"""Human and machine texts that others have published, as rows that `bench/evidence.py` measures a
detector on.

    git clone https://github.com/baoguangsheng/fast-detect-gpt
    git clone https://github.com/Weixin-Liang/ChatGPT-Detector-Bias
    git clone https://github.com/scrosseye/ELLIPSE-Corpus        # then unpack its test set, the
                                                                 password stands in its README
    python bench/published.py fast-detect-gpt ChatGPT-Detector-Bias ELLIPSE-Corpus [--count 100]
    [--essays 300] python bench/evidence.py out/published/*.jsonl

Of Fast-DetectGPT (Bao et al. 2024) each `*.raw_data.json` becomes one file: so many pairs of a
human text and what a model wrote from its beginning, at random. Of "GPT detectors are biased
against non-native English writers" (Liang et al. 2023) each folder with a `data.json` becomes one:
essays and abstracts by people, by GPT-3.5 and GPT-4, and people's texts that GPT-4 rewrote, which
count as machine-written here. Of ELLIPSE (Crossley et al. 2023), essays of pupils who learn
English, so many at random, each with its grade for proficiency, 1 to 5. For measuring only: the
texts belong to their authors.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from staged.records import HUMAN, MACHINE

PAIRS, ESSAYS, LEARNERS = ".raw_data.json", "data.json", "ELLIPSE_Final_github_test.csv"


def pairs(file: Path, count: int) -> Iterator[dict[str, Any]]:
    """Rows of so many pairs of one of Fast-DetectGPT's files."""
    both = json.loads(file.read_text(encoding="utf-8"))
    chosen = random.Random(1).sample(
        range(len(both["original"])), min(count, len(both["original"]))
    )
    for pair in sorted(chosen):
        for label, texts in ((HUMAN, both["original"]), (MACHINE, both["sampled"])):
            yield {"label": label, "pair": pair, "text": texts[pair]}


def essays(file: Path) -> Iterator[dict[str, Any]]:
    """Rows of one folder of Liang et al.; people's texts lie under `Human_Data`, those that GPT-4
    rewrote beside them.
    """
    human = file.parent.parent.name == "Human_Data" and "real" in file.parent.name
    for pair, row in enumerate(json.loads(file.read_text(encoding="utf-8"))):
        yield {"label": HUMAN if human else MACHINE, "pair": pair, "text": row["document"]}


def learners(file: Path, count: int) -> Iterator[dict[str, Any]]:
    """Rows of so many of ELLIPSE's essays."""
    rows = list(
        csv.DictReader(
            io.StringIO(file.read_text(encoding="utf-8-sig", errors="replace"), newline="")
        )
    )
    for pair in sorted(random.Random(1).sample(range(len(rows)), min(count, len(rows)))):
        yield {
            "label": HUMAN,
            "pair": pair,
            "overall": float(rows[pair]["Overall"]),
            "text": rows[pair]["full_text"],
        }


def rows_of(file: Path, options: argparse.Namespace) -> tuple[str, Iterator[dict[str, Any]]]:
    """(name, rows) of one of the published files."""
    if file.name.endswith(PAIRS):
        return file.name.removesuffix(PAIRS), pairs(file, options.count)
    return (
        ("ELLIPSE", learners(file, options.essays))
        if file.name == LEARNERS
        else (file.parent.name, essays(file))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folders", type=Path, nargs="+", help="clones of these repositories, or one of them"
    )
    parser.add_argument(
        "--count", type=int, default=100, help="pairs of each of Fast-DetectGPT's files"
    )
    parser.add_argument("--essays", type=int, default=300, help="essays of ELLIPSE")
    parser.add_argument("--out", type=Path, default=Path("out/published"))
    options = parser.parse_args()
    kinds = (PAIRS, ESSAYS, LEARNERS)
    files = sorted(
        file
        for folder in options.folders
        for file in folder.rglob("*.*")
        if file.name.endswith(kinds)
    )
    if not files:
        parser.error(
            f"no *{PAIRS}, {ESSAYS} or {LEARNERS} under {', '.join(map(str, options.folders))};"
            " clone the repositories first"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    for file in tqdm(files, unit="file"):
        name, rows = rows_of(file, options)
        lines = [
            json.dumps({"id": f"{name}-{row['pair']}-{row['label']}"} | row, ensure_ascii=False)
            + "\n"
            for row in rows
        ]
        (options.out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
