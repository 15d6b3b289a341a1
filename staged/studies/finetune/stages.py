"""The stages of a fine-tuning study. Each world, the untuned model's and every style's, has human
text and answers.

All answers start from one opening phrase, and each later round continues the model's own answer.

base/corpus ───────────────► detectors on base ─────────┐
base/answers ─────────────▲                             ▼
STYLE/corpus ─► STYLE/tuned ─► STYLE/answers ─► scores: before, cut to the same lengths, after
     └───────► classifier of styles ◄──┘  └─► detectors on fine-tuned ▲
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from staged.corpus.build import recorded
from staged.corpus.learned import write_learned
from staged.detectors.catalog import load_detector
from staged.detectors.kinds.tfidf import load_tfidf, train_tfidf
from staged.model.bpe import BPE, REPLACEMENT
from staged.model.checkpoints import model_folder
from staged.model.formats.layouts import model_files
from staged.model.training.plan import TrainSettings
from staged.model.training.train import train
from staged.pipeline.stage import Stage
from staged.pipeline.tables import write_table
from staged.progress import Progress, shifted
from staged.records import HUMAN, MACHINE, Document
from staged.samples.dataset import SampleSettings, read_samples
from staged.samples.methods import method
from staged.samples.sample_stage import keep_file
from staged.streams import derive
from staged.studies.detection import splits
from staged.studies.detection.stages import encoder_files, human_texts, train_detector
from staged.studies.finetune.plan import BASE, CLASSIFIER, TUNED, FinetuneSettings
from staged.studies.finetune.texts import (
    SPLITS,
    answers,
    human,
    learned_pairs,
    pairs_to_test,
    tokenizer,
)

TRAINED = (
    BASE,
    TUNED,
)  # what detectors learn from: the untuned model, or the fine-tuned ones of all styles together


def model_stages(root: Path, settings: FinetuneSettings) -> list[Stage]:
    """Every stage but the corpora, those that others wait for first."""
    stages = [_tuned(settings, style) for style in settings.styles]
    stages += [_answers(root, settings, world) for world in settings.worlds]
    stages += [_classifier(root, settings)]
    for kind in sorted(settings.detectors):
        for trained in TRAINED:
            stages += [
                _detector(root, settings, kind, trained),
                _scores(root, settings, kind, trained),
            ]
    return stages


def _training(settings: FinetuneSettings, style: str) -> TrainSettings:
    return replace(settings.training, init=settings.model, corpus=settings.corpus_of(style))


def _tuned(settings: FinetuneSettings, style: str) -> Stage:
    made = recorded(_training(settings, style)) | {"init": Path(settings.model).name}
    files = tuple(model_files(model_folder(settings.model)).items())
    cost = settings.training.steps * settings.training.batch / 16
    write = partial(_write_tuned, settings, style)
    return Stage(f"{style}/tuned", write, made, needs=(f"{style}/corpus",), files=files, cost=cost)


def _write_tuned(settings: FinetuneSettings, style: str, folder: Path, progress: Progress) -> None:
    train(
        folder / "model", _training(settings, style), report=lambda at: progress(at.step, at.steps)
    )


def model_of(root: Path, settings: FinetuneSettings, world: str) -> str:
    return settings.model if world == BASE else str(root / world / "tuned" / "model")


def _answers(root: Path, settings: FinetuneSettings, world: str) -> Stage:
    counts = {split: settings.count(world, split) for split in SPLITS}
    made = {
        name: getattr(settings, name)
        for name in ("opening", "rounds", "round_tokens", "method", "seed", "batch", "precision")
    }
    needs, files = (
        ((f"{world}/tuned",), ())
        if world != BASE
        else ((), tuple(model_files(model_folder(settings.model)).items()))
    )
    write = partial(_write_answers, root, settings, world)
    cost = sum(counts.values()) * settings.rounds * settings.round_tokens / 3000
    return Stage(
        f"{world}/answers", write, made | {"counts": counts}, needs=needs, files=files, cost=cost
    )


def _write_answers(
    root: Path, settings: FinetuneSettings, world: str, folder: Path, progress: Progress
) -> None:
    done, total = 0, settings.rounds * sum(settings.count(world, split) for split in SPLITS)
    for split in SPLITS:
        count, prompts = settings.count(world, split), (settings.opening,)
        for number in range(1, settings.rounds + 1):
            out = folder / f"{split}-{number}.parquet"
            wanted = SampleSettings(
                model=model_of(root, settings, world),
                method=method(settings.method),
                count=count,
                length=settings.round_tokens,
                seed=derive(settings.seed, split, str(number)),  # the same numbers for every world
                prompts=prompts,
                batch=settings.batch,
                precision=settings.precision,
                context="slide",
            )
            keep_file(out, wanted, progress=shifted(progress, done, total))
            prompts = tuple(
                (row["prompt"] + row["text"]).rstrip(REPLACEMENT) for row in read_samples(out)
            )
            done += count


def detector_stage(kind: str, trained: str) -> str:
    return f"detectors/{kind}/{trained}"


def scores_stage(kind: str, trained: str) -> str:
    return f"scores/{kind}/{trained}"


def _needs(worlds: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{world}/{what}" for world in worlds for what in ("corpus", "answers"))


def _detector(root: Path, settings: FinetuneSettings, kind: str, trained: str) -> Stage:
    learned: dict[str, Any] = {
        name: getattr(settings, name) for name in ("n_train", "n_valid", "seed")
    }
    learned |= {"kind": kind, "trained": trained} | (
        {"roberta": asdict(settings.roberta)} if kind == "roberta" else {}
    )
    needs = _needs((BASE,) if trained == BASE else tuple(settings.styles))
    files, cost = encoder_files(kind, settings.roberta), 60 if kind == "roberta" else 8
    write = partial(_write_detector, root, settings, kind, trained)
    return Stage(detector_stage(kind, trained), write, learned, needs=needs, files=files, cost=cost)


def _write_detector(
    root: Path,
    settings: FinetuneSettings,
    kind: str,
    trained: str,
    folder: Path,
    progress: Progress,
) -> None:
    learn, choose = (
        [*h, *m]
        for h, m in (learned_pairs(root, settings, trained, split) for split in ("train", "valid"))
    )
    train_detector(kind, learn, choose, settings.roberta, folder, progress)
    worlds = (BASE,) if trained == BASE else tuple(settings.styles)
    corpora = {root / world / "corpus": settings.corpus_of(world).source for world in worlds}
    write_learned(folder, human_texts([*learn, *choose]), corpora)


def _scores(root: Path, settings: FinetuneSettings, kind: str, trained: str) -> Stage:
    read = {name: getattr(settings, name) for name in ("n_valid", "n_test", "seed")}
    needs = (detector_stage(kind, trained), *_needs(settings.worlds))
    write = partial(_write_scores, root, settings, kind, trained)
    return Stage(
        scores_stage(kind, trained), write, read, needs=needs, cost=30 if kind == "roberta" else 6
    )


def _write_scores(
    root: Path,
    settings: FinetuneSettings,
    kind: str,
    trained: str,
    folder: Path,
    progress: Progress,
) -> None:
    """Rows of `set`, `label`, `source`, `tokens`, `score`; row i of a set's human texts and of its
    machine texts are a pair.
    """
    detector, bpe = (
        load_detector(root / detector_stage(kind, trained), bulk=True),
        tokenizer(settings),
    )
    pairs = {"valid": learned_pairs(root, settings, trained, "valid")} | pairs_to_test(
        root, settings
    )
    rows: list[dict[str, Any]] = []
    for done, (name, both) in enumerate(pairs.items()):
        for part in both:
            texts = [one.text for one in part]
            measured = zip(part, bpe.count(texts), detector.score(texts), strict=True)
            rows += [
                {
                    "set": name,
                    "label": one.label,
                    "source": one.source,
                    "tokens": tokens,
                    "score": score,
                }
                for one, tokens, score in measured
            ]
        progress(done + 1, len(pairs))
    write_table(folder / "scores.parquet", rows)


def _classifier(root: Path, settings: FinetuneSettings) -> Stage:
    read = {
        name: getattr(settings, name)
        for name in ("n_train", "n_valid", "n_test", "seed", "rounds", "round_tokens")
    }
    write = partial(_write_classifier, root, settings)
    return Stage(CLASSIFIER, write, read, needs=_needs(settings.worlds), cost=15)


def _write_classifier(
    root: Path, settings: FinetuneSettings, folder: Path, progress: Progress
) -> None:
    """One TF-IDF detector a style, trained on human text of that style against the others'; a text
    is called by the highest score.

    Writes rows of `text` (human, base, fine-tuned), `style` (empty for base), `part`, `source`,
    `called`.
    """
    bpe, whole = tokenizer(settings), settings.rounds * settings.round_tokens
    cut = {
        split: [
            one
            for style in settings.styles
            for one in _of_style(
                splits.cut_to(human(root, settings, style, split), bpe, whole), style
            )
        ]
        for split in SPLITS
    }
    scores: dict[str, list[float]] = {}
    texts = [*_heard(cut["test"], settings, bpe), *_written(root, settings)]
    for done, style in enumerate(settings.styles):
        learn, choose = (_against(cut[split], style) for split in ("train", "valid"))
        (folder / style).mkdir(exist_ok=True)
        train_tfidf(learn, choose).save(folder / style)
        scores[style] = load_tfidf(folder / style).score([row["read"] for row in texts])
        progress(done + 1, len(settings.styles))
    called = [
        max(settings.styles, key=dict(zip(scores, row, strict=True)).__getitem__)
        for row in zip(*scores.values(), strict=True)
    ]
    rows = [
        {key: row[key] for key in row if key != "read"} | {"called": name}
        for row, name in zip(texts, called, strict=True)
    ]
    write_table(folder / "called.parquet", rows)


def _of_style(documents: Sequence[Document], style: str) -> list[Document]:
    return [
        replace(one, id=f"{style}/{one.id}", source=f"{style}:{one.source}") for one in documents
    ]


def _against(documents: Sequence[Document], style: str) -> list[Document]:
    return [
        replace(one, label=MACHINE if one.id.startswith(f"{style}/") else HUMAN)
        for one in documents
    ]


def _heard(
    documents: Sequence[Document], settings: FinetuneSettings, bpe: BPE
) -> list[dict[str, str]]:
    """Human test texts, whole and as short as a round."""
    rows = []
    for part, shown in (
        ("whole", documents),
        ("first round's length", splits.cut_to(documents, bpe, settings.round_tokens)),
    ):
        rows += [
            {
                "text": "human",
                "style": one.id.split("/")[0],
                "part": part,
                "source": one.source,
                "read": one.text,
            }
            for one in shown
        ]
    return rows


def _written(root: Path, settings: FinetuneSettings) -> list[dict[str, str]]:
    """Every model's test answers, whole and round by round."""
    rows = []
    for world in settings.worlds:
        kind, style = ("base", "") if world == BASE else (TUNED, world)
        for number in range(settings.rounds + 1):
            part = f"round {number}" if number else "whole"
            found = answers(root, settings, world, "test", only_round=number)
            rows += [
                {"text": kind, "style": style, "part": part, "source": one.id, "read": one.text}
                for one in found
            ]
    return rows
