"""What a training run starts from: the model that it tunes, or a fresh one and its tokenizer."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from staged.errors import PlanError
from staged.model.bpe import BPE, load_bpe, train_bpe
from staged.model.causal import is_outside
from staged.model.checkpoints import model_folder
from staged.model.formats.layouts import (
    as_stage_inputs,
    model_files,
    read_shape,
    tokenizer_files,
)
from staged.model.training.plan import GPT2_ARCHITECTURE, TrainSettings
from staged.model.training.trainable.architecture import new_outside
from staged.model.training.trainable.contract import Trainable
from staged.model.training.trainable.gpt2 import new_gpt2, pretrained_gpt2
from staged.model.training.trainable.outside import carried_files, pretrained_outside


def start(settings: TrainSettings, texts: Iterable[str]) -> Trainable:
    """The model that a causal run trains.

    Args:
        texts: what a tokenizer is learned from, where one is.

    Raises:
        CheckpointError, PlanError: what the settings name is missing or does not fit.
    """
    if not settings.init:
        bpe = own_tokenizer(settings, texts)
        is_gpt2 = settings.architecture == GPT2_ARCHITECTURE
        return new_gpt2(settings, bpe) if is_gpt2 else new_outside(settings, bpe)
    folder = model_folder(settings.init)
    if not is_outside(folder):
        _check_architecture(settings, GPT2_ARCHITECTURE)
        return pretrained_gpt2(settings)
    _check_architecture(settings, str(read_shape(folder)["model_type"]))
    if settings.dropout:
        raise PlanError(
            f"train: dropout {settings.dropout} is for a GPT-2; {settings.init} drops out what its"
            " config.json says, so leave dropout at 0"
        )
    return pretrained_outside(folder)


def own_tokenizer(settings: TrainSettings, texts: Iterable[str]) -> BPE:
    """The tokenizer of a fresh model: another model's, or one that is learned.

    Raises:
        CheckpointError: there is no such model, or the texts give no such vocabulary.
    """
    if settings.tokenizer:
        return load_bpe(model_folder(settings.tokenizer))
    return train_bpe(texts, settings.n_vocab)


def start_files(settings: TrainSettings) -> dict[str, Path]:
    """The files of other models that determine a run's bytes, by name, whatever their format.

    Raises:
        CheckpointError: the settings name a model that is not whole.
    """
    files: dict[str, Path] = {}
    if settings.tokenizer:
        files |= as_stage_inputs("tokenizer", tokenizer_files(model_folder(settings.tokenizer)))
    if settings.init:
        folder = model_folder(settings.init)
        files |= model_files(folder) | (carried_files(folder) if is_outside(folder) else {})
    return files


def _check_architecture(settings: TrainSettings, own: str) -> None:
    if settings.architecture not in (GPT2_ARCHITECTURE, own):
        raise PlanError(
            f"train: architecture {settings.architecture!r}: {settings.init}, given as init, is a"
            f" {own}; leave architecture out"
        )
