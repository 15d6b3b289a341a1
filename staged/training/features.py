"""Zero-shot numbers of many texts under a scorer, a file a batch that a killed run finds again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from staged.detectors.kinds.evidence import scored_features
from staged.detectors.kinds.features import FEATURES
from staged.model.causal import CausalLM
from staged.progress import Progress, silent
from staged.samples.sample_stage import own_weights
from staged.storage.digests import digest, sha256_file
from staged.storage.pieces import ARRAY, cached

Floats = npt.NDArray[np.float64]


def features_of(
    folder: Path,
    batches: Sequence[Sequence[str]],
    scorer: str,
    load: Callable[[], CausalLM],
    *,
    most_tokens: int,
    dtype: str = "",
    progress: Progress = silent,
) -> Floats:
    """(texts, features) of all texts, in their order.

    Args:
        folder: of such files; those of another scorer, or read otherwise, stand beside them.
        batches: texts that are read together.
        scorer: by name or folder.
        load: gives the scorer, where a batch is left to read.
        dtype: what the scorer computes in, where that is not always the same.
        progress: called with (texts read, all).

    Raises:
        ArtifactError: a file there is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = [sha256_file(path) for path in own_weights(scorer).values()]
    how = [scorer, dtype, str(most_tokens), *FEATURES, *weights]
    pieces = (
        (f"{digest([*how, *texts])}.npy", partial(_read, load, texts, most_tokens))
        for texts in batches
    )
    rows, total = [], sum(map(len, batches))
    for numbers in cached(folder, pieces, ARRAY):
        rows.append(numbers)
        progress(sum(map(len, rows)), total)
    return np.concatenate(rows) if rows else np.empty((0, len(FEATURES)))


def _read(load: Callable[[], CausalLM], texts: Sequence[str], most_tokens: int) -> Floats:
    return scored_features(load(), list(texts), most_tokens=most_tokens)
