"""Marks that others made: the configuration of another library's watermark, read as one of our
schemes with its settings, its key among them.

    transformers    `WatermarkingConfig`, `SynthIDTextWatermarkingConfig`; by themselves, or under
                    `watermarking_config` in a generation_config.json
    vLLM            what `--watermark-config` takes: Gumbel-max, dual key, Bernoulli

What a configuration says of generation alone (how far back repeated contexts are looked for,
speculative decoding) is checked and left out. Unknown keys and values are refused: a mark that is
read wrongly is one that is never found. TensorRT-LLM and SGLang have watermarks under similar names
whose hashing their documentation does not give, so theirs are not read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from staged.errors import PlanError
from staged.settings import from_table, nearest
from staged.watermarks.kinds.sbw import WIDTHS
from staged.watermarks.schemes import make_watermark

KNOWN = (
    "transformers' WatermarkingConfig or SynthIDTextWatermarkingConfig, or vLLM's watermark-config"
)
Marks = tuple[str, dict[str, Any]]  # a scheme and its settings as JSON values, its key among them
ANY_VOCABULARY = 1 << 20  # to check settings with: a configuration names none


@dataclass(frozen=True)
class GreenList:
    """transformers' `WatermarkingConfig`, its names and defaults."""

    greenlist_ratio: float = 0.25
    bias: float = 2.0
    hashing_key: int = 15485863
    seeding_scheme: str = "lefthash"
    context_width: int = 1

    def marks(self, where: str) -> Marks:
        return "kgw", {
            "key": self.hashing_key,
            "gamma": self.greenlist_ratio,
            "delta": self.bias,
            "seeding": self.seeding_scheme,
            "context_width": self.context_width,
        }


@dataclass(frozen=True)
class Tournament:
    """transformers' `SynthIDTextWatermarkingConfig`, its names and defaults."""

    ngram_len: int
    keys: tuple[int, ...]
    context_history_size: int = 1024
    sampling_table_seed: int = 0
    sampling_table_size: int = 1 << 16
    skip_first_ngram_calls: bool = False
    debug_mode: bool = False

    def marks(self, where: str) -> Marks:
        if self.debug_mode:
            raise PlanError(f"{where}: debug_mode marks no text of a model's; take it out")
        return "synthid", {
            "keys": list(self.keys),
            "ngram": self.ngram_len,
            "table_size": self.sampling_table_size,
            "table_seed": self.sampling_table_seed,
            "skip_first": self.skip_first_ngram_calls,
        }


@dataclass(frozen=True)
class ServerMark:
    """vLLM's `WatermarkConfig`, its names and defaults."""

    key: int
    algorithm: str = "gumbel"
    alpha: float = 0.1
    context_width: int | None = None
    deduplicate_contexts: str = "single_turn"
    deduplicate_contexts_max_history: int | None = 8192
    prf: str = "philox"
    allow_target_only_watermarking: bool = False
    sbw_scheme: str = "selfhash"
    sbw_gamma: float = 0.5
    sbw_delta: float = 2.0

    def marks(self, where: str) -> Marks:
        known = {
            "algorithm": ("gumbel", "dual_key_gumbel", "sbw"),
            "deduplicate_contexts": ("none", "single_turn", "all"),
            "prf": ("philox",),
            "sbw_scheme": tuple(WIDTHS),
        }
        for option, names in known.items():
            value = getattr(self, option)
            if value not in names:
                raise PlanError(f"{where}: {option} {value!r}; {nearest(value, names)}")
        if self.algorithm == "sbw":
            return self._bernoulli(where)
        settings = {
            "key": self.key,
            "width": 4 if self.context_width is None else self.context_width,
        }
        if self.algorithm == "gumbel":
            return "gumbel", settings
        return "gumbel-dual", settings | {"alpha": self.alpha}

    def _bernoulli(self, where: str) -> Marks:
        width = WIDTHS[self.sbw_scheme] + (self.sbw_scheme == "selfhash")  # theirs has the token
        if self.context_width not in (None, width):
            raise PlanError(f"{where}: sbw {self.sbw_scheme} is known with context_width {width}")
        return "sbw", {
            "key": self.key,
            "gamma": self.sbw_gamma,
            "delta": self.sbw_delta,
            "seeding": self.sbw_scheme,
        }


def read_configuration(path: Path) -> Marks:
    """The scheme and settings of a configuration in a JSON file.

    Raises:
        PlanError: the file cannot be read, or is none that is known; the sentence shows no key.
    """
    try:
        table = json.loads(path.read_bytes())
    except OSError as error:
        raise PlanError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise PlanError(f"{path}: no JSON; give {KNOWN}") from None
    return scheme_and_settings(table, where=str(path))


def scheme_and_settings(table: Any, *, where: str) -> Marks:
    """The scheme of another library's configuration, and our settings for it.

    Args:
        table: the configuration as JSON values.
        where: how errors call it.

    Raises:
        PlanError: it is none that is known, or has unknown keys or values.
    """
    if not isinstance(table, dict):
        raise PlanError(f"{where}: no configuration of a watermark; give {KNOWN}")
    if "watermarking_config" in table:
        if table["watermarking_config"] is None:
            raise PlanError(f"{where}: its watermarking_config is empty: it marks nothing")
        inside = f"{where}: watermarking_config"
        return scheme_and_settings(table["watermarking_config"], where=inside)
    _check_secrets(table, where)
    scheme, settings = from_table(_form_of(table, where), table, where=where).marks(where)
    make_watermark(scheme, None, ANY_VOCABULARY, settings)
    return scheme, settings


def _form_of(
    table: Mapping[str, Any], where: str
) -> type[GreenList] | type[Tournament] | type[ServerMark]:
    if {"ngram_len", "keys"} & table.keys():
        return Tournament
    if {"greenlist_ratio", "hashing_key", "seeding_scheme", "bias"} & table.keys():
        return GreenList
    if {"algorithm", "key"} & table.keys():
        return ServerMark
    raise PlanError(f"{where}: no configuration of a watermark; give {KNOWN}")


def _check_secrets(table: Mapping[str, Any], where: str) -> None:
    """Refuse keys of another type in a sentence that does not show them."""
    for name in ("key", "hashing_key"):
        if name in table and type(table[name]) is not int:
            raise PlanError(f"{where}: {name} must be a whole number")
    keys = table.get("keys", [])
    if not isinstance(keys, list) or any(type(key) is not int for key in keys):
        raise PlanError(f"{where}: keys must be a list of whole numbers")
