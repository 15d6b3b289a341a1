"""Which stages a plan takes, and where their texts are found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from staged.errors import PlanError
from staged.pipeline.stage import Inputs, Stage
from staged.records import Document
from staged.studies.detection.plan import MIX, StudySettings
from staged.studies.detection.stages import Detector, Samples, Scores
from staged.studies.stages import Corpus
from staged.studies.texts import mixed

Key = tuple[str, str, str]  # a detector's kind, and the model and method it is trained on


@dataclass(frozen=True)
class StudyStages:
    """A study's stages; models go by their names.

    Attributes:
        samples: (model, method) → stage, from the smallest model to the largest.
    """

    settings: StudySettings
    corpus: Corpus
    samples: dict[tuple[str, str], Samples]
    detectors: dict[Key, Detector]
    scores: dict[Key, Scores]

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(Path(model).name for model in self.settings.models)

    @property
    def others(self) -> list[Stage]:
        """All but the corpus: those that many wait for first, the slow kind of detector before the
        quick one, so that the last stages are short ones.
        """
        methods = self.settings.methods
        stages: list[Stage] = [
            self.samples[model, name] for model in reversed(self.models) for name in methods
        ]
        for key in sorted(self.detectors, key=lambda key: key[0]):
            stages += [self.detectors[key], self.scores[key]]
        return stages

    def human(self, inputs: Inputs, split: str) -> list[Document]:
        """The human passages of a split.

        Raises:
            PlanError: the corpus has fewer than the plan asks for.
        """
        count = counts(self.settings)[split]
        return self.corpus.drawn(inputs, split, count, seed=self.settings.seed)

    def machine(self, inputs: Inputs, model: str, method: str, split: str) -> list[Document]:
        """A model's samples of a split by one method, or an equal mix of all."""
        methods = self.settings.methods if method == MIX else (method,)
        parts = [self.samples[model, name].texts(inputs, split) for name in methods]
        return mixed(parts, counts(self.settings)[split])


def counts(settings: StudySettings) -> dict[str, int]:
    """split → texts per class."""
    return {"train": settings.n_train, "valid": settings.n_valid, "test": settings.n_test}


def study_stages(settings: StudySettings) -> StudyStages:
    """The stages of a plan; nothing is read.

    Raises:
        PlanError: two models whose folders have one name.
    """
    names = [Path(model).name for model in settings.models]
    if len(set(names)) != len(names):
        raise PlanError(
            f"study: two models are called the same: {', '.join(names)}; rename a folder"
        )
    corpus = Corpus(corpus=settings.corpus, model=settings.models[0])
    samples = {
        (Path(model).name, name): _samples(settings, model, name)
        for model in settings.models
        for name in settings.methods
    }
    detectors = {
        (kind, model, name): _detector(settings, corpus, samples, (kind, model, name))
        for kind in settings.detectors
        for model in names
        for name in settings.trained_methods
    }
    scores = {
        key: Scores(
            n_valid=settings.n_valid,
            n_test=settings.n_test,
            length_tokens=settings.length_tokens,
            lengths=settings.lengths,
            seed=settings.seed,
            detector=detector,
            corpus=corpus,
            samples=tuple(samples.values()),
        )
        for key, detector in detectors.items()
    }
    return StudyStages(settings, corpus, samples, detectors, scores)


def _samples(settings: StudySettings, model: str, name: str) -> Samples:
    longest = max(settings.lengths)  # of the curve, wherever it is measured
    return Samples(
        model=Path(model).name,
        method=name,
        counts=counts(settings),
        lengths={"train": settings.length_tokens, "valid": longest, "test": longest},
        seed=settings.seed,
        batch=settings.batch,
        precision=settings.precision,
        given=model,
    )


def _detector(
    settings: StudySettings, corpus: Corpus, samples: dict[tuple[str, str], Samples], key: Key
) -> Detector:
    kind, model, name = key
    methods = settings.methods if name == MIX else (name,)
    return Detector(
        kind=kind,
        n_train=settings.n_train,
        n_valid=settings.n_valid,
        seed=settings.seed,
        roberta=settings.roberta if kind == "roberta" else None,
        model=model,
        method=name,
        length_tokens=settings.length_tokens,
        corpus=corpus,
        samples=tuple(samples[model, method] for method in methods),
    )
