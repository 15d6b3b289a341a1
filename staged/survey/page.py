"""A sheet for print, and survey.md: the same numbers as survey.json, for people."""

from __future__ import annotations

from collections.abc import Sequence

from staged.pages.figures import counted, figure, p_text, percent
from staged.pages.markdown import table
from staged.pages.rendering import environment
from staged.stats.judging import DIFFERS, UNKNOWN
from staged.survey.results import Difference, ModelIndex, Survey

__all__ = ["result_page", "sentence", "sheet_page"]

SCALES_SHOWN = {
    "believable": "not at all believable … very believable",
    "accurate": "not at all accurate … very accurate",
    "clear": "not at all clear … very clear",
}


def sheet_page(sheet: int, texts: Sequence[str], scales: Sequence[str]) -> str:
    """One person's sheet as a self-contained page to print: texts, and boxes to tick."""
    page = environment("staged.survey").get_template("sheet.html")
    return page.render(
        sheet=sheet, texts=texts, scales={scale: SCALES_SHOWN[scale] for scale in scales}
    )


def sentence(row: Difference, smallest: float) -> str:
    """A pair of models in words, from its row and nothing else."""
    a, b, n = row.first, row.second, row.respondents
    if row.difference is None:
        return f"Not enough evidence about the credibility of {a} and {b}: nobody rated both."
    numbers = (
        f"{figure(row.difference, row.low, row.high, form='+.2f')} points, n = {n} people,"
        f" Holm p {p_text(row.p_holm)}"
    )
    if row.verdict == DIFFERS:
        return (
            f"{a} is rated {'more' if row.difference > 0 else 'less'} credible than {b}: {numbers}."
        )
    if row.verdict == UNKNOWN:
        return (
            f"Not enough evidence about the credibility of {a} and {b}: {numbers}; {smallest:g}"
            " points could have been missed."
        )
    return f"No statistically significant difference in credibility between {a} and {b}: {numbers}."


def _own_share(model: ModelIndex) -> str:
    return percent(model.own_share, None, None, digits=0, unit="%")


def _left_out(result: Survey) -> str:
    only = result.human_only
    return (
        f"Left out as a person's alone: {counted(only, 'text')} to which the model had added"
        " nothing. "
        if only
        else ""
    )


def result_page(result: Survey) -> str:
    """survey.md from what survey.json holds."""
    settings = result.settings
    shares = ", ".join(f"{_own_share(model)} ({model.model})" for model in result.models)
    models = [
        (
            model.model,
            figure(model.index, model.low, model.high, form=".2f"),
            model.respondents,
            model.texts,
            *(f"{mean:.2f}" for mean in (model.believable, model.accurate, model.clear)),
        )
        for model in result.models
    ]
    pairs = [
        (
            f"{row.first} − {row.second}",
            figure(row.difference, row.low, row.high, form="+.2f"),
            row.respondents,
            p_text(row.p),
            p_text(row.p_holm),
            "–" if row.detectable is None else f"{row.detectable:.2f}",
            row.verdict,
        )
        for row in result.differences
    ]
    lines = [f"# Credibility: {', '.join(settings.models)}", ""]
    lines += [f"* {statement.text}" for statement in result.sentences]
    lines += [""] if result.sentences else []
    lines += [
        (
            f"{result.respondents} people rated {result.texts} texts, and left"
            f" {result.unrated} unrated. The texts continue sentences of people by at most"
            f" {settings.length} tokens, method {settings.method}, seed {settings.seed}."
            " Every text begins with such a sentence, which is rated with it; the model's own are"
            f" {shares} of its words. {_left_out(result)}The index is believable + accurate + clear"
            " − 2, so 1 … 10."
        ),
        "",
        (
            "Intervals are 95% and resample people; p is two-sided, by"
            f" {settings.permutations:,} sign flips of people's differences, Holm-corrected; α ="
            f" {result.alpha:g}. `detectable` is the difference found with probability"
            f" {result.power:g}, in points; where it is above {result.smallest:g} and nothing"
            " is significant, the verdict is `not enough evidence`."
        ),
        "",
    ]
    lines += table(
        ("model", "index", "people", "texts", *(f"{scale}, 1 … 4" for scale in SCALES_SHOWN)),
        models,
    )
    header = ("models", "difference, points", "people", "p", "p (Holm)", "detectable", "verdict")
    return "\n".join(lines + (table(header, pairs) if pairs else []))
