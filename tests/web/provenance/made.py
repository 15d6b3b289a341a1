"""A key, and texts of each kind that a checker tells apart."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from staged.keys.ring import Key, new_key
from staged.provenance.manifest.facts import Facts, Signer
from staged.provenance.manifest.plain_text import sign_beside, sign_text
from staged.provenance.manifest.sign import new_signing
from staged.samples.methods import Method
from staged.samples.writers.contract import SampleSettings
from staged.samples.writers.local import open_local
from tests.web.fake import HUMAN_TEXT

LEVEL = 1e-6  # each run has a key of its own, to which no text should look marked by chance
OPENINGS = ("The", "In the spring", "It was", "A letter")
FACTS = Facts(model="mini-s", watermark="gumbel", key="alpha")


@dataclass(frozen=True)
class Made:
    """A key with what it signed and marked."""

    key: Key
    signed: str
    beside: bytes  # the manifest of HUMAN_TEXT
    marked: str


def make() -> Made:
    key = new_key("alpha")
    signer, signing = (
        Signer(key.signing_pem(), key.certificates()),
        new_signing(datetime.datetime.now(datetime.UTC)),
    )
    settings = SampleSettings(
        "mini-s",
        Method("plain"),
        len(OPENINGS),
        200,
        prompts=OPENINGS,
        precision="fp32",
        watermark="gumbel",
        key="alpha",
    )
    rows = open_local(settings).block(0)
    return Made(
        key,
        sign_text(HUMAN_TEXT, FACTS, signer, signing),
        sign_beside(HUMAN_TEXT, FACTS, signer, signing),
        max((row["text"] for row in rows), key=len),  # some end early
    )
