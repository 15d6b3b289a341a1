"""What a model weighs and computes, told before it is here: the released ones by their shapes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from staged.model.causal import count_parameters, load_shape
from staged.model.checkpoints import MINIS, is_at_hand, model_folder, own_folder
from staged.model.formats.layouts import config_file, read_object
from staged.model.gpt2.config import GPT2Config
from staged.model.sources.releases import BUCKET, is_repository, released
from staged.model.sources.repositories import is_cached
from staged.model.sources.served import parse_served

BYTES_A_WEIGHT = 4  # as the hub has the models of 2019, and as detectors are saved


@dataclass(frozen=True)
class Size:
    """A model's size.

    Attributes:
        parameters: weights, of an encoder without a head.
        operations: multiplications and additions a token of a forward pass, attention left out.
        most_tokens: that it reads at once.
        download_bytes: of its weights; 0 where they are on this machine.
    """

    parameters: int
    operations: int
    most_tokens: int
    download_bytes: int


@dataclass(frozen=True)
class EncoderShape:
    """A BERT's or RoBERTa's shape."""

    layers: int
    width: int
    inner: int
    vocabulary: int = 50_265
    positions: int = 514
    kinds: int = 1  # of token, in RoBERTa

    @property
    def parameters(self) -> int:
        """Without a head."""
        n, m = self.width, self.inner
        layer = 4 * n * n + 2 * n * m + 9 * n + m
        return self.layers * layer + (self.vocabulary + self.positions + self.kinds + 2) * n

    @property
    def operations(self) -> int:
        """Of a token's forward pass, attention left out."""
        n, m = self.width, self.inner
        return 2 * self.layers * (4 * n * n + 2 * n * m)

    @property
    def published_parameters(self) -> int:
        """With the head that the published weights bring along."""
        n = self.width
        return self.parameters + n * n + 3 * n + self.vocabulary

    def size(self, *, download: bool) -> Size:
        """Its size; positions count from two, and two are the marks around a text."""
        weights = BYTES_A_WEIGHT * self.published_parameters if download else 0
        return Size(self.parameters, self.operations, self.positions - 4, weights)


# arXiv:1907.11692, table 9
ENCODERS = {
    "roberta-base": EncoderShape(12, 768, 3072),
    "roberta-large": EncoderShape(24, 1024, 4096),
}


def encoder_size(base: str) -> Size | None:
    """The size of what a detector starts from; None of a name that is not here, and unknown.

    Raises:
        CheckpointError: its configuration is damaged.
    """
    name = base.removeprefix("FacebookAI/").lower()
    if name in ENCODERS and own_folder(base) is None:
        return ENCODERS[name].size(download=not is_cached(base))
    if base.lower() not in MINIS and own_folder(base) is None:
        return None
    return _encoder_shape(model_folder(base)).size(download=False)


def _encoder_shape(folder: Path) -> EncoderShape:
    config = read_object(config_file(folder))
    names = ("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size")
    layers, width, inner, vocabulary = (int(config.get(name, 0)) for name in names)
    return EncoderShape(
        layers,
        width,
        inner,
        vocabulary,
        int(config.get("max_position_embeddings", 514)),
        int(config.get("type_vocab_size", 1)),
    )


def causal_size(model: str) -> Size | None:
    """The size of a model that writes; None of one behind a server, or on the hub and unknown.

    Raises:
        CheckpointError: no model has that name.
    """
    release = released(model.removeprefix(BUCKET))
    if release is not None:
        return _gpt2_size(release.config, download=not is_at_hand(model))
    if parse_served(model) or (is_repository(model) and not is_at_hand(model)):
        return None
    parameters, shape = count_parameters(model), load_shape(model)
    # the embedding is read by row, and once more as the head
    return Size(parameters, 2 * parameters, shape.n_ctx, 0)


def _gpt2_size(config: GPT2Config, *, download: bool) -> Size:
    """A released size; its file on the hub has a mask of the context a layer besides."""
    weights = config.parameters + config.n_layer * config.n_ctx**2
    return Size(
        config.parameters,
        2 * (config.parameters - config.n_ctx * config.n_embd),
        config.n_ctx,
        BYTES_A_WEIGHT * weights if download else 0,
    )
