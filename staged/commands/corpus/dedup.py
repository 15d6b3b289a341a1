"""corpus dedup: rows without their repeats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from staged.commands.options.shared import JsonOption
from staged.pages.figures import counted
from staged.screen import count_progress, say
from staged.storage.records import to_json
from staged.verbs import corpus as verbs

if TYPE_CHECKING:
    from staged.corpus.repeats.dedup import Deduplicated

FilesArgument = Annotated[
    list[str],
    typer.Argument(help="Rows (.jsonl, .parquet), texts, or folders of both.", metavar="IN…"),
]
RowsOption = Annotated[
    Path, typer.Option(help="The rows that stay (.jsonl or .parquet); beside it, what does not.")
]
ThresholdOption = Annotated[
    float,
    typer.Option(
        help="Jaccard similarity of 5-word shingles from which two rows repeat one another."
    ),
]


def dedup(
    files: FilesArgument,
    out: RowsOption,
    threshold: ThresholdOption = verbs.THRESHOLD,
    as_json: JsonOption = False,
) -> None:
    """Leave out rows that repeat an earlier one, word for word or nearly, in memory that does not
    grow with the texts. Interrupted, the same command continues.
    """
    with count_progress("rows") as progress:
        result = verbs.dedup_corpus(
            files,
            out,
            threshold=threshold,
            progress=lambda what, done, total: progress(done, total, what),
        )
    _say_deduplicated(result, out, as_json)


def _say_deduplicated(result: Deduplicated, out: Path, as_json: bool) -> None:
    from staged.corpus.repeats.dedup import removed_of

    if as_json:
        typer.echo(json.dumps(to_json(result), indent=2, ensure_ascii=False))
        return
    say(
        f"{counted(result.rows, 'row')}: {result.kept:,} stay; {result.verbatim:,} repeat another"
        f" word for word, {result.near:,} nearly, in {counted(result.clusters, 'cluster')}"
    )
    say(f"{out}; what was left out: {removed_of(out)}")
