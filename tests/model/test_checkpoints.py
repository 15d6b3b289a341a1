"""A damaged or foreign checkpoint is refused in one sentence that names the file and the tensor."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from staged.errors import CheckpointError
from staged.model.bpe import BPE, load_bpe, train_bpe
from staged.model.checkpoints import MINIS, load_model, model_folder


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def error_page(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"<!doctype html><title>404</title>")


def edit(change: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return damage


def poison(tensors: dict[str, torch.Tensor]) -> None:
    tensors["h.1.mlp.c_fc.weight"][0, 0] = float("nan")


def other_tokenizer(folder: Path) -> None:
    train_bpe(["some text and some more text, a little longer than that"] * 9, 260).save(folder)


DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (truncate, r"model\.safetensors: not a readable safetensors file, or truncated"),
    (error_page, r"model\.safetensors: not a readable safetensors file"),
    (edit(poison), r"model\.safetensors: tensor 'h\.1\.mlp\.c_fc\.weight' holds NaN"),
    (edit(lambda t: t.__delitem__("wpe.weight")), r"model\.safetensors: tensor 'wpe\.weight' is missing"),
    (edit(lambda t: t.update({"ln_f.bias": torch.zeros(5)})), r"'ln_f\.bias' has shape \[5\], config\.json says \[32\]"),
    (lambda folder: (folder / "config.json").write_text("{"), r"config\.json: damaged"),
    (lambda folder: (folder / "config.json").unlink(), r"config\.json: no such file"),
    (lambda folder: (folder / "model.safetensors").unlink(), r"model\.safetensors: not a readable"),
    (lambda folder: (folder / "tokenizer.json").unlink(), r"no tokenizer\.json here"),
    (lambda folder: (folder / "tokenizer.json").write_text("<html>"), r"tokenizer\.json: not a readable tokenizer"),
    (other_tokenizer, r"the tokenizer has 260 entries but the model 384"),
]


@pytest.mark.parametrize(("damage", "says"), DAMAGES)
def test_damage_is_named(tiny: Path, tmp_path: Path, damage: Callable[[Path], None], says: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    damage(folder)
    with pytest.raises(CheckpointError, match=says):
        load_model(str(folder))


def test_unknown_model_suggests_the_nearest() -> None:
    with pytest.raises(CheckpointError, match="did you mean 'mini-xl'"):
        load_model("minixl")


class TestShippedModels:
    def test_weights_are_bf16_and_small(self) -> None:
        total = 0
        for name in MINIS:
            path = model_folder(name) / "model.safetensors"
            total += path.stat().st_size
            assert {tensor.dtype for tensor in load_file(path).values()} == {torch.bfloat16}, name
        assert total < 80e6

    def test_validation_loss_falls_strictly_with_size(self) -> None:
        facts = [json.loads((model_folder(name) / "training.json").read_text()) for name in MINIS[:4]]
        losses = [fact["valid_loss_nats_per_token"] for fact in facts]
        sizes = [fact["parameters"] for fact in facts]
        assert sizes == sorted(sizes)
        assert losses == sorted(losses, reverse=True)
        assert len(set(losses)) == 4

    def test_trained_as_the_committed_plan_says(self) -> None:
        from staged.corpus.build import CorpusSettings
        from staged.model.plan import TrainSettings, read_plan

        plan = Path(__file__).parents[2] / "plans" / "minis.toml"
        for name, settings in read_plan(plan).items():
            facts = json.loads((model_folder(name) / "training.json").read_text())
            recorded = facts["settings"] | {"corpus": CorpusSettings(**facts["settings"]["corpus"])}
            assert TrainSettings(**recorded) == settings, name
            assert facts["steps"] == settings.steps


class TestBPE:
    def test_special_token_in_a_text_is_ordinary_characters(self, bpe: BPE) -> None:
        ids = bpe.encode("a<|endoftext|>b")
        assert bpe.end_of_text not in ids
        assert bpe.decode(ids) == "a<|endoftext|>b"

    def test_saved_and_loaded_encodes_the_same(self, bpe: BPE, tmp_path: Path) -> None:
        bpe.save(tmp_path)
        for text in ("plain", " two  spaces", "🎈\u200d\n", "I'll we've"):
            assert load_bpe(tmp_path).encode(text) == bpe.encode(text)
            assert bpe.decode(bpe.encode(text)) == text

    def test_truncate_leaves_no_half_character(self, bpe: BPE) -> None:
        ids = bpe.encode("ab🎈")
        assert len(ids) > 4
        assert bpe.truncate(["ab🎈"], len(ids) - 1) == ["ab"]
        assert bpe.truncate(["ab🎈"], len(ids)) == ["ab🎈"]

    def test_too_little_text(self) -> None:
        with pytest.raises(CheckpointError, match="give more text"):
            train_bpe(["abc"], 4096)

    def test_released_tokenizer_files_are_read(self, bpe: BPE, tmp_path: Path) -> None:
        vocabulary, merges = bpe.merges()
        (tmp_path / "encoder.json").write_text(json.dumps(vocabulary))
        (tmp_path / "vocab.bpe").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n")
        assert load_bpe(tmp_path).encode("The river's 12 bridges") == bpe.encode("The river's 12 bridges")
