"""Reads what language models are: results of `staged evaluate-lm`, and the `training.json` of a
model's folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from staged.errors import ArtifactError
from staged.notes import note
from staged.release.card.measured import Quality, Training
from staged.storage.forms import holds
from staged.storage.json_files import read_json
from staged.storage.placeless import place_name
from staged.storage.records import from_json, read_record

__all__ = ["TRAINING", "is_quality", "last_name", "read_quality", "read_training"]

TRAINING = "training.json"
STDIN, PIPED = "-", "standard input"
# the form of what `staged evaluate-lm --out` writes
is_quality = holds("model", "file", "documents", "nats_per_token", "bits_per_byte")


@dataclass(frozen=True)
class _Evaluated:
    """What a card takes of such a result."""

    model: str
    file: str
    documents: int
    tokens: int
    nats_per_token: float
    bits_per_byte: float
    bits_per_byte_low: float | None = None
    bits_per_byte_high: float | None = None
    perplexity_per_word: float | None = None
    documents_learned_from: int = 0


@dataclass(frozen=True)
class _Corpus:
    source: str


@dataclass(frozen=True)
class _Settings:
    corpus: _Corpus
    init: str = ""


@dataclass(frozen=True)
class _Passages:
    passages: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Trained:
    """What a card takes of `training.json`."""

    settings: _Settings
    steps: int
    tokens_seen: int
    parameters: int
    valid_loss_nats_per_token: float | None = None
    sources: tuple[str, ...] = ()
    corpus: _Passages = _Passages()


def last_name(place: str) -> str:
    """A model or a text given as a path, on the hub or at a server goes by its name, as in
    studies.
    """
    return Path(place_name(place)).name


def read_quality(path: Path) -> Quality:
    """One result of `staged evaluate-lm --out`; texts and models by their names.

    Raises:
        ArtifactError: missing, or no such result.
    """
    if not is_quality(path):
        raise ArtifactError(
            f"{path}: is no result of `staged evaluate-lm --out`; give one, or the folder of a"
            " finished study, probe or survey"
        )
    result = read_record(path, _Evaluated, again="run `staged evaluate-lm` again")
    values = vars(result) | {"model": last_name(result.model)}
    text = PIPED if values.pop("file") == STDIN else last_name(result.file)
    return Quality(id=f"quality/{values['model']}/{text}", text=text, **values)


def read_training(path: Path, model: str = "") -> Training | None:
    """A model's record of its training; None, with a note, where it is another program's.

    Args:
        path: of the file.
        model: the model's name; by default its folder's.

    Raises:
        ArtifactError: no JSON.
    """
    name = model or path.resolve().parent.name
    table = read_json(path)
    try:
        trained = from_json(_Trained, table, where=str(path))
    except ArtifactError:
        note(f"{path}: is no record of `staged train`, so the card does not show it")
        return None
    return Training(
        id=f"{name}/{TRAINING}",
        model=name,
        corpus=last_name(trained.settings.corpus.source),
        init=place_name(trained.settings.init) if trained.settings.init else "",
        passages=trained.corpus.passages.get("pretrain"),
        sources=len(trained.sources),
        steps=trained.steps,
        tokens_seen=trained.tokens_seen,
        parameters=trained.parameters,
        valid_loss_nats_per_token=trained.valid_loss_nats_per_token,
    )
