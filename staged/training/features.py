"""Zero-shot numbers of many texts under a scorer, a file a batch that a killed run finds again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from staged.detectors.kinds.evidence import scored_features
from staged.detectors.kinds.features import FEATURES
from staged.engines.blocks import Job, blocks_left, computed, hand_out_blocks
from staged.engines.choice import HERE, Engine
from staged.model.causal import CausalLM
from staged.progress import Progress, silent
from staged.samples.sample_stage import own_weights
from staged.storage.digests import digest, sha256_file
from staged.storage.pieces import ARRAY

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Features(Job[Floats]):
    """Zero-shot numbers, a batch a block.

    Attributes:
        batches: texts that are read together.
        scorer: by name or folder.
        load: gives the scorer.
        dtype: what the scorer computes in, where that is not always the same.
    """

    batches: Sequence[Sequence[str]]
    scorer: str
    load: Callable[[], CausalLM]
    most_tokens: int
    dtype: str = ""

    encoding = ARRAY

    @cached_property
    def names(self) -> Sequence[str]:
        weights = [sha256_file(path) for path in own_weights(self.scorer).values()]
        how = [self.scorer, self.dtype, str(self.most_tokens), *FEATURES, *weights]
        return tuple(f"{digest([*how, *texts])}.npy" for texts in self.batches)

    @contextmanager
    def opened(self) -> Iterator[Callable[[int], Floats]]:
        scorer = self.load()
        yield lambda number: scored_features(
            scorer, list(self.batches[number]), most_tokens=self.most_tokens
        )


def features_of(
    folder: Path, job: Features, *, engine: Engine = HERE, progress: Progress = silent
) -> Floats:
    """(texts, features) of all texts, in their order.

    Args:
        folder: of blocks; those of another scorer, or read otherwise, stand beside them.
        engine: what computes.
        progress: called with (texts read, all).

    Raises:
        ArtifactError: a file there is damaged.
        ShardDone: the engine does a share of the texts, and others are missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ends = np.cumsum([0, *map(len, job.batches)]).tolist()

    def in_texts(done: int, _: int) -> None:
        progress(ends[done], ends[-1])

    if engine.shard:
        hand_out_blocks(folder, job, engine, in_texts)
        engine.check_shares(folder, missing=len(blocks_left(folder, job)))
    rows = list(computed(folder, job, engine=engine.whole, progress=in_texts))
    return np.concatenate(rows) if rows else np.empty((0, len(FEATURES)))
