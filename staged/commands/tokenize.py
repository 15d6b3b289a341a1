"""The command tokenize: a corpus as packed tokens, which `staged train` maps instead of reading."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from staged.commands.options.shared import HUMAN_TEXT, MODELS, LiteralOption, ThreadsOption
from staged.screen import count_progress, say
from staged.verbs import models as verbs

CorpusArgument = Annotated[str, typer.Argument(help=HUMAN_TEXT)]
OutOption = Annotated[
    Path, typer.Option(help="A new folder; a plan names it as its corpus's source.")
]
TokenizerOption = Annotated[str, typer.Option(help=f"Whose tokens: {MODELS}.")]
ValidShareOption = Annotated[
    float, typer.Option(help="Of the sources, kept to measure the validation loss on.")
]
SeedOption = Annotated[int, typer.Option(help="Which sources are kept depends on it.")]


def tokenize(
    corpus: CorpusArgument,
    out: OutOption,
    tokenizer: TokenizerOption = "124M",
    valid_share: ValidShareOption = 0.005,
    seed: SeedOption = 1,
    literal: LiteralOption = None,
    threads: ThreadsOption = 0,
) -> None:
    """Write a large corpus as packed token files, once for all trainings on it. Interrupted, the
    same command continues.
    """
    with count_progress("documents") as progress:
        packed = verbs.tokenize(
            corpus,
            out,
            tokenizer=tokenizer,
            valid_share=valid_share,
            seed=seed,
            literal=bool(literal),
            progress=progress,
        )
    for split, tokens in packed.tokens.items():
        say(f"{out}: {split}: {packed.documents[split]:,} documents, {tokens:,} tokens")
