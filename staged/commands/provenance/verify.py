"""The command that asks where a text comes from: verify."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from staged.commands.options import DetectorOption, DeviceOption, JsonOption, ThreadsOption
from staged.pages.figures import p_text
from staged.screen import print_table, say, screen, visible

if TYPE_CHECKING:
    from staged.provenance.examination import Examination

STYLES = {
    "signed": "bold green",
    "watermarked": "bold magenta",
    "looks machine-written": "bold yellow",
    "no evidence": "dim",
}
WARNING = "A score alone is no ground to accuse anybody, and no evidence does not mean human."

PlacesArgument = Annotated[
    list[str],
    typer.Argument(
        help=(
            'Text, Word, PDF and HTML files, folders, .jsonl or .parquet files (rows {"id",'
            ' "text"}), or - for standard input.'
        ),
        metavar="PATH...",
    ),
]
KeysOption = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        help="Test for the marks of this key; may be given several times. By default for all keys.",
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        help=(
            "Whose tokenizer reads, for keys that have marked nothing here: a stranger's, or one"
            " that was brought."
        )
    ),
]
TrustOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--trust",
        help=(
            "PEM file of certificates that you trust; may be given several times. Your own keys'"
            " are trusted."
        ),
    ),
]
ManifestOption = Annotated[
    Path | None, typer.Option(help="The file's manifest; by default FILE.c2pa beside it.")
]
LevelOption = Annotated[
    float,
    typer.Option(
        help=(
            "Share of texts without a mark that may be called marked, and of human texts that may"
            " be called machine-written."
        )
    ),
]
NoContentOption = Annotated[
    bool,
    typer.Option("--no-content", help="Look for signatures and marks alone; no detector is read."),
]
LogOption = Annotated[
    str, typer.Option(help="Also look the text up in this fingerprint log, docs/fingerprints.md.")
]
ReportOption = Annotated[
    Path | None,
    typer.Option(
        help="Write a signed report of one text into this .json file; takes --report-key."
    ),
]
ReportKeyOption = Annotated[str, typer.Option(help="The key that signs the report.")]


def verify(
    places: PlacesArgument,
    keys: KeysOption = None,
    model: ModelOption = "",
    trust: TrustOption = None,
    manifest: ManifestOption = None,
    detector: DetectorOption = "evidence",
    no_content: NoContentOption = False,
    level: LevelOption = 0.01,
    fingerprints: LogOption = "",
    report: ReportOption = None,
    report_key: ReportKeyOption = "",
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
) -> None:
    """Where does this text come from: its signature, its watermark and its content, what each
    proves, and one conclusion.
    """
    from staged.verbs.provenance import verify_texts

    examinations = verify_texts(
        places,
        keys=keys or (),
        model=model,
        trust=trust or (),
        manifest=manifest,
        detector="" if no_content else detector,
        level=level,
        device=device,
    )
    for number, examination in enumerate(examinations):
        if as_json:
            typer.echo(json.dumps(examination.row(), ensure_ascii=False, allow_nan=False))
        else:
            say("") if number else None
            _print(examination)
    if not as_json:
        say(WARNING, style="dim")


def _print(examination: Examination) -> None:
    """The conclusion, and a line of each kind of evidence with what it proves."""
    from staged.provenance.examination import PROVES

    screen.print(
        Text(examination.conclusion, style=STYLES[examination.conclusion]),
        Text(f"· {visible(examination.id)} · {visible(examination.sentence)}"),
        soft_wrap=True,
    )
    rows = [
        (name, visible(says), f"{PROVES[name][0]}; not {PROVES[name][1]}")
        for name, says in _evidence(examination).items()
    ]
    print_table("", ("evidence", "what it says", "what it proves where it speaks"), rows)


def _evidence(examination: Examination) -> dict[str, str]:
    signature, mark, content = (
        examination.signature,
        examination.watermark,
        examination.content,
    )
    p = "" if mark.p_value is None else f", p {p_text(mark.p_value)}"
    found = f"{'found' if mark.found else 'not found'}{p}: {mark.reason}"
    return {
        "signature": f"{signature.state}: {signature.sentence}",
        "watermark": found,
        "content": f"{content.verdict}: {content.reason}" if content else "no detector was asked",
    }
