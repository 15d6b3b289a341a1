"""Verbs that keep keys, which mark texts and sign what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what only a checker reads: `import staged` loads no library
    from staged.keys.material import Origin
    from staged.keys.ring import Key

__all__ = ["list_keys", "new_key", "revoke_key", "rotate_key"]


def new_key(
    key: str = "",
    *,
    purpose: str = "",
    name: str = "",
    days: int = 365,
    certificate: str | Path | None = None,
    private_key: str | Path | None = None,
    imported: str | Path | None = None,
    model: str = "",
) -> Key:
    """Make a key: a folder of its own, with its secrets for their owner alone.

    Args:
        key: its id: letters, digits, `.`, `_` and `-`; the next free `key-1`, `key-2`, … when
            empty.
        purpose: `watermark` to mark texts, `signing` to sign manifests, or `both`; when empty,
            `watermark` for what is imported, else `both`.
        name: of the signer, in the certificate; `staged key ID` when empty.
        days: for which the self-signed certificate is valid.
        certificate: an X.509 chain of your own, PEM, the signer's certificate first; else one is
            made that is self-signed.
        private_key: its private key, PEM, not encrypted.
        imported: another library's watermark to mark with or to find, a JSON file: transformers'
            `WatermarkingConfig` or `SynthIDTextWatermarkingConfig`, or vLLM's `watermark-config`.
        model: which it marks, so that `verify` looks for it in that model's tokens.

    Raises:
        PlanError: no such purpose, or the configuration is none that is known.
        CheckpointError: `model` is nowhere.
        ProvenanceError: no id, one that is taken, or files that do not fit.
        ArtifactError: the folder of keys cannot be written.

    Example:
        >>> import staged
        >>> key = staged.new_key("alpha", name="Example Press")  # doctest: +SKIP
        >>> key.state  # doctest: +SKIP
        'active'
    """
    from staged.errors import PlanError
    from staged.keys.ring import PURPOSES
    from staged.keys.ring import new_key as make

    purpose = purpose or ("watermark" if imported else "both")
    if purpose not in ("both", *PURPOSES):
        raise PlanError(
            f"{purpose!r} is nothing that a key is for; give both, watermark or signing"
        )
    purposes = PURPOSES if purpose == "both" else (purpose,)
    origin = _origin(name, days, certificate, private_key)
    if imported is None:
        if model:
            raise PlanError("--model says whose tokens an imported mark is in; give --import too")
        return make(key, purposes=purposes, origin=origin)
    return _imported(key, purposes, origin, Path(imported), model)


def _imported(
    key: str, purposes: Sequence[str], origin: Origin, configuration: Path, model: str
) -> Key:
    from staged.keys.ring import Use, record_use
    from staged.keys.ring import new_key as make
    from staged.model.causal import load_shape
    from staged.watermarks.schemes import make_watermark, settings_of
    from staged.watermarks.strangers import read_configuration

    scheme, settings = read_configuration(configuration)
    origin = replace(origin, scheme=scheme, settings=settings)
    if not model:
        return make(key, purposes=purposes, origin=origin)
    vocabulary = load_shape(model).n_vocab
    shown = settings_of(make_watermark(scheme, None, vocabulary, settings))
    made = make(key, purposes=purposes, origin=origin)  # after all that can be refused
    return record_use(made, Use(scheme, model, vocabulary, shown))


def list_keys() -> list[Key]:
    """Every key, by its id.

    Raises:
        ProvenanceError, ArtifactError: the folder of keys, or a key in it, cannot be read.
    """
    from staged.keys.ring import all_keys

    return all_keys()


def rotate_key(
    key: str,
    new: str = "",
    *,
    name: str = "",
    days: int = 365,
    certificate: str | Path | None = None,
    private_key: str | Path | None = None,
) -> tuple[Key, Key]:
    """Make a key's successor for the same purposes, and retire the key: it marks and signs nothing
    new, and what it marked and signed still verifies.

    Args:
        key: the id of the old one.
        new: of its successor; `alpha-2` after `alpha` when empty.
        name, days, certificate, private_key: as `new_key` takes them; the signer's name stays when
            empty.

    Returns:
        The old key and the new one.

    Raises:
        ProvenanceError: no such key, one that was rotated already, or files that do not fit.
        ArtifactError: the folder of keys cannot be written.
    """
    from staged.keys.ring import rotate

    return rotate(key, new, origin=_origin(name, days, certificate, private_key))


def revoke_key(key: str, *, reason: str = "") -> Key:
    """Mark a key as one that others had: what carries it is found, with a warning.

    Raises:
        ProvenanceError: no such key, or it was revoked already.
    """
    from staged.keys.ring import revoke

    return revoke(key, reason)


def _origin(
    name: str, days: int, certificate: str | Path | None, private_key: str | Path | None
) -> Origin:
    from staged.keys.material import Origin, read_brought

    chain = read_brought(Path(certificate)) if certificate else b""
    private = read_brought(Path(private_key)) if private_key else b""
    return Origin(name, days, private, chain)
