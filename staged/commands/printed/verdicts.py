"""Verdicts as `staged detect` prints them: in words, as a table, as rows."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Column, Table
from rich.text import Text

from staged.files.sheets import defused
from staged.pages.figures import counted, p_text
from staged.screen import count_progress, say, screen, visible

if TYPE_CHECKING:  # what opens a detector takes a second to import
    from staged.detectors.contract import Segment, Verdict
    from staged.detectors.examiner import Examiner

COLUMNS = ("id", "verdict", "score", "p_value", "fpr", "words", "n_human", "detector", "reason")
STYLES = {"machine": "bold magenta", "human-like": "cyan", "not enough evidence": "dim"}
SHOWN = 16  # texts scored between two movements of the bar
LEAST_BEGINS = 16  # of a text's first characters, shown beside its verdict where there is room
WARNING = "A score alone is no ground to accuse anybody."


def print_csv(verdicts: Iterable[Verdict]) -> None:
    table = csv.DictWriter(sys.stdout, COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for verdict in verdicts:
        row = verdict.row()
        table.writerow(row | {"id": defused(row["id"]), "reason": defused(row["reason"])})


def watched(judging: Iterable[Verdict], total: int) -> list[Verdict]:
    """All of them, with a bar where they are several."""
    if total == 1:
        return list(judging)
    verdicts: list[Verdict] = []
    with count_progress("texts") as progress:
        progress(0, total)
        for verdict in judging:
            verdicts.append(verdict)
            progress(len(verdicts), total)
    return verdicts


def print_verdicts(verdicts: list[Verdict]) -> None:
    """One text in words, several in a table; parts as coloured text under their verdicts."""
    if len(verdicts) == 1:
        print_verdict(verdicts[0])
        return
    table = _table(verdicts)
    room = screen.width - screen.measure(table).maximum - 3  # of the column's own lines
    screen.print(_table(verdicts, room) if room >= LEAST_BEGINS else table)
    for verdict in verdicts:
        if verdict.segments is not None:
            screen.print(Text(f"\n{visible(verdict.id)}", style="bold"))
            _print_parts(verdict, verdict.segments)


def _table(verdicts: list[Verdict], room: int = 0) -> Table:
    """A row a text; how texts begin, where there is room for so many columns of the terminal."""
    table = Table(
        Column("text", overflow="fold"),
        "verdict",
        *(Column(name, no_wrap=True) for name in ("p", "score", "words")),
    )
    if room:
        table.add_column("begins", no_wrap=True, max_width=room)
    for verdict in verdicts:
        numbers = (_number(verdict.p_value, 4), _number(verdict.score, 2), f"{verdict.words:,}")
        beginning = " ".join(verdict.normalized[: 4 * room].split())[:room]
        begins = [Text(beginning, style="dim")] if room else []
        table.add_row(
            Text(visible(verdict.id)),
            Text(verdict.verdict, style=STYLES[verdict.verdict]),
            *numbers,
            *begins,
        )
    return table


def print_limits(examiner: Examiner, verdicts: list[Verdict]) -> None:
    """What the verdicts rest on: why some texts have none, how much was read, and the kinds of text
    that calibrated them.
    """
    from staged.detectors.calibration.calibration import PLAIN_DOMAIN

    if len(verdicts) > 1:
        reasons = Counter(filter(None, map(examiner.reason_for_no_verdict, verdicts)))
        for why, texts in reasons.most_common():
            say(f"{counted(texts, 'text')} of which nothing can be said: {why}", style="dim")
    _print_cut(examiner, verdicts)
    if examiner.calibration is not None and examiner.calibration.domains:
        kinds = [domain for domain in examiner.calibration.domains if domain != PLAIN_DOMAIN]
        say(
            f"calibrated on human text of {', '.join(kinds) or 'your own'}: on other kinds, and in"
            " other languages, more can be flagged",
            style="dim",
        )
    say(WARNING, style="dim")


def _print_cut(examiner: Examiner, verdicts: list[Verdict]) -> None:
    """How much was read, where that is not all of a text."""
    counts = (examiner.token_counts(verdict.normalized) for verdict in verdicts)
    cut = [(tokens, read) for tokens, read in counts if read < tokens]
    if not cut:
        return
    whose = f"its first {cut[0][1]:,} of {cut[0][0]:,} tokens; --segments judges it part by part"
    if len(verdicts) > 1:
        whose = (
            f"the first {cut[0][1]:,} tokens of {counted(len(cut), 'long text')}; --segments"
            " judges them part by part"
        )
    say(f"read: {whose}", style="dim")


def print_verdict(verdict: Verdict) -> None:
    screen.print(
        Text(verdict.verdict, style=STYLES[verdict.verdict]),
        Text(f"· {counted(verdict.words, 'word')} · {visible(verdict.detector)}"),
    )
    say(verdict.reason)
    say(f"score {_number(verdict.score, 3)} · p-value {_p_value(verdict.p_value, 4)}")
    for opinion in verdict.opinions:
        say(
            f"{opinion.reader}:"
            f" {opinion.says}{'' if opinion.log_odds is None else f' ({opinion.log_odds:+.1f})'}"
        )
    for change in verdict.changes:
        say(f"cleaned first: {change.count} × {change.what}")
    if verdict.segments is not None:
        _print_parts(verdict, verdict.segments)


def _print_parts(verdict: Verdict, parts: Sequence[Segment]) -> None:
    text, at = Text(), 0
    for part in parts:
        text.append(verdict.normalized[at : part.start])
        text.append(verdict.normalized[part.start : part.end], style=STYLES[part.verdict])
        text.append(f" [{part.verdict}, p {_p_value(part.p_value, 3)}]", style="bold")
        at = part.end
    screen.print(text, soft_wrap=True)
    if len(parts) > 1:
        chance = len(parts) * verdict.fpr
        say(
            f"{len(parts)} parts; of a human text about {chance:.2g} parts would be called machine"
            " by chance"
        )


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _p_value(value: float | None, digits: int) -> str:
    """Exact p-values can be far smaller than these digits show, and none is 0."""
    if value is not None and value < 10**-digits:
        return p_text(value)
    return _number(value, digits)
