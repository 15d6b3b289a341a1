"""`staged convert`: hub folders and GGUF files, from every source, and what it does not
overwrite.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import CheckpointError, PlanError
from staged.model.checkpoints import load_model, save_model
from staged.model.convert import convert
from staged.model.gguf import gguf_name
from staged.model.gpt2.config import END_OF_TEXT

GOLDEN = Path(__file__).parents[1] / "golden" / "tensorflow" / "one"


class TestFolder:
    def test_keeps_every_bit_and_the_type(self, tiny: Path, tmp_path: Path) -> None:
        assert convert(str(tiny), tmp_path / "a")
        assert (tmp_path / "a" / "model.safetensors").read_bytes() == (
            tiny / "model.safetensors"
        ).read_bytes()
        assert (tmp_path / "a" / "tokenizer.json").read_bytes() == (
            tiny / "tokenizer.json"
        ).read_bytes()

    def test_other_type(self, tiny: Path, tmp_path: Path) -> None:
        steps: list[tuple[int, int]] = []
        convert(
            str(tiny), tmp_path / "a", dtype="bfloat16", progress=lambda *step: steps.append(step)
        )
        assert steps == [(i, 28) for i in range(1, 29)]
        model, bpe = load_model(str(tiny), dtype=torch.bfloat16)
        save_model(tmp_path / "b", model, bpe)
        for name in ("model.safetensors", "config.json"):
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

    def test_again_is_nothing_and_foreign_files_stay(self, tiny: Path, tmp_path: Path) -> None:
        assert convert(str(tiny), tmp_path / "a")
        assert not convert(str(tiny), tmp_path / "a")
        with pytest.raises(PlanError, match="holds other files; choose a new folder"):
            convert(str(tiny), tmp_path / "a", dtype="float16")
        (tmp_path / "own").mkdir()
        (tmp_path / "own" / "letter.txt").write_text("mine")
        with pytest.raises(PlanError, match="holds other files"):
            convert(str(tiny), tmp_path / "own")
        assert (tmp_path / "own" / "letter.txt").read_text() == "mine"
        with pytest.raises(PlanError, match="a file stands there"):
            convert(str(tiny), tmp_path / "own" / "letter.txt")
        with pytest.raises(PlanError, match="--dtype 'q8_0': a model folder is written as"):
            convert(str(tiny), tmp_path / "b", dtype="q8_0")

    def test_killed_inside_a_file_it_ends_with_the_same_bytes(
        self, tiny: Path, tmp_path: Path
    ) -> None:
        class Kill(BaseException):
            pass

        def killer(done: int, total: int) -> None:
            if done == total // 2:
                raise Kill

        with pytest.raises(Kill):
            convert(str(tiny), tmp_path / "a", progress=killer)
        assert not (tmp_path / "a").exists()
        assert convert(str(tiny), tmp_path / "a")
        assert (tmp_path / "a" / "model.safetensors").read_bytes() == (
            tiny / "model.safetensors"
        ).read_bytes()
        assert not (tmp_path / "a.partial").exists()

    def test_what_a_mini_learned_from_is_carried(self, tmp_path: Path) -> None:
        convert("mini-s", tmp_path / "a", dtype="float32")
        assert "sources" in (tmp_path / "a" / "training.json").read_text()


def read_back(path: Path) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    reader = gguf.GGUFReader(path)
    tensors = {
        one.name: gguf.dequantize(one.data, one.tensor_type).reshape(one.shape[::-1])
        for one in reader.tensors
    }
    return tensors, {name: field.contents() for name, field in reader.fields.items()}


class TestGGUF:
    @pytest.mark.parametrize(
        ("dtype", "error"),
        [("keep", 0.0), ("float32", 0.0), ("float16", 1e-3), ("bfloat16", 8e-3), ("q8_0", 8e-3)],
    )
    def test_tensors_read_back(self, tiny: Path, tmp_path: Path, dtype: str, error: float) -> None:
        convert(str(tiny), tmp_path / "m.gguf", dtype=dtype)
        tensors, _ = read_back(tmp_path / "m.gguf")
        state = load_model(str(tiny))[0].state_dict()
        assert set(tensors) == {gguf_name(name) for name in state}
        for name, weight in state.items():
            expected = (
                weight.t() if weight.dim() == 2 and name.startswith("h.") else weight
            ).numpy()
            got = tensors[gguf_name(name)]
            assert got.shape == expected.shape
            assert np.abs(got - expected).max() <= error * np.abs(expected).max(), name
            if weight.dim() == 1 or name == "wpe.weight":
                assert np.array_equal(got, expected), name

    def test_metadata_and_tokenizer(self, tiny: Path, tmp_path: Path) -> None:
        convert(str(tiny), tmp_path / "m.gguf")
        _, facts = read_back(tmp_path / "m.gguf")
        model, bpe = load_model(str(tiny))
        assert facts["general.architecture"] == "gpt2"
        assert facts["gpt2.block_count"] == model.config.n_layer
        assert facts["gpt2.context_length"] == model.config.n_ctx
        assert facts["gpt2.embedding_length"] == model.config.n_embd
        assert facts["gpt2.feed_forward_length"] == 4 * model.config.n_embd
        assert facts["gpt2.attention.head_count"] == model.config.n_head
        assert facts["gpt2.attention.layer_norm_epsilon"] == pytest.approx(1e-5)
        tokens = facts["tokenizer.ggml.tokens"]
        assert (len(tokens), tokens[-1]) == (bpe.n_vocab, END_OF_TEXT)
        vocabulary, merges = bpe.merges()
        assert all(tokens[i] == token for token, i in vocabulary.items())
        assert facts["tokenizer.ggml.merges"] == [" ".join(pair) for pair in merges]
        assert facts["tokenizer.ggml.eos_token_id"] == bpe.end_of_text
        assert facts["tokenizer.ggml.token_type"][-1] == gguf.TokenType.CONTROL

    def test_rows_that_do_not_fit_q8_0(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"rows of 8 weights do not fit q8_0"):
            convert(str(GOLDEN), tmp_path / "m.gguf", dtype="q8_0")
        assert not list(tmp_path.iterdir())

    def test_refused(self, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(PlanError, match="--dtype 'q4': GGUF files are written as float32"):
            convert(str(tiny), tmp_path / "m.gguf", dtype="q4")
        (tmp_path / "m.gguf").write_text("mine")
        with pytest.raises(PlanError, match="already there"):
            convert(str(tiny), tmp_path / "m.gguf")
        (tmp_path / "M.GGUF").write_text("mine")
        with pytest.raises(PlanError, match=r"M\.GGUF: already there"):
            convert(str(tiny), tmp_path / "M.GGUF")
        with pytest.raises(
            PlanError,
            match=r"written as a folder or as a \.gguf file; give a name without \.safetensors",
        ):
            convert(str(tiny), tmp_path / "model.safetensors")
        monkeypatch.setitem(sys.modules, "gguf", None)
        with pytest.raises(PlanError, match=r"pip install 'staged\[gguf\]'"):
            convert(str(tiny), tmp_path / "n.gguf")


def test_from_the_command_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["convert", str(GOLDEN), str(tmp_path / "a"), "--dtype", "float16"]
    )
    assert result.exit_code == 0, result.output
    assert load_model(str(tmp_path / "a"))[0].config.n_layer == 2
    assert (
        "nothing to do"
        in CliRunner()
        .invoke(app, ["convert", str(GOLDEN), str(tmp_path / "a"), "--dtype", "float16"])
        .output
    )


def test_offline_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    result = CliRunner().invoke(app, ["convert", "openai:124M", str(tmp_path / "a"), "--offline"])
    assert isinstance(result.exception, CheckpointError)
    assert f"put them into {tmp_path / 'staged' / 'openai' / '124M'}" in str(result.exception)
