"""Answers of an instruct model beside the human texts that they begin like: what
`bench/evidence.py` measures a detector on.

    python bench/instruct.py MODEL.gguf FILE.jsonl… [--count 30] [--out out/bench/instruct.jsonl]
    python bench/evidence.py out/bench/instruct.jsonl

FILE holds rows {"id", "label" (0 human), "domain", "text"}. The model (llama.cpp, extra `bench`) is
asked to write the beginning of the text that starts with a human text's first 25 words; the human
text is cut to the answer's number of words. A killed run continues.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path
from typing import Any

from tqdm import tqdm

from staged.records import HUMAN, MACHINE

ASK = (
    "Write the first 200 words of the {kind} that begins with these words, and nothing else:"
    " {start}"
)
KINDS = {"news": "news report", "wikipedia": "encyclopedia article"}  # by domain; else a text
AVOIDED = re.compile(  # subjects that a model had better not write on
    r"(?i)sex|abus|assault|rape|murder|kill|terror|extrem|attack|bomb|weapon|drug|nazi|racis|genocid|war\b|dead|death|porn|islam"
)
SAMPLING = {
    "temperature": 0.7,
    "top_p": 0.8,
    "top_k": 20,
    "repeat_penalty": 1.0,
    "max_tokens": 270,
    "seed": 1,
}
START_WORDS, SHORTEST = 25, 50


def human_rows(files: list[Path], count: int) -> list[dict[str, Any]]:
    """So many human texts of each file, at random, those on subjects to avoid left out."""
    found = []
    for file in files:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        mine = [row for row in rows if row["label"] == HUMAN and not AVOIDED.search(row["text"])]
        random.Random(1).shuffle(mine)
        found += mine[:count]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=30, help="human texts of each file")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/bench/instruct.jsonl"))
    options = parser.parse_args()
    import llama_cpp

    model = llama_cpp.Llama(
        str(options.model), n_ctx=1024, n_threads=options.threads, verbose=False
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines = options.out.read_text(encoding="utf-8").splitlines() if options.out.exists() else []
    rows = human_rows(options.files, options.count)
    for pair, row in enumerate(tqdm(rows, unit="answer")):
        if 2 * pair < len(lines):
            continue
        words = row["text"].split()
        ask = ASK.format(kind=KINDS.get(row["domain"], "text"), start=" ".join(words[:START_WORDS]))
        answer: Any = model.create_chat_completion([{"role": "user", "content": ask}], **SAMPLING)
        text = answer["choices"][0]["message"]["content"]
        both = {HUMAN: " ".join(words[: max(len(text.split()), SHORTEST)]), MACHINE: text}
        made = [
            {
                "id": f"{row['id']}-{label}",
                "label": label,
                "domain": row["domain"],
                "pair": pair,
                "text": both[label],
            }
            for label in both
        ]
        with open(options.out, "a", encoding="utf-8") as out:
            out.write("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in made))


if __name__ == "__main__":
    main()
