"""The detectors of November 2019 by name: RoBERTa base and large, from the hub or in the original
`torch.save` files.

Measures  what RoBERTa learned to tell apart: WebText against GPT-2 1.5B at temperature 1 and
          nucleus samples.
Fails     on generators after GPT-2, repetition penalties, small edits (RAID: homoglyphs take the
          large one from 95% to 33% TPR at 5% FPR), texts beyond 510 tokens (their rest is not
          read), and short ones.
Cost      one forward pass of 125 or 355 million parameters.
Source    https://github.com/openai/gpt-2-output-dataset/tree/master/detector; output 0 is Fake, 1
          is Real.
Threshold 0 (even odds); `staged calibrate` fits one with a known error rate.

Files are read tensor by tensor with every name and shape checked: transformers would start a
missing tensor at random and go on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import RobertaConfig, RobertaForSequenceClassification, RobertaTokenizer

from staged.detectors.kinds.roberta import RobertaDetector, settled
from staged.detectors.names import HUB, RELEASED_DETECTORS, RELEASED_FILES
from staged.errors import CheckpointError, first_line
from staged.model.formats.file_tensor import AnyTensor
from staged.model.formats.layouts import INDEX, read_object, weight_files
from staged.model.formats.pickled import read_pickled, read_pickled_entry
from staged.model.formats.safetensors import read_safetensors
from staged.model.sources.repositories import (
    check_hub_sums,
    hub_files,
    hub_folder,
    offline,
    openai_cache,
)
from staged.model.sources.resumable_download import fetch
from staged.settings import nearest
from staged.storage.writing import disk_errors, locked, write_atomic

# the address that was published, and the storage behind it
BUCKETS = (
    "https://openaipublic.azureedge.net/gpt-2/detector-models/v1",
    "https://openaipublic.blob.core.windows.net/gpt-2/detector-models/v1",
)
FAKE = 0
ORIGINAL_LABELS = {0: "Fake", 1: "Real"}
LAYERS = {768: 12, 1024: 24}  # by width: base and large
HEAD_WIDTH = 64  # in both
OLD_NAMES = {
    r"^module\.": "",
    r"LayerNorm\.gamma$": "LayerNorm.weight",
    r"LayerNorm\.beta$": "LayerNorm.bias",
}
# 2019's class had them; the head does not use them
UNUSED = re.compile(r"roberta\.(embeddings\.position_ids$|pooler\.)")
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
# as `detectors/kinds/roberta.py` loads its own
PLAIN: dict[str, Any] = {"attn_implementation": "eager", "dtype": torch.float32}
MARKS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}


def load_released(name: str) -> RobertaDetector:
    """A released detector by one of `RELEASED_DETECTORS`, downloaded where it is not there yet.

    Raises:
        CheckpointError: unknown name; offline and not there; the download fails or is not what the
            hub states; a file that is truncated, foreign, not RoBERTa's, or holds code. The
            sentence names the file and, where it is one, the tensor.
        ArtifactError: the disk is full, or another process downloads the same.
    """
    if name in HUB:
        folder = hub_folder(HUB[name])
        check_hub_sums(folder)
        return load_hub_layout(folder)
    if name in RELEASED_FILES:
        return load_original(_original_file(name))
    raise CheckpointError(
        f"detector {name!r}: not a released one; {nearest(name, RELEASED_DETECTORS)}"
    )


def load_hub_layout(folder: Path) -> RobertaDetector:
    """A released detector from a folder in the hub's layout: config.json, weights, tokenizer.

    Raises:
        CheckpointError: as `load_released`.
    """
    options = read_object(folder / "config.json")
    if options.get("model_type") != "roberta":
        raise CheckpointError(
            f"{folder / 'config.json'}: model_type is {options.get('model_type')!r}, not 'roberta'"
        )
    try:
        labels = {
            "id2label": ORIGINAL_LABELS,
            "label2id": {v: k for k, v in ORIGINAL_LABELS.items()},
        }
        config = RobertaConfig(**(options | labels | PLAIN))
    except Exception as error:  # its validation raises kinds of its own
        raise CheckpointError(
            f"{folder / 'config.json'}: not a RoBERTa's: {first_line(error)}"
        ) from None
    tokenizer = _tokenizer(folder, config.vocab_size)
    paths = [path for path in weight_files(folder) if not path.name.endswith(INDEX)]
    stored: dict[str, AnyTensor] = {}
    for path in paths:
        stored |= read_safetensors(path) if path.suffix == ".safetensors" else read_pickled(path)
    return _detector(config, stored, paths[0], tokenizer)


def load_original(path: Path) -> RobertaDetector:
    """A detector from its training's own file, `torch.save` of {epoch, model_state_dict,
    optimizer_state_dict, args}.

    The shape follows from the tensors. RoBERTa's tokenizer is not in the file; it is read from the
    file's folder.

    Raises:
        CheckpointError: as `load_released`; or no tokenizer beside the file.
    """
    stored = current_names(read_pickled_entry(path, "model_state_dict"), path)
    config = shape_of(stored, path)
    return _detector(config, stored, path, _tokenizer(path.parent, config.vocab_size))


def current_names(stored: Mapping[str, AnyTensor], where: Path) -> dict[str, AnyTensor]:
    """Tensors by today's names: without `module.`, gamma and beta renamed, those that are not used
    left out.

    Raises:
        CheckpointError: two names become one.
    """
    tensors: dict[str, AnyTensor] = {}
    for old, tensor in stored.items():
        name = old
        for pattern, new in OLD_NAMES.items():
            name = re.sub(pattern, new, name)
        if UNUSED.match(name):
            continue
        if name in tensors:
            raise CheckpointError(f"{where}: tensor {name!r} is there twice, once as {old!r}")
        tensors[name] = tensor
    return tensors


def shape_of(stored: Mapping[str, AnyTensor], where: Path) -> RobertaConfig:
    """RoBERTa's configuration from its tensors' shapes; heads are 64 wide, as in both released
    sizes.

    Raises:
        CheckpointError: a tensor that says the shape is missing or has another number of axes.
    """
    axes = partial(_two_axes, stored, where)
    vocab_size, width = axes("roberta.embeddings.word_embeddings.weight")
    if width % HEAD_WIDTH:
        raise CheckpointError(
            f"{where}: is {width} wide, not a multiple of {HEAD_WIDTH}; it is not a RoBERTa"
            " detector"
        )
    numbers = [
        int(match[1])
        for name in stored
        if (match := re.match(r"roberta\.encoder\.layer\.(\d+)\.", name))
    ]
    return RobertaConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        num_hidden_layers=LAYERS.get(width, max(numbers, default=0) + 1),
        num_attention_heads=width // HEAD_WIDTH,
        intermediate_size=axes("roberta.encoder.layer.0.intermediate.dense.weight")[0],
        max_position_embeddings=axes("roberta.embeddings.position_embeddings.weight")[0],
        type_vocab_size=axes("roberta.embeddings.token_type_embeddings.weight")[0],
        layer_norm_eps=1e-5,
        id2label=ORIGINAL_LABELS,
        **PLAIN,
    )


def _two_axes(stored: Mapping[str, AnyTensor], where: Path, name: str) -> tuple[int, ...]:
    """The shape of a tensor, which has two axes."""
    if name not in stored:
        raise CheckpointError(f"{where}: tensor {name!r} is missing; it is not a RoBERTa detector")
    if len(stored[name].shape) != 2 or min(stored[name].shape) < 1:
        raise CheckpointError(
            f"{where}: tensor {name!r} has shape {list(stored[name].shape)}, expected two axes"
        )
    return stored[name].shape


def _detector(
    config: RobertaConfig, stored: Mapping[str, AnyTensor], where: Path, tokenizer: Any
) -> RobertaDetector:
    """The model, filled; every tensor checked."""
    with torch.device("meta"):
        model = RobertaForSequenceClassification(config)
    found = current_names(stored, where)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    _check_shapes(found, wanted, where)
    model.load_state_dict({name: found[name].read(torch.float32) for name in wanted}, assign=True)
    positions = model.roberta.embeddings  # what no file holds is computed
    positions.position_ids = torch.arange(config.max_position_embeddings)[None]
    positions.token_type_ids = torch.zeros_like(positions.position_ids)
    return RobertaDetector(model.requires_grad_(False), tokenizer, machine=FAKE)


def _check_shapes(
    tensors: Mapping[str, AnyTensor], shapes: Mapping[str, tuple[int, ...]], where: Path
) -> None:
    """Refuse tensors that are missing, of another shape, or of no part of the model."""
    for name, shape in shapes.items():
        if name not in tensors:
            raise CheckpointError(
                f"{where}: tensor {name!r} is missing; the file is not complete, or not a"
                " detector's"
            )
        if tensors[name].shape != shape:
            raise CheckpointError(
                f"{where}: tensor {name!r} has shape {list(tensors[name].shape)}, expected"
                f" {list(shape)}"
            )
    for name in sorted(tensors.keys() - shapes.keys()):
        raise CheckpointError(
            f"{where}: tensor {name!r} is not in a RoBERTa detector of this shape"
        )


def _tokenizer(folder: Path, vocab_size: int) -> Any:
    files = _tokenizer_files(folder)
    if not files:
        raise CheckpointError(
            f"{folder}: RoBERTa's tokenizer is missing; put tokenizer.json, or vocab.json and"
            " merges.txt, of roberta-base there"
        )
    try:
        tokenizer = settled(RobertaTokenizer.from_pretrained(folder))
    except Exception as error:  # the library below raises kinds of its own
        raise CheckpointError(
            f"{files[0]}: not a readable tokenizer: {first_line(error)}"
        ) from None
    if len(tokenizer) != vocab_size or any(
        getattr(tokenizer, mark) != number for mark, number in MARKS.items()
    ):
        raise CheckpointError(
            f"{files[0]}: not this detector's tokenizer: it has {len(tokenizer)} entries, the model"
            f" {vocab_size}, and <s>, <pad>, </s> must be 0, 1, 2"
        )
    return tokenizer


def _tokenizer_files(folder: Path) -> list[Path]:
    """The first whole set of tokenizer files in a folder; none where there is none."""
    sets = ([folder / name for name in names] for names in TOKENIZERS)
    return next((paths for paths in sets if all(path.is_file() for path in paths)), [])


def _original_file(name: str) -> Path:
    """The file in our cache, downloaded where it has to be, with the tokenizer beside it."""
    folder = openai_cache("detectors")
    if offline() and not (folder / name).is_file():
        raise CheckpointError(
            f"detector {name!r}: HF_HUB_OFFLINE is set and {BUCKETS[0]}/{name} is not here; put it"
            f" into {folder}, with tokenizer.json of roberta-base, or run once with"
            " HF_HUB_OFFLINE=0"
        )
    with disk_errors(folder), locked(folder):
        if not (folder / name).is_file():
            _fetch_first(name, folder)
        if not _tokenizer_files(folder) and not offline():
            source = hub_files(
                HUB["roberta-base-openai-detector"],
                [file for files in TOKENIZERS for file in files],
            )
            for path in _tokenizer_files(source):
                write_atomic(folder / path.name, path.read_bytes())
    return folder / name


def _fetch_first(name: str, folder: Path) -> None:
    """From the first address that gives it."""
    refused = []
    for bucket in BUCKETS:
        try:
            return fetch(f"{bucket}/{name}", folder / name)
        except CheckpointError as error:
            refused.append(str(error))
    raise CheckpointError("; and ".join(refused))
