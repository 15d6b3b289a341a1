"""The models of a study: that none has learned from what it is tested against, and what results
say of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from staged.corpus.build import CorpusSettings, split_documents
from staged.corpus.learned import model_learned, text_words_digest
from staged.errors import PlanError
from staged.model.causal import count_parameters, is_outside, load_shape
from staged.model.checkpoints import MINIS, model_folder, own_folder
from staged.model.formats.layouts import model_files, read_shape
from staged.model.sources.served import parse_served
from staged.storage.digests import sha256_file
from staged.storage.json_files import read_json
from staged.storage.records import LATER


def refuse_learned(models: Sequence[str], corpus: CorpusSettings) -> None:
    """Before the long work: no model, and no encoder of a detector, has learned from what it is
    tested against.

    Args:
        models: by name or folder; of one that is not on this machine nothing is known.

    Raises:
        PlanError: one learned from documents outside the corpus's `pretrain` split, wherever it
            found them.
    """
    documents = split_documents(corpus)
    # which tests lose: `drop_duplicates`
    again = {
        text_words_digest(document.text) for document in documents if document.split == "pretrain"
    }
    for name in (model for model in models if model.lower() in MINIS or own_folder(model)):
        learned = model_learned(model_folder(name))
        known = learned.among(documents, corpus.source) if learned else []
        seen = list(
            dict.fromkeys(
                document.source
                for document in known
                if text_words_digest(document.text) not in again
            )
        )
        if seen:
            raise PlanError(
                f"study: model {name!r} learned from {len(seen)} sources that this plan tests"
                f" against, such as {seen[0]!r}; use the corpus shares and seed it was trained"
                " with, or text that it has not seen"
            )


GIVEN, SERVED = "texts that were given", "behind a server"  # a model's origin


def short_name(model: str) -> str:
    """What a study calls a model of its plan: a folder by its name, a server's by the model's."""
    served = parse_served(model)
    return Path(served.name if served else model).name


def folder_of(model: str) -> Path | None:
    """A model's folder; None of one behind a server.

    Raises:
        CheckpointError: as `model_folder`.
    """
    return None if parse_served(model) else model_folder(model)


@dataclass(frozen=True)
class ModelFacts:
    """A model that was studied; what cannot be known of it is None.

    Attributes:
        valid_loss_nats_per_token: held out; None where its folder does not say.
        files: name → SHA-256 of the files that were studied; None of a version that did not say.
        family: as transformers calls it; None of a GPT-2.
        origin: where its texts come from, if not from its weights.
    """

    name: str
    parameters: int | None
    layers: int | None
    width: int | None
    valid_loss_nats_per_token: float | None
    files: dict[str, str] | None = field(default=None, metadata=LATER)
    family: str | None = field(default=None, metadata=LATER)
    origin: str | None = field(default=None, metadata=LATER)


def model_facts(name: str, *, given: bool = False) -> ModelFacts:
    """What the report says of a model.

    Args:
        given: all its texts were given, so that it is known by name alone.
    """
    served = parse_served(name)
    if given or served:
        origin = GIVEN if given else f"{SERVED}, as {short_name(name)}"
        return ModelFacts(short_name(name), None, None, None, None, origin=origin)
    folder, shape = model_folder(name), load_shape(name)
    record = folder / "training.json"
    loss = read_json(record)["valid_loss_nats_per_token"] if record.is_file() else None
    files = {file: sha256_file(path) for file, path in model_files(folder).items()}
    sizes = count_parameters(name), shape.n_layer, shape.n_embd
    family = read_shape(folder)["model_type"] if is_outside(folder) else None
    return ModelFacts(Path(name).name, *sizes, loss, files, family)
