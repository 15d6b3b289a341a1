"""What a fine-tuning study is: the model, the styles it is fine-tuned on, the opening phrase, the
rounds and the detectors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from staged.corpus.build import DESCRIPTION, CorpusSettings, given, recorded
from staged.detectors.catalog import DETECTORS
from staged.errors import PlanError
from staged.model.devices import check_device
from staged.model.training.plan import FINE_TUNING, TrainSettings
from staged.samples.methods import method
from staged.samples.prompts import check_prompts
from staged.settings import check_listed, computing, describing, from_table, over, read_toml
from staged.storage.placeless import named
from staged.training.roberta import RobertaSettings

BASE = "base"  # the model as it was, and the human text that goes with it
TUNED, CLASSIFIER = "fine-tuned", "classifier"
# what stands beside the styles' folders, or is called so in results; also with an ending, on disks
# that know no case
TAKEN = {
    BASE,
    TUNED,
    CLASSIFIER,
    "answers",
    "calibrations",
    "called",
    "checkpoint",
    "corpus",
    "detectors",
    "fingerprint",
    "finetune",
    "gallery",
    "human",
    "manifest",
    "matched",
    "report",
    "samples",
    "scores",
    "tuned",
}
NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
GIVEN = ("corpus", "init", "tokenizer", "objective")  # of training: the study sets these


def style_corpus() -> CorpusSettings:
    """A style's text without its source: tuning has under half, detectors and tests the rest."""
    return CorpusSettings(
        source="", shares={"pretrain": 0.45, "train": 0.2, "valid": 0.1, "test": 0.25}
    )


@dataclass(frozen=True)
class FinetuneSettings:
    """A fine-tuning study.

    Attributes:
        model: shipped name or folder, fine-tuned once for each style.
        opening: the neutral phrase that every text begins with; it is not part of what detectors
            see.
        styles: name → human text, as a corpus's `source`.
        title: the report's heading.
        rounds: the first continues the opening, each later one the model's own answer so far.
        round_tokens: new tokens a round, at most.
        method: how tokens are drawn.
        detectors: `tfidf`, `roberta`.
        n_train, n_valid: texts per class that a detector learns from and chooses its thresholds on;
            shared among the styles.
        n_test: texts per class of the untuned model, and of each style.
        seed: of the samples, of which human passages are used, and of the bootstrap.
        batch, precision: of generation.
        corpus: human text beside the untuned model's.
        style_corpus: how every style's text is cut and dealt to splits; fine-tuning reads
            `pretrain`.
        training: how a style is learned, as `staged train` takes it.
        roberta: how detectors of that kind are trained.
        author: who made the study; the report shows it, and nothing depends on it.
        date: when it was made, likewise; never the clock's.
        device: where models learn and write, and encoders learn and score: `cpu`, `cuda`, or `auto`
            for a GPU where there is one.
    """

    model: str
    opening: str
    styles: dict[str, str]
    title: str = "Fine-tuning study"
    rounds: int = 3
    round_tokens: int = 64
    method: str = "top-k-40"
    detectors: tuple[str, ...] = ("tfidf", "roberta")
    n_train: int = 1200
    n_valid: int = 400
    n_test: int = 300
    seed: int = 1
    batch: int = 128
    precision: str = ""
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    style_corpus: CorpusSettings = field(default_factory=style_corpus)
    training: TrainSettings = FINE_TUNING
    roberta: RobertaSettings = field(default_factory=RobertaSettings)
    author: str = describing()
    date: str = describing()
    device: str = computing("auto")

    def __post_init__(self) -> None:
        if len(self.styles) < 2:
            raise PlanError(
                "finetune: [styles] must name at least two, or there is nothing to tell apart; not"
                f" {len(self.styles)}"
            )
        self._check_styles()
        if not self.opening.strip():
            raise PlanError(
                "finetune: opening must be a phrase that every text begins with, not empty"
            )
        check_prompts((self.opening,))
        check_device(self.device)
        check_listed(self.detectors, where="finetune: detectors", known=DETECTORS)
        for name in ("n_train", "n_valid", "n_test", "rounds", "round_tokens", "batch"):
            least = len(self.styles) if name in ("n_train", "n_valid") else 1
            if getattr(self, name) < least:
                raise PlanError(
                    f"finetune: {name} must be at least {least}, not {getattr(self, name)}"
                )
        if self.style_corpus.source:
            raise PlanError(
                "finetune: style_corpus has no source of its own; put the sources under [styles]"
            )
        if any(getattr(self.style_corpus, name) for name in DESCRIPTION):
            raise PlanError(
                f"finetune: style_corpus is of every style, and has no {', '.join(DESCRIPTION)}"
            )
        if (
            min(
                self.style_corpus.shares.get(split, 0)
                for split in ("pretrain", "train", "valid", "test")
            )
            <= 0
        ):
            raise PlanError(
                "finetune: style_corpus.shares must give pretrain, train, valid and test a part"
                " each"
            )
        changed = [
            name for name in GIVEN if getattr(self.training, name) != getattr(FINE_TUNING, name)
        ]
        if changed:
            raise PlanError(
                f"finetune: training.{changed[0]} is not for the plan to set; the study does"
            )
        method(self.method)

    def _check_styles(self) -> None:
        """Each has a folder in the study's, and cells, by its name alone."""
        taken = TAKEN | {Path(self.model).name.casefold()}
        for name in self.styles:
            if not NAME.fullmatch(name):
                raise PlanError(
                    f"finetune: style {name!r}: a name is letters, digits, '-', '_' and '.', and"
                    " begins with one of the first two"
                )
            if name.casefold() in taken or name.casefold().split(".")[0] in TAKEN:
                raise PlanError(
                    f"finetune: style {name!r}: the study itself calls something so; choose another"
                    " name"
                )
            taken.add(name.casefold())

    @property
    def worlds(self) -> tuple[str, ...]:
        """The untuned model, then every style: each has human text and a model's answers."""
        return (BASE, *self.styles)

    def corpus_of(self, world: str) -> CorpusSettings:
        return (
            self.corpus if world == BASE else replace(self.style_corpus, source=self.styles[world])
        )

    def count(self, world: str, split: str) -> int:
        """Texts per class of a split: what detectors learn from is shared among the styles."""
        whole = {"train": self.n_train, "valid": self.n_valid, "test": self.n_test}[split]
        return whole if world == BASE or split == "test" else whole // len(self.styles)

    def recorded(self) -> dict[str, Any]:
        """The settings that determine results, without paths."""
        without_paths: dict[str, Any] = named(recorded(self))
        return without_paths


def is_finetune(path: Path) -> bool:
    """Whether a plan is of a fine-tuning study: it has a table [styles]."""
    return "styles" in read_toml(path)


def read_finetune(
    path: Path, *, corpus: str = "", literal: bool = False, device: str = ""
) -> FinetuneSettings:
    """A fine-tuning plan from TOML, with another human text for the untuned model or another device
    if they are named; `literal` holds for all texts.

    Raises:
        PlanError: unreadable or wrong; the sentence names the key.
    """
    table = read_toml(path) | ({"device": device} if device else {})
    inner = over({}, table.get("corpus", {}), where=f"{path} [corpus]") | given(
        corpus, literal=literal
    )
    table["corpus"] = from_table(CorpusSettings, inner, where=f"{path} [corpus]")
    for key, kind, usual in (
        ("style_corpus", CorpusSettings, style_corpus()),
        ("training", TrainSettings, FINE_TUNING),
    ):
        defaults = {option.name: getattr(usual, option.name) for option in fields(kind)}
        where = f"{path} [{key}]"
        inner = over(defaults, table.get(key, {}), where=where) | (
            given("", literal=literal) if kind is CorpusSettings else {}
        )
        table[key] = from_table(kind, inner, where=where)
    table["roberta"] = from_table(
        RobertaSettings, table.get("roberta", {}), where=f"{path} [roberta]"
    )
    return from_table(FinetuneSettings, table, where=str(path))
