"""The crops on which readers are combined and calibrated, and what each reader says of them.

Every source of either class gives some, of lengths drawn evenly on a logarithmic scale; what a
reader says of a crop is said by one that learned nothing of the crop's source. So a figure on them
is one for sources that the detector never saw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from staged.detectors.kinds.evidence import scored_features
from staged.detectors.kinds.features import FEATURES
from staged.detectors.kinds.readers.arrays import read_arrays, write_arrays
from staged.model.causal import CausalLM
from staged.progress import Progress, silent
from staged.records import HUMAN
from staged.samples.sample_stage import own_weights
from staged.storage.digests import digest, sha256_file
from staged.streams import derive
from staged.training.readers.crops import Crop, careless, cropped
from staged.training.readers.labelled import Example
from staged.training.readers.plan import ReadersSettings

Floats = npt.NDArray[np.float64]
MOST_OF_ONE = (
    3  # crops of one text, and careless ones: of a source with few texts, its share is not filled
)
BLOCK = 128  # crops whose features are one file


def judged_crops(examples: Sequence[Example], settings: ReadersSettings) -> list[Crop]:
    """Crops of every group: of people's `settings.judged` times the group's share, of machines'
    half as many.

    `settings.careless` times as many more of either are careless.
    """
    return [
        *_drawn(examples, settings, are_careless=False),
        *_drawn(examples, settings, are_careless=True),
    ]


def _drawn(
    examples: Sequence[Example], settings: ReadersSettings, *, are_careless: bool
) -> Iterator[Crop]:
    groups: dict[tuple[int, str], list[Example]] = {}
    for one in examples:
        groups.setdefault((one.label, settings.group(one)), []).append(one)
    shares = settings.shares(examples)
    for (label, name), pile in sorted(groups.items()):
        stream = np.random.default_rng(
            derive(settings.seed, "careless" if are_careless else "judged", f"{label}", name)
        )
        want = (
            settings.judged
            * shares[name]
            / (1 if label == HUMAN else 2)
            * (settings.careless if are_careless else 1)
        )
        for i in np.concatenate([stream.permutation(len(pile)) for _ in range(MOST_OF_ONE)])[
            : round(want)
        ]:
            words = int(np.exp(stream.uniform(*np.log(settings.judged_words))))
            text = cropped(pile[i].text, words, stream)
            yield Crop(careless(text, stream) if are_careless else text, pile[i])


def numbers_of(
    folder: Path,
    crops: Sequence[Crop],
    scorer: CausalLM,
    settings: ReadersSettings,
    *,
    progress: Progress = silent,
) -> Floats:
    """(crops, features) the zero-shot numbers of each crop; of every `BLOCK` of them a file, which
    a killed run finds again.

    Args:
        folder: of numbers; those of another scorer, or read otherwise, stand beside them.

    Raises:
        CheckpointError: a file there is damaged.
    """
    weights = [sha256_file(one) for one in own_weights(settings.scorer).values()]
    how = [settings.scorer, str(scorer.head.dtype), str(settings.most_tokens), *FEATURES, *weights]
    rows = []
    folder.mkdir(parents=True, exist_ok=True)
    for some in _blocks(crops, settings):
        texts = [one.text for one in some]
        file = folder / f"{digest([*how, *texts])}.npz"
        if not file.is_file():
            found = scored_features(scorer, texts, most_tokens=settings.most_tokens)
            write_arrays(file, numbers=found)
        rows.append(read_arrays(file, numbers=(len(texts), len(FEATURES)))["numbers"])
        progress(sum(map(len, rows)), len(crops))
    return np.concatenate(rows)


def _blocks(crops: Sequence[Crop], settings: ReadersSettings) -> Iterator[list[Crop]]:
    """Neighbours of one group, `BLOCK` at most: what is added to another group leaves them as they
    are.
    """
    for _, group in groupby(
        crops, key=lambda one: (one.example.label, settings.group(one.example))
    ):
        while some := list(islice(group, BLOCK)):
            yield some
