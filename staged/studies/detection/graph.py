"""Which stages a plan takes, and where their texts are found."""

from __future__ import annotations

from dataclasses import dataclass

from staged.errors import PlanError
from staged.model.checkpoints import is_at_hand
from staged.model.sources.releases import released
from staged.model.sources.served import parse_served
from staged.notes import note
from staged.pipeline.stage import Inputs, Stage
from staged.records import Document
from staged.samples.methods import method
from staged.studies.calibrations import calibrated
from staged.studies.detection.plan import MIX, StudySettings
from staged.studies.detection.stages import Detector, Scores
from staged.studies.generators.given import GivenSamples
from staged.studies.generators.given_files import (
    NOTHING,
    GivenTexts,
    check_folder_name,
    read_given,
)
from staged.studies.generators.lengths import StudyCorpus, Tokenizers
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
    def has_prompts(self) -> bool:
        """Whether a model is given something to write from."""
        return any(
            isinstance(stage, Samples) and stage.prompts is not None
            for stage in self.samples.values()
        )

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
    """The stages of a plan; of its samples it is read whose they are, of its models which
    tokenizers they have.

    Raises:
        PlanError: two models whose folders have one name, a name that cannot be a folder's, samples
            that are not there or cannot be used, or prompts that a model cannot have.
        SamplingError: a method that is neither a sampling method nor among the samples.
    """
    names = [short_name(model) for model in settings.models]
    if len(set(names)) != len(names):
        raise PlanError(
            f"study: two models are called the same: {', '.join(names)}; rename a folder"
        )
    for name in names:
        check_folder_name(name, "study: model")
    given = read_given(settings.samples) if settings.samples else NOTHING
    corpus = _corpus(settings, given)
    samples = {
        (short_name(model), name): _samples(settings, corpus, (model, name), given)
        for model in settings.models
        for name in settings.methods
    }
    _note_unused(settings, given)
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
            opening_words=corpus.opening_words or None,
            detector=detector,
            corpus=corpus,
            samples=tuple(samples.values()),
        )
        for key, detector in detectors.items()
    }
    return StudyStages(settings, corpus, samples, detectors, scores)


def _check_given(model: str, name: str, given: GivenTexts) -> None:
    """Where there are samples, a model that they lack is one that can write."""
    can_write = parse_served(model) or is_at_hand(model) or released(model) or "/" in model
    if given.kinds and not can_write:
        held = ", ".join(f"{held} by {how}" for held, how in list(given.kinds)[:6])
        raise PlanError(
            f"study: the samples hold no texts of {short_name(model)} by {name}, and no model of"
            f" that name is here; they hold {held}"
        )


def _note_unused(settings: StudySettings, given: GivenTexts) -> None:
    used = {
        file
        for model in settings.models
        for how in settings.methods
        for file in given.of(model, how)
    }
    unused = [kind for kind, files in given.kinds.items() if not used & set(files)]
    if unused:
        named = ", ".join(f"{model} by {method}" for model, method in unused[:4])
        note(f"study: samples that the plan does not ask for are left out: {named}")


def _corpus(settings: StudySettings, given: GivenTexts) -> StudyCorpus:
    kinds = [(model, name) for model in settings.models for name in settings.methods]
    writing = tuple(dict.fromkeys(model for model, name in kinds if not given.of(model, name)))
    has_given = any(given.of(model, name) for model, name in kinds)
    return StudyCorpus(
        corpus=settings.corpus,
        opening_words=settings.openings(writing),
        tokenizers=Tokenizers(writing, has_given, settings.tokenizer),
        lengths=tuple(
            sorted({*settings.lengths, 2 * settings.length_tokens, settings.trained_tokens})
        ),
    )


def _samples(
    settings: StudySettings, corpus: StudyCorpus, which: tuple[str, str], given: GivenTexts
) -> MachineTexts:
    model, name = which
    if given.of(model, name):
        return GivenSamples(
            model=short_name(model),
            method=name,
            counts=counts(settings),
            seed=settings.seed,
            given=model,
            corpus=corpus,
            all_given=given,
        )
    _check_given(model, name, given)
    method(name)  # the plan's, not the samples'
    prompts = settings.prompts_for(model, corpus.opening_words)
    is_served = parse_served(model) is not None
    longest = max(settings.lengths)  # of the curve, wherever it is measured
    return Samples(
        model=short_name(model),
        method=name,
        counts=counts(settings),
        seed=settings.seed,
        given=model,
        lengths={"train": settings.trained_tokens, "valid": longest, "test": longest},
        batch=None if is_served else settings.batch,
        precision=None if is_served else settings.precision,
        server=short_name(model) if is_served else None,
        prompts=prompts,
        corpus=corpus if corpus.opening_words else None,
        tokenizers=corpus.tokenizers,
        device=settings.device,
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
        roberta=settings.encoder(kind),
        device=settings.device,
        model=model,
        method=name,
        length_tokens=settings.length_tokens,
        train_tokens=settings.train_tokens,
        opening_words=corpus.opening_words or None,
        corpus=corpus,
        samples=tuple(samples[model, method] for method in methods),
    )
