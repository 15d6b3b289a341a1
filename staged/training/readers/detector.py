"""`staged train-detector` for a detector of several readers: from a plan to its folder.

    texts ─► samples ─┬─► fold-0 … fold-k   readers without the fold's sources ─┐
                      ├─► judged            crops, zero-shot numbers ───────────┼─► combination,
                      │                                                         │   calibrations
                      └─► all               readers of all sources ─────────────┴─► detector

What is chosen or measured here rests on readers that learned nothing of a text's source: all of a
source, people's and machines', is held out together. A killed run continues.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from staged import __version__
from staged.attacks.kinds import check_attacks
from staged.corpus.learned import FILE as LEARNED
from staged.detectors.catalog import CALIBRATION, CALIBRATION_OF_WORDS
from staged.detectors.identity import known_by
from staged.detectors.kinds.readers.detector import ReadersDetector
from staged.detectors.kinds.readers.encoder import EncoderReader, save_encoder
from staged.detectors.kinds.readers.lexical import save_lexical
from staged.detectors.kinds.readers.numbers import NumbersReader
from staged.detectors.names import parse_name
from staged.engines.choice import HERE, Engine
from staged.errors import ShardDone
from staged.model.checkpoints import model_folder
from staged.model.devices import chosen_device
from staged.progress import NamedProgress
from staged.samples.sample_stage import own_weights
from staged.storage.digests import digest
from staged.storage.gate import check_stage, start_ledger
from staged.storage.json_files import read_json, write_json
from staged.storage.marks import CHECKPOINT
from staged.storage.stage_folders import build
from staged.storage.writing import disk_errors, locked
from staged.training.readers.combination import combined, fit_combination, held_out
from staged.training.readers.crops import CARELESS, Crop, Crops
from staged.training.readers.encoder import train_encoder
from staged.training.readers.encoder_base import load_base
from staged.training.readers.generated import own_texts
from staged.training.readers.judging import (
    are_machine,
    even_shares,
    judged,
    kinds_reader,
    out_of_fold,
    sentence_mixing,
    word_readers,
)
from staged.training.readers.labelled import Example, learned_from, read_labelled, read_people
from staged.training.readers.lexical import train_lexical
from staged.training.readers.numbers import fit_numbers
from staged.training.readers.plan import ReadersSettings
from staged.training.readers.report import calibrated, report

Floats = npt.NDArray[np.float64]
ALL = "all"


def build_readers(
    out: Path,
    settings: ReadersSettings,
    *,
    device: str = "cpu",
    engine: Engine = HERE,
    progress: NamedProgress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Everything from the plan to `out/detector`: the detector, its two calibrations, and
    `facts.json`, which is returned.

    Args:
        device: where texts are generated and read for numbers, and the encoder learns: `cpu`,
            `cuda`, or `auto` for a GPU where there is one.
        engine: what lets generators write, and reads for numbers.

    Raises:
        ShardDone: the engine does a share of that, and it is done.
        CorpusError, CheckpointError, SamplingError: a set of texts or a model of the plan.
        PlanError: a text that fits no pattern of the plan.
        ArtifactError: the place cannot be written.
    """
    device = chosen_device(device)
    place = out / "detector"
    out.mkdir(parents=True, exist_ok=True)
    with disk_errors(out), locked(out, shared=engine.shard is not None):
        start_ledger(out, "detector's training")
        check_stage(place)
        examples = gather(out, settings, device=device, engine=engine, progress=progress)
        check_plan(examples, settings)
        read = partial(judged, out, examples, settings, device=device, engine=engine)
        if engine.shard:
            read(progress=progress)
            raise ShardDone(
                f"{out}: all samples and numbers are there; the command without --shard trains the"
                " detector"
            )
        texts = {"texts": digest([*map(str, examples)]), "staged": __version__}
        stages = build_words(out, examples, settings, texts=texts, device=device, progress=progress)
        read = partial(read, progress=progress)
        write = partial(finish, out=out, read=read, examples=examples, settings=settings)
        wanted = texts | {"settings": asdict(settings)}
        build(place, write, settings=wanted, inputs={stage.name: stage for stage in stages})
    return dict(read_json(place / "facts.json"))


def check_plan(examples: Sequence[Example], settings: ReadersSettings) -> None:
    """Say now, not after hours of work, what of a plan cannot be done.

    Raises:
        PlanError: a text that fits no pattern; an attack whose word list is not installed.
        CheckpointError: the encoder or the language model is not there.
    """
    settings.shares(examples)
    for source in {example.source for example in examples}:
        settings.fold(source)
    check_attacks(CARELESS)
    load_base(settings.encoder.base)
    model_folder(settings.scorer)


def gather(
    out: Path,
    settings: ReadersSettings,
    *,
    device: str,
    engine: Engine = HERE,
    progress: NamedProgress,
) -> list[Example]:
    """All texts of the plan: labelled sets, people's corpora, what its generators write."""
    examples = [example for file in settings.labelled for example in read_labelled(file)]
    examples += [example for corpus in settings.human for example in read_people(corpus)]
    return examples + own_texts(
        out / "samples",
        examples,
        settings,
        device=device,
        engine=engine,
        progress=partial(progress, "samples"),
    )


def build_words(
    out: Path,
    examples: Sequence[Example],
    settings: ReadersSettings,
    *,
    texts: dict[str, Any],
    device: str = "cpu",
    progress: NamedProgress,
) -> list[Path]:
    """The stages of the readers of words, `out/all` and `out/fold-0` …, each made where missing.

    Args:
        texts: what identifies the examples, for the stages' settings.
        device: where the encoder learns, `cpu` or `cuda`.
    """
    stages = []
    for fold in (None, *range(settings.n_folds)):
        stage = out / (ALL if fold is None else f"fold-{fold}")
        write = partial(
            train_words,
            examples=examples,
            settings=settings,
            fold=fold,
            device=device,
            progress=progress,
        )
        wanted = texts | {"settings": settings.of_words(fold)}
        build(stage, write, settings=wanted, inputs=own_weights(settings.encoder.base))
        stages.append(stage)
    return stages


def train_words(
    folder: Path,
    *,
    examples: Sequence[Example],
    settings: ReadersSettings,
    fold: int | None,
    device: str = "cpu",
    progress: NamedProgress,
) -> None:
    """Lexical reader and encoder, of all sources or of those outside a fold, into a stage."""
    crops, name = training_crops(examples, settings, fold), ALL if fold is None else f"fold {fold}"
    if not (folder / "lexical.npz").is_file():
        lexical = settings.lexical
        reader = train_lexical(
            crops,
            lexical.batches,
            strength=lexical.strength,
            progress=partial(progress, f"lexical, {name}"),
        )
        save_lexical(folder, reader)
    torch.manual_seed(settings.seed)
    model, tokenizer = load_base(settings.encoder.base)
    trained = train_encoder(
        model,
        tokenizer,
        crops,
        settings.encoder if fold is None else settings.encoder.of_steps(settings.fold_steps),
        checkpoint=folder / CHECKPOINT,
        device=device,
        progress=partial(progress, f"encoder, {name}"),
    )
    save_encoder(folder, EncoderReader(trained, tokenizer, max_tokens=settings.encoder.max_tokens))


def training_crops(
    examples: Sequence[Example], settings: ReadersSettings, fold: int | None
) -> Crops:
    """Crops of all sources, or of those outside a fold, by its own stream of random numbers."""
    chosen = [
        example for example in examples if fold is None or settings.fold(example.source) != fold
    ]
    return Crops(
        chosen,
        settings.shares(chosen),
        settings.group,
        words=(settings.words[0], settings.words[1]),
        careless=settings.careless,
        seed=settings.seed + (0 if fold is None else 1 + fold),
    )


def finish(
    folder: Path,
    *,
    out: Path,
    read: Callable[[], tuple[list[Crop], Floats]],
    examples: Sequence[Example],
    settings: ReadersSettings,
) -> None:
    """The detector with calibrations and facts, from the readers' stages and the judged crops."""
    crops, features = read()
    machine, shares = are_machine(crops), even_shares(crops, settings)
    readings = out_of_fold(out, crops, features, shares, settings)
    combination = fit_combination(readings, machine, shares)
    lexical, encoder = word_readers(out / ALL)
    trees = fit_numbers(features, machine, shares, seed=settings.seed)
    ReadersDetector(
        lexical,
        encoder,
        NumbersReader(settings.scorer, trees, most_tokens=settings.most_tokens),
        kinds_reader(crops, settings),
        combination,
        sentence_mixing(out, crops, settings),
        name=settings.name,
    ).save(folder)
    _save_calibrations(folder, crops, combined(combination, readings), settings)
    write_json(folder / LEARNED, learned_from(settings.human, settings.labelled).record())
    together, alone = held_out(crops, readings, shares, settings)
    measured = {"of all readers": together, "of words alone": alone}
    write_json(
        folder / "facts.json",
        {"settings": asdict(settings)} | report(crops, readings, measured, settings),
    )


def _save_calibrations(
    folder: Path,
    crops: Sequence[Crop],
    scores: tuple[Floats, Floats],
    settings: ReadersSettings,
) -> None:
    """The calibrations of a saved detector: of all its readers, and of its first two alone."""
    for file, column, with_scorer in (
        (CALIBRATION, scores[0], True),
        (CALIBRATION_OF_WORDS, scores[1], False),
    ):
        names = known_by(parse_name(str(folder)), with_scorer=with_scorer)
        calibrated(crops, column, settings, known_by=names).save(folder / file)
