"""What the operator puts on every text that is written here: a watermark inside it and a signed
manifest beside it. No field of a request changes either.

A request can still leave a watermark nothing to choose from: greedily, or nearly so, a model has
one next token, and a text of such tokens carries no evidence. So what comes close is refused, not
answered without a mark.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from staged.provenance.manifest.facts import Facts, Signer
from staged.provenance.manifest.plain_text import sign_beside
from staged.provenance.manifest.sign import new_signing
from staged.samples.methods import Method
from staged.samples.writers.contract import Row, SampleSettings
from staged.watermarks.contract import Watermark
from staged.web.limits import RefusedError

MANIFEST = "application/c2pa"
HEADER = "X-Staged-Watermark"
# Below it a watermark has little to choose from: docs/decisions/067 has the measured power.
LEAST_TEMPERATURE, LEAST_TOP_K, LEAST_TOP_P = 0.7, 20, 0.8


@dataclass(frozen=True)
class Marks:
    """What is put on every text.

    Attributes:
        key: the id of the key that marks and signs.
        watermark: inside the text; None where there is none.
        signer: of the manifest; None where the key signs nothing.
        facts: what every manifest says, without what a request decides.
        remember: takes the texts of a request, for a log of fingerprints; None keeps no log.
    """

    key: str
    watermark: Watermark | None
    signer: Signer | None
    facts: Facts
    remember: Callable[[list[str]], object] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Of every answer: `scheme; key`."""
        return {HEADER: f"{self.watermark.scheme}; {self.key}"} if self.watermark else {}

    def check(self, settings: SampleSettings) -> None:
        """Refuse a request whose texts could not be marked.

        Raises:
            RefusedError: 400.
        """
        if self.watermark is None:
            return
        for fault in _faults(settings.method):
            raise RefusedError(400, f"{fault}, since this server marks what it writes.")
        prompts = [settings.prompt(i) for i in range(settings.count)]
        if self.watermark.fixes_text and len(set(prompts)) < len(prompts):
            raise RefusedError(
                400,
                f"n: the {self.watermark.scheme} mark of this server gives a prompt one text,"
                " whatever the seed; ask for one of each.",
            )

    def put_on(self, settings: SampleSettings, rows: Sequence[Row]) -> tuple[bytes, ...]:
        """The manifests of these texts, in order, none where the key signs nothing; the log gets
        all texts.
        """
        if self.remember is not None:
            self.remember([row["text"] for row in rows])
        if self.signer is None:
            return ()
        facts, now = replace(self.facts, sampling=sampling(settings)), datetime.now(UTC)
        return tuple(sign_beside(row["text"], facts, self.signer, new_signing(now)) for row in rows)

    def told(self, manifests: Sequence[bytes]) -> dict[str, Any]:
        """The object `provenance` of an answer; empty where texts are neither marked nor signed."""
        mark = self.watermark
        if not (mark or self.signer):
            return {}
        said: dict[str, Any] = {
            "watermark": {"scheme": mark.scheme, "key": self.key} if mark else None
        }
        if manifests:
            encoded = [base64.b64encode(manifest).decode() for manifest in manifests]
            said |= {"manifest_type": MANIFEST, "manifests": encoded}
        return said


def _faults(chosen: Method) -> Iterator[str]:
    """What of a method leaves a watermark too little to choose from."""
    if chosen.temperature < LEAST_TEMPERATURE:
        yield f"temperature: can be {LEAST_TEMPERATURE:g} or more"
    if 0 < chosen.top_k < LEAST_TOP_K:
        yield f"top_k: can be 0 (off), or {LEAST_TOP_K} or more"
    if chosen.top_p[0] < LEAST_TOP_P:
        yield f"top_p: can be {LEAST_TOP_P:g} or more"


def sampling(settings: SampleSettings) -> dict[str, Any]:
    """How tokens were drawn, for a manifest; prompt and seed are the client's, and not in it."""
    method = settings.method
    return {
        "method": method.name,
        "temperature": method.temperature,
        "top_k": method.top_k,
        "top_p": method.top_p[0],
        "semantics": method.semantics,
        "repetition_penalty": settings.repetition_penalty,
        "length": settings.length,
    }
