"""The stages of a study, each one folder in and one folder out, and which needs which.

corpus ─┬──────────────┐
        │              ▼
models ─► samples ─► detectors ─► scores          (then, in the parent: cells, findings, report)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from staged.corpus.build import CorpusSettings, recorded, text_digest, write_corpus
from staged.corpus.learned import write_learned
from staged.detectors.catalog import load_detector
from staged.errors import PlanError
from staged.model.bpe import load_bpe
from staged.model.checkpoints import MINIS, model_folder, own_folder
from staged.model.formats.layouts import keyed, model_files, tokenizer_files, weight_files
from staged.pipeline.stage import Stage
from staged.pipeline.tables import write_table
from staged.progress import Progress, shifted
from staged.records import HUMAN, Document
from staged.samples.dataset import SampleSettings
from staged.samples.methods import method
from staged.samples.sample_stage import keep_file
from staged.storage.gate import CHECKPOINT
from staged.streams import derive
from staged.studies.detection import splits
from staged.studies.detection.plan import MIX, StudySettings
from staged.training.roberta import RobertaSettings


def all_stages(root: Path, settings: StudySettings) -> list[Stage]:
    """Every stage, in an order in which each comes after what it needs.

    Raises:
        CheckpointError: a model that does not exist.
        PlanError: two models whose folders have one name.
    """
    names = [Path(model).name for model in settings.models]
    if len(set(names)) != len(names):
        raise PlanError(
            f"study: two models are called the same: {', '.join(names)}; rename a folder"
        )
    stages = [corpus_stage("corpus", settings.corpus, settings.models[0], cost=15)]
    stages += [
        _samples(settings, model, name)
        for model in reversed(settings.models)
        for name in settings.methods
    ]
    for kind in sorted(
        settings.detectors
    ):  # the slow kind first, so the last stages are short ones
        for model in settings.models:
            for name in settings.trained_methods:
                stages += [
                    _detector(root, settings, kind, model, name),
                    _scores(root, settings, kind, model, name),
                ]
    return stages


def samples_stage(model: str, method_name: str) -> str:
    return splits.samples_folder(Path(), model, method_name).as_posix()


def detector_stage(kind: str, model: str, method_name: str) -> str:
    return f"detectors/{kind}/{Path(model).name}/{method_name}"


def scores_stage(kind: str, model: str, method_name: str) -> str:
    return f"scores/{kind}/{Path(model).name}/{method_name}"


def corpus_stage(name: str, corpus: CorpusSettings, model: str, *, cost: float) -> Stage:
    """Human text in passages, their lengths counted in the model's tokens."""
    files = tuple(keyed("tokenizer", tokenizer_files(model_folder(model))).items())
    made = recorded(corpus) | {"text": text_digest(corpus)}
    return Stage(name, partial(_write_corpus, corpus, model), made, files=files, cost=cost)


def _write_corpus(corpus: CorpusSettings, model: str, folder: Path, progress: Progress) -> None:
    write_corpus(folder, corpus, load_bpe(model_folder(model)).count)


def _samples(settings: StudySettings, model: str, name: str) -> Stage:
    made: dict[str, Any] = {
        "model": Path(model).name,
        "method": name,
        "counts": splits.counts(settings),
        "lengths": _lengths(settings),
    }
    made |= {"seed": settings.seed, "batch": settings.batch, "precision": settings.precision}
    folder = model_folder(model)
    files = tuple(model_files(folder).items())
    cost = sum(path.stat().st_size for path in weight_files(folder)) / 1e6 + 4
    return Stage(
        samples_stage(model, name),
        partial(_write_samples, settings, model, name),
        made,
        files=files,
        cost=cost,
    )


def _lengths(settings: StudySettings) -> dict[str, int]:
    """split → tokens generated a text: the curve's longest wherever it is measured."""
    return {
        "train": settings.length_tokens,
        "valid": max(settings.lengths),
        "test": max(settings.lengths),
    }


def _write_samples(
    settings: StudySettings, model: str, name: str, folder: Path, progress: Progress
) -> None:
    counts, lengths = splits.counts(settings), _lengths(settings)
    total, before = sum(counts.values()), 0
    for split, count in counts.items():
        wanted = SampleSettings(
            model=model,
            method=method(name),
            count=count,
            length=lengths[split],
            seed=derive(settings.seed, name, split),
            batch=settings.batch,
            precision=settings.precision,
        )
        keep_file(folder / f"{split}.parquet", wanted, progress=shifted(progress, before, total))
        before += count


def _detector(root: Path, settings: StudySettings, kind: str, model: str, name: str) -> Stage:
    learned: dict[str, Any] = {
        "kind": kind,
        "n_train": settings.n_train,
        "n_valid": settings.n_valid,
        "seed": settings.seed,
    }
    learned |= {"length_tokens": settings.length_tokens, "model": Path(model).name, "method": name}
    learned |= {"roberta": asdict(settings.roberta)} if kind == "roberta" else {}
    files = encoder_files(kind, settings.roberta)
    needs = ("corpus", *(samples_stage(model, one) for one in _parts(settings, name)))
    write = partial(_write_detector, root, settings, kind, model, name)
    return Stage(
        detector_stage(kind, model, name),
        write,
        learned,
        needs=needs,
        files=files,
        cost=25 if kind == "roberta" else 6,
    )


def _parts(settings: StudySettings, name: str) -> tuple[str, ...]:
    return settings.methods if name == MIX else (name,)


def _write_detector(
    root: Path,
    settings: StudySettings,
    kind: str,
    model: str,
    name: str,
    folder: Path,
    progress: Progress,
) -> None:
    train, valid = (_both(root, settings, model, name, split) for split in ("train", "valid"))
    train_detector(kind, train, valid, settings.roberta, folder, progress)
    write_learned(folder, human_texts([*train, *valid]), {root / "corpus": settings.corpus.source})


def human_texts(documents: Sequence[Document]) -> list[Document]:
    return [one for one in documents if one.label == HUMAN]


def train_detector(
    kind: str,
    train: Sequence[Document],
    valid: Sequence[Document],
    roberta: RobertaSettings,
    folder: Path,
    progress: Progress,
) -> None:
    """Train a detector of one kind and save it into a stage's folder."""
    if kind == "tfidf":
        from staged.detectors.kinds.tfidf import train_tfidf

        train_tfidf(train, valid).save(folder)
        return
    from staged.training.roberta import train_roberta

    train_roberta(train, valid, roberta, checkpoint=folder / CHECKPOINT, progress=progress).save(
        folder
    )


def encoder_files(kind: str, roberta: RobertaSettings) -> tuple[tuple[str, Path], ...]:
    """The weights that a detector starts from, by name; none where they are not on this machine."""
    if kind != "roberta" or not (
        roberta.base.lower() in MINIS or own_folder(roberta.base)
    ):  # a name on the hub
        return ()
    return tuple(keyed("base", weight_files(model_folder(roberta.base))).items())


def _both(root: Path, settings: StudySettings, model: str, name: str, split: str) -> list[Document]:
    """Human and machine texts of one split at the matrix's length."""
    both = splits.human(root, settings, split) + splits.machine(root, settings, model, name, split)
    return splits.cut_to(both, splits.tokenizer(settings), settings.length_tokens)


def _scores(root: Path, settings: StudySettings, kind: str, model: str, name: str) -> Stage:
    every = [samples_stage(other, one) for other in settings.models for one in settings.methods]
    needs = ("corpus", detector_stage(kind, model, name), *every)
    read: dict[str, Any] = {
        "n_valid": settings.n_valid,
        "n_test": settings.n_test,
        "length_tokens": settings.length_tokens,
    }
    read |= {"lengths": settings.lengths, "seed": settings.seed}
    write = partial(_write_scores, root, settings, kind, model, name)
    return Stage(
        scores_stage(kind, model, name),
        write,
        read,
        needs=needs,
        cost=20 if kind == "roberta" else 6,
    )


def scored_sets(
    root: Path, settings: StudySettings, model: str, name: str, tokens: int
) -> list[Document]:
    """What a detector trained on (model, method) is scored on at one length.

    At the matrix's length: human valid and test, its own machine valid, and every model's and
    method's test. At the other lengths of the curve, which follows the mix's detector on its own
    model: only that model's test splits.
    """
    own = tokens != settings.length_tokens
    models = (model,) if own else settings.models
    documents = [*splits.human(root, settings, "valid"), *splits.human(root, settings, "test")]
    documents += splits.machine(root, settings, model, name, "valid")
    documents += [
        one
        for other in models
        for m in settings.methods
        for one in splits.machine(root, settings, other, m, "test")
    ]
    return documents


def lengths_of(settings: StudySettings, name: str) -> Sequence[int]:
    """The lengths at which a detector is scored: the whole curve for those trained on the mix."""
    return settings.lengths if name == MIX else (settings.length_tokens,)


def _write_scores(
    root: Path,
    settings: StudySettings,
    kind: str,
    model: str,
    name: str,
    folder: Path,
    progress: Progress,
) -> None:
    detector, bpe = (
        load_detector(root / detector_stage(kind, model, name), bulk=True),
        splits.tokenizer(settings),
    )
    rows = []
    lengths = lengths_of(settings, name)
    for done, tokens in enumerate(lengths):
        documents = splits.cut_to(scored_sets(root, settings, model, name, tokens), bpe, tokens)
        scores = detector.score([document.text for document in documents])
        rows += [
            {"document": document.id, "length_tokens": tokens, "score": score}
            for document, score in zip(documents, scores, strict=True)
        ]
        progress(done + 1, len(lengths))
    write_table(folder / "scores.parquet", rows)
