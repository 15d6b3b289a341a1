"""What a study is: which models, methods, detectors and how many texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from staged.attacks.kinds import check_attacks
from staged.corpus.build import CorpusSettings, given, recorded
from staged.corpus.published import published_files
from staged.detectors.catalog import DETECTORS
from staged.errors import PlanError
from staged.model.devices import check_device
from staged.model.sources.served import parse_served
from staged.samples.methods import method
from staged.settings import check_listed, computing, describing, from_table, over, read_toml
from staged.storage.placeless import named
from staged.studies.generators.given_files import check_folder_name, read_given
from staged.studies.generators.prompts import OPENING, OPENING_WORDS, ChatSettings, Prompts
from staged.studies.models import short_name
from staged.training.roberta import RobertaSettings

MIX = "mix"
OF_SAMPLES = ("samples_title", "samples_licence", "samples_url")  # of a plan's, not of others
LATER_KEYS = (
    "attacks",
    "tokenizer",
    "opening_words",
    "samples",
    "chat",
    "encoders",
    "train_tokens",
)


@dataclass(frozen=True)
class StudySettings:
    """A release study.

    Attributes:
        title: the report's heading.
        models: shipped names, folders, hub names or `openai:NAME@URL` behind a server, from the
            smallest to the largest; with `samples`, by default all that these hold.
        methods: sampling methods; `mix` (equal parts of all) is always trained on as well.
        detectors: `tfidf`, `roberta`, and names of `encoders`.
        n_train, n_valid, n_test: texts per class and set.
        length_tokens: length of the texts in the matrix, and of training texts.
        train_tokens: length of training texts, where these are longer.
        lengths: of the length curve, in tokens; test texts are generated at the longest.
        tokenizer: a model whose tokens all lengths are counted in; by default the models' own, and
            where these differ, or one is not here, texts are cut to as many words.
        opening_words: first words of human passages, which models continue and which are cut off
            both classes; 0 lets models begin by themselves. By default 0, but 8 where a model is
            behind a server, or a task holds an opening.
        samples: a file or folder of texts that somebody has; where they hold a model and a method,
            these are not sampled.
        samples_title, samples_licence, samples_url: what those texts are, for who reads of them.
        chat: how instruct models are asked; without it models continue.
        seed: of the samples and of which human passages are used; corpus and roberta have seeds of
            their own.
        batch, precision: of generation.
        attacks: on test texts, for the detectors trained on the mix, see robustness.py.
        author: who made the study; the report shows it, and nothing depends on it.
        date: when it was made, likewise; never the clock's.
        corpus: the human text.
        roberta: how detectors of that kind are trained.
        device: where models write, and encoders learn and score: `cpu`, `cuda`, or `auto` for a GPU
            where there is one.
        encoders: by name, each a detector as `roberta` is: with a base of its own, and with the
            keys of `roberta` where it says no other.
    """

    models: tuple[str, ...]
    title: str = "Release study"
    methods: tuple[str, ...] = ("temperature-1", "top-k-40", "nucleus")
    detectors: tuple[str, ...] = ("tfidf", "roberta")
    n_train: int = 1000
    n_valid: int = 250
    n_test: int = 500
    length_tokens: int = 64
    train_tokens: int | None = None
    lengths: tuple[int, ...] = (32, 64, 128, 256)
    seed: int = 1
    batch: int = 128
    precision: str = ""
    attacks: tuple[str, ...] = ()
    tokenizer: str = ""
    opening_words: int | None = None
    samples: str = ""
    chat: ChatSettings | None = None
    samples_title: str = describing()
    samples_licence: str = describing()
    samples_url: str = describing()
    author: str = describing()
    date: str = describing()
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    roberta: RobertaSettings = field(default_factory=RobertaSettings)
    device: str = computing("auto")
    encoders: dict[str, RobertaSettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("models", "methods", "lengths"):
            check_listed(getattr(self, name), where=f"study: {name}")
        known = (*DETECTORS, *self.encoders)
        check_listed(self.detectors, where="study: detectors", known=known)
        for name in self.encoders:
            _check_encoder(name)
        check_attacks(self.attacks)
        check_device(self.device)
        for name in ("n_train", "n_valid", "n_test", "length_tokens", "batch"):
            if getattr(self, name) < 1:
                raise PlanError(f"study: {name} must be at least 1, not {getattr(self, name)}")
        if self.length_tokens not in self.lengths or min(self.lengths) < 1:
            raise PlanError(
                f"study: lengths {list(self.lengths)} must be positive and hold length_tokens"
                f" {self.length_tokens}"
            )
        self._check_lengths()
        if MIX in self.methods:
            raise PlanError(
                f"study: {MIX!r} is what detectors train on besides each method, not a sampling"
                " method"
            )
        for name in () if self.samples else self.methods:  # theirs may be called anything
            method(name)
        self._check_prompts()

    def _check_lengths(self) -> None:
        """Texts are no shorter where detectors learn from them, and no longer than human ones."""
        longest = max(*self.lengths, self.trained_tokens)
        if longest > self.corpus.budget_tokens:
            what = "the longest of lengths" if longest in self.lengths else "train_tokens"
            raise PlanError(
                f"study: {what}, {longest}, is above corpus.budget_tokens"
                f" {self.corpus.budget_tokens}: machine texts would be longer than any human one"
            )
        if self.trained_tokens < self.length_tokens:
            raise PlanError(
                f"study: train_tokens {self.train_tokens} must be at least length_tokens"
                f" {self.length_tokens}"
            )

    def _check_prompts(self) -> None:
        """What models are given to write from fits together."""
        if self.opening_words is not None and self.opening_words < 0:
            raise PlanError(f"study: opening_words must be at least 0, not {self.opening_words}")
        if self.chat is None:
            return
        if self.chat.models:
            known = [*self.models, *map(short_name, self.models)]
            check_listed(self.chat.models, where="study: chat.models", known=known)
        if self.chat.has_openings and self.opening_words == 0:
            raise PlanError(
                f"study: a task of [chat] holds {OPENING}; say by opening_words how many words of a"
                " human passage it stands for"
            )

    def openings(self, writing: Sequence[str]) -> int:
        """How many words of human passages models are given.

        Args:
            writing: the models of the plan that are let write.
        """
        if self.opening_words is not None:
            return self.opening_words
        has_task = self.chat is not None and self.chat.has_openings
        return OPENING_WORDS if has_task or any(map(parse_served, writing)) else 0

    def prompts_for(self, model: str, openings: int) -> Prompts | None:
        """What a model of the plan writes from; None where it begins by itself.

        Raises:
            PlanError: it is behind a server, which takes no empty prompt.
        """
        chat = self.chat
        if chat and (not chat.models or {model, short_name(model)} & set(chat.models)):
            return Prompts(openings, chat.tasks, chat.system)
        if openings:
            return Prompts(openings)
        if parse_served(model):
            raise PlanError(
                f"study: {short_name(model)} is behind a server, which takes no empty prompt; let"
                f" opening_words be above 0, or leave it out for {OPENING_WORDS}"
            )
        return None

    @property
    def trained_tokens(self) -> int:
        """Length of training texts."""
        return self.length_tokens if self.train_tokens is None else self.train_tokens

    def encoder(self, kind: str) -> RobertaSettings | None:
        """How a kind of detector learns; None of one that is no encoder."""
        return (self.encoders | {"roberta": self.roberta}).get(kind)

    @property
    def bases(self) -> tuple[str, ...]:
        """The encoders that detectors start from."""
        learning = (self.encoder(kind) for kind in self.detectors)
        return tuple(dict.fromkeys(encoder.base for encoder in learning if encoder))

    @property
    def trained_methods(self) -> tuple[str, ...]:
        """Every method, then the mix."""
        return (*self.methods, MIX)

    def recorded(self) -> dict[str, Any]:
        """The settings as results record them, without paths; without what a plan did not say
        before there was a key for it.
        """
        without_paths: dict[str, Any] = named(
            {key: value for key, value in recorded(self).items() if key not in LATER_KEYS or value}
        )
        return without_paths


def _check_encoder(name: str) -> None:
    if name in DETECTORS:
        raise PlanError(f"study: encoders: {name!r} is a detector's name already; choose another")
    check_folder_name(name, "study: encoders:")


def read_study(
    path: str | Path,
    *,
    corpus: str = "",
    literal: bool = False,
    samples: str = "",
    device: str = "",
) -> StudySettings:
    """A study plan from TOML, with another corpus, other samples or another device if they are
    named, `end_of_text` literal if asked.

    Raises:
        PlanError: unreadable or wrong; the sentence names the key.
    """
    other = {"samples": samples} | dict.fromkeys(OF_SAMPLES, "") if samples else {}
    table = read_toml(Path(path)) | other | ({"device": device} if device else {})
    inner = over({}, table.get("corpus", {}), where=f"{path} [corpus]") | given(
        corpus, literal=literal
    )
    human = from_table(CorpusSettings, inner, where=f"{path} [corpus]")
    table["corpus"] = human if corpus else _beside(human, table.get("samples"))
    table |= _encoders(table, str(path))
    if "chat" in table:
        table["chat"] = from_table(ChatSettings, table["chat"], where=f"{path} [chat]")
    return from_table(StudySettings, _with_found(table), where=str(path))


def _beside(corpus: CorpusSettings, samples: Any) -> CorpusSettings:
    """A published set of human text where it stands among the samples that are given."""
    if corpus.published and isinstance(samples, str) and published_files(samples):
        return replace(corpus, source=samples)
    return corpus


def _encoders(table: dict[str, Any], path: str) -> dict[str, Any]:
    """The tables of a plan that say how encoders learn, as settings."""
    common = over({}, table.get("roberta", {}), where=f"{path} [roberta]")
    named = over({}, table.get("encoders", {}), where=f"{path} [encoders]")
    encoders = {}
    for name, own in named.items():
        where = f"{path} [encoders.{name}]"
        encoders[name] = from_table(RobertaSettings, over(common, own, where=where), where=where)
    roberta = from_table(RobertaSettings, common, where=f"{path} [roberta]")
    return {"roberta": roberta} | ({"encoders": encoders} if encoders else {})


def _with_found(table: dict[str, Any]) -> dict[str, Any]:
    """The plan, with the models and methods of its samples where it names none."""
    place = table.get("samples")
    if not isinstance(place, str) or not place or {"models", "methods"} <= set(table):
        return table
    given = read_given(place)
    models = table.get("models", list(given.models))
    named = isinstance(models, list) and all(isinstance(model, str) for model in models)
    methods = given.methods(tuple(models)) if named else ()
    found = {"models": models} | ({"methods": list(methods)} if methods else {})
    return found | table
