"""A reader that was fine-tuned from a pretrained encoder: each token's share in the log-odds of
machine against human.

Measures  what an encoder can learn of how assistants and language models put words together; the
          text's log-odds are the mean of its tokens', so that what it says of a sentence is what
          its tokens say.
Fails     on generators and kinds of text far from those it learned from, and on machine text that
          was written to look careless.
Cost      one forward pass of the encoder: MiniLM reads some 10,000 words a second on two cores in
          bfloat16.
Source    Wang et al. 2020, "MiniLM: Deep Self-Attention Distillation"; ours: the plan `evidence`.
Threshold none of its own: `evidence` adds its log-odds to the other readers'.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save
from tokenizers import Tokenizer
from torch import Tensor, nn

from staged.errors import CheckpointError, first_line
from staged.model.bpe import without_callers_state
from staged.model.devices import best_dtype
from staged.model.formats.layouts import read_object
from staged.model.sources.packaged import quiet
from staged.storage.json_files import write_json
from staged.storage.writing import write_atomic

Floats = npt.NDArray[np.float64]
MARKS = 2  # [CLS] and [SEP]
# as BERT's tokenizer and RoBERTa's call them
PADDING, UNKNOWN = ("[PAD]", "<pad>"), ("[UNK]", "<unk>")
WINDOWS = 6  # inputs of one text: some 2,300 words
BATCH_TOKENS = 2**13  # read at once, padding counted
WEIGHTS, CONFIG, TOKENIZER = "encoder.safetensors", "encoder.json", "tokenizer.json"
PLAIN_NUMBERS = 2**12  # a matrix of at most so many numbers is kept in float32
POOLS = ("bert", "roberta")  # whose encoders have a layer that we leave out
# keys of a configuration that are not the shape of the encoder
UNSAID = ("_name_or_path", "architectures", "transformers_version", "dtype", "torch_dtype")


class TokenOdds(nn.Module):
    """An encoder and one linear unit: token ids → log-odds a token.

    Args:
        encoder: a transformers encoder, which gives hidden states (B, T, C).
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder, self.unit = encoder, nn.Linear(encoder.config.hidden_size, 1)

    def forward(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, T) log-odds of each token; those of padding are 0."""
        hidden_BTC = self.encoder(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
        return self.unit(hidden_BTC)[..., 0].float() * mask_BT


def token_id(tokenizer: Any, names: Sequence[str]) -> int:
    """The id of the first of these tokens that a tokenizer has.

    Raises:
        CheckpointError: it has none.
    """
    for name in names:
        if (number := tokenizer.token_to_id(name)) is not None:
            return int(number)
    raise CheckpointError(
        f"the tokenizer has none of the tokens {', '.join(names)}; it is not an encoder's"
    )


def padded(rows: Sequence[Sequence[int]], padding: int) -> tuple[Tensor, Tensor]:
    """Token ids as (B, T), and 1 where they are no padding."""
    width = max(map(len, rows))
    ids_BT = torch.full((len(rows), width), padding)
    mask_BT = torch.zeros((len(rows), width), dtype=torch.int64)
    for i, row in enumerate(rows):
        ids_BT[i, : len(row)] = torch.tensor(row)
        mask_BT[i, : len(row)] = 1
    return ids_BT, mask_BT


def mean_odds(odds_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """(B,) the mean of each row's tokens."""
    return odds_BT.sum(1) / mask_BT.sum(1)


class EncoderReader:
    """Log-odds of machine against human by a fine-tuned encoder.

    A text longer than one input is read in several, of like length, up to `WINDOWS` of them.

    Args:
        model: reads in its own precision; bfloat16 where the processor multiplies it natively, else
            float32.
        tokenizer: a `tokenizers.Tokenizer` that puts its two marks around a text.
        max_tokens: longest input, marks counted.
    """

    def __init__(self, model: TokenOdds, tokenizer: Any, *, max_tokens: int = 512) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer, self.max_tokens = tokenizer, max_tokens

    def log_odds(self, texts: Sequence[str]) -> Floats:
        """(texts,) of plain texts (`kinds/readers/plain.py`), the mean of their tokens'; texts of
        like length are read together.
        """
        ids = [encoding.ids for encoding in self._encoded(texts)]
        return np.asarray([odds.mean() for odds in self._read(ids)])

    def token_odds(self, texts: Sequence[str]) -> list[list[tuple[int, int, float]]]:
        """(start, end, log-odds) of each token that is read of each plain text, without marks."""
        encoded = self._encoded(texts)
        rows = self._read([encoding.ids for encoding in encoded])
        offsets = [encoding.offsets[1:] for encoding in encoded]
        return [
            [(a, b, float(odds)) for (a, b), odds in zip(spans, row[1:-1], strict=False)]
            for spans, row in zip(offsets, rows, strict=True)
        ]

    def token_counts(self, text: str) -> tuple[int, int]:
        """(all tokens of a plain text, those that are read), marks not counted."""
        total = len(self.tokenizer.encode(text).ids) - MARKS
        return total, min(total, WINDOWS * (self.max_tokens - MARKS))

    def _encoded(self, texts: Sequence[str]) -> list[Any]:
        return list(self.tokenizer.encode_batch(list(texts))) if texts else []

    @torch.inference_mode()
    def _read(self, rows: Sequence[list[int]]) -> list[Floats]:
        """The log-odds of the tokens of each row of ids that are read, its first and its last mark
        with them.
        """
        pieces = [
            (i, piece) for i, ids in enumerate(rows) for piece in windows(ids, self.max_tokens)
        ]
        read_odds: list[Floats] = [np.zeros(0)] * len(pieces)
        order = sorted(range(len(pieces)), key=lambda j: len(pieces[j][1]))
        padding = token_id(self.tokenizer, PADDING)
        for batch in _batches(order, [len(piece) for _, piece in pieces]):
            ids_BT, mask_BT = padded([pieces[j][1] for j in batch], padding)
            odds_BT = (
                self.model(ids_BT.to(self._device), mask_BT.to(self._device)).double().cpu().numpy()
            )
            for j, odds in zip(batch, odds_BT, strict=True):
                read_odds[j] = odds[: len(pieces[j][1])]
        joined: list[list[Floats]] = [[] for _ in rows]
        for (i, _), odds in zip(pieces, read_odds, strict=True):
            # marks between pieces
            joined[i] = [odds] if not joined[i] else [*joined[i][:-1], joined[i][-1][:-1], odds[1:]]
        return [np.concatenate(parts) for parts in joined]

    @property
    def _device(self) -> torch.device:
        return self.model.unit.weight.device


def windows(ids: list[int], longest: int) -> list[list[int]]:
    """Ids with a mark at either end → inputs of like length with the marks around each; of very
    long ones the first `WINDOWS`.
    """
    first, *inner, last = ids
    room = longest - MARKS
    count = max(1, -(-len(inner) // room))
    width = -(-len(inner) // count) if count <= WINDOWS else room
    return [
        [first, *inner[start : start + width], last]
        for start in range(0, max(len(inner), 1), max(width, 1))
    ][:WINDOWS]


def _batches(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Texts that are read together: `BATCH_TOKENS` at most, all counted as long as the longest."""
    batch: list[int] = []
    for i in order:
        if batch and (len(batch) + 1) * lengths[i] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def save_encoder(folder: Path, reader: EncoderReader) -> None:
    """Write `encoder.safetensors`, `encoder.json` and `tokenizer.json`, which `load_encoder` reads.

    Matrices are kept in 8 bits with one scale a row: a quarter of their size, at a change of a
    text's log-odds of some hundredths.
    """
    tensors: dict[str, Tensor] = {}
    for name, tensor in reader.model.state_dict().items():
        if tensor.ndim == 2 and tensor.numel() > PLAIN_NUMBERS:
            tensors[name], tensors[f"{name}.scale"] = rounded(tensor.float())
        else:
            tensors[name] = tensor.float().contiguous()
    write_atomic(folder / WEIGHTS, save(tensors))
    config = {
        name: value
        for name, value in reader.model.encoder.config.to_diff_dict().items()
        if name not in UNSAID
    }
    write_json(
        folder / CONFIG, {"kind": "encoder", "max_tokens": reader.max_tokens, "config": config}
    )
    write_atomic(folder / TOKENIZER, reader.tokenizer.to_str().encode())


def rounded(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """A float32 matrix (rows, columns) as int8, and the scale of each row (rows,)."""
    scale = matrix.abs().amax(1).clamp(min=1e-12) / 127
    return (matrix / scale[:, None]).round().clamp(-127, 127).to(torch.int8), scale


def load_encoder(folder: Path, *, device: str = "cpu") -> EncoderReader:
    """Read what `save_encoder` wrote; nothing in it is executed.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    from transformers import AutoConfig, AutoModel

    facts = read_object(folder / CONFIG, expected="an encoder's folder holds this file")
    try:
        settings = dict(facts["config"])
        config = AutoConfig.for_model(
            settings.pop("model_type"), **settings, attn_implementation="sdpa"
        )
        with quiet():
            encoder = AutoModel.from_config(
                config, **({"add_pooling_layer": False} if config.model_type in POOLS else {})
            )
        model = TokenOdds(encoder)
        model.load_state_dict(_weights(load_file(folder / WEIGHTS)))
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        max_tokens = int(facts["max_tokens"])
    except Exception as error:  # three libraries raise many kinds for a damaged file
        raise CheckpointError(f"{folder}: not a readable encoder: {first_line(error)}") from None
    return EncoderReader(
        model.to(device, best_dtype(device)),
        without_callers_state(tokenizer),
        max_tokens=max_tokens,
    )


def _weights(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stored tensors as a model takes them: rows of whole numbers times their scales.

    Raises:
        ValueError: they are not finite.
    """
    if not all(
        bool(torch.isfinite(one).all()) for one in tensors.values() if one.is_floating_point()
    ):
        raise ValueError("its weights are not finite")
    return {
        name: one.float() * tensors[f"{name}.scale"][:, None] if f"{name}.scale" in tensors else one
        for name, one in tensors.items()
        if not name.endswith(".scale")
    }
