"""A plan at tiny size: two labelled sets and a corpus of people, a tiny encoder, a tiny language
model.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from staged.training.readers import generated
from staged.training.readers.encoder import EncoderSettings
from staged.training.readers.plan import LexicalSettings, ReadersSettings
from tests.conftest import NOUNS, prose
from tests.detectors.kinds.tiny import write_tiny_bert


def rows(seed: int, domain: str) -> list[dict[str, object]]:
    """Human prose, and machine prose that knows one noun only; each machine text begins with three
    words of a person's.
    """
    found: list[dict[str, object]] = []
    for i in range(16):
        text = prose(seed + i, 8)
        found.append(
            {"text": text, "label": 0, "domain": domain, "generator": "human", "pair": f"{i}"}
        )
        machine = "Three foreign words " + re.sub(
            "|".join(NOUNS), "harbour", prose(seed + 50 + i, 8)
        )
        facts = {"generator": "bot", "sampling": "nucleus", "pair": f"{i}", "prefix_words": 3}
        found.append({"text": machine, "label": 1, "domain": domain} | facts)
    return found


@pytest.fixture
def settings(
    tiny: Path, human_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ReadersSettings:
    monkeypatch.setattr(generated, "SHORTEST", 1)  # a random model puts few spaces
    sets = tmp_path / "sets"
    sets.mkdir()
    for name, seed, domain in (("train-one", 100, "essay"), ("two", 300, "review")):
        (sets / f"{name}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows(seed, domain)), encoding="utf-8"
        )
    return ReadersSettings(
        labelled=(str(sets / "train-one.jsonl"), str(sets / "two.jsonl")),
        human=(str(human_folder),),
        machines={"*/* bot nucleus": 1.0, "* temperature-1": 0.5},
        people={"*/*": 1.0, "*": 0.5},
        folds={"one/*": 0, human_folder.name: 0, "two/*": 1},
        kinds={"one/*": "essay", "two/*": "review"},
        generators={f"{tiny} temperature-1": 6},
        prompts={human_folder.name: 1.0},
        encoder=EncoderSettings(
            base=str(write_tiny_bert(tmp_path / "bert", 64)),
            steps=4,
            batch_tokens=600,
            max_tokens=64,
        ),
        lexical=LexicalSettings(batches=4),
        fold_steps=2,
        words=(20, 40),
        judged=12,
        judged_words=(20, 40),
        edges_words=(10, 30),
        scorer=str(tiny),
        most_tokens=64,
        name="mine",
    )
