"""The fine-tuned reader: tokens, windows, batches, and its weights in eight bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel

from staged.detectors.kinds.readers.encoder import (
    WINDOWS,
    EncoderReader,
    load_encoder,
    rounded,
    save_encoder,
    windows,
)
from staged.errors import CheckpointError
from tests.conftest import prose
from tests.detectors.kinds.tiny import tiny_encoder_reader, write_tiny_bert

TEXTS = [prose(seed, length) for seed, length in ((1, 1), (2, 3), (3, 9), (4, 2))]


@pytest.fixture(scope="module")
def reader() -> EncoderReader:
    return tiny_encoder_reader()


def test_a_text_is_the_mean_of_its_tokens_by_transformers_itself(
    reader: EncoderReader, tmp_path: Path
) -> None:
    model = AutoModel.from_pretrained(write_tiny_bert(tmp_path))
    ids = reader.tokenizer.encode(TEXTS[0]).ids
    with torch.inference_mode():
        hidden = model(input_ids=torch.tensor([ids])).last_hidden_state
        odds = reader.model.unit(hidden)[0, :, 0]
    assert reader.log_odds([TEXTS[0]]) == pytest.approx([float(odds.mean())], abs=1e-5)
    tokens = reader.token_odds([TEXTS[0]])[0]
    assert [one for _, _, one in tokens] == pytest.approx(odds[1:-1].tolist(), abs=1e-5)
    assert [TEXTS[0][a:b] for a, b, _ in tokens][:3] == TEXTS[0].replace(".", " .").split()[:3]


def test_order_batch_and_odd_texts(reader: EncoderReader) -> None:
    alone = np.concatenate([reader.log_odds([text]) for text in TEXTS])
    assert reader.log_odds(TEXTS) == pytest.approx(alone, abs=1e-5)
    assert reader.log_odds(TEXTS[::-1])[::-1] == pytest.approx(alone, abs=1e-5)
    assert reader.log_odds([]).shape == (0,)
    assert np.isfinite(reader.log_odds(["", "one", "word " * 3000])).all()


def test_a_long_text_is_read_in_windows_of_like_length(reader: EncoderReader) -> None:
    ids = [2, *range(10, 110), 3]
    pieces = windows(ids, 32)
    assert [len(piece) for piece in pieces] == [27] * 4
    assert [one for piece in pieces for one in piece[1:-1]] == ids[1:-1]
    assert {(piece[0], piece[-1]) for piece in pieces} == {(2, 3)}
    assert windows([2, 3], 32) == [[2, 3]]
    assert len(windows([2, *range(1000), 3], 32)) == WINDOWS
    text = prose(3, 30)
    total, read = reader.token_counts(text)
    assert total > read == WINDOWS * 30
    assert reader.log_odds([text]) == pytest.approx(
        reader.log_odds([" ".join(text.split()) + " boats" * 50]), abs=0.2
    )
    assert len(reader.token_odds([text])[0]) == read
    assert reader.token_odds([text])[0][-1][1] <= len(text)


def test_round_trip_in_eight_bits(reader: EncoderReader, tmp_path: Path) -> None:
    save_encoder(tmp_path, reader)
    assert load_encoder(tmp_path).log_odds(TEXTS) == pytest.approx(reader.log_odds(TEXTS), abs=0.2)
    matrix = torch.randn(5, 300) * torch.tensor([1.0, 10, 0.1, 0, 3])[:, None]
    eight, scale = rounded(matrix)
    assert eight.dtype == torch.int8
    assert ((eight * scale[:, None] - matrix).abs() <= scale[:, None] / 2 + 1e-7).all()


@pytest.mark.parametrize("file", ["encoder.safetensors", "encoder.json", "tokenizer.json"])
def test_damage_is_said(reader: EncoderReader, tmp_path: Path, file: str) -> None:
    save_encoder(tmp_path, reader)
    (tmp_path / file).write_bytes(b"{}")
    with pytest.raises(CheckpointError):
        load_encoder(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(CheckpointError):
        load_encoder(tmp_path)
