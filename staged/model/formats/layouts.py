"""Which files of a folder make a model, in each of the published layouts.

hub          config.json · model.safetensors or pytorch_model.bin, or either in shards with an index
             · tokenizer
TensorFlow   hparams.json · checkpoint, model.ckpt.index, model.ckpt.data-* · encoder.json,
             vocab.bpe
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from staged.errors import ArtifactError, CheckpointError
from staged.model.formats.file_tensor import refuse_foreign
from staged.model.formats.tensorflow import checkpoint_prefix, shard_files
from staged.storage.json_files import read_json

SAFETENSORS, PICKLED = "model.safetensors", "pytorch_model.bin"
INDEX = ".index.json"
TOKENIZERS = (("tokenizer.json",), ("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt"))
GENERATION = "generation_config.json"  # where a chat model has the ends of its answers
BESIDE = (  # what a folder of any family may hold besides, for who prompts the model or samples it
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "chat_template.json",
    GENERATION,
)
INSTEAD = {  # files that training programs leave → what to do with them
    "adapter_model.*": (
        "a LoRA adapter alone; merge it into its base model (in peft: merge_and_unload) and save"
        " the whole"
    ),
    "adapter_config.json": (
        "a LoRA adapter's; merge it into its base model (in peft: merge_and_unload) and save the"
        " whole"
    ),
    "*.gguf": (
        "a GGUF file, which is written here and not read; take the model that it was made from"
    ),
    "*.distcp": (
        "a part of a distributed PyTorch checkpoint (FSDP); join it with"
        " torch.distributed.checkpoint.format_utils first"
    ),
    "zero_to_fp32.py": (
        "DeepSpeed's, which joins the parts of its checkpoint: run it, with pytorch_model.bin as"
        " its output"
    ),
    "*mp_rank_*": (
        "a part of a DeepSpeed or Megatron checkpoint; join its parts into pytorch_model.bin with"
        " their tools"
    ),
    "pytorch_model_fsdp*": (
        "a checkpoint of accelerate's FSDP; save the model itself with save_pretrained"
    ),
    "ckpt*.pt": (
        "a training's checkpoint such as nanoGPT's; name it pytorch_model.bin, with tokenizer.json"
        " and config.json beside"
    ),
    "*.ckpt": (
        "a training's checkpoint such as Lightning's; name it pytorch_model.bin, with"
        " tokenizer.json and config.json beside"
    ),
    "checkpoint-*": "a folder of a training; give one of its checkpoints' folders",
    "tf_model.h5": "a Keras file; save the model from transformers as safetensors",
    "flax_model.msgpack": "a Flax file; save the model from transformers as safetensors",
    "*.onnx": "an ONNX file, which is not read; take the model that it was made from",
}
EXPECTED = (
    "a model folder holds config.json, model.safetensors, tokenizer.json, or OpenAI's TensorFlow"
    " files"
)


def read_object(path: Path, *, expected: str = EXPECTED) -> dict[str, Any]:
    """A JSON object of a model folder, or of another.

    Args:
        expected: what an error says such a folder holds.

    Raises:
        CheckpointError: missing, damaged, a web page, or another kind of JSON.
    """
    try:
        if path.is_file():
            refuse_foreign(path)
        content = read_json(path)
    except ArtifactError as error:
        raise CheckpointError(f"{error}; {expected}") from None
    except RecursionError:
        raise CheckpointError(f"{path}: damaged: nested too deeply; download it again") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a JSON object; {expected}")
    return content


def config_file(folder: Path) -> Path:
    """`config.json`, or a TensorFlow folder's `hparams.json`; it need not exist."""
    hparams = folder / "hparams.json"
    return (
        hparams
        if hparams.is_file() and not (folder / "config.json").is_file()
        else folder / "config.json"
    )


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's weights, an index first; safetensors before pickles before
    TensorFlow.

    Raises:
        CheckpointError: none, or an index that names files which are not there.
    """
    for name in (SAFETENSORS, PICKLED):
        if (folder / name).is_file():
            return [folder / name]
        if (folder / f"{name}{INDEX}").is_file():
            return [folder / f"{name}{INDEX}", *_shards(folder / f"{name}{INDEX}")]
    prefix = checkpoint_prefix(folder)
    if prefix is not None:
        return shard_files(prefix)
    raise CheckpointError(
        f"{folder}: no weights here, such as {SAFETENSORS}, {PICKLED} or"
        f" model.ckpt.index{_instead(folder)}"
    )


def _instead(folder: Path) -> str:
    """What stands there instead, and what to do; else what was expected."""
    candidates = ((sorted(folder.glob(pattern)), words) for pattern, words in INSTEAD.items())
    return next(
        (f"; {paths[0].name} is {words}" for paths, words in candidates if paths), f"; {EXPECTED}"
    )


def read_shape(folder: Path) -> dict[str, Any]:
    """The object of `config_file`.

    Raises:
        CheckpointError: as `read_object`; where the file is missing, what stands in the folder
            instead of a model.
    """
    path = config_file(folder)
    return read_object(
        path, expected=EXPECTED if path.is_file() else _instead(folder).removeprefix("; ")
    )


def _shards(index: Path) -> list[Path]:
    names = read_object(index).get("weight_map")
    if (
        not isinstance(names, dict)
        or not names
        or not all(isinstance(name, str) for name in names.values())
    ):
        raise CheckpointError(f"{index}: has no weight_map of tensors and files; download it again")
    for name in sorted(set(names.values())):
        if Path(name).name != name or name in ("", ".", ".."):
            raise CheckpointError(
                f"{index}: names the file {name!r} outside its folder; such a file is not opened"
            )
        if not (index.parent / name).is_file():
            raise CheckpointError(
                f"{index.parent / name}: no such file, but {index.name} names it; the model is not"
                " complete"
            )
    return [index.parent / name for name in sorted(set(names.values()))]


def tokenizer_files(folder: Path) -> list[Path]:
    """The files that `load_bpe` reads: `tokenizer.json`, or a vocabulary and its merges.

    Raises:
        CheckpointError: neither is whole.
    """
    for names in TOKENIZERS:
        if all((folder / name).is_file() for name in names):
            return [folder / name for name in names]
    raise CheckpointError(
        f"{folder}: no tokenizer.json here, nor encoder.json and vocab.bpe; {EXPECTED}"
    )


def is_gpt2(folder: Path) -> bool:
    """Whether a folder's model is a GPT-2, as far as its shape says what it is.

    Raises:
        CheckpointError: as `read_shape`.
    """
    kind = config_file(folder).name == "config.json" and read_shape(folder).get("model_type")
    return kind in (False, None, "gpt2")


def model_files(folder: Path) -> dict[str, Path]:
    """File name → path of all that determines a model: shape, weights, tokenizer, and of another
    family than GPT-2 where its texts end.

    Raises:
        CheckpointError: the folder is not complete.
    """
    paths = [config_file(folder), *weight_files(folder), *tokenizer_files(folder)]
    if (folder / GENERATION).is_file() and not is_gpt2(folder):
        paths.append(folder / GENERATION)
    return {path.name: path for path in paths}


def files_beside_weights(folder: Path) -> dict[str, Path]:
    """`model_files` but the weights, which decide a text of another family than GPT-2 too: they say
    where it ends; of a GPT-2, whose end is always the same, none.

    Raises:
        CheckpointError: the folder is not complete.
    """
    weights = weight_files(folder)
    if is_gpt2(folder):
        return {}
    return {name: path for name, path in model_files(folder).items() if path not in weights}


def as_stage_inputs(name: str, paths: list[Path]) -> dict[str, Path]:
    """Files as inputs of a stage: the first by the name alone, others by their own as well."""
    return {name if path is paths[0] else f"{name}/{path.name}": path for path in paths}


def missing_files(folder: Path | None) -> list[str]:
    """What a folder of the hub's layout lacks to be a model, by the usual names; all of it without
    a folder.
    """
    lacks = []
    for name, find in (
        ("config.json", config_file),
        (SAFETENSORS, weight_files),
        ("tokenizer.json", tokenizer_files),
    ):
        try:
            files = find(folder) if folder is not None else []
        except CheckpointError:
            files = []
        if not files or (isinstance(files, Path) and not files.is_file()):
            lacks.append(name)
    return lacks
