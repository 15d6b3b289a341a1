"""Shapes of GPT-2: the four released sizes and any other."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from staged.errors import CheckpointError
from staged.model.shape import ModelShape

END_OF_TEXT = "<|endoftext|>"


@dataclass(frozen=True)
class GPT2Config(ModelShape):
    """One GPT-2 shape; field names are those of the released `hparams.json`.

    Source: https://github.com/openai/gpt-2, src/model.py, default_hparams.
    """

    n_vocab: int = 50257
    n_ctx: int = 1024
    n_embd: int = 768
    n_head: int = 12
    n_layer: int = 12

    called: ClassVar[str] = "a GPT-2"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_embd % self.n_head:
            raise CheckpointError(
                f"a GPT-2's n_embd {self.n_embd} is not a multiple of its n_head {self.n_head}"
            )

    @property
    def parameters(self) -> int:
        """Number of weights: one block holds 12n² + 13n, the head is tied to `wte`."""
        n = self.n_embd
        return (self.n_vocab + self.n_ctx) * n + self.n_layer * (12 * n * n + 13 * n) + 2 * n

    def to_hub(self) -> dict[str, Any]:
        """The `config.json` that transformers reads as GPT2LMHeadModel."""
        return {
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "activation_function": "gelu_new",
            "vocab_size": self.n_vocab,
            "n_positions": self.n_ctx,
            "n_ctx": self.n_ctx,
            "n_embd": self.n_embd,
            "n_head": self.n_head,
            "n_layer": self.n_layer,
            "layer_norm_epsilon": 1e-5,
            "bos_token_id": self.n_vocab - 1,
            "eos_token_id": self.n_vocab - 1,
            "tie_word_embeddings": True,
        }

    @classmethod
    def from_hub(cls, config: dict[str, Any], *, where: str) -> GPT2Config:
        """Read a hub `config.json`.

        Raises:
            CheckpointError: another architecture, a missing key, or an option our model does not
                have.
        """
        if config.get("model_type") != "gpt2":
            raise CheckpointError(
                f"{where}: model_type is {config.get('model_type')!r}, and here only a GPT-2 can be"
                " used; give the folder of such a model"
            )
        expected: dict[str, Any] = {
            "activation_function": "gelu_new",
            "layer_norm_epsilon": 1e-5,
            "scale_attn_weights": True,
            "tie_word_embeddings": True,
            "scale_attn_by_inverse_layer_idx": False,
            "add_cross_attention": False,
        }
        if config.get("n_inner") is not None:
            expected["n_inner"] = (
                4 * config["n_embd"] if isinstance(config.get("n_embd"), int) else None
            )
        if config.get("quantization_config"):
            raise CheckpointError(
                f"{where}: quantization_config: the weights are quantised; take the model as it was"
                " before"
            )
        for key, value in expected.items():
            if config.get(key, value) != value:
                raise CheckpointError(
                    f"{where}: {key} is {config[key]!r}; GPT-2 as released has {value!r}"
                )
        return cls._of({"n_vocab": "vocab_size", "n_ctx": "n_positions"}, config, where)

    @classmethod
    def from_hparams(cls, hparams: dict[str, Any], *, where: str) -> GPT2Config:
        """Read the `hparams.json` of a TensorFlow folder.

        Raises:
            CheckpointError: a missing key, or numbers that are no shape.
        """
        return cls._of({}, hparams, where)

    @classmethod
    def _of(cls, names: dict[str, str], stored: dict[str, Any], where: str) -> GPT2Config:
        """The shape as a file has it, whose errors name the file; `names`: ours → the file's, where
        they differ.
        """
        keys = {field.name: names.get(field.name, field.name) for field in fields(cls)}
        for key in keys.values():
            if key not in stored:
                raise CheckpointError(f"{where}: key {key!r} is missing from the config")
        try:
            return cls(**{ours: stored[key] for ours, key in keys.items()})
        except CheckpointError as error:
            raise CheckpointError(f"{where}: {error}") from None


GPT2_SIZES = {
    "gpt2": GPT2Config(),
    "gpt2-medium": GPT2Config(n_embd=1024, n_head=16, n_layer=24),
    "gpt2-large": GPT2Config(n_embd=1280, n_head=20, n_layer=36),
    "gpt2-xl": GPT2Config(n_embd=1600, n_head=25, n_layer=48),
}
