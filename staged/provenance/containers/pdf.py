"""A manifest in a PDF, put there by the official c2pa-python, and found by its bytes.

That library writes the whole file anew; a PDF that is signed in PDF's own way would lose that, and
is left alone. What it writes is an embedded file that stands there as it is (C2PA 2.4, A.4), so
that finding it needs no library.
"""

from __future__ import annotations

import datetime
import io
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from staged import __version__
from staged.errors import first_line
from staged.keys.certificates import SIGNING_USAGES
from staged.provenance.containers.binding import Carried, ContainerFault
from staged.provenance.manifest.assertions import (
    ACTIONS,
    CREATED,
    DISCLOSURE,
    EDITED,
    GENERATION,
    OPENED,
    SELF_ASSERTED,
    STAMPED,
    TOLD,
)
from staged.provenance.manifest.claim import GENERATOR, SPECIFICATION
from staged.provenance.manifest.facts import Facts, Ingredient, Signing

SUFFIXES = (".pdf",)
MEDIA_TYPE = "application/pdf"
EXTRA = "signed PDF files need the extra: pip install 'staged[provenance]'"
RELATION, SIGNED, ENCRYPTED = b"/C2PA_Manifest", b"/ByteRange", b"/Encrypt"
# a superbox that begins with the description of a manifest store, after its 4 bytes of length
STORE = b"jumb\x00\x00\x00\x1ejumdc2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x008\x9bq\x03c2pa\x00"
STREAM = b"stream"
MULTIPLE, CORRUPTED = "manifest.pdf.multipleManifests", "manifest.pdf.corruptedManifest"
PARENT = "parent"


@dataclass(frozen=True)
class Definition:
    """What c2pa-python is told.

    Attributes:
        manifest: title, assertions and generator, as its builder takes them.
        parent: title of the file itself as the manifest's ingredient; None where it carries none.
        algorithm: Ed25519, ES256, ES384 or PS256.
        chain: PEM of certificates, the signer's own first.
        sign: signs a message, as COSE writes it.
        tsa: URL of a time-stamp authority; empty for none.
    """

    manifest: dict[str, Any]
    parent: str | None
    algorithm: str
    chain: bytes
    sign: Callable[[bytes], bytes]
    tsa: str = ""


def embed(data: bytes, definition: Definition) -> bytes:
    """A PDF with a manifest; one that it has is kept as the parent's.

    Raises:
        ContainerFault: it is encrypted, signed in PDF's own way, or not understood; or the extra is
            not installed.
    """
    if SIGNED in data:
        raise ContainerFault("it is signed in PDF's own way, which a manifest inside would break")
    if ENCRYPTED in data:
        raise ContainerFault("it is encrypted")
    library = _library()
    written = io.BytesIO()
    try:
        with (
            library.Settings.from_dict(_settings(definition)) as settings,
            library.Context(settings) as context,
            library.Signer.from_callback(
                definition.sign,
                library.C2paSigningAlg[definition.algorithm.upper()],
                definition.chain.decode(),
                definition.tsa or None,
            ) as signer,
            library.Builder(definition.manifest, context) as builder,
        ):
            if definition.parent is not None:
                told = {"title": definition.parent, "relationship": "parentOf", "label": PARENT}
                builder.add_ingredient(json.dumps(told), MEDIA_TYPE, io.BytesIO(data))
            builder.sign(signer, MEDIA_TYPE, io.BytesIO(data), written)
    except library.C2paError as error:
        raise ContainerFault(f"c2pa-python cannot write into it: {first_line(error)}") from None
    return written.getvalue()


def extract(data: bytes) -> Carried:
    """The manifest in a PDF."""
    places = list[int]()
    place = data.find(STORE)
    while place >= 0:
        if _begins_a_stream(data, place - 4):
            places.append(place - 4)
        place = data.find(STORE, place + 1)
    if RELATION not in data and not places:
        return Carried()
    if len(places) > 1:
        return Carried(code=MULTIPLE, fault="the file holds more than one manifest")
    if not places:
        return Carried(code=CORRUPTED, fault="the manifest in the file is not there, or packed")
    (length,) = struct.unpack_from(">I", data, places[0])
    return Carried(data[places[0] : places[0] + length], ((places[0], length),))


def manifest(
    facts: Facts, signing: Signing, title: str, parent: Ingredient | None, *, stamped: bool
) -> dict[str, Any]:
    """What `manifest.sign` asserts, as c2pa-python takes it: in JSON, so that digests are text."""
    when = f"{signing.when.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
    what = CREATED if parent is None else EDITED if parent.changed else TOLD
    made = {"action": what, "digitalSourceType": facts.source_type, "when": when}
    opened = {"action": OPENED, "when": when, "parameters": {"ingredientIds": [PARENT]}}
    generation = {
        "weights": facts.weights,
        "sampling": dict(facts.sampling),
        "watermark": facts.watermark,
        "key": facts.key,
        "detector": facts.detector,
        "time": STAMPED if stamped else SELF_ASSERTED,
    }
    model = {"modelType": facts.model_type} | ({"modelName": facts.model} if facts.model else {})
    told: dict[str, dict[str, Any]] = {
        ACTIONS: {"actions": [made] if parent is None else [opened, made]},
        DISCLOSURE: model,
        GENERATION: {name: part for name, part in generation.items() if part},
    }
    generator = {"name": GENERATOR, "version": __version__, "specVersion": SPECIFICATION}
    return {
        "claim_generator_info": [generator],
        **({"title": title} if title else {}),
        "assertions": [
            {"label": label, "data": value, "created": True} for label, value in told.items()
        ],
    }


def _begins_a_stream(data: bytes, place: int) -> bool:
    """Whether a stream's first byte stands here."""
    before = data[max(0, place - len(STREAM) - 2) : max(0, place)]
    return before.endswith((STREAM + b"\n", STREAM + b"\r\n"))


def _library() -> ModuleType:
    try:
        import c2pa
    except ImportError:
        raise ContainerFault(EXTRA) from None
    return c2pa


def _settings(definition: Definition) -> dict[str, Any]:
    """Nothing is fetched, and what is written is read again before it is given out."""
    return {
        "version": 1,
        "trust": {
            "user_anchors": definition.chain.decode(),
            "trust_config": "\n".join(SIGNING_USAGES),
        },
        "verify": {
            "verify_after_sign": True,
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
        },
    }
