"""How the command line shows things: lines, progress bars, tables. Only this file and commands/
print.
"""

from __future__ import annotations

import errno
import io
import logging
import math
import os
import sys
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

screen = Console()
errors = Console(stderr=True)
MINUTE_S = 60.0
WIDEST = 10_000  # columns of a table that no terminal shows


UNREAD = 141  # what a shell calls a program whose reader went away


class Output(io.FileIO):
    """Standard output or error as bytes, which fails once at most; what is printed after that goes
    nowhere.

    A reader that went away, as `head` does, ends the command without a word. A full disk or a
    closed output is an OSError. Whoever no longer reads messages has no say: standard error never
    fails.
    """

    def __init__(self, descriptor: int, *, is_closed: bool = False) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._messages, self._is_closed, self._is_lost = descriptor == 2, is_closed, False

    def write(self, data: Any, /) -> int:
        """How many bytes were taken: all of them, once the output is lost."""
        if self._is_lost:
            return len(data)
        try:
            if self._is_closed:
                raise OSError(errno.EBADF, "is closed; send it to a file, or to /dev/null")
            return super().write(data) or 0
        except OSError as error:
            self._is_lost = True
            if self._messages:
                return len(data)
            if isinstance(error, BrokenPipeError):
                raise SystemExit(UNREAD) from None
            raise


def open_outputs() -> None:
    """Let the process print through `Output`; what others put in the outputs' place stays."""
    closed = [sys.stdin is None, sys.stdout is None, sys.stderr is None]
    while any(closed) and (taken := os.open(os.devnull, os.O_RDWR)) < len(closed):
        pass  # else the next file opened is printed into
    if any(closed):
        os.close(taken)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        now = getattr(sys, name)
        if now is getattr(sys, f"__{name}__"):
            out = io.BufferedWriter(Output(descriptor, is_closed=now is None))
            kept = (
                {"encoding": now.encoding, "line_buffering": now.line_buffering}
                if now
                else {"encoding": "utf-8"}
            )
            # else a sign that the terminal's encoding lacks would be a traceback
            setattr(sys, name, io.TextIOWrapper(out, errors="backslashreplace", **kept))
        elif isinstance(now, io.TextIOWrapper):
            now.reconfigure(errors="backslashreplace")


def visible(text: str) -> str:
    """Characters that could command a terminal as escapes: names of files and rows are others'
    text.
    """
    return "".join(
        character if _is_harmless(character) else character.encode("unicode_escape").decode()
        for character in text
    )


def _is_harmless(character: str) -> bool:
    is_space = unicodedata.category(character) == "Zs"  # of any width
    return character.isprintable() or character == "\n" or is_space


def say(text: str, *, style: str = "") -> None:
    """A line as it is, whatever brackets it holds, broken by the terminal alone."""
    screen.print(visible(text), style=style, markup=False, highlight=False, soft_wrap=True)


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else _a_second(speed), style="progress.data.speed")


def _a_second(rate: float) -> str:
    return f"{rate:,.0f} a second" if rate >= 10 else f"{rate:.1f} a second"


class Notes(logging.Handler):
    """Shows every note once, on standard error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        sentence = record.getMessage()
        if sentence not in self._shown:
            self._shown.add(sentence)
            _line(sentence, style="dim")


def _line(text: str, *, style: str = "") -> None:
    """A whole line on standard error, which nothing but the terminal breaks."""
    errors.print(visible(text), style=style, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def count_progress(what: str, *, rate: bool = False) -> Iterator[Any]:
    """A bar, or in a file a line for each piece of work that is done; nothing where there was
    nothing to wait for.

    Args:
        rate: of work that may take days: how many a second, and in a file a line a minute.
    """
    if not errors.is_terminal:
        yield from _counted_lines(what, every_s=MINUTE_S if rate else math.inf)
        return
    with _bars(MofNCompleteColumn(), *[_Rate()] * rate) as bars:
        task = bars.add_task(what, total=None)
        try:
            yield lambda done, total, now=what: bars.update(
                task, completed=done, total=total, description=now
            )
        finally:
            if bars.tasks[0].total is None:
                bars.remove_task(task)


def _counted_lines(what: str, *, every_s: float) -> Iterator[Any]:
    """How far each piece of work came, said when the next one begins or all ends, and so often
    between.
    """
    came: list[tuple[str, str]] = []
    said_s, before = time.monotonic(), 0

    def report(done: int, total: int, now: str = what) -> None:
        nonlocal said_s, before
        if came and came[-1][0] != now:
            _line(came[-1][1])
        came[:] = [(now, f"{now} {done:,}/{total:,}")]
        if (passed_s := time.monotonic() - said_s) >= every_s:
            _line(f"{came[0][1]} · {_a_second((done - before) / passed_s)}")
            said_s, before = time.monotonic(), done

    try:
        yield report
    finally:
        for _, line in came:
            _line(line)


@contextmanager
def train_progress(name: str) -> Iterator[Any]:
    """A bar with its losses, or in a file a line for each validation."""
    with _bars(MofNCompleteColumn(), TextColumn("{task.fields[facts]}")) as bars:
        task = bars.add_task(name, total=None, facts="")
        seen: dict[str, Any] = {"valid": None}

        def report(progress: Any) -> None:
            seen["valid"] = progress.valid_loss or seen["valid"]
            valid = f" valid {seen['valid']:.3f}" if seen["valid"] else ""
            facts = f"train {progress.train_loss:.3f}{valid} · {progress.tokens_per_s:,.0f} tok/s"
            facts += f" · {progress.peak_memory_mb:,.0f} MB · ETA {progress.eta_s:,.0f} s"
            bars.update(task, completed=progress.step, total=progress.steps, facts=facts)
            if (progress.valid_loss or progress.step == progress.steps) and not errors.is_terminal:
                _line(f"{name} step {progress.step}/{progress.steps}: {facts}")

        yield report


@contextmanager
def study_progress() -> Iterator[Any]:
    """A bar for all and one for each stage at work, or in a file a line for each stage that is
    done.
    """
    with _bars(TaskProgressColumn()) as bars:
        whole = bars.add_task("study", total=None)
        running: dict[str, Any] = {}
        done: dict[str, float] = {}

        def report(stages: Any, stage: Any, share: float) -> None:
            done[stage.name] = share * stage.cost
            bars.update(
                whole, completed=sum(done.values()), total=sum(planned.cost for planned in stages)
            )
            if share < 1:
                if stage.name not in running:
                    running[stage.name] = bars.add_task(f"  {stage.name}", total=1.0)
                bars.update(running[stage.name], completed=share)
            elif stage.name in running:
                bars.remove_task(running.pop(stage.name))
            if share == 1 and not errors.is_terminal:
                finished = sum(
                    planned.name in done and done[planned.name] == planned.cost
                    for planned in stages
                )
                _line(f"[{finished}/{len(stages)}] {stage.name}")

        yield report


def _bars(*columns: ProgressColumn) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=errors,
        disable=not errors.is_terminal,  # a file gets whole lines, not the last picture of a bar
    )


def print_table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, words: bool = False
) -> None:
    """One table, of which nothing is cut: a narrow terminal folds it, a file gets it as wide as it
    is.

    The first column is aligned left, the others right, or all left where they hold `words`.
    """
    table = Table(title=escape(visible(title)), title_justify="left")
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i and not words else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(visible(cell)) for cell in row))
    if not screen.is_terminal:
        table.width = screen.measure(table, options=screen.options.update(max_width=WIDEST)).maximum
    screen.print(table, crop=False)
