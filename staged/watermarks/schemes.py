"""Any watermark by its scheme's name, from a key's 64-bit secret and settings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from staged.errors import PlanError
from staged.settings import from_table, nearest
from staged.watermarks.contract import Watermark
from staged.watermarks.kinds.gumbel import DualGumbel, Gumbel, check_key
from staged.watermarks.kinds.kgw import KGW
from staged.watermarks.kinds.sbw import SBW
from staged.watermarks.kinds.synthid import LAYERS, SynthID

KINDS: dict[str, type[Gumbel] | type[DualGumbel] | type[KGW] | type[SBW] | type[SynthID]] = {
    "gumbel": Gumbel,
    "gumbel-dual": DualGumbel,
    "kgw": KGW,
    "sbw": SBW,
    "synthid": SynthID,
}


def make_watermark(
    scheme: str, secret: int | None, vocabulary: int, settings: Mapping[str, Any] | None = None
) -> Watermark:
    """A watermark of one scheme.

    Args:
        scheme: one of `contract.SCHEMES`.
        secret: 0 … 2^64 − 1, from which the scheme's key or keys are made; None where `settings`
            has them, as those of strangers' marks do.
        vocabulary: size of the model's output.
        settings: the scheme's fields that differ from its defaults, as JSON values.

    Raises:
        PlanError: no such scheme or setting, a value that does not fit, no key; the sentence never
            shows one.
    """
    if scheme not in KINDS:
        raise PlanError(f"watermark {scheme!r}: unknown; {nearest(scheme, KINDS)}")
    where, kind = f"watermark {scheme}", KINDS[scheme]
    table = dict(settings or {})
    if secret is not None:
        check_key(secret)
        table = keys_of(scheme, secret) | table
    _check_keys(table, where)
    return from_table(
        kind, ({"vocabulary": vocabulary} if kind is KGW else {}) | table, where=where
    )


def keys_of(scheme: str, secret: int) -> dict[str, Any]:
    """A scheme's key or keys, made from a key's secret: itself where 64 bits are one, else what
    SHA-256 makes of a label and the secret, 63 bits each.
    """
    if scheme == "kgw":
        return {"key": _derived("staged kgw", secret)}
    if scheme == "synthid":
        return {"keys": [_derived(f"staged synthid {n}", secret) for n in range(LAYERS)]}
    return {"key": secret}


def settings_of(watermark: Watermark) -> dict[str, Any]:
    """What of a watermark is not secret, as JSON values: `make_watermark` takes them with the
    secret and the vocabulary.
    """
    return {
        option.name: getattr(watermark, option.name)
        for option in fields(watermark)  # type: ignore[arg-type]
        if option.repr and option.name != "vocabulary"
    }


def _derived(label: str, secret: int) -> int:
    digest = hashlib.sha256(label.encode() + b"\0" + secret.to_bytes(8, "big")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _check_keys(table: Mapping[str, Any], where: str) -> None:
    """Refuse keys of another type in a sentence that does not show them."""
    keys = table.get("keys", [])
    if "key" in table and type(table["key"]) is not int:
        raise PlanError(f"{where}: its key must be a whole number")
    if not isinstance(keys, list) or any(type(key) is not int for key in keys):
        raise PlanError(f"{where}: its keys must be a list of whole numbers")
