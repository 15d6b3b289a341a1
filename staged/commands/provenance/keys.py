"""Commands that keep keys: keys new, list, rotate, revoke."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from staged.commands.options.shared import Group, JsonOption
from staged.screen import print_table, say
from staged.verbs import keys as verbs

if TYPE_CHECKING:
    from staged.keys.certificates import CertificateFacts
    from staged.keys.ring import Key

app = typer.Typer(
    name="keys",
    cls=Group,
    no_args_is_help=True,
    help="Keep the keys that mark texts and sign manifests.",
)

NewArgument = Annotated[
    str,
    typer.Argument(
        help="The key's id: letters, digits, `.`, `_`, `-`; else the next free key-1, key-2, …",
        metavar="[ID]",
    ),
]
IdArgument = Annotated[str, typer.Argument(help="A key's id, from `staged keys list`.")]
SuccessorArgument = Annotated[
    str, typer.Argument(help="The new key's id; else ID-2, ID-3, …", metavar="[NEW]")
]
PurposeOption = Annotated[
    str,
    typer.Option(
        "--for",
        help=(
            "What it is for: both, watermark or signing; by default watermark for what is imported,"
            " else both."
        ),
    ),
]
NameOption = Annotated[
    str, typer.Option(help="The signer's name in the self-signed certificate; else the key's id.")
]
DaysOption = Annotated[int, typer.Option(help="Days that the self-signed certificate is valid.")]
CertificateOption = Annotated[
    Path | None,
    typer.Option(
        help="Sign under this X.509 chain, a PEM file with the signer's certificate first."
    ),
]
PrivateKeyOption = Annotated[
    Path | None, typer.Option(help="The private key of that chain, a PEM file; it is copied.")
]
ImportOption = Annotated[
    Path | None,
    typer.Option(
        "--import",
        help=(
            "Another library's watermark, a JSON file: transformers' WatermarkingConfig or"
            " SynthIDTextWatermarkingConfig, or vLLM's watermark-config."
        ),
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(help="The model that an imported mark is put on; `staged verify` reads with it."),
]
ReasonOption = Annotated[str, typer.Option(help="Why, in your words; `staged keys list` shows it.")]


@app.command()
def new(
    key: NewArgument = "",
    purpose: PurposeOption = "",
    name: NameOption = "",
    days: DaysOption = 365,
    certificate: CertificateOption = None,
    private_key: PrivateKeyOption = None,
    imported: ImportOption = None,
    model: ModelOption = "",
) -> None:
    """Make a key, readable by its owner only; none is ever overwritten."""
    made = verbs.new_key(
        key,
        purpose=purpose,
        name=name,
        days=days,
        certificate=certificate,
        private_key=private_key,
        imported=imported,
        model=model,
    )
    _say_made(made)
    if imported and not model:
        say("to look for its marks, tell staged verify with --model whose tokenizer reads")


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """Show every key: its state, what it is for, what it was used with, and when its certificate
    ends.
    """
    from staged.keys.ring import keys_folder

    keys = verbs.list_keys()
    if as_json:
        shown = {"folder": str(keys_folder()), "keys": [_as_json(key) for key in keys]}
        typer.echo(json.dumps(shown, indent=1, ensure_ascii=False))
        return
    if not keys:
        say(f"no keys in {keys_folder()}; make one with `staged keys new`")
        return
    header = ("key", "state", "made", "for", "used with", "certificate's end")
    print_table(f"keys in {keys_folder()}", header, [_row(key) for key in keys], words=True)
    for key in keys:
        _warn(key)


@app.command()
def rotate(
    key: IdArgument,
    new: SuccessorArgument = "",
    name: NameOption = "",
    days: DaysOption = 365,
    certificate: CertificateOption = None,
    private_key: PrivateKeyOption = None,
) -> None:
    """Make a key's successor, and retire the key: it marks and signs nothing new, and what it
    marked and signed still verifies.
    """
    old, made = verbs.rotate_key(
        key, new, name=name, days=days, certificate=certificate, private_key=private_key
    )
    _say_made(made)
    say(f"key {old.id}: {old.state}; its successor is {made.id}")


@app.command()
def revoke(key: IdArgument, reason: ReasonOption = "") -> None:
    """Say that a key is no longer its owner's alone: what carries it is found with a warning."""
    revoked = verbs.revoke_key(key, reason=reason)
    say(f"key {revoked.id}: revoked; what carries it is found with a warning")
    if not revoked.successor:
        say(f"make its successor: staged keys rotate {revoked.id}")


def _say_made(key: Key) -> None:
    say(f"key {key.id}: for {' and '.join(key.purposes)}, in {key.place}; keep that folder private")
    facts = _certificate(key)
    if facts:
        by = "self-signed" if facts.is_self_signed else f"issued by {facts.issuer}"
        say(f"certificate: {facts.subject}, {facts.algorithm}, {by}, until {facts.ends:%Y-%m-%d}")
        say(f"give it to those who verify: {key.place / 'certificate.pem'}")


def _certificate(key: Key) -> CertificateFacts | None:
    from staged.keys.certificates import facts_of

    return facts_of(key.certificates()) if "signing" in key.purposes else None


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _row(key: Key) -> tuple[str, ...]:
    facts = _certificate(key)
    uses = dict.fromkeys(f"{use.scheme} {use.model}".strip() for use in key.uses)
    end = f"{facts.ends:%Y-%m-%d} {facts.standing(_now())}".strip() if facts else ""
    purposes, used = ", ".join(key.purposes), ", ".join(uses)
    return key.id, key.state, key.created[:10], purposes, used, end


def _warn(key: Key) -> None:
    """What its owner should know, and do."""
    if key.successor:
        say(f"{key.id}: its successor is {key.successor}")
    if key.reason:
        say(f"{key.id}: {key.state}: {key.reason}")
    facts = _certificate(key)
    standing = facts.standing(_now()) if facts else ""
    if facts and standing and key.state == "active":
        until = f"holds {facts.begins:%Y-%m-%d} to {facts.ends:%Y-%m-%d}"
        advice = f"make its successor: staged keys rotate {key.id}"
        say(f"{key.id}: its certificate {until}: {standing}; {advice}")


def _as_json(key: Key) -> dict[str, Any]:
    """`key.json` as it stands, and the certificate's facts."""
    facts = _certificate(key)
    certificate = None
    if facts:
        certificate = asdict(facts) | {
            "begins": facts.begins.isoformat(),
            "ends": facts.ends.isoformat(),
            "standing": facts.standing(_now()),
        }
    return asdict(key) | {"place": str(key.place), "certificate": certificate}
