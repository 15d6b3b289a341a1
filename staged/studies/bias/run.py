"""The whole probe: ask each model, compare, write bias.json and bias.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, combinations
from pathlib import Path

from staged.engines.choice import HERE, Engine
from staged.engines.scheduling import Work, hand_out
from staged.engines.started import started
from staged.errors import PlanError
from staged.model.sources.served import model_identity, parse_served
from staged.progress import Progress, shifted, silent
from staged.samples.methods import method
from staged.samples.sample_stage import check_at_hand
from staged.stats.judging import ALPHA, POWER
from staged.storage.digests import sha256_file
from staged.storage.gate import check_replaceable, start_ledger
from staged.storage.records import write_record
from staged.storage.stage_folders import is_complete
from staged.storage.writing import disk_errors, write_atomic
from staged.studies.bias import compare
from staged.studies.bias.measures import Measure, all_measures
from staged.studies.bias.page import page
from staged.studies.bias.plan import BiasSettings
from staged.studies.bias.probe import KIND, Asked, Probed, Probing, answers
from staged.studies.bias.prompts import TERMS, read_terms
from staged.studies.bias.results import (
    BIAS,
    BiasComparison,
    BiasResult,
    CrowsPairs,
    GroupMean,
    MeasureNote,
    NamedWords,
    Sentence,
    SentencePairs,
    StereoSet,
)
from staged.studies.bias.sentence_pairs import (
    Item,
    crows_pairs_difference,
    crows_pairs_scores,
    read_crows_pairs,
    read_stereoset,
    stereoset_scores,
)
from staged.studies.bias.wording import sentence

NOT_COMPREHENSIVE = (
    "These probes are not comprehensive: a few English templates, groups and word lists, one way of"
    " sampling. A difference that they do not show may still exist, and no result here certifies"
    " that a model is unbiased."
)
NO_LIKELIHOODS = "not measured: a server gives no likelihoods"
RESULTS = (BIAS, "bias.md")
MOST_NAMED = 5  # occupation words shown of each group


def read_asked(
    settings: BiasSettings,
    *,
    terms: Path | None = None,
    crows_pairs: Path | None = None,
    stereoset: Path | None = None,
) -> Asked:
    """Settings and files, read and checked.

    Raises:
        PlanError, CorpusError: a file is wrong.
        SamplingError: no such method.
    """
    method(settings.method)  # refused before anything is written
    return Asked(
        read_terms(terms or TERMS),
        settings,
        (crows_pairs, read_crows_pairs(crows_pairs)) if crows_pairs else None,
        (stereoset, read_stereoset(stereoset)) if stereoset else None,
    )


def probe_models(
    models: Sequence[str],
    asked: Asked,
    out: Path,
    *,
    engine: Engine = HERE,
    progress: Progress = silent,
) -> None:
    """Everything that models have to do; interrupted, the next call continues.

    Args:
        engine: what computes: a worker fills a folder of completions or likelihoods.
        progress: called with (completions and sentences done, all).

    Raises:
        PlanError: no model, or one given twice.
        CheckpointError, SamplingError, ArtifactError: a model, what is asked of it, or `out`.
        ShardDone: the engine does a share of the work, and others are not done.
    """
    if not models:
        raise PlanError("bias: give at least one model")
    for name, count in Counter(map(model_identity, models)).items():
        if count > 1:
            raise PlanError(f"bias: {name} is given twice; a comparison needs two different models")
    for name in models:
        check_at_hand(name)
    task = Probing(tuple(models), asked, out)
    listed = task.probes
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        start_ledger(out, KIND)
        for name in RESULTS:
            check_replaceable(out / name)
    own = engine.own(range(len(listed)))
    ends = list(accumulate((listed[number].count for number in own), initial=0))
    if engine.is_here:
        with task.opened() as perform:
            for done, number in enumerate(own):
                perform(number, shifted(progress, ends[done], ends[-1]))
    elif own:
        with started(engine) as workers:
            work = Work(task, own)
            hand_out(
                workers, [work], report=lambda _, share: progress(int(share * ends[-1]), ends[-1])
            )
    progress(ends[-1], ends[-1])
    engine.check_shares(out, missing=sum(not is_complete(probe.place) for probe in listed))


def compare_probed(
    models: Sequence[str], asked: Asked, out: Path, progress: Progress = silent
) -> BiasResult:
    """Compare what `probe_models` left, and write bias.json and bias.md into `out`.

    Args:
        progress: called with (models and pairs compared, all).

    Returns:
        What bias.json holds.
    """
    measures = all_measures()
    probed = [answers(model, asked, out, measures) for model in models]
    compared = _compared(
        probed, asked, [measure.name for measure in measures if measure.of], progress
    )
    result = BiasResult(
        note=NOT_COMPREHENSIVE,
        models=tuple(models),
        settings=asked.settings,
        terms=asked.terms,
        measures=_notes(measures, models),
        alpha=ALPHA,
        power=POWER,
        smallest=compare.SMALLEST,
        smallest_nats=compare.SMALLEST_NATS,
        groups=tuple(compared.groups),
        between_groups=tuple(compared.between_groups),
        between_models=tuple(compared.between_models),
        sentences=tuple(compared.sentences),
        occupations=tuple(_occupations(probed)),
        sentence_pairs=_sentence_pairs(probed, asked),
        without_likelihoods=tuple(filter(parse_served, models)) or None,
    )
    with disk_errors(out):
        write_record(out / RESULTS[0], result)
        write_atomic(out / RESULTS[1], page(result).encode())
    return result


@dataclass
class _Compared:
    """What comparing gives, model after model and pair after pair."""

    groups: list[GroupMean] = field(default_factory=list)
    between_groups: list[BiasComparison] = field(default_factory=list)
    between_models: list[BiasComparison] = field(default_factory=list)
    sentences: list[Sentence] = field(default_factory=list)


def _compared(
    probed: Sequence[Probed], asked: Asked, names: Sequence[str], progress: Progress
) -> _Compared:
    """Args: names: of the measures that were taken."""
    compared, pairs = _Compared(), list(combinations(probed, 2))
    total = len(probed) + len(pairs)
    for done, model in enumerate(probed):
        progress(done, total)
        compared.groups += compare.group_means(model, asked, names)
        compared.between_groups += compare.compare_groups(model, asked, names)
    for done, (a, b) in enumerate(pairs, len(probed)):
        progress(done, total)
        rows = compare.compare_models(a, b, asked, names)
        compared.between_models += rows
        compared.sentences.append(sentence(a.model, b.model, rows, asked.terms.adjectives))
    progress(total, total)
    return compared


def _notes(measures: Sequence[Measure], models: Sequence[str]) -> tuple[MeasureNote, ...]:
    blank = NO_LIKELIHOODS if all(map(parse_served, models)) else ""
    preference = MeasureNote(compare.PREFERENCE, "nats", "the model's own likelihoods", blank)
    taken = (
        MeasureNote(measure.name, measure.unit, measure.source, measure.blank)
        for measure in measures
    )
    return (*taken, preference)


def _occupations(probed: Sequence[Probed]) -> Iterator[NamedWords]:
    """The words that each group's completions name most often."""
    for model in probed:
        for place, words in model.occupations.items():
            most = sorted(Counter(words).items(), key=lambda item: (-item[1], item[0]))[:MOST_NAMED]
            yield NamedWords(model.model, *place, len(words), tuple(most))


def _sentence_pairs(probed: Sequence[Probed], asked: Asked) -> SentencePairs:
    return SentencePairs(
        _crows_pairs(probed, asked, *asked.pairs) if asked.pairs else None,
        _stereoset(probed, asked, *asked.triples) if asked.triples else None,
    )


def _crows_pairs(
    probed: Sequence[Probed], asked: Asked, path: Path, items: list[Item]
) -> CrowsPairs:
    scored = {model.model: model.pairs for model in probed if model.pairs is not None}
    return CrowsPairs(
        sha256_file(path),
        {model: crows_pairs_scores(items, nats) for model, nats in scored.items()},
        tuple(
            crows_pairs_difference((a, b), scored[a], scored[b], asked.settings)
            for a, b in combinations(scored, 2)
        ),
    )


def _stereoset(probed: Sequence[Probed], asked: Asked, path: Path, items: list[Item]) -> StereoSet:
    scored = {model.model: model.triples for model in probed if model.triples is not None}
    return StereoSet(
        sha256_file(path),
        {model: stereoset_scores(items, nats, asked.settings) for model, nats in scored.items()},
    )
