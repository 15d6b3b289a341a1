"""Asks models: completions of every prompt, and likelihoods of paired texts; each a stage of its
own, kept and continued.

DIR/samples/<model>/<set>/samples.jsonl       completions, in staged sample's rows
DIR/likelihood/<model>/<what>/nats.json       preferences, or a sentence file's scores (numbers
                                              only, never its texts)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from staged.engines.contract import Perform
from staged.model.causal import CausalLM, load_causal
from staged.model.sources.releases import folder_name
from staged.model.sources.served import model_identity, parse_served
from staged.progress import Progress
from staged.samples.dataset import SampleSettings, read_samples
from staged.samples.methods import method
from staged.samples.sample_stage import FILE, keep_folder, weights_of
from staged.samples.writers.contract import precision_and_device
from staged.storage.digests import sha256_file
from staged.storage.json_files import read_json, write_json
from staged.storage.stage_folders import build
from staged.streams import derive
from staged.studies.bias.likelihood import preference_texts, preferences, sentence_nats
from staged.studies.bias.measures import Floats, Measure, measure, named, occupation_words
from staged.studies.bias.plan import BiasSettings
from staged.studies.bias.prompts import Prompt, Terms, prompts
from staged.studies.bias.sentence_pairs import Item

KIND = "bias probe"  # what a folder of probes is called
Place = tuple[str, str, str]  # template set, attribute, group


@dataclass(frozen=True)
class Probed:
    """What one model answered.

    Attributes:
        model: its name.
        values: place → (templates, completions, measures).
        preferences: place → (continuation pairs,) nats; none of a model behind a server, as of its
            likelihoods nothing is known.
        occupations: place → occupation words of all completions.
        pairs: CrowS-Pairs log-likelihoods (items, 2), where asked for.
        triples: StereoSet log-likelihoods a token (items, 3), where asked for.
    """

    model: str
    values: dict[Place, Floats]
    preferences: dict[Place, Floats]
    occupations: dict[Place, list[str]]
    pairs: Floats | None = None
    triples: Floats | None = None

    @property
    def identity(self) -> str:
        """By which random numbers are drawn for it."""
        return model_identity(self.model)


@dataclass(frozen=True)
class Asked:
    """What all models are asked.

    Attributes:
        pairs, triples: a file of sentences and its items: CrowS-Pairs, StereoSet.
    """

    terms: Terms
    settings: BiasSettings
    pairs: tuple[Path, list[Item]] | None = None
    triples: tuple[Path, list[Item]] | None = None


@dataclass(frozen=True)
class Probe:
    """One thing that a model has to do, a stage of its own.

    Attributes:
        place: its folder.
        count: completions to generate, or sentences to read.
        make: fills the folder, unless it is there; takes it and a progress.
    """

    place: Path
    count: int
    make: Callable[[Path, Progress], object]


def probes(model: str, asked: Asked, out: Path) -> list[Probe]:
    """All that a model has to do."""
    listed = []
    for name in asked.terms.templates:
        wanted = sample_settings(model, name, prompts(asked.terms, name), asked.settings)
        make: Callable[..., object] = partial(_complete, settings=wanted)
        listed.append(Probe(samples_folder(out, model, name), wanted.count, make))
    for reading in () if parse_served(model) else _readings(asked):
        make = partial(_read, model=model, reading=reading, device=asked.settings.device)
        listed.append(Probe(_nats_folder(out, model, reading.name), reading.count, make))
    return listed


@dataclass(frozen=True)
class Probing:
    """A `Task`: what models have to do, numbered model after model."""

    models: tuple[str, ...]
    asked: Asked
    out: Path

    @property
    def name(self) -> str:
        return str(self.out)

    @property
    def probes(self) -> list[Probe]:
        return [probe for model in self.models for probe in probes(model, self.asked, self.out)]

    @contextmanager
    def opened(self) -> Iterator[Perform]:
        """A probe loads its own model.

        Raises:
            CheckpointError, SamplingError: (by what is returned) the model, or what is asked of it.
            ArtifactError: (by what is returned) `out` cannot be written.
        """
        listed = self.probes

        def perform(number: int, progress: Progress) -> None:
            listed[number].make(listed[number].place, progress)

        yield perform


def _complete(place: Path, progress: Progress, *, settings: SampleSettings) -> None:
    keep_folder(place, settings, progress=progress)


def sample_settings(
    model: str, template_set: str, listed: Sequence[Prompt], settings: BiasSettings
) -> SampleSettings:
    """How one model's completions of one set are drawn: streams of their own, so that no two models
    share luck.
    """
    precision, device = precision_and_device(model, settings.precision, settings.device)
    return SampleSettings(
        model=model,
        method=method(settings.method),
        count=len(listed) * settings.per_prompt,
        length=settings.length,
        seed=derive(settings.seed, "bias", model_identity(model), template_set),
        prompts=tuple(prompt.text for prompt in listed),
        per_prompt=settings.per_prompt,
        batch=settings.batch,
        precision=precision,
        device=device,
        stop=("\n",),
    )


def samples_folder(out: Path, model: str, template_set: str) -> Path:
    """Where a model's completions of one set stand."""
    return out / "samples" / folder_name(model_identity(model)) / folder_name(template_set)


def answers(model: str, asked: Asked, out: Path, measures: Sequence[Measure]) -> Probed:
    """Read what `ask` left, and measure it."""
    values: dict[Place, Floats] = {}
    occupations: dict[Place, list[str]] = {}
    count_words = any(quantity.name == "occupation" and quantity.of for quantity in measures)
    for name, templates in asked.terms.templates.items():
        rows = read_samples(samples_folder(out, model, name) / FILE)
        measured = measure([row["text"] for row in rows], measures)
        size = len(templates) * asked.settings.per_prompt
        for number, (attribute, group) in enumerate(places(asked.terms)):
            span = slice(number * size, (number + 1) * size)
            place = (name, attribute, group)
            values[place] = measured[span].reshape(len(templates), asked.settings.per_prompt, -1)
            words = (
                [word for row in rows[span] for word in named(row["text"], occupation_words())]
                if count_words
                else []
            )
            occupations[place] = words
    if parse_served(model):
        return Probed(model, values, {}, occupations)
    preferred = {
        (name, attribute, group): np.array(nats)
        for name in asked.terms.templates
        for attribute, groups in _nats(out, model, f"preferences-{name}").items()
        for group, nats in groups.items()
    }
    pairs = np.array(_nats(out, model, "crows-pairs"))[:, :, 0] if asked.pairs else None
    triples = np.array(_nats(out, model, "stereoset")) if asked.triples else None
    return Probed(
        model,
        values,
        preferred,
        occupations,
        pairs,
        None if triples is None else triples[:, :, 0] / triples[:, :, 1],
    )


def places(terms: Terms) -> list[tuple[str, str]]:
    """(attribute, group) in the order of prompts."""
    return [(attribute, group) for attribute, groups in terms.groups.items() for group in groups]


@dataclass(frozen=True)
class _Reading:
    """Texts that a model reads: how many, what determines the result, and how."""

    name: str
    count: int
    settings: dict[str, Any]
    read: Callable[..., Any]


def _readings(asked: Asked) -> list[_Reading]:
    terms = asked.terms
    readings = []
    for name, templates in terms.templates.items():
        wanted = {
            "groups": terms.groups,
            "templates": templates,
            "continuations": terms.continuations,
        }
        read = partial(preferences, terms=terms, template_set=name)
        readings.append(
            _Reading(f"preferences-{name}", preference_texts(terms, name), wanted, read)
        )
    for name, given in (("crows-pairs", asked.pairs), ("stereoset", asked.triples)):
        if given:
            count = sum(len(item.sentences) for item in given[1])
            readings.append(
                _Reading(
                    name,
                    count,
                    {"file": sha256_file(given[0])},
                    partial(_sentences, items=given[1]),
                )
            )
    return readings


def _sentences(model: CausalLM, *, items: Sequence[Item], progress: Progress) -> list[Any]:
    """Of each item, of each sentence, nats and tokens."""
    scored = iter(
        sentence_nats(model, [text for item in items for text in item.sentences], progress)
    )
    return [[next(scored) for _ in item.sentences] for item in items]


def _read(place: Path, progress: Progress, *, model: str, reading: _Reading, device: str) -> None:
    def write(folder: Path) -> None:
        write_json(
            folder / "nats.json", reading.read(load_causal(model, device=device), progress=progress)
        )

    build(
        place,
        write,
        settings={"model": model, "what": reading.name, "device": device} | reading.settings,
        inputs=weights_of(model),
    )


def _nats(out: Path, model: str, what: str) -> Any:
    return read_json(_nats_folder(out, model, what) / "nats.json")


def _nats_folder(out: Path, model: str, what: str) -> Path:
    return out / "likelihood" / folder_name(model) / folder_name(what)
