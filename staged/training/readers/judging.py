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

from staged.model.causal import CausalLM
from staged.progress import Progress, silent
from staged.records import HUMAN
from staged.streams import derive
from staged.training.features import features_of
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
    """(crops, features) the zero-shot numbers of each crop, as `features_of` keeps them."""
    return features_of(
        folder,
        [[crop.text for crop in block] for block in _blocks(crops, settings)],
        settings.scorer,
        lambda: scorer,
        most_tokens=settings.most_tokens,
        dtype=str(scorer.head.dtype),
        progress=progress,
    )


def _blocks(crops: Sequence[Crop], settings: ReadersSettings) -> Iterator[list[Crop]]:
    """Neighbours of a group, `BLOCK` at most, whatever is added to another group."""
    for _, group in groupby(
        crops, key=lambda one: (one.example.label, settings.group(one.example))
    ):
        while some := list(islice(group, BLOCK)):
            yield some
