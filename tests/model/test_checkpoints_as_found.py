"""Checkpoints as people have them: wrapped, cut, padded, nested, turned; what cannot be read is
described.
"""

from __future__ import annotations

import json
import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from staged.errors import CheckpointError
from staged.model.bpe import BPE
from staged.model.checkpoints import load_model
from staged.model.convert import convert
from staged.model.formats.tensor_names import plain_name
from staged.model.formats.tensorflow import checkpoint_prefix

Tensors = dict[str, Tensor]
WRAPPERS = (
    "module.",
    "_orig_mod.",
    "model.",
    "base_model.model.",
    "transformer.",
    "net.",
    "_fsdp_wrapped_module.",
    "_forward_module.",
)


@pytest.fixture(scope="module")
def tensors(tiny: Path) -> Tensors:
    return load_file(tiny / "model.safetensors")


def folder_of(
    tiny: Path, folder: Path, stored: object, *, config: dict[str, object] | None = None
) -> Path:
    """The tiny model's folder with other weights: tensors as safetensors, anything else as a
    pickle.
    """
    shutil.copytree(tiny, folder, ignore=shutil.ignore_patterns("model.safetensors"))
    if isinstance(stored, dict) and all(isinstance(one, Tensor) for one in stored.values()):
        save_file(
            {name: one.contiguous().clone() for name, one in stored.items()},
            folder / "model.safetensors",
        )
    else:
        torch.save(stored, folder / "pytorch_model.bin")
    if config:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return folder


def check_loads(folder: Path, tensors: Tensors) -> None:
    model, _ = load_model(str(folder))
    for key, weight in model.state_dict().items():
        assert torch.equal(weight, tensors[key]), key


@pytest.mark.parametrize(
    "prefix",
    [
        *(
            "module.",
            "_orig_mod.",
            "module._orig_mod.",
            "_orig_mod.module.",
            "transformer.",
            "model.",
            "model.transformer.",
        ),
        *(
            "_orig_mod.transformer.",
            "module._orig_mod.transformer.",
            "base_model.model.transformer.",
            "net.gpt.",
            "gpt2.",
        ),
    ],
)
def test_prefixes_are_no_part_of_a_model(
    tiny: Path, tmp_path: Path, tensors: Tensors, prefix: str
) -> None:
    stored = {f"{prefix}{key}": one for key, one in tensors.items()}
    stored |= {f"{prefix.replace('transformer.', '')}lm_head.weight": tensors["wte.weight"]}
    stored |= {f"{prefix}h.0.attn.bias": torch.ones(1, 1, 8, 8)}
    check_loads(folder_of(tiny, tmp_path / "m", stored), tensors)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(WRAPPERS), max_size=4), st.integers(0, 10**6))
def test_a_plain_name_survives_any_wrapping(wrappers: list[str], seed: int) -> None:
    stream = random.Random(seed)
    plain = stream.choice(
        [
            "wte.weight",
            "wpe.weight",
            "ln_f.bias",
            "lm_head.weight",
            f"h.{seed % 48}.attn.c_attn.weight",
        ]
    )
    assert plain_name("".join(wrappers) + plain) == plain
    parts = plain.split(".")
    inside = stream.randrange(1, len(parts))  # FSDP and checkpointing wrap blocks as well
    wrapped = ".".join(
        [
            *parts[:inside],
            stream.choice(["_checkpoint_wrapped_module", "_orig_mod"]),
            *parts[inside:],
        ]
    )
    assert plain_name("".join(wrappers) + wrapped) == plain


def test_two_models_in_one_file_are_not_mixed(tiny: Path, tmp_path: Path, tensors: Tensors) -> None:
    stored = {f"{who}.{key}": one for who in ("student", "teacher") for key, one in tensors.items()}
    with pytest.raises(
        CheckpointError,
        match=r"'\S+' is there twice, as 'student\.\S+' in model.safetensors and as 'teacher\.\S+'",
    ):
        load_model(str(folder_of(tiny, tmp_path / "m", stored)))


def test_the_head_alone_of_a_tied_pair(tiny: Path, tmp_path: Path, tensors: Tensors) -> None:
    stored = {f"transformer.{key}": one for key, one in tensors.items() if key != "wte.weight"}
    check_loads(
        folder_of(tiny, tmp_path / "m", stored | {"lm_head.weight": tensors["wte.weight"]}), tensors
    )


def test_a_head_of_its_own_is_refused_as_one(tiny: Path, tmp_path: Path, tensors: Tensors) -> None:
    stored = tensors | {"lm_head.weight": tensors["wte.weight"].flip(0)}
    with pytest.raises(
        CheckpointError,
        match=r"'lm_head.weight' is not the same as 'wte.weight'.*a head of its own",
    ):
        load_model(str(folder_of(tiny, tmp_path / "m", stored)))


@pytest.mark.parametrize("head", [False, True])
@pytest.mark.parametrize("said", [384, 431])
def test_rows_without_a_token_are_cut_and_said(
    tiny: Path,
    tmp_path: Path,
    tensors: Tensors,
    bpe: BPE,
    caplog: pytest.LogCaptureFixture,
    said: int,
    head: bool,
) -> None:
    padded = torch.cat([tensors["wte.weight"], torch.full((47, 32), 9.0)])
    stored = tensors | {"wte.weight": padded} | ({"lm_head.weight": padded} if head else {})
    folder = folder_of(tiny, tmp_path / "m", stored, config={"vocab_size": said})
    with caplog.at_level(logging.WARNING, "staged"):
        check_loads(folder, tensors)
    assert "the last 47 of 431 rows of 'wte.weight' left out: no token has them" in caplog.text
    convert(str(folder), tmp_path / "converted")
    assert (
        json.loads((tmp_path / "converted" / "config.json").read_text())["vocab_size"]
        == bpe.n_vocab
    )
    check_loads(tmp_path / "converted", tensors)


def test_another_tokenizers_model_is_not_padded(
    tiny: Path, tmp_path: Path, tensors: Tensors
) -> None:
    stored = tensors | {"wte.weight": torch.cat([tensors["wte.weight"], torch.zeros(20, 32)])}
    config: dict[str, object] = {"vocab_size": 404, "eos_token_id": 403}
    with pytest.raises(CheckpointError, match="the tokenizer has 384 entries but the model 404"):
        load_model(str(folder_of(tiny, tmp_path / "m", stored, config=config)))


@pytest.mark.parametrize("entry", ["model", "state_dict", "model_state_dict", "module"])
def test_a_trainings_checkpoint(tiny: Path, tmp_path: Path, tensors: Tensors, entry: str) -> None:
    state = {f"_orig_mod.transformer.{key}": one for key, one in tensors.items()}
    stored = {
        entry: state,
        "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}},
        "iter_num": 5,
        "config": {"lr": 1e-3},
    }
    check_loads(folder_of(tiny, tmp_path / "m", stored), tensors)


@pytest.mark.parametrize("biases", [False, True])
def test_what_nanogpt_saves(
    tiny: Path, tmp_path: Path, tensors: Tensors, caplog: pytest.LogCaptureFixture, biases: bool
) -> None:
    plain = {
        key: one if biases or not key.endswith(".bias") else torch.zeros_like(one)
        for key, one in tensors.items()
    }
    state = {
        f"_orig_mod.transformer.{key}": (
            one.t().contiguous() if key.startswith("h.") and one.dim() == 2 else one
        )
        for key, one in plain.items()
        if biases or not key.endswith(".bias")
    }
    state["_orig_mod.transformer.wte.weight"] = torch.cat(
        [tensors["wte.weight"], torch.zeros(64, 32)]
    )
    state["_orig_mod.lm_head.weight"] = state["_orig_mod.transformer.wte.weight"]
    stored = {
        "model": state,
        "model_args": {"n_layer": 2, "bias": biases},
        "iter_num": 1,
        "best_val_loss": torch.tensor(3.0),
    }
    folder = folder_of(tiny, tmp_path / "m", stored, config={"vocab_size": 448})
    with caplog.at_level(logging.WARNING, "staged"):
        check_loads(folder, plain)
    assert "stored as by nanoGPT, whose exact GELU" in caplog.text


def with_keys(change: Callable[[str], str]) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {change(key): one for key, one in tensors.items()}


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        (
            with_keys(lambda key: f"base_model.model.{key.replace('c_attn', 'c_attn.base_layer')}"),
            (
                r"missing; it holds 28 tensors, such as 'base_model\.\S+', .*: it looks like a LoRA"
                r" adapter that is not merged"
            ),
        ),
        (
            lambda tensors: tensors | {"h.0.attn.c_attn.weight_scale": torch.ones(1)},
            "looks like quantised weights",
        ),
        (
            lambda tensors: tensors | {"score.weight": torch.ones(2, 32)},
            r"'score\.weight'.*a GPT-2 with another head",
        ),
        (
            lambda tensors: {"model.layers.0.self_attn.q_proj.weight": torch.ones(2, 2)},
            "looks like a model of another architecture",
        ),
        (
            lambda tensors: {"roberta.encoder.layer.0.output.dense.bias": torch.ones(2)},
            "looks like an encoder such as BERT",
        ),
        (
            lambda tensors: {"language_model.embedding.word_embeddings.weight": torch.ones(2)},
            "looks like Megatron's layout",
        ),
        (
            lambda tensors: {"state.0.exp_avg": torch.ones(2)},
            "looks like the state of an optimizer",
        ),
        (
            lambda tensors: {"a": torch.ones(2), "b": torch.ones(2)},
            "'wte.weight' is missing; it holds 2 tensors, such as 'a', 'b'$",
        ),
        (
            lambda tensors: (
                tensors
                | {
                    "h.0.attn.c_attn.weight": (
                        tensors["h.0.attn.c_attn.weight"].to(torch.float8_e4m3fn)
                    )
                }
            ),
            "'h.0.attn.c_attn.weight' is not of a floating-point type but F8_E4M3; .*unquantised",
        ),
        (
            lambda tensors: {"epoch": 3, "net": {"wte.weight": torch.ones(2)}},
            "but a dictionary of 'epoch', 'net'; save the model's",
        ),
        (lambda tensors: [torch.ones(2)], "but list; save the model's state_dict"),
    ],
    ids=[
        "lora",
        "scales",
        "head",
        "llama",
        "bert",
        "megatron",
        "optimizer",
        "other",
        "fp8",
        "unknown-entry",
        "list",
    ],
)
def test_what_stands_there_is_described(
    tiny: Path, tmp_path: Path, tensors: Tensors, stored: Callable[[Tensors], object], says: str
) -> None:
    with pytest.raises(CheckpointError, match=says):
        load_model(str(folder_of(tiny, tmp_path / "m", stored(tensors))))


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (["adapter_config.json", "adapter_model.safetensors"], "a LoRA adapter alone"),
        (["model-q4.gguf"], "a GGUF file, which is written here and not read"),
        ([".metadata", "__0_0.distcp"], "distributed PyTorch checkpoint"),
        (["zero_to_fp32.py", "latest"], "DeepSpeed's"),
        (["mp_rank_00_model_states.pt"], "DeepSpeed or Megatron"),
        (["ckpt.pt"], "nanoGPT's; name it pytorch_model.bin"),
        (["epoch=3-step=99.ckpt"], "Lightning's; name it pytorch_model.bin"),
        (["checkpoint-500"], "give one of its checkpoints' folders"),
        (["tf_model.h5"], "a Keras file"),
    ],
    ids=lambda one: one[0] if isinstance(one, list) else "",
)
@pytest.mark.parametrize("config", [False, True])
def test_a_folder_without_a_model_is_named(
    tiny: Path, tmp_path: Path, files: list[str], says: str, config: bool
) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"x")
    if config:
        for name in ("config.json", "tokenizer.json"):
            shutil.copy(tiny / name, tmp_path / name)
    with pytest.raises(CheckpointError, match=says):
        load_model(str(tmp_path))


def beside_adapter(folder: Path, tensors: Tensors) -> None:
    (folder / "adapter_config.json").write_text("{}")


def beside_other_copy(folder: Path, tensors: Tensors) -> None:
    torch.save(
        tensors | {"h.1.attn.c_attn.weight": tensors["h.1.attn.c_attn.weight"] + 1},
        folder / "pytorch_model.bin",
    )


def beside_same_copy(folder: Path, tensors: Tensors) -> None:
    torch.save(
        {f"transformer.{key}": one.bfloat16() for key, one in tensors.items()},
        folder / "pytorch_model.bin",
    )


def beside_index(folder: Path, tensors: Tensors) -> None:
    (folder / "model.safetensors.index.json").write_text("{}")


def beside_damaged_copy(folder: Path, tensors: Tensors) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"<html>503")


@pytest.mark.parametrize(
    ("put", "says"),
    [
        (
            beside_adapter,
            "adapter_config.json is not read: a LoRA adapter counts once it is merged",
        ),
        (
            beside_other_copy,
            "pytorch_model.bin is not read, model.safetensors is: their weights differ",
        ),
        (beside_same_copy, ""),
        (
            beside_index,
            "model.safetensors.index.json is not read, model.safetensors is: it lists other files",
        ),
        (
            beside_damaged_copy,
            "pytorch_model.bin is not read, model.safetensors is: a web page, not a checkpoint",
        ),
    ],
)
def test_what_lies_beside_is_said(
    tiny: Path,
    tmp_path: Path,
    tensors: Tensors,
    caplog: pytest.LogCaptureFixture,
    put: Callable[[Path, Tensors], None],
    says: str,
) -> None:
    folder = folder_of(tiny, tmp_path / "m", tensors)
    put(folder, tensors)
    with caplog.at_level(logging.WARNING, "staged"):
        check_loads(folder, tensors)
    assert says in caplog.text if says else not caplog.text


def test_quantised_weights_are_refused_by_their_config(
    tiny: Path, tmp_path: Path, tensors: Tensors
) -> None:
    folder = folder_of(
        tiny,
        tmp_path / "m",
        tensors,
        config={"quantization_config": {"quant_method": "bitsandbytes"}},
    )
    with pytest.raises(CheckpointError, match="quantization_config: the weights are quantised"):
        load_model(str(folder))


@pytest.mark.parametrize(
    "path",
    [
        *(
            r"C:\\Users\\me\\models\\model.ckpt",
            r"C:\new\model.ckpt",
            r"D:\\run\\test\\model.ckpt",
            "C:/Users/me/model.ckpt",
        ),
        *(
            r"\\\\server\\share\\model.ckpt",
            "model.ckpt",
            "/root/model.ckpt",
            r".\\model.ckpt",
            r"/home/ren\303\251/model.ckpt",
        ),
    ],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_record_from_any_system(tmp_path: Path, path: str, ending: str) -> None:
    (tmp_path / "model.ckpt.index").write_bytes(b"")
    lines = [f'model_checkpoint_path: "{path}"', f'all_model_checkpoint_paths: "{path}"', ""]
    (tmp_path / "checkpoint").write_bytes(("\ufeff" + ending.join(lines)).encode())
    assert checkpoint_prefix(tmp_path) == tmp_path / "model.ckpt"


def test_a_record_with_a_name_in_octal(tmp_path: Path) -> None:
    (tmp_path / "modèle.index").write_bytes(b"")
    (tmp_path / "checkpoint").write_text(r'model_checkpoint_path: "C:\\m\\mod\303\250le"')
    assert checkpoint_prefix(tmp_path) == tmp_path / "modèle"
