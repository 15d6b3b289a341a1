"""Human and machine texts that others have published, as rows that `bench/evidence.py` measures a detector on.

    git clone https://github.com/baoguangsheng/fast-detect-gpt
    git clone https://github.com/Weixin-Liang/ChatGPT-Detector-Bias
    python bench/published.py fast-detect-gpt ChatGPT-Detector-Bias [--count 100] [--out out/published]
    python bench/evidence.py out/published/*.jsonl

Of Fast-DetectGPT (Bao et al. 2024) each `*.raw_data.json` becomes one file: so many pairs of a human text and what a model wrote
from its beginning, at random. Of "GPT detectors are biased against non-native English writers" (Liang et al. 2023) each folder
with a `data.json` becomes one: essays and abstracts by people, by GPT-3.5 and GPT-4, and people's texts that GPT-4 rewrote, which
count as machine-written here. For measuring only: the texts belong to their authors.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from staged.records import HUMAN, MACHINE

PAIRS, ESSAYS = ".raw_data.json", "data.json"


def pairs(file: Path, count: int) -> Iterator[dict[str, Any]]:
    """Rows of so many pairs of one of Fast-DetectGPT's files."""
    both = json.loads(file.read_text(encoding="utf-8"))
    chosen = random.Random(1).sample(range(len(both["original"])), min(count, len(both["original"])))
    for pair in sorted(chosen):
        for label, texts in ((HUMAN, both["original"]), (MACHINE, both["sampled"])):
            yield {"label": label, "pair": pair, "text": texts[pair]}


def essays(file: Path) -> Iterator[dict[str, Any]]:
    """Rows of one folder of Liang et al.; people's texts lie under `Human_Data`, those that GPT-4 rewrote beside them."""
    human = file.parent.parent.name == "Human_Data" and "real" in file.parent.name
    for pair, row in enumerate(json.loads(file.read_text(encoding="utf-8"))):
        yield {"label": HUMAN if human else MACHINE, "pair": pair, "text": row["document"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="clones of the two repositories, or one of them")
    parser.add_argument("--count", type=int, default=100, help="pairs of each of Fast-DetectGPT's files")
    parser.add_argument("--out", type=Path, default=Path("out/published"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    files = sorted(file for folder in options.folders for file in folder.rglob("*.json") if file.name.endswith((PAIRS, ESSAYS)))
    if not files:
        parser.error(f"no *{PAIRS} and no {ESSAYS} under {', '.join(map(str, options.folders))}; clone the repositories first")
    for file in tqdm(files, unit="file"):
        paired = file.name.endswith(PAIRS)
        name = file.name.removesuffix(PAIRS) if paired else file.parent.name
        rows = pairs(file, options.count) if paired else essays(file)
        lines = [json.dumps({"id": f"{name}-{row['pair']}-{row['label']}"} | row, ensure_ascii=False) + "\n" for row in rows]
        (options.out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
