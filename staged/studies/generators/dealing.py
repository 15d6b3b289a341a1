"""Which split a given text falls into, where neither its row nor its file says so."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

Kind = tuple[str, str]  # model and method


def dealt(
    rows: Iterable[tuple[Kind, str]], counts: Mapping[str, int], *, seed: int
) -> dict[str, str]:
    """group → split, for all models and methods together: what comes from one prompt or source
    stays in one split, whoever wrote it.

    Groups come in an order that depends on the seed and their names; each goes where the largest
    share of what the plan asks for is lacking.

    Args:
        rows: the kind and group of each text that says no split.
        counts: split → texts of each kind.
    """
    members: dict[str, Counter[Kind]] = defaultdict(Counter)
    for kind, group in rows:
        members[group][kind] += 1
    lacking: dict[Kind, Counter[str]] = defaultdict(lambda: Counter(counts))
    splits: dict[str, str] = {}
    for group in sorted(members, key=lambda group: _order(seed, group)):

        def wanted(split: str, kinds: Counter[Kind] = members[group]) -> float:
            return sum(max(lacking[kind][split], 0) / counts[split] for kind in kinds)

        splits[group] = max(counts, key=wanted)
        for kind, texts in members[group].items():
            lacking[kind][splits[group]] -= texts
    return splits


def _order(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed} {group}".encode()).digest()
