"""Scores → what `finetune.json` holds: cells before, at equal lengths and after; drops; what
retraining regains; the styles.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from scipy import stats

from staged.corpus.counts import COUNTS, CorpusCounts
from staged.pipeline.stage import Inputs
from staged.pipeline.tables import TableRow, read_table
from staged.records import HUMAN, MACHINE
from staged.settings import described
from staged.stats import metrics
from staged.stats.comparing import interval
from staged.stats.judging import Hypothesis, judged
from staged.storage.json_files import read_json
from staged.storage.records import from_json, read_record
from staged.storage.versions import versions
from staged.studies.detection.cells import Measured, cell_of, thresholds
from staged.studies.detection.copying import copied, learned_runs
from staged.studies.finetune.plan import BASE, CLASSIFIER, TUNED, FinetuneSettings
from staged.studies.finetune.results import (
    Drop,
    FinetuneResult,
    Published,
    RecordedFinetune,
    Regained,
    SetCell,
    StyleCalls,
    StyleCopied,
    StyleTraining,
)
from staged.studies.finetune.stages import FinetuneStages
from staged.studies.finetune.worlds import Tuned
from staged.studies.models import ModelFacts

DRAWS = 10_000
ALPHA = 0.01
# OpenAI's gpt-2-output-dataset: accuracy of TF-IDF on 1.5B's top-k 40 samples, and on those of 1.5B
# fine-tuned on Amazon reviews.
PUBLISHED = Published(before=0.927, after=0.702, by_length="about half")
ALL = "all styles"


def measure(
    inputs: Inputs,
    settings: FinetuneSettings,
    stages: FinetuneStages,
    *,
    answers: dict[str, tuple[str, ...]],
    model: ModelFacts,
) -> FinetuneResult:
    """Everything the report shows.

    Args:
        answers: of each model, those that it shows.
        model: what is known of the one that was fine-tuned.

    Raises:
        ArtifactError: a stage's file is damaged or missing.
    """
    scored = {
        key: _Scored(inputs[stage.name] / "scores.parquet", settings, *key)
        for key, stage in stages.scores.items()
    }
    drops = [row for kind in settings.detectors for row in _drops(scored[kind, BASE], settings)]
    regained = [
        row
        for kind in settings.detectors
        for row in _regained(scored[kind, BASE], scored[kind, TUNED], settings)
    ]
    recorded = described(settings.recorded(), settings) | {"model": Path(settings.model).name}
    return FinetuneResult(
        settings=from_json(RecordedFinetune, recorded, where="the plan"),
        published=PUBLISHED,
        cells=tuple(row for detector in scored.values() for row in detector.cells()),
        drops=tuple(_judged_drops(drops)),
        regained=tuple(_judged_gains(regained)),
        styles=tuple(_styles(read_table(inputs[CLASSIFIER] / "called.parquet"), settings)),
        copying=tuple(_copying(inputs, stages)),
        training=tuple(_training(inputs, stage) for stage in stages.tuned),
        corpora={
            name: read_record(inputs[world.corpus.name] / COUNTS, CorpusCounts)
            for name, world in stages.worlds.items()
        },
        versions=versions(),
        answers=answers,
        model=model,
    )


class _Scored:
    """A detector on every set: decisions at its threshold of best accuracy on its valid texts."""

    def __init__(self, path: Path, settings: FinetuneSettings, kind: str, trained: str) -> None:
        self.settings, self.kind, self.trained = settings, kind, trained
        self.rows: dict[tuple[str, int], list[TableRow]] = {}
        for row in read_table(path):
            self.rows.setdefault((row["set"], row["label"]), []).append(row)
        cuts = thresholds(self._of("valid", HUMAN), self._of("valid", MACHINE))
        names = list(dict.fromkeys(name for name, _ in self.rows if name != "valid"))
        self.measured: dict[str, Measured] = {
            name: cell_of(self._key(name), self._of(name, HUMAN), self._of(name, MACHINE), cuts)
            for name in names
        }

    def _of(self, name: str, label: int) -> np.ndarray:
        return np.array([row["score"] for row in self.rows[name, label]])

    def _key(self, name: str) -> tuple[str, str, str, str, str, int]:
        model, how = Path(self.settings.model).name, self.settings.method
        what, _, style = name.partition("/")
        tested = {"before": model, "matched": f"{model}@{style}", "after": style}[what]
        trained = model if self.trained == BASE else self.trained
        return (
            self.kind,
            trained,
            how,
            tested,
            how,
            self.settings.rounds * self.settings.round_tokens,
        )

    def right(self, name: str, label: int) -> np.ndarray:
        result = self.measured[name]
        return (result.human_right if label == HUMAN else result.machine_right).astype(float)

    def sources(self, name: str) -> list[str]:
        return [row["source"] for row in self.rows[name, HUMAN]]

    def cells(self) -> list[SetCell]:
        """Every set's cell."""
        tokens = {
            name: float(np.mean([row["tokens"] for row in self.rows[name, MACHINE]]))
            for name in self.measured
        }
        return [
            SetCell(**asdict(result.cell), set=name, mean_tokens=tokens[name])
            for name, result in self.measured.items()
        ]


def _drops(scored: _Scored, settings: FinetuneSettings) -> list[Drop]:
    """How much accuracy falls from the untuned model's texts to each style's, and to the untuned
    ones cut to that style's lengths.

    Bootstrap: machine texts by number, one draw for all worlds, as text i of each drew the same
    random numbers; human texts by source. Accuracy is the mean of both classes' rates.
    """
    names = [
        "before",
        *(f"{what}/{style}" for what in ("matched", "after") for style in settings.styles),
    ]
    base = [name for name in names if not name.startswith("after/")]
    machine = np.stack([scored.right(name, MACHINE) for name in names], axis=1)
    people = np.stack([scored.right(name, HUMAN) for name in base], axis=1)
    parts = [(names, machine, range(len(machine))), (base, people, scored.sources("before"))]
    parts += [
        ([name], scored.right(name, HUMAN)[:, None], scored.sources(name))
        for name in names
        if name not in base
    ]
    point, drawn = dict.fromkeys(names, 0.0), {name: np.zeros(DRAWS) for name in names}
    for number, (columns, values, clusters) in enumerate(parts):
        means = metrics.clustered_means(values, clusters, draws=DRAWS, seed=settings.seed + number)
        for i, name in enumerate(columns):
            point[name] += values[:, i].mean() / 2
            drawn[name] += means[:, i] / 2
    for what in ("matched", "after"):
        worlds = [f"{what}/{style}" for style in settings.styles]
        point[f"{what}/{ALL}"] = float(np.mean([point[name] for name in worlds]))
        drawn[f"{what}/{ALL}"] = np.mean([drawn[name] for name in worlds], axis=0)
    n = len(machine)
    return [
        _drop(scored.kind, style, point, drawn, n * (len(settings.styles) if style == ALL else 1))
        for style in (*settings.styles, ALL)
    ]


def _drop(
    kind: str, style: str, point: dict[str, float], drawn: dict[str, np.ndarray], n: int
) -> Drop:
    before, matched, after = "before", f"matched/{style}", f"after/{style}"
    figures: dict[str, float | None] = {}
    for what, name in (("before", before), ("matched", matched), ("after", after)):
        figures |= metrics.named(what, (float(point[name]), *interval(drawn[name])))
    for what, first, then in (
        ("drop", before, after),
        ("by_length", before, matched),
        ("rest", matched, after),
    ):
        difference = float(point[first] - point[then])
        figures |= metrics.named(what, (difference, *interval(drawn[first] - drawn[then])))
    drops, by_length = drawn[before] - drawn[after], drawn[before] - drawn[matched]
    drop, spread = float(point[before] - point[after]), float(drops.std())
    share: tuple[float | None, float | None, float | None] = (None, None, None)
    low, high = interval(drops)
    if not low <= 0 <= high:
        part = float(point[before] - point[matched])
        share = (part / drop, *interval(by_length / np.where(drops == 0, np.inf, drops)))
    p = float(2 * stats.norm.sf(abs(drop) / spread)) if spread else 1.0
    named = figures | metrics.named("share_by_length", share)
    return Drop(kind, style, n, n, **named, drop_p=p)


def _regained(before: _Scored, after: _Scored, settings: FinetuneSettings) -> list[Regained]:
    """The retrained detector against the untuned model's, on each style's texts: exact McNemar."""
    rows = []
    for style in settings.styles:
        old, new = (
            np.concatenate([scored.right(f"after/{style}", label) for label in (HUMAN, MACHINE)])
            for scored in (before, after)
        )
        only_new, only_old, p = metrics.mcnemar(
            new.astype(bool).tolist(), old.astype(bool).tolist()
        )
        gain = metrics.paired_difference(only_new, only_old, len(old))
        rows.append(Regained(before.kind, style, len(old), only_new, only_old, *gain, p))
    return rows


def _judged_drops(rows: Sequence[Drop]) -> Iterable[Drop]:
    family = [Hypothesis(row.drop_p, row.drop) for row in rows]
    words = ("harder to detect", "easier to detect")
    for row, judgement in zip(rows, judged(family, alpha=ALPHA, words=words), strict=True):
        yield replace(row, drop_p_holm=judgement.p_holm, verdict=judgement.verdict)


def _judged_gains(rows: Sequence[Regained]) -> Iterable[Regained]:
    family = [Hypothesis(row.gain_p, row.gain) for row in rows]
    words = ("retraining helps", "retraining hurts")
    for row, judgement in zip(rows, judged(family, alpha=ALPHA, words=words), strict=True):
        yield replace(row, gain_p_holm=judgement.p_holm, verdict=judgement.verdict)


def _styles(rows: Sequence[TableRow], settings: FinetuneSettings) -> list[StyleCalls]:
    """How often each kind of text is called each style; accuracy where there is a right answer.

    Texts of one source are clusters. Of the untuned model's text there is no right answer: its
    counts are the control.
    """
    groups: dict[tuple[str, str, str], list[TableRow]] = {}
    for style, these in ((None, rows), (ALL, [row for row in rows if row["style"]])):
        for row in these:
            groups.setdefault((row["text"], row["part"], style or row["style"]), []).append(row)
    calls = []
    for (text, part, style), group in groups.items():
        called = {name: sum(row["called"] == name for row in group) for name in settings.styles}
        hits = [row["called"] == row["style"] for row in group]
        sources = np.unique([row["source"] for row in group], return_inverse=True)[1]
        accuracy = metrics.clustered_rate(hits, sources.tolist()) if style else (None, None, None)
        calls.append(StyleCalls(text, part, style, len(group), called, *accuracy))
    return calls


def _copying(inputs: Inputs, stages: FinetuneStages) -> list[StyleCopied]:
    """Share of 12-word runs that stand word for word in the text a style was learned from: of what
    the fine-tuned and the untuned model wrote, and of people's other texts of that style.
    """
    base, *styles = stages.worlds.values()
    rows = []
    for world in styles:
        known = learned_runs(inputs[world.corpus.name] / "passages.parquet")
        parts = {
            TUNED: world.answers.texts(inputs, "test"),
            BASE: base.answers.texts(inputs, "test"),
            "human": world.human(inputs, "test"),
        }
        for name, texts in parts.items():
            shares = asdict(copied(texts, known))
            rows.append(StyleCopied(**shares, style=world.name, text=name))
    return rows


def _training(inputs: Inputs, stage: Tuned) -> StyleTraining:
    path = inputs[stage.name] / "model" / "training.json"
    return from_json(StyleTraining, {"style": stage.style} | read_json(path), where=str(path))
