"""A text's fingerprint: a keyed MinHash of its runs of words, from which nobody reads a word, and
which nobody without the log's secret can compare with a text of their own.

Two texts' fingerprints agree in about the share of places that is the Jaccard similarity of their
runs (Broder 1997). Bands of a fingerprint, hashed, are what a database looks up: texts of
similarity s share a band with the chance 1 − (1 − s³)⁴² (0.30: 0.68, 0.40: 0.94, 0.50: 0.997).

What is computed here is written into logs that last for years: it depends on no library's random
numbers, and `VERSION` changes with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

import numpy as np
import regex
from numpy.typing import NDArray

from staged.detectors.normal.normalize import normalize

VERSION = "1"
RUN_WORDS = 3
LEAST_WORDS = 20  # fewer could be anybody's
PLACES = 128
BAND_PLACES = 3
BANDS = PLACES // BAND_PLACES  # the last two places are in none
AT_ONCE = 4096  # runs hashed at once: 4 MB a block
# a character is a word where words are not written apart
_APART = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
_WORD = regex.compile(rf"[{_APART}]\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}]--[{_APART}]]+", regex.V1)

Sketch = NDArray[np.uint32]


def words_of(text: str) -> list[str]:
    """A text's words in lower case, as detectors read them: look-alike and invisible characters
    undone.
    """
    return list(_WORD.findall(normalize(text).text.casefold()))


def sketch_of(text: str, secret: bytes) -> Sketch | None:
    """(128,) uint32, least hash of all runs of three words, in 128 orders; None of a text with
    fewer than 20 words.

    Args:
        secret: of the log, 32 bytes.
    """
    words = words_of(text)
    if len(words) < LEAST_WORDS:
        return None
    runs = {" ".join(words[i : i + RUN_WORDS]) for i in range(len(words) - RUN_WORDS + 1)}
    factors, terms = _orders(secret)
    hashes = np.fromiter((_hash(run.encode(), secret) for run in runs), np.uint64, len(runs))
    least = np.full(PLACES, np.iinfo(np.uint32).max, np.uint32)
    for start in range(0, len(hashes), AT_ONCE):
        block = hashes[start : start + AT_ONCE, None] * factors + terms  # modulo 2⁶⁴
        least = np.minimum(least, (block >> np.uint64(32)).astype(np.uint32).min(axis=0))
    return least


def _orders(secret: bytes) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Odd factors and terms, (128,) each: multiply, take the upper half."""
    numbers = [_hash(f"order {i}".encode(), secret, b"orders") for i in range(2 * PLACES)]
    drawn = np.array(numbers, np.uint64)
    return drawn[:PLACES] | np.uint64(1), drawn[PLACES:]


def _hash(data: bytes, secret: bytes, kind: bytes = b"run") -> int:
    """64 bits that only who has the secret can compute."""
    return int.from_bytes(blake2b(data, digest_size=8, key=secret, person=kind).digest(), "little")


def bands_of(sketch: Sketch, secret: bytes) -> list[int]:
    """42 numbers of 63 bits; each of its three places, and of which they are."""
    data = sketch.astype("<u4")
    return [
        _hash(bytes([i]) + data[i * BAND_PLACES : (i + 1) * BAND_PLACES].tobytes(), secret, b"band")
        >> 1
        for i in range(BANDS)
    ]


def to_bytes(sketch: Sketch) -> bytes:
    """512 bytes, least significant byte first."""
    return sketch.astype("<u4").tobytes()


def similarities(sketch: Sketch, stored: list[bytes]) -> Iterator[float]:
    """Estimated Jaccard similarity with each stored sketch, in [0, 1], ± 0.04 at 0.5."""
    for data in stored:
        yield float(np.mean(np.frombuffer(data, "<u4") == sketch))
