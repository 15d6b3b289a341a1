"""Plain text: signed with its manifest inside or beside it, and checked (C2PA 2.4, A.8, 15.12.1.3).

Where the manifest is inside, the hash is of the text in NFC without the wrapper: canonically
equivalent spellings are the same text, and signing writes NFC. Where it is beside, the hash is of
the bytes as they are, as of any other file.
"""

from __future__ import annotations

import datetime
import hashlib
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import regex

from staged.errors import ProvenanceError
from staged.provenance.manifest import cose
from staged.provenance.manifest.assertions import DataHash
from staged.provenance.manifest.claim import HASHES
from staged.provenance.manifest.encoding import text_wrapper
from staged.provenance.manifest.encoding.text_wrapper import (
    MOST_BYTES,
    Wrapper,
    encoded_bytes,
    find_wrapper,
)
from staged.provenance.manifest.facts import (
    Facts,
    Ingredient,
    ManifestFault,
    SignatureVerdict,
    Signer,
    Signing,
)
from staged.provenance.manifest.sign import (
    SignedClaim,
    TimeStamper,
    filled,
    sign_asset,
    sign_claim,
    size_of,
)
from staged.provenance.manifest.trust import Trust
from staged.provenance.manifest.verdicts import absent_verdict, fault_verdict
from staged.provenance.manifest.verify import (
    StampReader,
    verify_store,
    without,
)

MARKS_IN_A_ROW = 256  # combining marks: putting n of them in order takes n² steps
TOO_MANY = regex.compile(rf"\p{{M}}{{{MARKS_IN_A_ROW + 1}}}")
SKETCH_BYTES = 16
SHINGLE = 5  # characters
SECONDS = (None, *range(28))  # lengths of the second padding that are tried
MALFORMED = "assertion.dataHash.malformed"


@dataclass(frozen=True)
class TextAsset:
    """A text, and where its manifest lies in it.

    Attributes:
        text: without lone surrogates.
        wrapper: in it; None where the manifest lies elsewhere.
    """

    text: str = field(repr=False)
    wrapper: Wrapper | None = None

    def digest(self, exclusions: tuple[tuple[int, int], ...], algorithm: str) -> bytes:
        """Hash of the text: in NFC where its manifest is in it, of its very bytes where that lies
        beside it; empty where the wrapper is not where it was put.

        Raises:
            ManifestFault: what is left out is not the wrapper, or the text cannot be put into NFC.
        """
        hashed = HASHES[algorithm]
        if self.wrapper is None and not exclusions:
            return hashed(self.text.encode()).digest()
        if self.wrapper is None or len(exclusions) != 1:
            raise ManifestFault(MALFORMED, "what the hash leaves out is not the wrapper alone")
        [(start, length)] = exclusions
        if length not in self.wrapper.lengths:
            raise ManifestFault(text_wrapper.CORRUPTED, "the wrapper is longer or shorter")
        if start != self.wrapper.start:
            return b""
        return hashed(normal(without(self.text.encode(), exclusions))).digest()

    def likeness(self, sketch: bytes) -> float | None:
        now = sketch_of(stripped(self.text, self.wrapper))
        return sum(a == b for a, b in zip(now, sketch, strict=False)) / len(sketch)


def sign_text(
    text: str,
    facts: Facts,
    signer: Signer,
    signing: Signing,
    *,
    title: str = "",
    ingredients: Sequence[Ingredient] = (),
    timestamp: TimeStamper | None = None,
    padded: bool = False,
) -> str:
    """The text in NFC with its manifest in it, at its end.

    Args:
        timestamp: asked twice, first to learn how long its tokens are.
        padded: fill the wrapper up as A.8 has it; else the manifest itself is filled up, which
            readers understand that know no padding.

    Raises:
        ProvenanceError: a text that carries a manifest or remains of one, or cannot be signed; and
            what `sign_asset` raises.
    """
    body = _signable(text)
    start, digest, sketch = len(body), hashlib.sha256(body).digest(), sketch_of(body.decode())

    def claim(length: int, stamper: TimeStamper | None) -> SignedClaim:
        binding = DataHash(digest, ((start, length),))
        return sign_claim(binding, facts, signer, signing, title, "", ingredients, sketch, stamper)

    token = timestamp(b"how long?") if timestamp else b""
    # whose length has as many digits as that of the one to come, if not more
    first = claim(MOST_BYTES, (lambda _: token) if token else None)
    return body.decode() + (_padded_wrapper if padded else _exact_wrapper)(claim, timestamp, first)


def sign_beside(
    text: str,
    facts: Facts,
    signer: Signer,
    signing: Signing,
    *,
    title: str = "",
    ingredients: Sequence[Ingredient] = (),
    timestamp: TimeStamper | None = None,
) -> bytes:
    """A manifest store for a text that stays as it is, for a file beside it.

    Raises:
        ProvenanceError: as `sign_text`.
    """
    _signable(text)
    binding, sketch = DataHash(hashlib.sha256(text.encode()).digest()), sketch_of(text)
    return sign_asset(
        binding,
        facts,
        signer,
        signing,
        title=title,
        ingredients=ingredients,
        sketch=sketch,
        timestamp=timestamp,
    )


def verify_text(
    text: str, trust: Trust, now: datetime.datetime, read_stamp: StampReader | None = None
) -> SignatureVerdict:
    """What the manifest in a text says of it; `absent` where none is."""
    try:
        wrapper = find_wrapper(_encodable(text))
    except ManifestFault as fault:
        return fault_verdict(fault)
    if wrapper is None:
        return absent_verdict()
    return verify_store(wrapper.manifest, TextAsset(text, wrapper), trust, now, read_stamp)


def verify_beside(
    text: str,
    store: bytes,
    trust: Trust,
    now: datetime.datetime,
    read_stamp: StampReader | None = None,
) -> SignatureVerdict:
    """What the manifest of a file beside a text says of it."""
    try:
        return verify_store(store, TextAsset(_encodable(text)), trust, now, read_stamp)
    except ManifestFault as fault:
        return fault_verdict(fault)


def stripped(text: str, wrapper: Wrapper | None) -> str:
    """The text without its wrapper and its padding."""
    ranges = wrapper.ranges[-1:] if wrapper else ()
    return without(text.encode(), ranges).decode(errors="replace")


def normal(data: bytes) -> bytes:
    """UTF-8 in NFC.

    Raises:
        ManifestFault: no UTF-8, or more than 256 combining marks in a row.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ManifestFault(MALFORMED, "a range that cuts a character") from None
    if TOO_MANY.search(text):
        raise ManifestFault(MALFORMED, f"more than {MARKS_IN_A_ROW} combining marks in a row")
    return unicodedata.normalize("NFC", text).encode()


def sketch_of(text: str) -> bytes:
    """16 bytes that alike texts have largely in common, and others do not; none of no text.

    One byte of the smallest of the hashes of all runs of five characters, for 16 hashes (b-bit
    MinHash, Li & König 2010): the share of equal bytes estimates the share of runs in common. Case
    and white space do not count.
    """
    letters = "".join(text.casefold().split())
    points = np.frombuffer(letters.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    if not len(points):
        return b""
    points = np.pad(points, (0, max(0, SHINGLE - len(points))))
    weights = np.uint64(0x9E3779B97F4A7C15) ** np.arange(1, SHINGLE + 1, dtype=np.uint64)
    runs = np.lib.stride_tricks.sliding_window_view(points, SHINGLE) @ weights
    smallest = [int(_mixed(runs + np.uint64(seed)).min()) for seed in range(1, SKETCH_BYTES + 1)]
    return bytes(each & 0xFF for each in smallest)


def _mixed(x: np.ndarray) -> np.ndarray:
    """A bijection of 64 bits that leaves no pattern (splitmix64's)."""
    x = x * np.uint64(0xD1342543DE82EF95)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ManifestFault("general.error", "half a surrogate pair: no Unicode text") from None
    return text


def _signable(text: str) -> bytes:
    """A text's UTF-8 in NFC.

    Raises:
        ProvenanceError: it carries a manifest or remains of one, or is none that can be signed.
    """
    try:
        if find_wrapper(_encodable(text)) is not None:
            raise ProvenanceError(
                "the text carries a signed manifest already; sign what stands without it, and"
                " cite it as an ingredient"
            )
        return normal(text.encode())
    except ManifestFault as fault:
        raise ProvenanceError(f"the text cannot be signed: {fault}") from None


Claims = Callable[[int, TimeStamper | None], SignedClaim]  # of an exclusion's length
TRIES = 32
SLACK = 40  # bytes of UTF-8 that the last signature and hashes may take more than the first
# With some 270 zeros of padding one of the header's forms meets any length, whatever it is modulo
# 3: a token is asked for once.
STAMP_SLACK = 836


def _padded_wrapper(claim: Claims, timestamp: TimeStamper | None, first: SignedClaim) -> str:
    """A wrapper whose length depends on the manifest's length alone, padded as A.8 has it."""
    size = size_of(first)
    return text_wrapper.encode_padded(
        filled(claim(text_wrapper.target_length(size), timestamp), size)
    )


def _exact_wrapper(claim: Claims, timestamp: TimeStamper | None, first: SignedClaim) -> str:
    """A wrapper without padding, whose manifest is filled up to the length that it promises."""
    least = encoded_bytes(first.store()) + (STAMP_SLACK if timestamp else SLACK)
    for length in range(least, least + TRIES):
        store = _filled_to(claim(length, timestamp), length)
        if store is not None:
            return text_wrapper.encode(store)
    raise ProvenanceError("no manifest takes exactly the length that it names")


def _filled_to(signed: SignedClaim, length: int) -> bytes | None:
    """A store whose wrapper takes so many bytes of UTF-8; None where no padding makes it so."""
    for second in SECONDS:
        gap = length - encoded_bytes(signed.store(cose.Padding(0, second)))
        for first in range(max(0, gap // 3 - 8), gap // 3 + 2):
            store = signed.store(cose.Padding(first, second))
            if encoded_bytes(store) == length:
                return store
    return None
