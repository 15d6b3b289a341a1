"""`staged train-detector` for a detector of several readers: from a plan to its folder.

    texts ─► samples ─┬─► fold-0 … fold-k   readers without the fold's sources ─┐
                      ├─► judged            crops, zero-shot numbers ───────────┼─► combination,
                      │                                                         │   calibrations
                      └─► all               readers of all sources ─────────────┴─► detector

What is chosen or measured here rests on readers that learned nothing of a text's source: all of a
source, people's and machines', is held out together. A killed run continues.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from staged import __version__
from staged.attacks.kinds import check_attacks
from staged.corpus.files import read_corpus
from staged.corpus.learned import FILE as LEARNED
from staged.corpus.learned import Learned, text_words_digest
from staged.detectors.calibration.calibration import Calibration, fit_calibration, humans_needed
from staged.detectors.catalog import CALIBRATION, CALIBRATION_OF_WORDS
from staged.detectors.contract import MACHINE_WRITTEN
from staged.detectors.identity import known_by
from staged.detectors.kinds.readers.detector import Combination, ReadersDetector
from staged.detectors.kinds.readers.encoder import EncoderReader, load_encoder, save_encoder
from staged.detectors.kinds.readers.lexical import LexicalReader, load_lexical, save_lexical
from staged.detectors.kinds.readers.numbers import NumbersReader
from staged.detectors.kinds.readers.sentences import Mixing, Sentence, fit_mixing, sentences
from staged.detectors.names import parse_name
from staged.errors import CorpusError
from staged.model.causal import load_causal
from staged.model.checkpoints import model_folder
from staged.model.devices import best_dtype, chosen_device
from staged.progress import NamedProgress
from staged.records import HUMAN, MACHINE, Document, count_words
from staged.samples.sample_stage import own_weights
from staged.stats.comparing import exact
from staged.stats.metrics import auroc
from staged.storage.digests import digest
from staged.storage.gate import check_stage, start_ledger
from staged.storage.json_files import read_json, write_json
from staged.storage.marks import CHECKPOINT
from staged.storage.stage_folders import build
from staged.storage.writing import disk_errors, locked
from staged.training.readers.combination import fit_combination
from staged.training.readers.crops import CARELESS, Crop, Crops
from staged.training.readers.encoder import train_encoder
from staged.training.readers.encoder_base import load_base
from staged.training.readers.generated import own_texts
from staged.training.readers.judging import judged_crops, numbers_of
from staged.training.readers.labelled import Example, read_labelled, read_people
from staged.training.readers.lexical import train_kinds, train_lexical
from staged.training.readers.numbers import fit_numbers
from staged.training.readers.plan import ReadersSettings

Floats = npt.NDArray[np.float64]
ALL, FPR = "all", 0.01
OTHER = "other texts"  # in the list of what calibrates: those of no kind of their own
MIXED = 100  # crops of a fold and class whose sentences are read
READERS = ("lexical", "encoder", "numbers")


def build_readers(
    out: Path,
    settings: ReadersSettings,
    *,
    device: str = "cpu",
    progress: NamedProgress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Everything from the plan to `out/detector`: the detector, its two calibrations, and
    `facts.json`, which is returned.

    Args:
        device: where texts are generated and read for numbers: `cpu`, `cuda`, or `auto` for a GPU
            where there is one.

    Raises:
        CorpusError, CheckpointError, SamplingError: a set of texts or a model of the plan.
        PlanError: a text that fits no pattern of the plan.
        ArtifactError: the place cannot be written.
    """
    device = chosen_device(device)
    place = out / "detector"
    out.mkdir(parents=True, exist_ok=True)
    with disk_errors(out), locked(out):
        start_ledger(out, "detector's training")
        check_stage(place)
        examples = gather(out, settings, device=device, progress=progress)
        check_plan(examples, settings)
        texts = {"texts": digest([*map(str, examples)]), "staged": __version__}
        stages = [
            out / ("all" if fold is None else f"fold-{fold}")
            for fold in (None, *range(settings.n_folds))
        ]
        for stage, fold in zip(stages, (None, *range(settings.n_folds)), strict=True):
            write = partial(
                train_words, examples=examples, settings=settings, fold=fold, progress=progress
            )
            wanted = texts | {"settings": settings.of_words(fold)}
            build(stage, write, settings=wanted, inputs=own_weights(settings.encoder.base))
        inputs = {stage.name: stage for stage in stages}
        build(
            place,
            partial(
                finish,
                out=out,
                examples=examples,
                settings=settings,
                device=device,
                progress=progress,
            ),
            settings=texts | {"settings": asdict(settings)},
            inputs=inputs,
        )
    return dict(read_json(place / "facts.json"))


def check_plan(examples: Sequence[Example], settings: ReadersSettings) -> None:
    """Say now, not after hours of work, what of a plan cannot be done.

    Raises:
        PlanError: a text that fits no pattern; an attack whose word list is not installed.
        CheckpointError: the encoder or the language model is not there.
    """
    settings.shares(examples)
    for source in {one.source for one in examples}:
        settings.fold(source)
    check_attacks(CARELESS)
    load_base(settings.encoder.base)
    model_folder(settings.scorer)


def gather(
    out: Path, settings: ReadersSettings, *, device: str, progress: NamedProgress
) -> list[Example]:
    """All texts of the plan: labelled sets, corpora of people, and what the plan's generators
    write.
    """
    found = [one for file in settings.labelled for one in read_labelled(file)]
    found += [one for corpus in settings.human for one in read_people(corpus)]
    return found + own_texts(
        out / "samples", found, settings, device=device, progress=partial(progress, "samples")
    )


def train_words(
    folder: Path,
    *,
    examples: Sequence[Example],
    settings: ReadersSettings,
    fold: int | None,
    progress: NamedProgress,
) -> None:
    """The lexical reader and the encoder, of all sources or of those outside a fold, into a stage's
    folder.
    """
    some = [one for one in examples if fold is None or settings.fold(one.source) != fold]
    stream = settings.seed + (0 if fold is None else 1 + fold)
    crops = Crops(
        some,
        settings.shares(some),
        settings.group,
        words=(settings.words[0], settings.words[1]),
        careless=settings.careless,
        seed=stream,
    )
    name = ALL if fold is None else f"fold {fold}"
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
        progress=partial(progress, f"encoder, {name}"),
    )
    save_encoder(folder, EncoderReader(trained, tokenizer, max_tokens=settings.encoder.max_tokens))


def finish(
    folder: Path,
    *,
    out: Path,
    examples: Sequence[Example],
    settings: ReadersSettings,
    device: str,
    progress: NamedProgress,
) -> None:
    """The detector with its calibrations and facts, from the readers' stages and the judged
    crops.
    """
    crops, features = judged(out, examples, settings, device=device, progress=progress)
    machine = np.asarray([one.example.label == MACHINE for one in crops])
    shares = even_shares(crops, settings)
    readings = out_of_fold(out, crops, features, shares, settings)
    combination = fit_combination(readings, machine, shares)
    together, alone = combined(combination, readings)
    known = [i for i, one in enumerate(crops) if settings.kind(one.example.source)]
    kinds = train_kinds(
        [crops[i].text for i in known], [settings.kind(crops[i].example.source) for i in known]
    )
    mixing = sentence_mixing(out, crops, settings)
    lexical, encoder = word_readers(out / ALL)
    trees = fit_numbers(features, machine, shares, seed=settings.seed)
    numbers = NumbersReader(settings.scorer, trees, most_tokens=settings.most_tokens)
    ReadersDetector(lexical, encoder, numbers, kinds, combination, mixing, name=settings.name).save(
        folder
    )
    for file, scores, with_scorer in (
        (CALIBRATION, together, True),
        (CALIBRATION_OF_WORDS, alone, False),
    ):
        names = known_by(parse_name(str(folder)), with_scorer=with_scorer)
        calibrated(crops, scores, settings, known_by=names).save(folder / file)
    write_json(folder / LEARNED, learned_from(settings).record())
    measured = dict(
        zip(
            ("of all readers", "of words alone"),
            held_out(crops, readings, shares, settings),
            strict=True,
        )
    )
    write_json(
        folder / "facts.json",
        {"settings": asdict(settings)} | report(crops, readings, measured, settings),
    )


def judged(
    out: Path,
    examples: Sequence[Example],
    settings: ReadersSettings,
    *,
    device: str,
    progress: NamedProgress,
) -> tuple[list[Crop], Floats]:
    """The judged crops, and the zero-shot numbers of each (crops, features), kept in
    `out/numbers`.
    """
    crops = judged_crops(examples, settings)
    scorer = load_causal(settings.scorer, dtype=best_dtype(device), device=device)
    return crops, numbers_of(
        out / "numbers", crops, scorer, settings, progress=partial(progress, "numbers")
    )


def word_readers(stage: Path) -> tuple[LexicalReader, EncoderReader]:
    """What `train_words` has left in a stage's folder."""
    return load_lexical(stage), load_encoder(stage)


def even_shares(crops: Sequence[Crop], settings: ReadersSettings) -> Floats:
    """(crops,) of each in a loss: both classes alike, groups within them by the plan's shares."""
    groups = [(one.example.label, settings.group(one.example)) for one in crops]
    plan = settings.shares([one.example for one in crops])
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
    folds = np.asarray([settings.fold(one.example.source) for one in crops])
    machine = np.asarray([one.example.label == MACHINE for one in crops])
    found = np.zeros((len(crops), len(READERS)))
    for fold in range(settings.n_folds):
        held, rest = np.flatnonzero(folds == fold).tolist(), folds != fold
        texts = [crops[i].text for i in held]
        lexical, encoder = word_readers(out / f"fold-{fold}")
        trees = fit_numbers(features[rest], machine[rest], shares[rest], seed=settings.seed)
        columns = lexical.log_odds(texts), encoder.log_odds(texts), trees.log_odds(features[held])
        found[held] = np.stack(columns, axis=1)
    return found


def sentence_mixing(out: Path, crops: Sequence[Crop], settings: ReadersSettings) -> Mixing:
    """How sentences of people and of machines differ, by encoders that learned nothing of their
    sources.
    """
    found: dict[int, list[Sentence]] = {HUMAN: [], MACHINE: []}
    for fold in range(settings.n_folds):
        _, encoder = word_readers(out / f"fold-{fold}")
        held = [one for one in crops if settings.fold(one.example.source) == fold]
        for label in found:
            some = [one for one in held if one.example.label == label]
            for one in some[:: max(1, len(some) // MIXED)]:
                found[label] += sentences(encoder, one.text)
    return fit_mixing(found[HUMAN], found[MACHINE])


def calibrated(
    crops: Sequence[Crop],
    scores: Floats,
    settings: ReadersSettings,
    *,
    known_by: Sequence[str] = (),
) -> Calibration:
    """Human crops by their lengths and kinds, machine crops by their lengths."""
    rows: dict[int, list[tuple[float, int]]] = {HUMAN: [], MACHINE: []}
    for one, score in zip(crops, scores.tolist(), strict=True):
        rows[one.example.label].append((score, count_words(one.text)))
    people = [one.example.source for one in crops if one.example.label == HUMAN]
    return fit_calibration(
        settings.name,
        rows[HUMAN],
        rows[MACHINE],
        domains=[settings.kind(source) or OTHER for source in people],
        edges_words=settings.edges_words,
        known_by=known_by,
        kinds=[settings.kind(source) for source in people],
    )


def combined(combination: Combination, readings: Floats) -> tuple[Floats, Floats]:
    """(crops,) log-odds of all readers, the third where it is asked, and of the first two alone."""
    alone = combination.alone(readings[:, 0], readings[:, 1])
    asked = np.where(combination.is_open(alone), readings[:, 2], np.nan)
    return combination.together(readings[:, 0], readings[:, 1], asked), alone


def held_out(
    crops: Sequence[Crop], readings: Floats, shares: Floats, settings: ReadersSettings
) -> tuple[Floats, Floats]:
    """As `combined`, each fold's by a combination that the other folds were fitted with."""
    folds = np.asarray([settings.fold(one.example.source) for one in crops])
    machine = np.asarray([one.example.label == MACHINE for one in crops])
    together, alone = np.zeros(len(crops)), np.zeros(len(crops))
    for fold in range(settings.n_folds):
        rest, held = folds != fold, folds == fold
        combination = fit_combination(readings[rest], machine[rest], shares[rest])
        together[held], alone[held] = combined(combination, readings[held])
    return together, alone


def learned_from(settings: ReadersSettings) -> Learned:
    """The human documents that the plan names, whole as they stand, so that a copy of one is known
    again.
    """
    documents = [one for corpus in settings.human for one in read_corpus(corpus, generated=False)]
    documents += [one for file in settings.labelled for one in people_of(file)]
    return Learned(
        "",
        frozenset(one.source for one in documents),
        frozenset(text_words_digest(one.text) for one in documents),
    )


def people_of(file: str) -> list[Document]:
    """The human documents of a labelled set; none where it has none."""
    try:
        return read_corpus(file, label=HUMAN)
    except CorpusError:  # a set of machine texts alone
        return []


def report(
    crops: Sequence[Crop], readings: Floats, measured: dict[str, Floats], settings: ReadersSettings
) -> dict[str, Any]:
    """What is measured on sources that no reader had learned from, JSON values.

    `auroc`: each group of machine texts against the human texts of the same fold, by each reader
    and together. `flagged`: of each source of human text the share called machine-written at 1% by
    a calibration without that source.
    """
    folds = np.asarray([settings.fold(one.example.source) for one in crops])
    machine = np.asarray([one.example.label == MACHINE for one in crops])
    groups = np.asarray([settings.group(one.example) for one in crops])
    columns = dict(zip(READERS, readings.T, strict=True)) | measured
    rows = []
    for group in sorted(set(groups[machine])):
        those = machine & (groups == group)
        people = ~machine & np.isin(folds, folds[those])
        for name, values in columns.items():
            area = dict(
                zip(
                    ("auroc", "low", "high"),
                    auroc(values[people].tolist(), values[those].tolist()),
                    strict=True,
                )
            )
            rows.append(
                {
                    "machine": group,
                    "score": name,
                    "n_human": int(people.sum()),
                    "n_machine": int(those.sum()),
                }
                | area
            )
    return {
        "auroc": rows,
        "flagged": {name: flagged(crops, scores, settings) for name, scores in measured.items()},
    }


def flagged(
    crops: Sequence[Crop], scores: Floats, settings: ReadersSettings
) -> list[dict[str, Any]]:
    """Of each source of human text: how many of its crops are called machine-written by a
    calibration made of the other sources.
    """
    sources = np.asarray([one.example.source for one in crops])
    guessed = guessed_kinds(crops, settings)
    rows = []
    for source in sorted({one.example.source for one in crops if one.example.label == HUMAN}):
        rest = np.flatnonzero(sources != source).tolist()
        calibration = calibrated([crops[i] for i in rest], scores[rest], settings)
        kind = settings.kind(source)
        hits = n = 0
        for i in np.flatnonzero(sources == source).tolist():
            if crops[i].example.label == HUMAN:
                words = count_words(crops[i].text)
                verdict, _, humans, *_ = calibration.verdict(
                    scores[i], words, FPR, kinds=guessed[i]
                )
                n += humans >= humans_needed(FPR)
                hits += verdict == MACHINE_WRITTEN
        low, high = exact(hits, n) if n else (None, None)
        rows.append(
            {
                "source": source,
                "kind": kind,
                "n": n,
                "flagged": hits,
                "rate": hits / n if n else None,
                "low": low,
                "high": high,
            }
        )
    return rows


def guessed_kinds(crops: Sequence[Crop], settings: ReadersSettings) -> list[tuple[str, ...]]:
    """The kinds that each crop may be of, by a reader of kinds that learned nothing of the crop's
    fold.
    """
    folds = [settings.fold(one.example.source) for one in crops]
    found: list[tuple[str, ...]] = [()] * len(crops)
    for fold in range(settings.n_folds):
        rest = [
            one
            for one, its in zip(crops, folds, strict=True)
            if its != fold and settings.kind(one.example.source)
        ]
        if len({settings.kind(one.example.source) for one in rest}) > 1:
            reader = train_kinds(
                [one.text for one in rest], [settings.kind(one.example.source) for one in rest]
            )
            held = [i for i, its in enumerate(folds) if its == fold]
            for i, kinds in zip(held, reader.plausible([crops[i].text for i in held]), strict=True):
                found[i] = kinds
    return found
