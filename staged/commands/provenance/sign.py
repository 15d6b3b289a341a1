"""The command that signs files: sign."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from staged.commands.options.shared import MODELS
from staged.errors import PlanError
from staged.screen import say
from staged.verbs import provenance as verbs

if TYPE_CHECKING:
    from staged.provenance.signed_files import SignedFile

STDIN = "-"
PRINTED = "text.txt"  # the name of a text from standard input, where --out names none

FileArgument = Annotated[
    str,
    typer.Argument(
        help=(
            "Any file, or - for a text on standard input. Of a file that staged sample wrote,"
            " model, method and watermark are taken from its rows."
        )
    ),
]
KeyOption = Annotated[
    str, typer.Option(help="The key that signs: its id, as staged keys lists it.")
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        help=(
            "The signed file; a name that ends in .c2pa takes the manifest alone. By default the"
            " manifest stands beside FILE, as FILE.c2pa."
        )
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        help=(
            f"Which model wrote it: {MODELS}. One whose files are here is named with the SHA-256"
            " of its weights."
        )
    ),
]
MethodOption = Annotated[str, typer.Option(help="How its tokens were drawn, as in staged sample.")]
WatermarkOption = Annotated[
    str, typer.Option(help="The scheme of the mark in it: gumbel, gumbel-dual, kgw, sbw, synthid.")
]
WatermarkKeyOption = Annotated[
    str, typer.Option(help="The id of the mark's key; nothing else of that key is told.")
]
DetectorOption = Annotated[
    str, typer.Option(help="A signpost: the URL where anybody can test for the mark or the text.")
]
TitleOption = Annotated[str, typer.Option(help="What the content is called.")]
RowOption = Annotated[
    int | None,
    typer.Option(help="Of a file of samples, sign the text of the sample with this id alone."),
]
EmbedOption = Annotated[
    bool,
    typer.Option(
        "--embed",
        help=(
            "Put the manifest into plain text too, as characters that no reader sees; pages, Word"
            " files and PDF take theirs anyhow."
        ),
    ),
]
SidecarOption = Annotated[
    bool,
    typer.Option("--sidecar", help="Put the manifest beside a page, a Word file or a PDF too."),
]
TsaOption = Annotated[
    str,
    typer.Option(
        help=(
            "URL of a time-stamp authority (RFC 3161), which is sent a digest; without it the"
            " manifest says that the time is self-asserted."
        )
    ),
]


def sign(
    file: FileArgument,
    key: KeyOption,
    out: OutOption = None,
    model: ModelOption = "",
    method: MethodOption = "",
    watermark: WatermarkOption = "",
    watermark_key: WatermarkKeyOption = "",
    detector: DetectorOption = "",
    title: TitleOption = "",
    row: RowOption = None,
    embed: EmbedOption = False,
    sidecar: SidecarOption = False,
    tsa: TsaOption = "",
) -> None:
    """Sign a file: a C2PA manifest says which model made it and how, and that nobody has
    changed it since.
    """
    if embed and sidecar:
        raise PlanError("sign: --embed puts the manifest into the file, --sidecar beside it")
    if file == STDIN and row is not None:
        raise PlanError("sign: --row names a sample of a file; give the file")
    named = (out.name.removesuffix(".c2pa") if out else "") or PRINTED
    signed = verbs.sign(
        named if file == STDIN else file,
        key,
        out=out,
        data=sys.stdin.buffer.read() if file == STDIN else None,
        model=model,
        method=method,
        watermark=watermark,
        watermark_key=watermark_key,
        detector=detector,
        title=title,
        row=row,
        embed=True if embed else False if sidecar else None,
        tsa=tsa,
    )
    _show(signed, key, tsa)


def _show(signed: SignedFile, key: str, tsa: str) -> None:
    if signed.why_beside:
        say(f"the manifest stands beside the file: {signed.why_beside}", style="yellow")
    for title in signed.cited:
        say(f"the manifest that {title} had is kept, and cited")
    time = f"time by {tsa}" if tsa else "time self-asserted"
    place = signed.place or signed.sidecar
    beside = f" with {signed.sidecar}" if signed.place and signed.sidecar else ""
    say(f"signed with key {key} ({time}): {place}{beside}")
