"""Watermarks, measured: what their tests say of human text, which marks they find again after what
happens to text, and what marks cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from staged.corpus.counts import COUNTS, CorpusCounts
from staged.engines.choice import ALL_CORES, Engine
from staged.errors import PlanError
from staged.model.causal import load_causal
from staged.pipeline.stage import Inputs, Stage
from staged.pipeline.study_folder import Study, StudyProgress, carry_out
from staged.settings import described
from staged.storage.forms import json_object
from staged.storage.records import from_json, read_record, to_json, write_record
from staged.storage.versions import versions
from staged.studies.generators.given_files import check_folder_name
from staged.studies.models import model_facts, short_name
from staged.studies.provenance.costs import Costs
from staged.studies.provenance.marked import SPLIT, UNMARKED, MarkedTexts
from staged.studies.provenance.measures import cost, human_rates, power
from staged.studies.provenance.page import write_provenance_report
from staged.studies.provenance.plan import ProvenanceSettings
from staged.studies.provenance.results import PROVENANCE, ProvenanceResult, RecordedProvenance
from staged.studies.provenance.tested import HumanTests, MarkTests
from staged.studies.stages import Corpus


@dataclass(frozen=True)
class ProvenanceStages:
    """The stages of a study of watermarks.

    Attributes:
        costs: (model, method) → of each scheme, the unmarked texts first.
    """

    corpus: Corpus
    human: tuple[HumanTests, ...]
    tests: tuple[MarkTests, ...]
    costs: dict[tuple[str, str], tuple[Costs, ...]]

    @property
    def others(self) -> list[Stage]:
        """All but the corpus, those that others wait for first."""
        costs = [stage for part in self.costs.values() for stage in part]
        return [*(stage.texts for stage in costs), *self.human, *self.tests, *costs]


def provenance_stages(settings: ProvenanceSettings) -> ProvenanceStages:
    """The stages of a plan; nothing is read.

    Raises:
        PlanError: two models whose folders have one name, or a name that cannot be a folder's.
    """
    names = [short_name(model) for model in settings.models]
    if len(set(names)) != len(names):
        raise PlanError(
            f"provenance: two models are called the same: {', '.join(names)}; rename a folder"
        )
    for name in names:
        check_folder_name(name, "provenance: model")
    corpus = Corpus(
        corpus=settings.corpus, model=settings.models[0], opening_words=settings.opening_words
    )
    texts = {
        (model, method): [
            _texts(settings, corpus, model, method, scheme)
            for scheme in (UNMARKED, *settings.schemes)
        ]
        for model in settings.models
        for method in settings.methods
    }
    human = tuple(
        HumanTests(
            scheme=scheme,
            n_human=settings.n_human,
            human_tokens=settings.human_tokens,
            n_keys=settings.n_keys,
            seed=settings.seed,
            corpus=corpus,
            given=settings.models[0],
        )
        for scheme in settings.schemes
    )
    tests = tuple(
        MarkTests(
            lengths=settings.lengths,
            attacks=settings.attacks,
            substitutions=settings.substitutions,
            attacked_tokens=settings.attacked_tokens,
            seed=settings.seed,
            corpus=corpus,
            texts=stage,
        )
        for part in texts.values()
        for stage in part[1:]
    )
    costs = {
        names: tuple(Costs(judge=settings.judge, texts=stage) for stage in part)
        for names, part in texts.items()
    }
    return ProvenanceStages(corpus, human, tests, costs)


def _texts(
    settings: ProvenanceSettings, corpus: Corpus, model: str, method: str, scheme: str
) -> MarkedTexts:
    return MarkedTexts(
        model=short_name(model),
        method=method,
        scheme=scheme,
        n_texts=settings.n_texts,
        n_keys=settings.n_marking_keys,
        length_tokens=settings.length_tokens,
        opening_words=settings.opening_words,
        seed=settings.seed,
        batch=settings.batch,
        precision=settings.precision,
        device=settings.device,
        corpus=corpus,
        given=model,
    )


class ProvenanceStudy(Study):
    """A study of watermarks: its stages, and what is made of them."""

    kind = "watermark study"

    def __init__(self, settings: ProvenanceSettings) -> None:
        self.settings, self.stages = settings, provenance_stages(settings)

    @property
    def results(self) -> tuple[str, ...]:
        return (PROVENANCE, "report.html")

    @property
    def recorded(self) -> dict[str, Any]:
        return self.settings.recorded()

    @property
    def corpora(self) -> list[Stage]:
        return [self.stages.corpus]

    @property
    def others(self) -> list[Stage]:
        return self.stages.others

    def check(self, inputs: Inputs) -> None:
        wanted = max(self.settings.n_human, self.settings.n_texts)
        counts = read_record(inputs[self.stages.corpus.name] / COUNTS, CorpusCounts)
        if (held := counts.passages.get(SPLIT, 0)) < wanted:
            raise PlanError(
                f"provenance: the corpus has {held:,} human passages for {SPLIT}, the plan asks for"
                f" {wanted:,}; lower n_human or n_texts, give more text, or raise"
                f" corpus.shares.{SPLIT}"
            )
        self.stages.corpus.drawn(inputs, SPLIT, wanted, seed=self.settings.seed)

    def is_described(self, root: Path) -> bool:
        recorded = (json_object(root / PROVENANCE) or {}).get("settings", {})
        return described(recorded, self.settings) == recorded

    def write(self, root: Path, inputs: Inputs) -> None:
        settings, stages = self.settings, self.stages
        recorded = described(to_json(self.recorded), settings)
        result = ProvenanceResult(
            settings=from_json(RecordedProvenance, recorded, where="the plan"),
            models=tuple(model_facts(model) for model in settings.models),
            judge=model_facts(settings.judge),
            corpus=read_record(inputs[stages.corpus.name] / COUNTS, CorpusCounts),
            human=tuple(human_rates(inputs, stage) for stage in stages.human),
            power=tuple(row for stage in stages.tests for row in power(inputs, stage)),
            costs=tuple(
                cost(inputs, stage, part[0], seed=settings.seed)
                for part in stages.costs.values()
                for stage in part
            ),
            versions=versions(),
        )
        write_record(root / PROVENANCE, result)
        write_provenance_report(root)


def run_provenance(
    root: Path,
    settings: ProvenanceSettings,
    *,
    engine: Engine = ALL_CORES,
    report: StudyProgress = lambda stages, stage, share: None,
) -> bool:
    """Make or complete the study's folder: `provenance.json`, `report.html`, `manifest.json` and a
    folder a stage.

    Returns:
        True when work was done, False when everything was there.

    Raises:
        StagedError: of any stage; what is finished stays.
    """
    for model in (*settings.models, settings.judge):
        load_causal(model)  # a damaged one is said now
    return carry_out(root, ProvenanceStudy(settings), engine=engine, report=report)
