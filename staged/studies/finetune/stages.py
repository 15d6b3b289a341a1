"""The stages of a fine-tuning study that read its worlds.

base/corpus, base/answers ───► detectors on base ──────┐
                     │                                 ▼
                     ├───────► scores: before, cut to the same lengths, after
                     │                                 ▲
STYLE/corpus, STYLE/answers ─► detectors on fine-tuned ┘
                     └───────► classifier of styles
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from staged.pipeline.stage import Inputs, Stage
from staged.pipeline.tables import TableRow
from staged.records import Document
from staged.studies import stages
from staged.studies.calibrations import calibrated
from staged.studies.finetune.classifier import Classifier
from staged.studies.finetune.plan import BASE, TUNED, FinetuneSettings
from staged.studies.finetune.texts import Pairs, joined
from staged.studies.finetune.worlds import Answers, Tuned, World
from staged.studies.stages import Corpus, TrainedDetector
from staged.studies.texts import SPLITS

# what detectors learn from: the untuned model, or the fine-tuned ones of all styles together
TRAINED = (BASE, TUNED)


@dataclass(frozen=True, kw_only=True)
class Detector(TrainedDetector):
    """A detector trained on the untuned model's answers, or on those of all styles."""

    trained: str
    human: tuple[Corpus, ...]
    answers: tuple[Answers, ...]

    @property
    def name(self) -> str:
        return f"detectors/{self.kind}/{self.trained}"

    @property
    def corpora(self) -> tuple[Corpus, ...]:
        return self.human

    def pairs(self, inputs: Inputs, split: str) -> Pairs:
        """What it learns from or chooses its thresholds on."""
        worlds = map(World, self.human, self.answers)
        return joined([world.pairs(inputs, split) for world in worlds])

    def documents(self, inputs: Inputs, split: str) -> list[Document]:
        people, machines = self.pairs(inputs, split)
        return [*people, *machines]

    def sampled(self, inputs: Inputs) -> list[Document]:
        return [text for stage in self.answers for text in stage.texts(inputs, "train")]


@dataclass(frozen=True, kw_only=True)
class Scores(stages.Scores):
    """Rows of `set`, `label`, `source`, `tokens`, `score`; row i of a set's human texts and of its
    machine texts are a pair. Sets: `valid`; `before`; per style `matched/STYLE`, the pairs of
    `before` cut to that style's lengths, and `after/STYLE`.

    Attributes:
        human, answers: of every world, the untuned model's first.
    """

    detector: Detector
    human: tuple[Corpus, ...]
    answers: tuple[Answers, ...]

    @property
    def name(self) -> str:
        return f"scores/{self.detector.kind}/{self.detector.trained}"

    @property
    def set_sizes(self) -> tuple[int, ...]:
        """A class at a time: batches count in bfloat16."""
        valid = sum(answers.counts["valid"] for answers in self.detector.answers)
        base, *styles = (answers.counts["test"] for answers in self.answers)
        pairs = (valid, base, *(size for style in styles for size in (style, style)))
        return tuple(size for size in pairs for _ in ("human", "machine"))

    def pairs(self, inputs: Inputs, number: int) -> tuple[str, Pairs]:
        """A set's name and pairs."""
        base, *styles = map(World, self.human, self.answers)
        if number == 0:
            return "valid", self.detector.pairs(inputs, "valid")
        if number == 1:
            return "before", base.pairs(inputs, "test")
        world = styles[number // 2 - 1]
        after = world.pairs(inputs, "test")
        if number % 2:
            return f"after/{world.name}", after
        lengths = world.corpus.tokenizer().count([text.text for text in after[1]])
        return f"matched/{world.name}", base.pairs(inputs, "test", list(lengths))

    def texts_of(self, inputs: Inputs, number: int) -> tuple[list[str], list[TableRow]]:
        name, pairs = self.pairs(inputs, number // 2)
        documents = pairs[number % 2]
        texts = [document.text for document in documents]
        counts = self.human[0].tokenizer().count(texts)
        return texts, [
            {"set": name, "label": text.label, "source": text.source, "tokens": tokens}
            for text, tokens in zip(documents, counts, strict=True)
        ]


@dataclass(frozen=True)
class FinetuneStages:
    """A fine-tuning study's stages.

    Attributes:
        worlds: by name, the untuned model's first.
        scores: (kind of detector, what it is trained on) → stage.
    """

    worlds: dict[str, World]
    classifier: Classifier
    scores: dict[tuple[str, str], Scores]

    @property
    def corpora(self) -> list[Stage]:
        return [world.corpus for world in self.worlds.values()]

    @property
    def tuned(self) -> list[Tuned]:
        """A fine-tuned model a style."""
        of_each = (world.answers.tuned for world in self.worlds.values())
        return [stage for stage in of_each if stage is not None]

    @property
    def others(self) -> list[Stage]:
        """All but the corpora, those that others wait for first."""
        answers = [world.answers for world in self.worlds.values()]
        stages: list[Stage] = [*self.tuned, *answers, self.classifier]
        for _, scores in sorted(self.scores.items(), key=lambda item: item[0][0]):
            stages += [scores.detector, scores, calibrated(scores.detector)]
        return stages


def finetune_stages(settings: FinetuneSettings) -> FinetuneStages:
    """The stages of a plan; nothing is read."""
    worlds = {name: _world(settings, name) for name in settings.worlds}
    human = tuple(world.corpus for world in worlds.values())
    answers = tuple(world.answers for world in worlds.values())
    classifier = Classifier(
        n_train=settings.n_train,
        n_valid=settings.n_valid,
        n_test=settings.n_test,
        seed=settings.seed,
        rounds=settings.rounds,
        round_tokens=settings.round_tokens,
        human=human,
        answers=answers,
    )
    scores = {
        (kind, trained): Scores(
            n_valid=settings.n_valid,
            n_test=settings.n_test,
            seed=settings.seed,
            detector=_detector(settings, worlds, kind, trained),
            human=human,
            answers=answers,
        )
        for kind in settings.detectors
        for trained in TRAINED
    }
    return FinetuneStages(worlds, classifier, scores)


def _world(settings: FinetuneSettings, name: str) -> World:
    is_base = name == BASE
    human = settings.corpus_of(name)
    corpus = Corpus(
        corpus=human,
        model=settings.model,
        parent=name,
        table="corpus" if is_base else f"style_corpus (style {name!r})",
    )
    training = replace(settings.training, init=settings.model, corpus=human)
    tuned = Tuned(training=training, corpus=corpus, style=name, device=settings.device)
    answers = Answers(
        opening=settings.opening,
        rounds=settings.rounds,
        round_tokens=settings.round_tokens,
        method=settings.method,
        seed=settings.seed,
        batch=settings.batch,
        precision=settings.precision,
        counts={split: settings.count(name, split) for split in SPLITS},
        tuned=None if is_base else tuned,
        device=settings.device,
        world=name,
        given=settings.model,
    )
    return World(corpus, answers)


def _detector(
    settings: FinetuneSettings, worlds: dict[str, World], kind: str, trained: str
) -> Detector:
    names = (BASE,) if trained == BASE else tuple(settings.styles)
    return Detector(
        kind=kind,
        n_train=settings.n_train,
        n_valid=settings.n_valid,
        seed=settings.seed,
        roberta=settings.roberta if kind == "roberta" else None,
        device=settings.device,
        trained=trained,
        human=tuple(worlds[name].corpus for name in names),
        answers=tuple(worlds[name].answers for name in names),
    )
