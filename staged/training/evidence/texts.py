"""All texts of a plan: gathered, read under a scorer, those of tests kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from staged.detectors.kinds.evidence import Matrix, one_line
from staged.detectors.normal.normalize import normalize
from staged.engines.choice import HERE, Engine
from staged.model.causal import CausalLM
from staged.progress import NamedProgress
from staged.records import MACHINE, Document
from staged.storage.writing import write_atomic
from staged.training.evidence.generated import build_machine, generator_of
from staged.training.evidence.passages import attacked, build_human, corpus_of, is_clean
from staged.training.evidence.plan import EvidenceSettings
from staged.training.features import Features, features_of

BLOCK = 128  # texts whose features are one file


def gather(
    folder: Path,
    settings: EvidenceSettings,
    *,
    device: str,
    engine: Engine = HERE,
    progress: NamedProgress,
) -> list[Document]:
    """All texts of the plan, with the human ones under its attacks."""
    human = build_human(folder / "human", settings)
    machine = build_machine(
        folder / "samples",
        human,
        settings,
        device=device,
        engine=engine,
        progress=lambda done, total: progress("samples", done, total),
    )
    return human + attacked(human, settings) + machine


def read_features(
    folder: Path,
    documents: Sequence[Document],
    scorer: str,
    most_tokens: int,
    load: Callable[[], CausalLM],
    *,
    progress: NamedProgress,
) -> Matrix:
    """(documents, features) under a scorer, of the texts as a detector reads them."""
    texts = [one_line(normalize(document.text).text) for document in documents]
    batches = [texts[start : start + BLOCK] for start in range(0, len(texts), BLOCK)]
    job = Features(batches, scorer, load, most_tokens)
    return features_of(folder, job, progress=partial(progress, "features"))


def keep_test(folder: Path, documents: Sequence[Document]) -> None:
    """The texts that neither trained nor calibrated, as corpora: `human/CORPUS.jsonl`,
    `machine/GENERATOR.jsonl`.
    """
    files: dict[Path, list[str]] = {}
    for document in documents:
        if document.split == "test" and (document.label == MACHINE or is_clean(document)):
            name = (
                Path("machine", generator_of(document))
                if document.label == MACHINE
                else Path("human", corpus_of(document))
            )
            row = json.dumps(
                {"text": document.text, "source": document.source, "label": document.label},
                ensure_ascii=False,
            )
            files.setdefault(folder / f"{name}.jsonl", []).append(row + "\n")
    for path, rows in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, "".join(rows).encode())
