"""bias.md and tally.md: the same numbers as their JSON, as tables for people; and what two models
come to, in a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staged.pages.figures import figure, p_text, percent
from staged.pages.markdown import table
from staged.stats.judging import DIFFERS, NONE, UNKNOWN
from staged.studies.bias.compare import PREFERENCE, SMALLEST, Row


def page(result: dict[str, Any]) -> str:
    """bias.md from what bias.json holds."""
    settings = result["settings"]
    lines = [f"# Bias probes: {', '.join(result['models'])}", "", f"**{result['note']}**", ""]
    lines += [f"* {one['text']}" for one in result["sentences"]] + [""]
    lines += [
        (
            f"Prompts: {result['terms']['source']}. {settings['per_prompt']} completions of each"
            f" prompt, at most {settings['length']} tokens, method {settings['method']}, seed"
            f" {settings['seed']}."
        ),
        "",
        (
            "Intervals are 95% bootstrap intervals; p is two-sided, by"
            f" {settings['permutations']:,} permutations, Holm-corrected over each table; α ="
            f" {result['alpha']:g}. `detectable` is the difference found with probability"
            f" {result['power']:g}, in standard deviations (of preferences in nats); where that is"
            f" above {result['smallest']:g} ({result['smallest_nats']:.2f} nats) and nothing is"
            " significant, the verdict is `not enough evidence`. Pronouns after gender prompts"
            " also follow grammar."
        ),
        "",
    ]
    lines += _measures(result)
    for names in [one["models"] for one in result["sentences"]]:
        title = (
            f"{names[0]} against {names[1]}: difference of two groups in the first less that in the"
            " second"
        )
        lines += _comparisons(
            title, [row for row in result["between_models"] if row["models"] == names]
        )
    for model in result["models"]:
        title = f"{model}: first group less second"
        lines += _comparisons(
            title, [row for row in result["between_groups"] if row["models"] == [model]]
        )
    lines += _means(result) + _occupations(result) + _sentence_pairs(result["sentence_pairs"])
    return "\n".join(lines)


def tally_page(result: dict[str, Any]) -> str:
    """tally.md from what tally.json holds."""
    words = ("favourable", "neutral", "unfavourable")
    shares = [
        (
            one["model"],
            one["attribute"],
            one["group"],
            one["n"],
            *(percent(*_three(one[word], "share")) for word in words),
            f"{one['mean']:+.2f}",
        )
        for one in result["groups"]
    ]
    rows = [
        (
            one["model"],
            one["attribute"],
            f"{one['first']} − {one['second']}",
            one["n"],
            figure(one["difference"], one["low"], one["high"], form="+.2f"),
            p_text(one["p_holm"]),
        )
        for one in result["comparisons"]
    ]
    lines = [
        "# Ratings of the blinded sheet",
        "",
        f"n = {result['n']} rated, {result['unrated']} left unrated.",
        "",
    ]
    lines += table(
        ("model", "attribute", "group", "n", *(f"{word}, %" for word in words), "mean"), shares
    )
    lines += table(("model", "attribute", "groups", "n", "difference of means", "p (Holm)"), rows)
    return "\n".join(lines)


def _measures(result: dict[str, Any]) -> list[str]:
    rows = [(one["name"], one["blank"] or one["unit"], one["source"]) for one in result["measures"]]
    return ["## What is measured", "", *table(("measure", "unit", "by"), rows)]


def _comparisons(title: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """One family; what differs stands first."""
    shown = [
        (
            *(
                row["set"],
                row["attribute"],
                f"{row['first']} − {row['second']}",
                row["measure"],
                row["n"],
            ),
            figure(row["difference"], row["low"], row["high"]),
            figure(row["effect"], row["effect_low"], row["effect_high"]),
            *(p_text(row["p"]), p_text(row["p_holm"]), f"{row['detectable']:.2f}"),
            f"**{row['verdict']}**" if row["verdict"] == DIFFERS else row["verdict"],
        )
        for row in sorted(rows, key=lambda row: row["p_holm"])
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


def _means(result: dict[str, Any]) -> list[str]:
    rows = [
        (
            *(one[name] for name in ("model", "set", "attribute", "group", "measure", "n")),
            figure(one["value"], one["low"], one["high"]),
        )
        for one in result["groups"]
    ]
    return [
        "## Means",
        "",
        *table(("model", "set", "attribute", "group", "measure", "n", "mean"), rows),
    ]


def _occupations(result: dict[str, Any]) -> list[str]:
    rows = [
        (
            *(one[name] for name in ("model", "set", "attribute", "group", "n")),
            ", ".join(f"{w} {n}" for w, n in one["most"]) or "–",
        )
        for one in result["occupations"]
        if one["set"] == "occupation"
    ]
    if not rows:
        return []
    return [
        "## Occupations named most often",
        "",
        *table(("model", "set", "attribute", "group", "words", "most often"), rows),
    ]


def _sentence_pairs(found: dict[str, Any]) -> list[str]:
    lines = ["## Sentence pairs", ""]
    if found["crows_pairs"]:
        rows = [
            (
                model,
                one["kind"],
                one["n"],
                one["neutral"],
                figure(*_three(one, "percent"), form=".1f"),
            )
            for model, scores in found["crows_pairs"]["models"].items()
            for one in scores
        ]
        lines += [
            (
                "CrowS-Pairs: how often the more stereotyping sentence is the likelier one; 50 is"
                " unbiased by this measure."
            ),
            "",
        ]
        lines += table(("model", "kind", "pairs", "neutral", "%"), rows)
        between = [
            (
                " − ".join(one["models"]),
                figure(one["difference"], one["low"], one["high"]),
                p_text(one["p"]),
            )
            for one in found["crows_pairs"]["between"]
        ]
        lines += table(("models", "difference, percentage points", "p"), between) if between else []
    if found["stereoset"]:
        scores = ("lms", "ss", "icat")
        rows = [
            (
                model,
                one["kind"],
                one["n"],
                one["targets"],
                *(figure(*_three(one[name], "percent"), form=".1f") for name in scores),
            )
            for model, listed in found["stereoset"]["models"].items()
            for one in listed
        ]
        lines += ["StereoSet, intrasentence: 100, 50 and 100 would be ideal.", ""]
        lines += table(("model", "kind", "examples", "targets", *scores), rows)
    missing = [
        flag
        for name, flag in (("crows_pairs", "--crows-pairs"), ("stereoset", "--stereoset"))
        if not found[name]
    ]
    return lines + (
        [f"Not measured: give {' and '.join(missing)} with the published file.", ""]
        if missing
        else []
    )


def _three(one: dict[str, float], what: str) -> tuple[float, float, float]:
    return one[what], one["low"], one["high"]


def sentence(a: str, b: str, rows: Sequence[Row], adjectives: dict[str, str]) -> dict[str, Any]:
    """The card's sentence about two models, from the rows of their family and nothing else.

    Returns:
        text, and for each attribute its verdict: the rows that differ, else whether the probes
        could have found anything.
    """
    verdicts = {
        attribute: _verdict([row for row in rows if row.attribute == attribute])
        for attribute in adjectives
    }
    by = {
        one: [adjectives[name] for name, found in verdicts.items() if found == one]
        for one in (DIFFERS, NONE, UNKNOWN)
    }
    parts = []
    if by[DIFFERS]:
        shown = "; ".join(describe(row) for row in rows if row.verdict == DIFFERS)
        parts.append(
            f"Statistically significant difference in {_listed(by[DIFFERS])} bias probes between"
            f" {a} and {b}: {shown}."
        )
    if by[NONE]:
        parts.append(
            f"No statistically significant difference in {_listed(by[NONE])} bias probes between"
            f" {a} and {b}."
        )
    if by[UNKNOWN]:
        weak = [row for row in rows if verdicts[row.attribute] == UNKNOWN]
        parts.append(
            f"Not enough evidence about {_listed(by[UNKNOWN])} bias probes between {a} and {b}:"
            f" {_missable(weak)}."
        )
    return {"models": [a, b], "text": " ".join(parts), "verdicts": verdicts}


def _missable(rows: Sequence[Row]) -> str:
    """What a family without significant rows could still hide."""
    counts = {
        f"a difference of {SMALLEST:g} standard deviations": [
            row for row in rows if row.measure != PREFERENCE
        ],
        "odds twice as high (preference)": [row for row in rows if row.measure == PREFERENCE],
    }
    weak = {what: sum(row.verdict == UNKNOWN for row in chosen) for what, chosen in counts.items()}
    said = [
        f"{weak[what]} of {len(chosen)} comparisons could miss {what}"
        for what, chosen in counts.items()
        if weak[what]
    ]
    return "none is significant, but " + " and ".join(said)


def describe(row: Row) -> str:
    """One comparison in words."""
    interval_text = f"{row.difference:+.3g} [{row.low:.3g}, {row.high:.3g}]"
    return (
        f"{row.measure} after {row.set} prompts, {row.first} − {row.second}: {interval_text}, Holm"
        f" p {row.p_holm:.2g}"
    )


def _verdict(rows: Sequence[Row]) -> str:
    found = {row.verdict for row in rows}
    return next(one for one in (DIFFERS, UNKNOWN, NONE) if one in found)


def _listed(names: Sequence[str]) -> str:
    return (
        names[0]
        if len(names) == 1
        else ", ".join(names[:-1]) + ("," if len(names) > 2 else "") + f" and {names[-1]}"
    )
