"""What a manifest asserts, an assertion a box: built from facts, and read back.

| label | what it says |
|---|---|
| `c2pa.actions.v2` | `c2pa.created` by a trained model, when, of which inputs |
| `c2pa.ai-disclosure` | the model |
| `org.staged.generation` | ours: weights, sampling, mark and key id, detector, sketch of the text |
| `c2pa.ingredient.v3` | an input that carried a manifest of its own |
| `c2pa.metadata` | the media type, where it is given |
| `c2pa.hash.data` | which bytes were signed |
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import cbor2

from staged.provenance.manifest.claim import known_hash
from staged.provenance.manifest.encoding.cbor import TIME, decode, encode, text_map
from staged.provenance.manifest.encoding.jumbf import Superbox, box, superbox
from staged.provenance.manifest.facts import Facts, Ingredient, ManifestFault

ACTIONS, OLD_ACTIONS = "c2pa.actions.v2", "c2pa.actions"
DISCLOSURE = "c2pa.ai-disclosure"
GENERATION = "org.staged.generation"
INGREDIENT = "c2pa.ingredient.v3"
METADATA = "c2pa.metadata"
DATA_HASH = "c2pa.hash.data"
CREATED, OPENED = "c2pa.created", "c2pa.opened"
EDITED, TOLD = "c2pa.edited", "c2pa.edited.metadata"
SELF_ASSERTED, STAMPED = "self-asserted", "time-stamped"
SUCCESSES = (".match", ".validated", ".trusted", ".insideValidity")
MALFORMED = "assertion.cbor.invalid"
SHA256_BYTES, WEIGHTS = 32, re.compile(r"[0-9a-f]{64}")
MOST_RANGES = 64


@dataclass(frozen=True)
class DataHash:
    """Which bytes of an asset were signed.

    Attributes:
        digest: over the asset without what is excluded.
        exclusions: (start, length) in bytes, in order, none overlapping.
        algorithm: `sha256`, `sha384` or `sha512`.
    """

    digest: bytes
    exclusions: tuple[tuple[int, int], ...] = ()
    algorithm: str = "sha256"
    kind: ClassVar[str] = "dataHash"  # as status codes name it


def cbor_box(label: str, value: Any) -> bytes:
    """An assertion in CBOR, as a superbox."""
    return superbox(b"cbor", label, box(b"cbor", encode(value)))


def time(when: datetime.datetime) -> cbor2.CBORTag:
    """A time to the second, in UTC, as assertions hold it."""
    return cbor2.CBORTag(TIME, f"{when.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}")


def actions(
    facts: Facts,
    when: datetime.datetime,
    inputs: Sequence[Mapping[str, Any]],
    parent: Mapping[str, Any] | None = None,
    *,
    changed: bool = True,
) -> bytes:
    """That a model made the asset, or went on from a parent that somebody had signed.

    Args:
        inputs: hashed URIs of what the model read.
        parent: the same of what became the asset.
        changed: whether the parent's content was changed, or only what is said of it.
    """
    what = CREATED if parent is None else EDITED if changed else TOLD
    made: dict[str, Any] = {
        "action": what,
        "digitalSourceType": facts.source_type,
        "when": time(when),
    }
    if inputs:
        made["parameters"] = {"ingredients": list(inputs)}
    opened = {"action": OPENED, "when": time(when), "parameters": {"ingredients": [parent]}}
    return cbor_box(ACTIONS, {"actions": [made] if parent is None else [opened, made]})


def disclosure(facts: Facts) -> bytes:
    """Which model (18.28)."""
    value = {"modelType": facts.model_type}
    return cbor_box(DISCLOSURE, value | ({"modelName": facts.model} if facts.model else {}))


def generation(facts: Facts, sketch: bytes, *, stamped: bool) -> bytes:
    """How it wrote, what tests for it, and whose word the time is."""
    value = {
        "weights": bytes.fromhex(facts.weights or ""),
        "sampling": dict(facts.sampling),
        "watermark": facts.watermark,
        "key": facts.key,
        "detector": facts.detector,
        "sketch": sketch,
        "time": STAMPED if stamped else SELF_ASSERTED,
    }
    return cbor_box(GENERATION, {name: part for name, part in value.items() if part})


def metadata(media_type: str) -> bytes:
    """The media type, in JSON (18.17)."""
    value = {"@context": {"dc": "http://purl.org/dc/elements/1.1/"}, "dc:format": media_type}
    text = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return superbox(b"json", METADATA, box(b"json", text))


def data_hash(binding: DataHash) -> bytes:
    """Which bytes were signed (18.5)."""
    value: dict[str, Any] = {"hash": binding.digest, "pad": b""}
    if binding.exclusions:
        value["exclusions"] = [
            {"start": start, "length": length} for start, length in binding.exclusions
        ]
    if binding.algorithm != "sha256":
        value["alg"] = binding.algorithm
    return cbor_box(DATA_HASH, value)


def ingredient(
    cited: Ingredient, manifest: Mapping[str, Any], signature: Mapping[str, Any], number: int
) -> bytes:
    """An input with its manifest, by hashed URIs, and what a check of that said (18.16).

    Args:
        number: 0 for the first, which is part of the label (6.4).
    """
    results: dict[str, list[dict[str, str]]] = {"success": [], "informational": [], "failure": []}
    for code in cited.codes:
        kind = "success" if code.endswith(SUCCESSES) else "failure"
        results[kind].append({"code": code, "url": str(signature["url"])})
    value = {
        "relationship": cited.relation,
        "activeManifest": dict(manifest),
        "claimSignature": dict(signature),
        "validationResults": {"activeManifest": results},
    }
    label = INGREDIENT + (f"__{number}" if number else "")
    return cbor_box(label, value | ({"dc:title": cited.title} if cited.title else {}))


def read_value(assertion: Superbox) -> dict[str, Any]:
    """What an assertion in CBOR says.

    Raises:
        ManifestFault: no CBOR, or no map.
    """
    payload = assertion.content(b"cbor")
    if payload is None:
        raise ManifestFault(MALFORMED, f"{assertion.label} is not one box of CBOR")
    return text_map(decode(payload, MALFORMED), MALFORMED)


def read_data_hash(assertion: Superbox, algorithm: str) -> DataHash:
    """Which bytes were signed; `algorithm` is the claim's, for assertions that name none.

    Raises:
        ManifestFault: nothing that says it.
    """
    value = read_value(assertion)
    digest, pad = value.get("hash"), value.get("pad", b"")
    if not isinstance(digest, bytes):
        raise ManifestFault("assertion.dataHash.mismatch", "no hash of the content")
    if not isinstance(pad, bytes) or any(pad):
        raise ManifestFault("assertion.dataHash.malformed", "padding that is not zeros")
    named = known_hash(value.get("alg", algorithm))
    return DataHash(digest, _ranges(value.get("exclusions", [])), named)


def _ranges(value: Any) -> tuple[tuple[int, int], ...]:
    ranges, end = [], 0
    for each in value if isinstance(value, list) and len(value) <= MOST_RANGES else [None]:
        match each:
            case {"start": int(start), "length": int(length)} if start >= end and length >= 0:
                ranges.append((start, length))
                end = start + length
            case _:
                raise ManifestFault("assertion.dataHash.malformed", "exclusions out of order")
    return tuple(ranges)


def read_facts(assertions: Mapping[str, Superbox]) -> tuple[Facts, datetime.datetime | None]:
    """(what the signer says, when by its own clock); parts of another form are left out."""
    facts, when = _of_actions(assertions.get(ACTIONS) or assertions.get(OLD_ACTIONS))
    if DISCLOSURE in assertions:
        value = read_value(assertions[DISCLOSURE])
        facts = replace(facts, model=_text(value, "modelName"))
        facts = replace(facts, model_type=_text(value, "modelType") or facts.model_type)
    if GENERATION in assertions:
        value = read_value(assertions[GENERATION])
        sampling = value.get("sampling")
        facts = replace(
            facts,
            weights=_weights(value.get("weights")),
            sampling=sampling if _is_json(sampling) and isinstance(sampling, dict) else {},
            watermark=_text(value, "watermark"),
            key=_text(value, "key"),
            detector=_text(value, "detector"),
        )
    return facts, when


def _weights(value: Any) -> str | None:
    """A SHA-256 in hexadecimal digits; c2pa-python takes no bytes, and holds it as such text."""
    if isinstance(value, str) and WEIGHTS.fullmatch(value):
        return value
    return value.hex() if isinstance(value, bytes) and len(value) == SHA256_BYTES else None


def read_sketch(assertions: Mapping[str, Superbox]) -> bytes:
    """The sketch of the text that was signed; empty where the manifest has none."""
    if GENERATION not in assertions:
        return b""
    sketch = read_value(assertions[GENERATION]).get("sketch")
    return sketch if isinstance(sketch, bytes) else b""


def _of_actions(assertion: Superbox | None) -> tuple[Facts, datetime.datetime | None]:
    told = read_value(assertion).get("actions") if assertion is not None else None
    every = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
    sourced = [each for each in every if "digitalSourceType" in each]  # opening has no source
    first = (sourced or every or [{}])[0]
    source = first.get("digitalSourceType")
    facts = Facts(source_type=source if isinstance(source, str) else "")
    when = first.get("when")
    return facts, _moment(when.value if isinstance(when, cbor2.CBORTag) else when)


def _moment(text: Any) -> datetime.datetime | None:
    try:
        moment = datetime.datetime.fromisoformat(text)
        return moment.astimezone(datetime.UTC) if moment.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None


def _is_json(value: Any) -> bool:
    """Whether a stranger's value can be written as JSON."""
    match value:
        case None | bool() | int() | str():
            return True
        case float():
            return math.isfinite(value)
        case list():
            return all(map(_is_json, value))
        case dict():
            return all(isinstance(name, str) and _is_json(part) for name, part in value.items())
        case _:
            return False


def _text(value: Mapping[str, Any], name: str) -> str | None:
    part = value.get(name)
    return part if isinstance(part, str) else None
