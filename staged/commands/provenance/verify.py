"""The command that asks where a text comes from: verify."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from staged.commands.options.shared import DetectorOption, DeviceOption, JsonOption, ThreadsOption
from staged.errors import PlanError
from staged.files.places import refuse_to_replace
from staged.pages.figures import p_text
from staged.screen import say, screen, visible

if TYPE_CHECKING:
    from staged.provenance.examination import Examination
    from staged.provenance.manifest.facts import Signer

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
RevokedOption = Annotated[
    Path | None,
    typer.Option(
        help="File of certificates that count no more: a SHA-256 fingerprint a line, and why."
    ),
]
ReportOption = Annotated[
    Path | None,
    typer.Option(help="Write a signed report of one text into this .json file, by --report-key."),
]
ReportKeyOption = Annotated[str, typer.Option(help="The key that signs the report.")]


def verify(
    places: PlacesArgument,
    keys: KeysOption = None,
    model: ModelOption = "",
    trust: TrustOption = None,
    revoked: RevokedOption = None,
    manifest: ManifestOption = None,
    detector: DetectorOption = "evidence",
    no_content: NoContentOption = False,
    level: LevelOption = 0.01,
    report: ReportOption = None,
    report_key: ReportKeyOption = "",
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
) -> None:
    """Where does this text come from: its signature, its watermark and its content, what each
    proves, and one conclusion.
    """
    from staged.verbs.texts import verify_texts

    trusted: dict[str, Any] = {"trust": trust or (), "revoked": revoked}
    if len(places) == 1 and _is_report(places[0]):
        _print_report(places[0], trusted, as_json)
        return
    if (report is None) != (not report_key):
        raise PlanError("verify: --report and --report-key go together")
    refuse_to_replace(report, *places)
    signer = _signer(report_key) if report_key else None
    examinations = verify_texts(
        places,
        keys=keys or (),
        model=model,
        manifest=manifest,
        detector="" if no_content else detector,
        level=level,
        device=device,
        **trusted,
    )
    if report is not None and signer is not None:
        examinations = _written(report, signer, list(examinations))
    for number, examination in enumerate(examinations):
        if as_json:
            typer.echo(json.dumps(examination.row(), ensure_ascii=False, allow_nan=False))
        else:
            say("") if number else None
            _print(examination)
    if not as_json:
        _print_limits()


def _is_report(place: str) -> bool:
    from staged.provenance.report import is_report

    path = Path(place)
    return path.suffix == ".json" and path.is_file() and is_report(path.read_bytes())


def _print_report(place: str, trusted: dict[str, Any], as_json: bool) -> None:
    """Whether a signed report holds, and what it says."""
    from staged.verbs.texts import check_report

    verdict = check_report(place, **trusted)
    if as_json:
        typer.echo(json.dumps(asdict(verdict), ensure_ascii=False))
        return
    say(f"{verdict.state}: {verdict.reason}")
    if verdict.report is not None:
        about = verdict.report
        when, conclusion, sentence = about["time"], about["conclusion"], about["sentence"]
        say(f"signed by {verdict.signer}; {when}: {conclusion}, {sentence}")
        say(f"of the text with SHA-256 {about['text']['sha256']}")


def _signer(key: str) -> Signer:
    """Who signs the report; a key that may not is said before any text is read."""
    from staged.keys.ring import open_key
    from staged.provenance.sign import signer_of

    return signer_of(open_key(key))


def _written(path: Path, signer: Signer, examinations: list[Examination]) -> Iterator[Examination]:
    """The same, after the signed report of the one among them was written."""
    from staged.provenance.report import write_report

    if len(examinations) != 1:
        raise PlanError(f"verify: --report is of one text, and here are {len(examinations)}")
    write_report(path, examinations[0], signer)
    return iter(examinations)


def _print(examination: Examination) -> None:
    """The conclusion, and a line of each kind of evidence."""
    from staged.provenance.examination import signer_says

    screen.print(
        Text(examination.conclusion, style=STYLES[examination.conclusion]),
        Text(f"· {visible(examination.id)} · {visible(examination.sentence)}"),
        soft_wrap=True,
    )
    for name, says in _evidence(examination).items():
        screen.print(Text(f"{name:10}", style="bold"), Text(visible(says)), soft_wrap=True)
        claims = signer_says(examination.signature) if name == "signature" else ()
        if told := " · ".join(f"{what} {value}" for what, value in claims):
            screen.print(Text(f"{'':10} the manifest says: {visible(told)}"), soft_wrap=True)


def _print_limits() -> None:
    """What each kind of evidence proves, and what not; once for all texts."""
    from staged.provenance.examination import PROVES

    for name, (proves, proves_not) in PROVES.items():
        say(f"{name} proves, where it speaks, {proves}; not {proves_not}", style="dim")
    say(WARNING, style="dim")


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
