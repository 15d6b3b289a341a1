"""Commands that release a model family: show, status, advance, verify, keygen, upload."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from staged.commands.options.shared import PLAN, Group, JsonOption, show_plan
from staged.errors import PlanError
from staged.pages.figures import counted
from staged.screen import print_table, say
from staged.storage.records import to_json
from staged.verbs import release as verbs

if TYPE_CHECKING:
    from staged.release.advance import Standing
    from staged.release.outcomes import Outcome, Override
    from staged.release.package.verify import Problem

DEFAULT_PLAN = Path("release.toml")
ROOT = Path("out/release")
REFUSED = 1

StudiesArgument = Annotated[
    list[Path],
    typer.Argument(
        help=(
            "Folders of finished studies, release or fine-tuning, of bias probes, surveys and"
            " trained models, and files that `staged evaluate-lm --out` wrote."
        ),
        metavar="STUDY…",
    ),
]
CardOption = Annotated[
    Path, typer.Option(help="The card; its hand-written paragraphs live in card.toml beside it.")
]
HtmlOption = Annotated[
    bool, typer.Option("--html", help="Also write the same card as a page, beside --out.")
]
ModelOption = Annotated[
    list[str] | None,
    typer.Option(help="Only this model; may be repeated. Else all of the studies'."),
]


def card(
    studies: StudiesArgument,
    out: CardOption = Path("README.md"),
    html: HtmlOption = False,
    model: ModelOption = None,
) -> None:
    """Write a hub-ready model card from measured cells; run again, it keeps every
    hand-written paragraph.
    """
    written = verbs.card(studies, out, html=html, models=model or ())
    for blank in written.blanks:
        say(f"blank: {blank.what}: {blank.fill}")
    if written.words_are_new:
        say(f"words: {written.words} (new; write in it, then run this again)")
    say(f"card: {out}")


app = typer.Typer(
    name="release",
    cls=Group,
    no_args_is_help=True,
    help="Release a model family, one signed package at a time.",
)


PlanArgument = Annotated[Path, typer.Argument(help=f"The release's plan: {PLAN}.")]
OutOption = Annotated[Path, typer.Option(help="Folder of the packages.")]
PublicKeyOption = Annotated[
    Path | None,
    typer.Option(
        help=(
            "The releaser's public key, a PEM file got from elsewhere than the package; else the"
            " package's own, which proves no author."
        )
    ),
]


ShownArgument = Annotated[Path, typer.Argument(help=f"A plan, or a card's words: {PLAN}.")]


@app.command()
def show(plan: ShownArgument = DEFAULT_PLAN) -> None:
    """Print a plan, or a card's words, that ship: send it to a file, and edit it."""
    show_plan(plan)


@app.command()
def status(
    plan: PlanArgument = DEFAULT_PLAN,
    out: OutOption = ROOT,
    key: PublicKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every stage with its gates: met, not met or not measured, with the numbers and the
    cells' ids.
    """
    standings = verbs.release_status(plan, out, key=key)
    if as_json:
        typer.echo(
            json.dumps([_as_json(standing) for standing in standings], indent=1, ensure_ascii=False)
        )
        return
    for standing in standings:
        _print_standing(standing)
        _print_no_detector(standing.no_detector)
        if standing.decision and standing.decision.override:
            _print_override(standing.decision.override)


PrivateKeyOption = Annotated[
    Path,
    typer.Option(help="The private key that signs, a PEM file; `staged release keygen` makes one."),
]
OverrideOption = Annotated[
    str,
    typer.Option(
        help=(
            "A person's written reason to release in spite of open gates; printed on the card and"
            " in the record."
        )
    ),
]
ByOption = Annotated[str, typer.Option(help="The name of who overrides.")]
DateOption = Annotated[
    str, typer.Option(help="Date of the decision, YYYY-MM-DD; today when empty.")
]


@app.command()
def advance(
    key: PrivateKeyOption,
    plan: PlanArgument = DEFAULT_PLAN,
    out: OutOption = ROOT,
    override: OverrideOption = "",
    by: ByOption = "",
    date: DateOption = "",
) -> None:
    """Decide on the next stage; build, sign and check its package, or refuse with reasons (exit
    code 1).
    """
    step = verbs.advance_release(key, plan, out, override=override, by=by, date=_date(date))
    if step.decision is None:
        say("every stage is released")
        return
    _print_gates(f"{step.decision.stage}: {step.decision.verdict}", step.decision.gates)
    _print_no_detector(step.decision.no_detector)
    if step.decision.override:
        _print_override(step.decision.override)
    if step.package is None:
        from staged.release.advance import DECISIONS

        record = out / DECISIONS / f"{step.decision.stage}.refused.md"
        say(f"refused; record: {record}")
        raise typer.Exit(REFUSED)
    say(f"package: {step.package}")


PackageArgument = Annotated[Path, typer.Argument(help="Folder of a package.")]


@app.command()
def verify(
    folder: PackageArgument,
    key: PublicKeyOption = None,
) -> None:
    """Check a package: sums, missing and added files, signature, SBOM, and the card's numbers
    against its cells (exit code 1).
    """
    _end_unless_whole(folder, verbs.verify(folder, key=key))
    under = (
        f"signed under {key}"
        if key
        else "signed under its own release.pub: undamaged, but who signed is not shown; give --key"
    )
    say(f"{folder}: whole, {under}")
    from staged.release.package.layout import no_detector

    _print_no_detector(no_detector(folder))


KeysArgument = Annotated[
    Path, typer.Argument(help="Folder to write release.key and release.pub into.")
]


@app.command()
def keygen(
    folder: KeysArgument,
) -> None:
    """Make a key pair to sign packages with; the private half is readable by its owner only."""
    private, public = verbs.make_keys(folder)
    say(f"private, keep it to yourself: {private}")
    say(f"public, publish it: {public}")


RepoOption = Annotated[str, typer.Option(help="The model's name on the hub, owner/name.")]
PublishOption = Annotated[
    bool, typer.Option("--publish", help="Really upload; without it nothing is sent.")
]
PrivateOption = Annotated[bool, typer.Option("--private", help="Make a new repository private.")]


@app.command()
def upload(
    folder: PackageArgument,
    repo: RepoOption,
    key: PublicKeyOption = None,
    publish: PublishOption = False,
    private: PrivateOption = False,
) -> None:
    """Upload a whole package to the hub as one commit; a dry run unless --publish is given."""
    from staged.release.package.upload import plan_upload
    from staged.release.package.upload import upload as send

    planned = plan_upload(folder, repo, public=key)
    _end_unless_whole(folder, planned.problems)
    print_table(
        f"{folder} → {repo}",
        ("file", "bytes"),
        [(name, f"{size:,}") for name, size in planned.files],
    )
    if not publish:
        say("dry run: nothing was sent; give --publish to upload")
        return
    say(f"uploaded: {send(planned, private=private)}")


def _as_json(standing: Standing) -> dict[str, Any]:
    """A decision's keys stand in the order of decision.json."""
    decision = json.loads(json.dumps(to_json(standing.decision), sort_keys=True))
    return asdict(standing) | {"decision": decision}


def _verdict(standing: Standing) -> str:
    decision = standing.decision
    return f"{decision.verdict} on {decision.date}" if decision else "waiting"


def _date(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text) if text else None
    except ValueError:
        raise PlanError(f"--date {text!r}: give a date as YYYY-MM-DD") from None


def _end_unless_whole(folder: Path, problems: Sequence[Problem]) -> None:
    for problem in problems:
        say(f"{problem.file}: {problem.kind}: {problem.what}")
    if problems:
        say(f"{folder}: not whole, {len(problems)} problem(s)")
        raise typer.Exit(1)


def _print_standing(standing: Standing) -> None:
    """A row a gate; under the table the ids that its numbers were read from."""
    from staged.release.outcomes import MET

    gates = standing.outcomes
    met = f"{sum(gate.state == MET for gate in gates)} of {counted(len(gates), 'gate')} met"
    say("")
    print_table(
        f"{standing.stage}: {_verdict(standing)}; {met}",
        ("gate", "outcome", "numbers"),
        [(gate.gate, gate.state, gate.numbers) for gate in gates],
        words=True,
    )
    origins = dict.fromkeys(cell for gate in gates for cell in gate.cells)
    if origins:
        say(f"read from {' '.join(f'‹{cell}›' for cell in origins)}")


def _print_gates(title: str, gates: Sequence[Outcome]) -> None:
    say(f"\n{title}", style="bold")
    for number, gate in enumerate(gates, 1):
        origin = "".join(f" ‹{cell}›" for cell in gate.cells)
        say(f" {number} {gate.state}: {gate.gate}: {gate.numbers}{origin}")


def _print_no_detector(reason: str | None) -> None:
    if reason:
        say(f"no detector goes out with it: {reason}")


def _print_override(override: Override) -> None:
    say(f"override by {override.by}: {override.reason}")
