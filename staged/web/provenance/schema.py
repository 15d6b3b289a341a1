"""What the routes of provenance take and answer: their types, as the server checks and documents
them.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from staged.web.schema import Strict


class TextToVerify(Strict):
    text: str
    id: str = Field("text", max_length=200)
    manifest: str = Field(
        "", description="Base64 of the manifest beside the text, FILE.c2pa; else the one in it."
    )


class WatermarkSaid(BaseModel):
    found: bool
    p_value: float | None = Field(
        description="Corrected for all keys that were tested; null where it is not told."
    )
    tokens: int = Field(description="That were counted.")
    scheme: str | None
    key: str | None = Field(description="The key's id.")
    reason: str
    model: str | None
    score: float | None
    passage: dict[str, int] | None = Field(
        description="Characters start … end − 1 that carry the mark, where it is not the whole."
    )
    warning: str = Field(description="What has to be known of the key; mostly empty.")


class Verified(BaseModel):
    id: str
    sha256: str = Field(description="Of the text without a manifest, in UTF-8.")
    conclusion: str = Field(
        description="signed, watermarked, looks machine-written, or no evidence."
    )
    technique: str = Field(description="metadata, watermark, forensic, or empty.")
    sentence: str
    level: float = Field(description="Share of unmarked texts that may be called marked.")
    signature: str = Field(description="valid, invalid, absent, untrusted, expired, or revoked.")
    manifest: dict[str, Any] = Field(description="What the signer says, and who that is.")
    watermark: WatermarkSaid
    content: dict[str, Any] = Field(description="verdict, p_value, and what they rest on.")


class SignedReport(BaseModel):
    report: dict[str, Any]
    signature: str = Field(description="Base64 of a COSE_Sign1 over the report's canonical form.")


class TextToTest(BaseModel):
    """As vLLM's detection server takes it."""

    text: str


class MarkFound(BaseModel):
    """As vLLM's detection server answers; of several keys the strongest evidence."""

    score: float | None = Field(description="Null where this server tells a verdict only.")
    p_value: float | None = Field(description="Null where this server tells a verdict only.")
    num_scored_tokens: int
    is_watermarked: bool
