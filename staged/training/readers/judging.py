"""The crops on which readers are combined and calibrated, and what each reader says of them.

Every source of either class gives some, of lengths drawn evenly on a logarithmic scale; what a
reader says of a crop is said by one that learned nothing of the crop's source. So a figure on them
is one for sources that the detector never saw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from staged.detectors.kinds.readers.encoder import EncoderReader, load_encoder
from staged.detectors.kinds.readers.kind import KindReader
from staged.detectors.kinds.readers.lexical import LexicalReader, load_lexical
from staged.detectors.kinds.readers.sentences import Mixing, Sentence, fit_mixing, sentences
from staged.engines.choice import HERE, Engine
from staged.model.causal import load_causal
from staged.model.devices import best_dtype
from staged.progress import NamedProgress, Progress, silent
from staged.records import HUMAN, MACHINE
from staged.streams import derive
from staged.training.features import Features, features_of
from staged.training.readers.crops import Crop, careless, cropped
from staged.training.readers.labelled import Example
from staged.training.readers.lexical import train_kinds
from staged.training.readers.numbers import fit_numbers
from staged.training.readers.plan import ReadersSettings

Floats = npt.NDArray[np.float64]
MOST_OF_ONE = (
    3  # crops of one text, and careless ones: of a source with few texts, its share is not filled
)
BLOCK = 128  # crops whose features are one file
MIXED = 100  # crops of a fold and class whose sentences are read
READERS = ("lexical", "encoder", "numbers")


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
    for example in examples:
        groups.setdefault((example.label, settings.group(example)), []).append(example)
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
    settings: ReadersSettings,
    *,
    device: str,
    engine: Engine = HERE,
    progress: Progress = silent,
) -> Floats:
    """(crops, features) the zero-shot numbers of each crop, as `features_of` keeps them."""
    dtype = best_dtype(device)
    job = Features(
        [[crop.text for crop in block] for block in _blocks(crops, settings)],
        settings.scorer,
        partial(load_causal, settings.scorer, dtype=dtype, device=device),
        settings.most_tokens,
        str(dtype),
    )
    return features_of(folder, job, engine=engine, progress=progress)


def _blocks(crops: Sequence[Crop], settings: ReadersSettings) -> Iterator[list[Crop]]:
    """Neighbours of a group, `BLOCK` at most, whatever is added to another group."""
    for _, group in groupby(
        crops, key=lambda crop: (crop.example.label, settings.group(crop.example))
    ):
        while block := list(islice(group, BLOCK)):
            yield block


def are_machine(crops: Sequence[Crop]) -> npt.NDArray[np.bool_]:
    """(crops,) whether each is a machine's."""
    return np.asarray([crop.example.label == MACHINE for crop in crops])


def folds_of(crops: Sequence[Crop], settings: ReadersSettings) -> npt.NDArray[np.int64]:
    """(crops,) the fold that each crop's source is held out in."""
    return np.asarray([settings.fold(crop.example.source) for crop in crops])


def judged(
    out: Path,
    examples: Sequence[Example],
    settings: ReadersSettings,
    *,
    device: str,
    engine: Engine = HERE,
    progress: NamedProgress,
) -> tuple[list[Crop], Floats]:
    """The judged crops, and their zero-shot numbers (crops, features), kept in `out/numbers`."""
    crops = judged_crops(examples, settings)
    return crops, numbers_of(
        out / "numbers",
        crops,
        settings,
        device=device,
        engine=engine,
        progress=partial(progress, "numbers"),
    )


def even_shares(crops: Sequence[Crop], settings: ReadersSettings) -> Floats:
    """(crops,) of each in a loss: both classes alike, groups within them by the plan's shares."""
    groups = [(crop.example.label, settings.group(crop.example)) for crop in crops]
    plan = settings.shares([crop.example for crop in crops])
    counts = {group: groups.count(group) for group in set(groups)}
    totals = {
        label: sum(plan[name] for of, name in counts if of == label) for label in (HUMAN, MACHINE)
    }
    return np.asarray([plan[name] / totals[label] / counts[label, name] for label, name in groups])


def out_of_fold(
    out: Path, crops: Sequence[Crop], features: Floats, shares: Floats, settings: ReadersSettings
) -> Floats:
    """(crops, 3) log-odds of lexical, encoder and numbers, each by readers that learned nothing of
    the crop's source.
    """
    folds, machine = folds_of(crops, settings), are_machine(crops)
    log_odds = np.zeros((len(crops), len(READERS)))
    for fold in range(settings.n_folds):
        held, rest = np.flatnonzero(folds == fold).tolist(), folds != fold
        texts = [crops[i].text for i in held]
        lexical, encoder = word_readers(out / f"fold-{fold}")
        trees = fit_numbers(features[rest], machine[rest], shares[rest], seed=settings.seed)
        columns = lexical.log_odds(texts), encoder.log_odds(texts), trees.log_odds(features[held])
        log_odds[held] = np.stack(columns, axis=1)
    return log_odds


def sentence_mixing(out: Path, crops: Sequence[Crop], settings: ReadersSettings) -> Mixing:
    """How sentences of people and of machines differ, by encoders that never saw their sources."""
    by_label: dict[int, list[Sentence]] = {HUMAN: [], MACHINE: []}
    for fold in range(settings.n_folds):
        _, encoder = word_readers(out / f"fold-{fold}")
        held = [crop for crop in crops if settings.fold(crop.example.source) == fold]
        for label in by_label:
            group = [crop for crop in held if crop.example.label == label]
            for crop in group[:: max(1, len(group) // MIXED)]:
                by_label[label] += sentences(encoder, crop.text)
    return fit_mixing(by_label[HUMAN], by_label[MACHINE])


def word_readers(stage: Path) -> tuple[LexicalReader, EncoderReader]:
    """What `train_words` has left in a stage's folder."""
    return load_lexical(stage), load_encoder(stage)


def kinds_reader(crops: Sequence[Crop], settings: ReadersSettings) -> KindReader:
    """The reader of kinds, of all crops whose kind is known."""
    known = [crop for crop in crops if settings.kind(crop.example.source)]
    return train_kinds(
        [crop.text for crop in known], [settings.kind(crop.example.source) for crop in known]
    )
