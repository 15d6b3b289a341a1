"""bias.md and tally.md: the same numbers as their JSON, as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from staged.pages.figures import figure, p_text, percent
from staged.pages.markdown import table
from staged.stats.judging import DIFFERS
from staged.studies.bias.results import (
    BiasComparison,
    BiasResult,
    CrowsPairs,
    SentencePairs,
    Share,
    StereoSet,
    Tally,
)


def page(result: BiasResult) -> str:
    """bias.md from what bias.json holds."""
    settings = result.settings
    lines = [f"# Bias probes: {', '.join(result.models)}", "", f"**{result.note}**", ""]
    lines += [f"* {sentence.text}" for sentence in result.sentences] + [""]
    lines += [
        (
            f"Prompts: {result.terms.source}. {settings.per_prompt} completions of each"
            f" prompt, at most {settings.length} tokens, method {settings.method}, seed"
            f" {settings.seed}."
        ),
        "",
        (
            "Intervals are 95% bootstrap intervals; p is two-sided, by"
            f" {settings.permutations:,} permutations, Holm-corrected over each table; α ="
            f" {result.alpha:g}. `detectable` is the difference found with probability"
            f" {result.power:g}, in standard deviations (of preferences in nats); where that is"
            f" above {result.smallest:g} ({result.smallest_nats:.2f} nats) and nothing is"
            " significant, the verdict is `not enough evidence`. Pronouns after gender prompts"
            " also follow grammar."
        ),
        "",
    ]
    lines += _measures(result) + _left_out(result)
    for names in [sentence.models for sentence in result.sentences]:
        title = (
            f"{names[0]} against {names[1]}: difference of two groups in the first less that in the"
            " second"
        )
        lines += _comparisons(title, [row for row in result.between_models if row.models == names])
    for model in result.models:
        title = f"{model}: first group less second"
        lines += _comparisons(
            title, [row for row in result.between_groups if row.models == (model,)]
        )
    lines += _means(result) + _occupations(result) + _sentence_pairs(result.sentence_pairs)
    return "\n".join(lines)


def tally_page(result: Tally) -> str:
    """tally.md from what tally.json holds."""
    words = ("favourable", "neutral", "unfavourable")
    shares = [
        (
            row.model,
            row.attribute,
            row.group,
            row.n,
            *(_share(of) for of in (row.favourable, row.neutral, row.unfavourable)),
            f"{row.mean:+.2f}",
        )
        for row in result.groups
    ]
    rows = [
        (
            row.model,
            row.attribute,
            f"{row.first} − {row.second}",
            row.n,
            figure(row.difference, row.low, row.high, form="+.2f"),
            p_text(row.p_holm),
        )
        for row in result.comparisons
    ]
    lines = [
        "# Ratings of the blinded sheet",
        "",
        f"n = {result.n} rated, {result.unrated} left unrated.",
        "",
    ]
    lines += table(
        ("model", "attribute", "group", "n", *(f"{word}, %" for word in words), "mean"), shares
    )
    lines += table(("model", "attribute", "groups", "n", "difference of means", "p (Holm)"), rows)
    return "\n".join(lines)


def _measures(result: BiasResult) -> list[str]:
    rows = [
        (measure.name, measure.blank or measure.unit, measure.source) for measure in result.measures
    ]
    return ["## What is measured", "", *table(("measure", "unit", "by"), rows)]


def _left_out(result: BiasResult) -> list[str]:
    """What could not be asked of models behind a server."""
    models = result.without_likelihoods
    return [f"**{left_out(models)}**", ""] if models else []


def left_out(models: Sequence[str]) -> str:
    """In a sentence, what is missing of models behind a server."""
    return (
        f"Left out of {' and '.join(models)}, as a server gives no likelihoods: preferences and"
        " sentence pairs; what they wrote is measured."
    )


def _comparisons(title: str, rows: Sequence[BiasComparison]) -> list[str]:
    """One family; what differs stands first."""
    shown = [
        (
            row.set,
            row.attribute,
            f"{row.first} − {row.second}",
            row.measure,
            row.n,
            figure(row.difference, row.low, row.high),
            figure(row.effect, row.effect_low, row.effect_high),
            p_text(row.p),
            p_text(row.p_holm),
            f"{row.detectable:.2f}",
            f"**{row.verdict}**" if row.verdict == DIFFERS else row.verdict,
        )
        for row in sorted(rows, key=lambda row: row.p_holm)
    ]
    header = (
        "set",
        "attribute",
        "groups",
        "measure",
        "n",
        "difference",
        "effect, SD",
        "p",
        "p (Holm)",
        "detectable",
        "verdict",
    )
    return [f"## {title}", "", *table(header, shown)]


def _means(result: BiasResult) -> list[str]:
    rows = [
        (
            row.model,
            row.set,
            row.attribute,
            row.group,
            row.measure,
            row.n,
            figure(row.value, row.low, row.high),
        )
        for row in result.groups
    ]
    return [
        "## Means",
        "",
        *table(("model", "set", "attribute", "group", "measure", "n", "mean"), rows),
    ]


def _occupations(result: BiasResult) -> list[str]:
    rows = [
        (
            row.model,
            row.set,
            row.attribute,
            row.group,
            row.n,
            ", ".join(f"{word} {n}" for word, n in row.most) or "–",
        )
        for row in result.occupations
        if row.set == "occupation"
    ]
    if not rows:
        return []
    return [
        "## Occupations named most often",
        "",
        *table(("model", "set", "attribute", "group", "words", "most often"), rows),
    ]


def _sentence_pairs(pairs: SentencePairs) -> list[str]:
    lines = ["## Sentence pairs", ""]
    lines += _crows_pairs(pairs.crows_pairs) if pairs.crows_pairs else []
    lines += _stereoset(pairs.stereoset) if pairs.stereoset else []
    missing = [
        flag
        for given, flag in (
            (pairs.crows_pairs, "--crows-pairs"),
            (pairs.stereoset, "--stereoset"),
        )
        if not given
    ]
    return lines + (
        [f"Not measured: give {' and '.join(missing)} with the published file.", ""]
        if missing
        else []
    )


def _crows_pairs(pairs: CrowsPairs) -> list[str]:
    rows = [
        (
            model,
            row.kind,
            row.n,
            row.neutral,
            figure(row.percent, row.low, row.high, form=".1f"),
        )
        for model, scores in pairs.models.items()
        for row in scores
    ]
    between = [
        (
            " − ".join(row.models),
            figure(row.difference, row.low, row.high),
            p_text(row.p),
        )
        for row in pairs.between
    ]
    return [
        (
            "CrowS-Pairs: how often the more stereotyping sentence is the likelier one; 50 is"
            " unbiased by this measure."
        ),
        "",
        *table(("model", "kind", "pairs", "neutral", "%"), rows),
        *(table(("models", "difference, percentage points", "p"), between) if between else []),
    ]


def _stereoset(triples: StereoSet) -> list[str]:
    rows = [
        (
            model,
            row.kind,
            row.n,
            row.targets,
            *(
                figure(of.percent, of.low, of.high, form=".1f")
                for of in (row.lms, row.ss, row.icat)
            ),
        )
        for model, scores in triples.models.items()
        for row in scores
    ]
    header = ("model", "kind", "examples", "targets", "lms", "ss", "icat")
    return [
        "StereoSet, intrasentence: 100, 50 and 100 would be ideal.",
        "",
        *table(header, rows),
    ]


def _share(of: Share) -> str:
    return percent(of.share, of.low, of.high)
