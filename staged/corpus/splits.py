"""Sources → splits: each source goes whole into one split, spread evenly along the corpus's own
order.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

from staged.errors import CorpusError
from staged.records import SPLITS, Document


def assign(
    documents: Sequence[Document], shares: Mapping[str, float], *, seed: int
) -> dict[str, str]:
    """source → split, with the characters of the splits close to the shares asked for.

    Sources are dealt in corpus order, each drawn among the splits by how far each is behind its
    share: neighbours (speeches of one decade, articles of one folder) land in all splits, so no
    split is a world of its own.

    Args:
        shares: split name → positive fraction; missing or 0 leaves a split empty.

    Raises:
        CorpusError: unknown split, shares that don't add up to 1, or fewer sources than splits.
    """
    size: dict[str, int] = defaultdict(int)
    for document in documents:
        size[document.source] += len(document.text)
    return deal(size, shares, seed=seed)


def deal(size: Mapping[str, int], shares: Mapping[str, float], *, seed: int) -> dict[str, str]:
    """The same of sources whose characters have been counted, in their order.

    Raises:
        CorpusError: as `assign`.
    """
    fractions = {name: shares.get(name, 0.0) for name in SPLITS if shares.get(name, 0.0) > 0}
    if (
        set(shares) - set(SPLITS)
        or not math.isclose(sum(shares.values()), 1, abs_tol=1e-9)
        or min(shares.values()) < 0
    ):
        raise CorpusError(
            f"corpus shares {dict(shares)}: they must be fractions for {', '.join(SPLITS)} that add"
            " up to 1"
        )
    if len(size) < len(fractions):
        raise CorpusError(
            f"corpus: {len(size)} source(s) for {len(fractions)} splits ({', '.join(fractions)}); "
            "a source never straddles two splits, so give at least one document for each"
        )
    return _deal(size, fractions, random.Random(seed))


def _deal(
    size: Mapping[str, int], fractions: Mapping[str, float], stream: random.Random
) -> dict[str, str]:
    splits: dict[str, str] = {}
    used: dict[str, int] = dict.fromkeys(fractions, 0)
    total = 0
    for left, (source, length) in zip(range(len(size), 0, -1), size.items(), strict=True):
        total += length
        behind = {name: max(share * total - used[name], 0) for name, share in fractions.items()}
        empty = [name for name in fractions if not used[name]]
        if left <= len(empty):  # the last sources go where there is none yet
            behind = dict.fromkeys(empty, 1.0)
        splits[source] = stream.choices(list(behind), weights=list(behind.values()))[0]
        used[splits[source]] += length
    return splits
