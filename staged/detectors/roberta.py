"""RoBERTa with a two-way head, fine-tuned on human and generated text: the release's detector.

Measures  whatever an encoder can learn that separates the two classes.
Fails     on generators, sampling methods and text lengths unlike its training set, and under small edits of the text.
Cost      one forward pass of the encoder.
Source    https://github.com/openai/gpt-2-output-dataset/tree/master/detector
Threshold 0 (even odds under equal priors); studies choose theirs on the valid split.

Published recipe: Adam, learning rate 2e-5, batch 24, 128 tokens from a random place of the text (crop), as options a random
length and random tokens replaced by <unk>. A small encoder wants a higher learning rate.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging as transformers_logging

from staged.errors import CheckpointError, PlanError
from staged.model.checkpoints import MINIS, model_folder
from staged.model.encoder import save_pretrained
from staged.model.snapshots import opened_snapshot, save_snapshot
from staged.records import LABELS, MACHINE, Document
from staged.samples.decoders import best_dtype

for _name in ("transformers", "huggingface_hub"):
    logging.getLogger(_name).setLevel(logging.ERROR)
transformers_logging.disable_progress_bar()

MACHINE_NAMES = ("machine", "fake", "chatgpt", "generated", "ai")
FAKE_FIRST = "openai-detector"  # the released large detector names no labels; its index 0 is Fake, as the base one says


@dataclass(frozen=True)
class RobertaSettings:
    """How a RoBERTa detector is trained.

    Attributes:
        base: the encoder: `roberta-mini`, a local folder or a hub name such as `roberta-base`.
        epochs: passes over the training texts; the one with the best accuracy on `valid` is kept.
        max_tokens: longest training input, the two marks not counted.
        crop: longer texts are cut at a random place, not at their beginning.
        random_length: the training length is drawn from [min(10, length), min(max_tokens, length)].
        token_dropout: share of training tokens replaced by <unk>.
    """

    base: str = "roberta-mini"
    learning_rate: float = 5e-4
    epochs: int = 2
    batch: int = 24
    max_tokens: int = 128
    crop: bool = True
    random_length: bool = False
    token_dropout: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        if (
            min(self.epochs, self.batch, self.max_tokens) < 1
            or not 0 <= self.token_dropout < 1
            or self.learning_rate <= 0
            or self.seed < 0
        ):
            raise PlanError(
                "roberta: epochs, batch and max_tokens must be at least 1, seed at least 0, learning_rate above 0, "
                "token_dropout in [0, 1)"
            )


class RobertaDetector:
    """Log-odds of machine against human: the difference of the two logits.

    Args:
        model: a transformers sequence classifier with two labels.
        tokenizer: its tokenizer.
        machine: which of the two outputs means machine-written.
        dtype: the model is converted to it: float32 for scores that don't depend on the batch beyond 1e-4; bfloat16 to score
            in bulk where the processor multiplies it natively.
    """

    name = "roberta"

    def __init__(self, model: Any, tokenizer: Any, *, machine: int = MACHINE, dtype: torch.dtype = torch.float32) -> None:
        self.model, self.tokenizer, self.machine = model.eval().to(dtype), tokenizer, machine
        self.max_tokens = model.config.max_position_embeddings - 4  # two positions are padding's, two tokens are marks

    def score(self, texts: Sequence[str]) -> list[float]:
        ids = encode(self.tokenizer, texts)
        ids = [one[: self.max_tokens] for one in ids]
        scores = np.zeros(len(ids))
        by_length = sorted(range(len(ids)), key=lambda i: (len(ids[i]), ids[i]))
        with torch.inference_mode():
            for start in range(0, len(ids), SCORE_BATCH):
                rows = by_length[start : start + SCORE_BATCH]
                logits = self.model(**batch_of(self.tokenizer, [ids[i] for i in rows])).logits.float()
                scores[rows] = (logits[:, self.machine] - logits[:, 1 - self.machine]).numpy()
        return [float(score) for score in scores]

    def save(self, folder: Path) -> None:
        save_pretrained(folder, self.model, self.tokenizer)


SCORE_BATCH = 32  # on a CPU larger ones leave its cache


def encode(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids without the marks around them."""
    if not texts:
        return []
    return [list(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]


def batch_of(tokenizer: Any, ids: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """Padded `input_ids` and `attention_mask`, each row <s> … </s>."""
    begin, end = _marks(tokenizer)
    rows = [[begin, *one, end] for one in ids]
    width = max(map(len, rows))
    inputs = torch.full((len(rows), width), tokenizer.pad_token_id)
    mask = torch.zeros((len(rows), width), dtype=torch.int64)
    for i, row in enumerate(rows):
        inputs[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return {"input_ids": inputs, "attention_mask": mask}


def _marks(tokenizer: Any) -> tuple[Any, Any]:
    """The ids around a text: RoBERTa's <s> and </s>, or BERT's [CLS] and [SEP]."""
    if tokenizer.bos_token_id is not None:
        return tokenizer.bos_token_id, tokenizer.eos_token_id
    return tokenizer.cls_token_id, tokenizer.sep_token_id


def load_roberta(name: str, *, dtype: torch.dtype = torch.float32) -> RobertaDetector:
    """A fine-tuned detector: a folder saved by us, or any two-label classifier from the hub or a local folder.

    Raises:
        CheckpointError: not there, damaged, not two labels, or labels that don't say which means machine.
    """
    (model, told), tokenizer = _load(name, AutoModelForSequenceClassification, output_loading_info=True)
    if told["missing_keys"]:  # transformers has started them at random
        raise CheckpointError(f"{name}: tensor {min(told['missing_keys'])!r} is missing; it is not a fine-tuned classifier")
    if None in (*_marks(tokenizer), tokenizer.pad_token_id):
        raise CheckpointError(f"{name}: its tokenizer has no marks for beginning, end and padding; it is not an encoder's")
    return RobertaDetector(model, tokenizer, machine=machine_index(model.config.id2label, name), dtype=dtype)


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


def _load(name: str, kind: Any, **options: Any) -> tuple[Any, Any]:
    place = str(model_folder(name)) if name in MINIS else name
    options |= {"dtype": torch.float32, "attn_implementation": "eager"}  # on a CPU the fused kernel's backward is slower
    try:
        return kind.from_pretrained(place, **options), AutoTokenizer.from_pretrained(place)
    except Exception as error:  # transformers raises many kinds for a folder that is not what it seems
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{name}: cannot be loaded as a RoBERTa classifier or its base: {first}") from None


def train_roberta(
    train: Sequence[Document],
    valid: Sequence[Document],
    settings: RobertaSettings,
    *,
    checkpoint: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> RobertaDetector:
    """Fine-tune `settings.base` and return the epoch with the best accuracy on `valid` (the earliest of equals).

    Args:
        checkpoint: file that holds the state after each epoch; a killed run continues from it with the same result.
        progress: called with (optimizer steps done, all).

    Raises:
        CheckpointError: the base cannot be loaded, or the loss stopped being finite.
    """
    torch.manual_seed(settings.seed)
    model, tokenizer = _load(settings.base, AutoModelForSequenceClassification, num_labels=2, id2label=LABELS)
    settings = replace(settings, max_tokens=min(settings.max_tokens, RobertaDetector(model, tokenizer).max_tokens))
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    ids, labels = encode(tokenizer, [d.text for d in train]), torch.tensor([d.label for d in train])
    done, best, kept = 0, -1.0, model.state_dict()
    if checkpoint.is_file():
        with opened_snapshot(checkpoint) as state:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            done, best, kept = state["epochs"], state["best"], state["kept"]
    for epoch in range(done, settings.epochs):
        _epoch(model, tokenizer, optimizer, ids, labels, settings, epoch, progress)
        quick = RobertaDetector(copy.deepcopy(model), tokenizer, dtype=best_dtype())
        scores = quick.score([d.text for d in valid])
        accuracy = float(np.mean([(score > 0) == (d.label == MACHINE) for score, d in zip(scores, valid, strict=True)]))
        if accuracy > best:
            best, kept = accuracy, copy.deepcopy(model.state_dict())
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "kept": kept}
        save_snapshot(checkpoint, state | {"epochs": epoch + 1, "best": best})
    model.load_state_dict(kept)
    return RobertaDetector(model, tokenizer)


def _epoch(
    model: Any,
    tokenizer: Any,
    optimizer: torch.optim.Optimizer,
    ids: Sequence[list[int]],
    labels: Tensor,
    settings: RobertaSettings,
    epoch: int,
    progress: Callable[[int, int], None],
) -> None:
    stream = np.random.default_rng([settings.seed, epoch])
    torch.manual_seed(settings.seed + epoch)  # the base's own dropout
    order = stream.permutation(len(ids))
    steps = -(-len(ids) // settings.batch)
    model.train()
    for step in range(steps):
        rows = order[step * settings.batch : (step + 1) * settings.batch]
        batch = batch_of(tokenizer, [training_view(ids[i], settings, tokenizer.unk_token_id, stream) for i in rows])
        with torch.autocast("cpu", torch.bfloat16, enabled=best_dtype() == torch.bfloat16):
            loss = F.cross_entropy(model(**batch).logits.float(), labels[rows])
        if not torch.isfinite(loss):
            raise CheckpointError(f"roberta: the loss is {float(loss)} at step {step}; lower learning_rate")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in optimizer.param_groups:  # the published rate is constant; a short warm-up keeps small encoders stable
            group["lr"] = settings.learning_rate * min(1.0, (epoch * steps + step + 1) / 20)
        optimizer.step()
        progress(epoch * steps + step + 1, settings.epochs * steps)
    model.eval()


def training_view(ids: list[int], settings: RobertaSettings, unknown: int, stream: np.random.Generator) -> list[int]:
    """A text as training sees it this time: its length, its place and its dropped tokens drawn from `stream`."""
    length = min(len(ids), settings.max_tokens)
    if settings.random_length and length:
        length = int(stream.integers(min(10, length), length + 1))
    start = int(stream.integers(0, len(ids) - length + 1)) if settings.crop else 0
    view = ids[start : start + length]
    if settings.token_dropout:
        view = [
            unknown if drop else token for token, drop in zip(view, stream.random(length) < settings.token_dropout, strict=True)
        ]
    return view
