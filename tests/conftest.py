"""Small things that many tests stand on: a corpus of made-up prose, tiny random models."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from staged.model.bpe import BPE, train_bpe
from staged.model.checkpoints import save_model
from staged.model.gpt2.config import GPT2Config
from staged.model.gpt2.model import GPT2, initialise

if TYPE_CHECKING:
    from tests.samples.completions_server import CompletionsServer

os.environ["OMP_NUM_THREADS"] = (
    "1"  # of the processes that tests start: two test workers share two cores
)
torch.set_num_threads(1)

NOUNS = [
    "river",
    "harbour",
    "engine",
    "garden",
    "letter",
    "winter",
    "market",
    "ladder",
    "bridge",
    "window",
    "captain",
    "orchard",
]
VERBS = [
    "crosses",
    "follows",
    "keeps",
    "measures",
    "opens",
    "repairs",
    "carries",
    "remembers",
    "paints",
    "counts",
]
PLACES = [
    "by the old mill",
    "near the station",
    "under a grey sky",
    "before noon",
    "on the second day",
    "without a word",
]


def prose(seed: int, sentences: int) -> str:
    """Grammatical, harmless, and different for every seed."""
    stream = random.Random(seed)
    lines = []
    for i in range(sentences):
        a, b = stream.sample(NOUNS, 2)
        lines.append(
            f"The {a} {stream.choice(VERBS)} the {b} {stream.choice(PLACES)},"
            f" {stream.randint(2, 99)} times."
        )
        lines.append("\n\n" if i % 5 == 4 else " ")
    return "".join(lines).strip()


def put_json(path: Path, value: Any) -> None:
    """JSON as a test finds or changes it: no gate has a say."""
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def toml(settings: Any) -> str:
    """The file of a plan, a dataclass of settings: its plain keys, then a table for each
    dictionary.
    """
    rows, tables = [], []
    for key, value in asdict(settings).items():
        if isinstance(value, dict):
            tables += [
                f"[{key}]",
                *(f"{json.dumps(name)} = {json.dumps(one)}" for name, one in value.items()),
            ]
        else:
            rows.append(f"{key} = {json.dumps(value)}")
    return "\n".join(rows + tables)


@pytest.fixture(scope="session", autouse=True)
def _forked_workers() -> Iterator[None]:
    """Studies in this process do not wait for what their workers import."""
    from tests.studies.commands import fork_workers

    with pytest.MonkeyPatch.context() as patch:
        fork_workers(patch)
        yield


@pytest.fixture(scope="session")
def bpe() -> BPE:
    return train_bpe([prose(seed, 40) for seed in range(20)], 384)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, bpe: BPE) -> Path:
    """A random GPT-2 of about 40,000 parameters, saved in float32."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model = GPT2(GPT2Config(n_vocab=bpe.n_vocab, n_ctx=128, n_embd=32, n_head=2, n_layer=2))
    initialise(model, torch.Generator().manual_seed(7))
    with torch.no_grad():
        for weight in (
            model.parameters()
        ):  # away from the near-uniform start, so that tests can see differences
            weight.mul_(6 if weight.dim() > 1 else 1)
    save_model(folder, model, bpe, dtype=torch.float32)
    return folder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory, bpe: BPE) -> Path:
    """A random RoBERTa of the smallest kind, as the masked objective would save it."""
    from staged.model.training.encoder import encoder_tokenizer, new_encoder

    folder = tmp_path_factory.mktemp("models") / "tiny-encoder"
    tokenizer = encoder_tokenizer(bpe, 66)
    torch.manual_seed(3)
    new_encoder(tokenizer, width=32, heads=2, layers=1, n_ctx=66).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def human_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty text files of made-up prose."""
    folder = tmp_path_factory.mktemp("human")
    for seed in range(40):
        (folder / f"{seed:02d}.txt").write_text(prose(1000 + seed, 60), encoding="utf-8")
    return folder


def plug(monkeypatch: pytest.MonkeyPatch, name: str, make: Callable[[], Any]) -> None:
    """Let a detector's name mean what `make` gives; other names mean what they did."""
    from staged.detectors import catalog

    opened = catalog.open_detector

    def open_detector(given: str, *, device: str = "auto") -> Any:
        return make() if given == name else opened(given, device=device)

    for module in ("catalog", "opening"):
        monkeypatch.setattr(f"staged.detectors.{module}.open_detector", open_detector)


@pytest.fixture
def completions_server(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CompletionsServer]:
    """A server that lets the tiny model write, as `completions_server.model`; who asks it wastes no
    time between two tries.
    """
    from tests.samples.completions_server import CompletionsServer, ask_again_at_once

    ask_again_at_once(monkeypatch)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with CompletionsServer(tiny) as server:
        yield server
