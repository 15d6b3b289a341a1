"""RoBERTa with a two-way head, fine-tuned on human and generated text: the release's detector.

Measures  whatever an encoder can learn that separates the two classes.
Fails     on generators, sampling methods and text lengths unlike its training set, and under small
          edits of the text.
Cost      one forward pass of the encoder.
Source    https://github.com/openai/gpt-2-output-dataset/tree/master/detector
Threshold 0 (even odds under equal priors); studies choose theirs on the valid split.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging as transformers_logging

from staged.detectors.kinds.packed_roberta import PackedRoberta, can_be_packed
from staged.errors import CheckpointError, first_line
from staged.model.bpe import without_callers_state
from staged.model.checkpoints import MINIS, model_folder, own_folder
from staged.model.sources.places import is_written_as_path, nearest_place
from staged.model.training.encoder import save_pretrained
from staged.records import MACHINE

for _name in ("transformers", "huggingface_hub"):
    logging.getLogger(_name).setLevel(logging.ERROR)
transformers_logging.disable_progress_bar()

MACHINE_NAMES = ("machine", "fake", "chatgpt", "generated", "ai")
# the released large detector names no labels; its index 0 is Fake, as the base one says
FAKE_FIRST = "openai-detector"


class RobertaDetector:
    """Log-odds of machine against human: the difference of the two logits.

    Args:
        model: a transformers sequence classifier with two labels.
        tokenizer: its tokenizer.
        machine: which of the two outputs means machine-written.
        dtype: the model is converted to it: float32 for scores that don't depend on the batch
            beyond 1e-4; bfloat16 to score in bulk where the processor multiplies it natively.
    """

    name = "roberta"

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        machine: int = MACHINE,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.model, self.tokenizer, self.machine = model.eval().to(dtype), tokenizer, machine
        self.batch = SCORE_BATCH["cpu"]
        # two positions are padding's, two tokens are marks
        self.max_tokens = model.config.max_position_embeddings - 4

    def to(self, device: str) -> RobertaDetector:
        """Itself, its model on `cpu` or `cuda` from now on."""
        self.model, self.batch = self.model.to(device), SCORE_BATCH[device]
        return self

    def score(self, texts: Sequence[str]) -> list[float]:
        """The machine label's logit minus the human one's, of the first `max_tokens` tokens."""
        ids = [row[: self.max_tokens] for row in encode(self.tokenizer, texts)]
        scores, together = np.zeros(len(ids)), self._together(ids)
        with torch.inference_mode():
            # none is waited for before all are on their way to a GPU
            read = [self._odds([ids[i] for i in rows]) for rows in together]
        for rows, odds in zip(together, read, strict=True):
            scores[rows] = odds.cpu().numpy()
        return [float(score) for score in scores]

    def read_together(self, texts: Sequence[str]) -> list[list[int]]:
        """Which texts are read at once, by their numbers: those of like length."""
        return self._together([row[: self.max_tokens] for row in encode(self.tokenizer, texts)])

    def _together(self, ids: Sequence[list[int]]) -> list[list[int]]:
        by_length = sorted(range(len(ids)), key=lambda i: (len(ids[i]), ids[i]))
        return [by_length[i : i + self.batch] for i in range(0, len(ids), self.batch)]

    @cached_property
    def _packed(self) -> PackedRoberta:
        return PackedRoberta(self.model)

    def _odds(self, ids: Sequence[list[int]]) -> Tensor:
        """(B,) of texts that are read at once."""
        batch = sent(batch_of(self.tokenizer, ids), self.model.device)
        is_packed = can_be_packed(self.model)
        logits_BL = self._packed(**batch) if is_packed else self.model(**batch).logits.float()
        odds: Tensor = logits_BL[:, self.machine] - logits_BL[:, 1 - self.machine]
        return odds

    def token_counts(self, text: str) -> tuple[int, int]:
        """(all tokens of the text, those that are read)."""
        total = len(encode(self.tokenizer, [text])[0])
        return total, min(total, self.max_tokens)

    def save(self, folder: Path) -> None:
        save_pretrained(folder, self.model, self.tokenizer)


SCORE_BATCH = {"cpu": 32, "cuda": 256}  # texts; on a CPU larger ones leave its cache


def encode(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids without the marks around them."""
    if not texts:
        return []
    return [list(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]


def batch_of(tokenizer: Any, ids: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """Padded `input_ids` and `attention_mask`, each row <s> … </s>."""
    begin, end = _marks(tokenizer)
    rows = [[begin, *row, end] for row in ids]
    width = max(map(len, rows))
    inputs = torch.full((len(rows), width), tokenizer.pad_token_id)
    mask = torch.zeros((len(rows), width), dtype=torch.int64)
    for i, row in enumerate(rows):
        inputs[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return {"input_ids": inputs, "attention_mask": mask}


def sent(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """A batch on a device; on the way to a GPU nobody waits for it."""
    if device.type == "cpu":
        return batch
    return {
        name: tensor.pin_memory().to(device, non_blocking=True) for name, tensor in batch.items()
    }


def _marks(tokenizer: Any) -> tuple[Any, Any]:
    """The ids around a text: RoBERTa's <s> and </s>, or BERT's [CLS] and [SEP]."""
    if tokenizer.bos_token_id is not None:
        return tokenizer.bos_token_id, tokenizer.eos_token_id
    return tokenizer.cls_token_id, tokenizer.sep_token_id


def load_roberta(
    name: str, *, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> RobertaDetector:
    """A fine-tuned detector: a folder saved by us, or any two-label classifier from the hub or a
    local folder.

    Args:
        dtype: as `RobertaDetector` takes it.
        device: where it computes, `cpu` or `cuda`.

    Raises:
        CheckpointError: not there, damaged, not two labels, or labels that don't say which means
            machine.
    """
    (model, told), tokenizer = load_classifier(name, device=device, output_loading_info=True)
    if told["missing_keys"]:  # transformers has started them at random
        raise CheckpointError(
            f"{name}: tensor {min(told['missing_keys'])!r} is missing; it is not a fine-tuned"
            " classifier"
        )
    if None in (*_marks(tokenizer), tokenizer.pad_token_id):
        raise CheckpointError(
            f"{name}: its tokenizer has no marks for beginning, end and padding; it is not an"
            " encoder's"
        )
    machine = machine_index(model.config.id2label, name)
    return RobertaDetector(model, tokenizer, machine=machine, dtype=dtype).to(device)


def machine_index(id2label: dict[int, str], name: str) -> int:
    """Which output means machine-written, by the labels' names.

    Raises:
        CheckpointError: not two labels, or names that don't say.
    """
    if len(id2label) != 2:
        raise CheckpointError(f"detector {name!r}: {len(id2label)} labels, expected 2")
    hits = [int(i) for i, label in id2label.items() if str(label).lower() in MACHINE_NAMES]
    if len(hits) == 1:
        return hits[0]
    if FAKE_FIRST in name:
        return 0
    raise CheckpointError(
        f"detector {name!r}: labels {list(id2label.values())} don't say which means machine; "
        "set id2label in its config.json to 'human' and 'machine'"
    )


def load_classifier(name: str, *, device: str = "cpu", **options: Any) -> tuple[Any, Any]:
    """A transformers sequence classifier in float32, in the processor's memory, and its tokenizer;
    of an encoder without a head, a fresh one is put on.

    Args:
        name: as `RobertaSettings.base`, or a classifier's folder or hub name.
        device: where it will compute, `cpu` or `cuda`, which decides its kernel of attention.
        options: further ones of transformers' `from_pretrained`.

    Raises:
        CheckpointError: not there, damaged, or another kind of model.
    """
    local = name.lower() in MINIS or own_folder(name) or is_written_as_path(name)
    place = str(model_folder(name)) if local else name
    options |= {"dtype": torch.float32}
    if device == "cpu":  # where the fused kernel's backward is slower
        options |= {"attn_implementation": "eager"}
    try:
        model = AutoModelForSequenceClassification.from_pretrained(place, **options)
        tokenizer = AutoTokenizer.from_pretrained(place)
    except Exception as error:
        # transformers raises many kinds for a folder that is not what it seems
        near = (
            None
            if local
            else nearest_place(name) or next(iter(get_close_matches(name, MINIS, n=1)), None)
        )
        hint = f"; did you mean {near!r}?" if near else ""
        raise CheckpointError(
            f"{name}: cannot be loaded as a RoBERTa classifier or its base:"
            f" {first_line(error).rstrip('.')}{hint}"
        ) from None
    return model, settled(tokenizer)


def settled(tokenizer: Any) -> Any:
    """A transformers tokenizer without what a caller's use left in its file; lengths and padding
    are ours in every call.
    """
    if tokenizer.is_fast:
        without_callers_state(tokenizer.backend_tokenizer)
    return tokenizer
