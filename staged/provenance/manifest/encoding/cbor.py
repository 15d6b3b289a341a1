"""CBOR as manifests hold it: deterministic where we write, with narrow limits where we read."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import cbor2

from staged.errors import ProvenanceError, first_line
from staged.provenance.manifest.facts import ManifestFault

DEEPEST = 24  # nested arrays and maps
COSE_SIGN1 = 18  # the tag of a single signature
TIME = 0  # the tag of a time in RFC 3339
# Tags that the library turns into something else, from bignums to regular expressions of a
# stranger; a manifest's reader wants the tag and what stands under it, no more.
MEANINGS = (
    *(TIME, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 100),
    *(256, 258, 260, 261, 1004, 43000, 55799),
)


def encode(value: Any) -> bytes:
    """Core deterministic encoding (RFC 8949, 4.2.1) of maps with text or integer keys.

    Raises:
        ProvenanceError: something in it is none of JSON's values, bytes or tags, or no Unicode.
    """
    try:
        return cbor2.dumps(value, canonical=True)
    except (cbor2.CBORError, ValueError) as error:
        raise ProvenanceError(f"a manifest cannot hold it: {first_line(error)}") from None


def decode(data: bytes, code: str) -> Any:
    """The one item that these bytes are; what stands under a tag stays a `CBORTag`.

    Args:
        code: the status code of bytes that are none.

    Raises:
        ManifestFault: no CBOR, bytes after it, a key twice, or deeper than 24 levels.
    """
    stream = io.BytesIO(data)
    try:
        value = cbor2.CBORDecoder(
            stream,
            semantic_decoders=_BARE,
            max_depth=DEEPEST,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        ).decode()
    except Exception as error:  # a decoder fed by strangers: no list of its errors is complete
        raise ManifestFault(code, f"no CBOR: {error}") from None
    if stream.tell() != len(data):
        raise ManifestFault(code, "bytes after its CBOR")
    return value


def decode_exactly(data: bytes, code: str) -> Any:
    """The same of bytes that nobody signed: written in no other way than the shortest.

    Raises:
        ManifestFault: as `decode`, or bytes that say it in another way.
    """
    value = decode(data, code)
    try:
        same = cbor2.dumps(value) == data
    except Exception:  # a value of a stranger's that the encoder does not know
        same = False
    if not same:
        raise ManifestFault(code, "CBOR in more bytes than it needs")
    return value


def text_map(value: Any, code: str) -> dict[str, Any]:
    """A map whose keys are text.

    Raises:
        ManifestFault: anything else.
    """
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ManifestFault(code, "no map with text keys")
    return value


def _bare(tag: int) -> Callable[..., Any]:
    return lambda value, _is_immutable: cbor2.CBORTag(tag, value)


_BARE = {tag: _bare(tag) for tag in MEANINGS}
