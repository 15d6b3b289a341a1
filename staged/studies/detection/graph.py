"""Which stages a plan takes, and where their texts are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from staged.errors import PlanError
from staged.model.sources.served import parse_served
from staged.pipeline.stage import Inputs, Stage
from staged.records import Document
from staged.samples.methods import method
from staged.studies.calibrations import calibrated
from staged.studies.detection.plan import MIX, StudySettings
from staged.studies.detection.stages import Detector, Scores
from staged.studies.generators.given import GivenSamples
from staged.studies.generators.given_files import GivenFile, given_files, listed, named_alike
from staged.studies.generators.lengths import StudyCorpus
from staged.studies.generators.sampled import Samples
from staged.studies.generators.texts import MachineTexts
from staged.studies.models import short_name
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
    corpus: StudyCorpus
    samples: dict[tuple[str, str], MachineTexts]
    detectors: dict[Key, Detector]
    scores: dict[Key, Scores]

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(map(short_name, self.settings.models))

    @property
    def given(self) -> list[GivenSamples]:
        """The samples that somebody has."""
        return [stage for stage in self.samples.values() if isinstance(stage, GivenSamples)]

    def is_given(self, model: str) -> bool:
        """Whether all texts of a model of the plan were given."""
        own = [stage for stage in self.samples.values() if stage.given == model]
        return all(isinstance(stage, GivenSamples) for stage in own)

    @property
    def others(self) -> list[Stage]:
        """All but the corpus: those that many wait for first, the slow kind of detector before the
        quick one, so that the last stages are short ones. Detectors trained on the mix, which are
        the ones to use, get a calibration.
        """
        methods = self.settings.methods
        stages: list[Stage] = [
            self.samples[model, name] for model in reversed(self.models) for name in methods
        ]
        for key in sorted(self.detectors, key=lambda key: key[0]):
            stages += [self.detectors[key], self.scores[key]]
            stages += [calibrated(self.detectors[key])] if key[2] == MIX else []
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
    """The stages of a plan; of its samples it is read whose they are, and nothing else.

    Raises:
        PlanError: two models whose folders have one name, or samples that are not there.
        SamplingError: a method that is neither a sampling method nor among the samples.
    """
    names = [short_name(model) for model in settings.models]
    if len(set(names)) != len(names):
        raise PlanError(
            f"study: two models are called the same: {', '.join(names)}; rename a folder"
        )
    given = listed(given_files(settings.samples)) if settings.samples else {}
    corpus = _corpus(settings, given)
    samples = {
        (short_name(model), name): _samples(settings, corpus, (model, name), given)
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


Given = Mapping[tuple[str, str], Sequence[GivenFile]]


def _found(given: Given, model: str, name: str) -> tuple[GivenFile, ...]:
    """The files that hold a model's texts by a method."""
    return tuple(
        file
        for (held, method), files in given.items()
        if method == name and named_alike(short_name(model), held)
        for file in files
    )


def _corpus(settings: StudySettings, given: Given) -> StudyCorpus:
    kinds = [(model, name) for model in settings.models for name in settings.methods]
    writing = [model for model, name in kinds if not _found(given, model, name)]
    return StudyCorpus(
        corpus=settings.corpus,
        model=settings.tokenizer,
        opening_words=settings.openings,
        models=tuple(dict.fromkeys(writing)),
        given=len(writing) < len(kinds),
        lengths=tuple(sorted({*settings.lengths, 2 * settings.length_tokens})),
    )


def _samples(
    settings: StudySettings, corpus: Corpus, which: tuple[str, str], given: Given
) -> MachineTexts:
    model, name = which
    found = _found(given, model, name)
    texts = counts(settings)
    if found:
        return GivenSamples(
            model=short_name(model),
            method=name,
            counts=texts,
            seed=settings.seed,
            given=model,
            corpus=corpus,
            found=found,
        )
    method(name)  # the plan's, not the samples'
    prompts, served = settings.prompts_for(model), parse_served(model)
    longest = max(settings.lengths)  # of the curve, wherever it is measured
    return Samples(
        model=short_name(model),
        method=name,
        counts=texts,
        seed=settings.seed,
        given=model,
        lengths={"train": settings.length_tokens, "valid": longest, "test": longest},
        batch=settings.batch,
        precision=settings.precision,
        server=served.name if served else None,
        prompts=prompts,
        corpus=corpus if prompts and prompts.opening_words else None,
    )


def _detector(
    settings: StudySettings, corpus: Corpus, samples: dict[tuple[str, str], MachineTexts], key: Key
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
