"""The command that writes a model card: card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from staged.errors import PlanError
from staged.screen import say


def card(
    studies: Annotated[
        list[Path],
        typer.Argument(
            help=(
                "Folders of finished studies, release or fine-tuning, and of bias probes and"
                " surveys."
            ),
            metavar="STUDY…",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(help="The card; its hand-written paragraphs live in card.toml beside it."),
    ] = Path("README.md"),
    html: Annotated[
        bool, typer.Option("--html", help="Also write the same card as a page, beside --out.")
    ] = False,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Only this model; may be repeated. Else all of the studies'."),
    ] = None,
) -> None:
    """Write a hub-ready model card from measured cells; run again, it keeps every hand-written
    paragraph.
    """
    from staged.release.card.card import card_of
    from staged.release.card.measured import read_evidence
    from staged.release.card.paragraphs import WORDS, Words, read_words, write_skeleton
    from staged.release.render import card_html, card_markdown
    from staged.storage.gate import check_replaceable, is_sealed, sealed
    from staged.storage.writing import disk_errors, write_atomic

    if out.is_dir() or out.suffix.lower() not in (".md", ".html"):
        raise PlanError(f"--out {out}: give a file that ends in .md or .html, such as README.md")
    words_file, page = out.parent / WORDS, out.with_suffix(".html")
    for place in {out, page} if html else {out}:
        check_replaceable(place, is_sealed)
    evidence = read_evidence(studies)
    models = model or []
    title = ", ".join(models or evidence.models)
    made = card_of(
        evidence,
        read_words(words_file) if words_file.exists() else Words(title=title),
        models=models,
    )
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        written = write_skeleton(words_file, title)
        if out.suffix.lower() == ".md":
            write_atomic(out, sealed(card_markdown(made)).encode(), form=is_sealed)
        if html or out == page:
            write_atomic(page, sealed(card_html(made)).encode(), form=is_sealed)
    for blank in made["blanks"]:
        say(f"blank: {blank['what']}: {blank['fill']}")
    if written:
        say(f"words: {words_file} (new; write in it, then run this again)")
    say(f"card: {out}")
