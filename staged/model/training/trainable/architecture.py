"""A fresh model of another family than GPT-2: transformers' architecture in the shape of a plan."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tokenizers import Tokenizer

from staged.errors import CheckpointError, PlanError
from staged.model.bpe import BPE
from staged.model.outside_tokenizer import OutsideTokenizer
from staged.model.sources.packaged import quiet
from staged.model.training.plan import TrainSettings
from staged.model.training.trainable.outside import TrainableOutside, trainable
from staged.model.transformers_lm import Outside
from staged.notes import note
from staged.settings import nearest

NAMES = {  # of a plan → of a transformers configuration
    "n_ctx": "max_position_embeddings",
    "n_embd": "hidden_size",
    "n_head": "num_attention_heads",
    "n_layer": "num_hidden_layers",
}
WORDS = "It's 1,024 rivers' café:\n\n  x=10."
MULTIPLE = 8  # of which an inner layer's width is one


def new_outside(settings: TrainSettings, bpe: BPE) -> TrainableOutside:
    """Fresh weights of the family `architecture`, as transformers draws them, by the seed.

    Raises:
        PlanError: a family that transformers does not know, or that can't have this shape.
        CheckpointError: one whose logits are more than a head's product.
    """
    from transformers import AutoModelForCausalLM

    where = f"train: architecture {settings.architecture!r}"
    kind = _known(settings.architecture)
    if settings.n_embd % settings.n_head:
        raise PlanError(
            f"train: n_embd {settings.n_embd} is not a multiple of n_head {settings.n_head}"
        )
    try:
        config = kind(**_values(settings, kind, bpe))
        tokenizer, carried = _tokenizer(bpe, config)
        with torch.random.fork_rng(), quiet():
            torch.manual_seed(settings.seed)
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
            outside = Outside(model.eval(), tokenizer, where=where)
    except CheckpointError:
        raise
    except Exception as error:  # each family has its own complaints about a shape
        reason = " ".join(str(error).split())
        raise PlanError(f"{where}: cannot have this shape: {reason}") from None
    return trainable(outside, carried, where=where)


def _known(architecture: str) -> Any:
    """The class of a family's configuration.

    Raises:
        PlanError: no family of causal language models.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if architecture not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        known = list(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
        near = nearest(architecture, known)
        raise PlanError(
            f"train: architecture {architecture!r} is no family of causal language models that"
            f" transformers knows; {near if near.endswith('?') else 'such as llama or qwen2'}"
        )
    return CONFIG_MAPPING[architecture]


def _values(settings: TrainSettings, kind: Any, bpe: BPE) -> dict[str, Any]:
    """What the configuration is made with; the rest is the family's own default, and an inner layer
    is as much wider than its hidden states as there.
    """
    usual = kind()
    has = usual.to_dict()
    values = {name: getattr(settings, ours) for ours, name in NAMES.items()}
    values |= {"vocab_size": bpe.n_vocab, "pad_token_id": None}
    values |= dict.fromkeys(("bos_token_id", "eos_token_id"), bpe.end_of_text)
    if inner := has.get("intermediate_size"):
        wide = settings.n_embd * inner / usual.hidden_size
        values["intermediate_size"] = max(1, round(wide / MULTIPLE)) * MULTIPLE
    if "num_key_value_heads" in has:
        values["num_key_value_heads"] = settings.n_head
    if "head_dim" in has:
        values["head_dim"] = settings.n_embd // settings.n_head
    return {usual.attribute_map.get(name, name): value for name, value in values.items()}


def _tokenizer(bpe: BPE, config: Any) -> tuple[OutsideTokenizer, dict[str, bytes]]:
    """The tokenizer as other families' are, and its files."""
    with TemporaryDirectory() as name:
        place = Path(name)
        bpe.save(place)
        tokenizer = OutsideTokenizer(place, bpe.end_of_text)
        carried = {path.name: path.read_bytes() for path in sorted(place.iterdir())}
        config.save_pretrained(place)
        _note_other_words(place, config.model_type)
    return tokenizer, carried


def _note_other_words(folder: Path, family: str) -> None:
    """Say where transformers, for which some families cut texts into words in one way only, reads
    the folder's tokenizer otherwise than it is saved.
    """
    from transformers import AutoTokenizer

    with quiet():
        theirs = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    ours = Tokenizer.from_file(str(folder / "tokenizer.json"))
    first, second = (each.pre_tokenizer.pre_tokenize_str(WORDS) for each in (ours, theirs))
    if first != second:
        note(
            f"train: transformers' AutoTokenizer cuts words for any {family} in that family's own"
            " way, not in that of the saved tokenizer.json; load it with PreTrainedTokenizerFast"
        )
