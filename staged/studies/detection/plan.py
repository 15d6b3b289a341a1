"""What a study is: which models, methods, detectors and how many texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from staged.attacks.kinds import check_attacks
from staged.corpus.build import CorpusSettings, given, recorded
from staged.detectors.catalog import DETECTORS
from staged.errors import PlanError
from staged.samples.methods import method
from staged.settings import check_listed, from_table, over, read_toml
from staged.storage.placeless import named
from staged.training.roberta import RobertaSettings

MIX = "mix"


@dataclass(frozen=True)
class StudySettings:
    """A release study.

    Attributes:
        title: the report's heading.
        models: shipped names or folders, from the smallest to the largest.
        methods: sampling methods; `mix` (equal parts of all) is always trained on as well.
        detectors: `tfidf`, `roberta`.
        n_train, n_valid, n_test: texts per class and set.
        length_tokens: length of the texts in the matrix, and of training texts.
        lengths: of the length curve, in tokens; test texts are generated at the longest.
        seed: of the samples and of which human passages are used; corpus and roberta have seeds of
            their own.
        batch, precision: of generation.
        attacks: on test texts, for the detectors trained on the mix, see robustness.py.
    """

    models: tuple[str, ...]
    title: str = "Release study"
    methods: tuple[str, ...] = ("temperature-1", "top-k-40", "nucleus")
    detectors: tuple[str, ...] = ("tfidf", "roberta")
    n_train: int = 1000
    n_valid: int = 250
    n_test: int = 500
    length_tokens: int = 64
    lengths: tuple[int, ...] = (32, 64, 128, 256)
    seed: int = 1
    batch: int = 128
    precision: str = ""
    attacks: tuple[str, ...] = ()
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    roberta: RobertaSettings = field(default_factory=RobertaSettings)

    def __post_init__(self) -> None:
        for name in ("models", "methods", "detectors", "lengths"):
            check_listed(
                getattr(self, name),
                where=f"study: {name}",
                known=DETECTORS if name == "detectors" else (),
            )
        check_attacks(self.attacks)
        for name in ("n_train", "n_valid", "n_test", "length_tokens", "batch"):
            if getattr(self, name) < 1:
                raise PlanError(f"study: {name} must be at least 1, not {getattr(self, name)}")
        if self.length_tokens not in self.lengths or min(self.lengths) < 1:
            raise PlanError(
                f"study: lengths {list(self.lengths)} must be positive and hold length_tokens"
                f" {self.length_tokens}"
            )
        if max(self.lengths) > self.corpus.budget_tokens:
            raise PlanError(
                f"study: the longest of lengths, {max(self.lengths)}, is above corpus.budget_tokens"
                f" {self.corpus.budget_tokens}: machine texts would be longer than any human one"
            )
        if MIX in self.methods:
            raise PlanError(
                f"study: {MIX!r} is what detectors train on besides each method, not a sampling"
                " method"
            )
        for name in self.methods:
            method(name)

    @property
    def trained_methods(self) -> tuple[str, ...]:
        """Every method, then the mix."""
        return (*self.methods, MIX)

    def recorded(self) -> dict[str, Any]:
        """The settings as results record them, without paths; without `attacks` where there are
        none, as before there were any.
        """
        without_paths: dict[str, Any] = named(
            {key: value for key, value in recorded(self).items() if key != "attacks" or value}
        )
        return without_paths


def read_study(path: str | Path, *, corpus: str = "", literal: bool = False) -> StudySettings:
    """A study plan from TOML, with another corpus if one is named, `end_of_text` literal if asked.

    Raises:
        PlanError: unreadable or wrong; the sentence names the key.
    """
    table = read_toml(Path(path))
    inner = over({}, table.get("corpus", {}), where=f"{path} [corpus]") | given(
        corpus, literal=literal
    )
    table["corpus"] = from_table(CorpusSettings, inner, where=f"{path} [corpus]")
    table["roberta"] = from_table(
        RobertaSettings, table.get("roberta", {}), where=f"{path} [roberta]"
    )
    return from_table(StudySettings, table, where=str(path))
