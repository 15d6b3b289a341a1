"""A card's hand-written paragraphs: one flat TOML beside the card, made once as a skeleton and
never overwritten.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path

from staged.errors import PlanError
from staged.release.licences import language_fault, licence_fault
from staged.settings import from_table, read_toml
from staged.storage.writing import write_atomic

__all__ = ["WORDS", "Words", "read_words", "write_skeleton"]

WORDS = "card.toml"
HINTS = {
    "license": ", an identifier of the hub's list such as apache-2.0",
    "language": ", codes of ISO 639 such as en",
}


def _paragraph(heading: str) -> str:
    """A paragraph of Markdown that a person writes; blank until then."""
    default: str = field(default="", metadata={"heading": heading})
    return default


@dataclass(frozen=True)
class Words:
    """What no measurement can say. Every `_paragraph` left empty is a blank on the card."""

    title: str = ""
    license: str = _paragraph("licence")  # an identifier of the hub's list
    license_name: str = ""  # of a licence that the list has not, `license = "other"`
    license_link: str = ""
    language: str = _paragraph("language of the texts")  # codes of ISO 639, between commas
    developed_by: str = _paragraph("who made the model")
    date: str = _paragraph("model date")
    kind: str = _paragraph("model type")
    version: str = _paragraph("model version")
    paper: str = _paragraph("paper or other resource for more information")
    contact: str = _paragraph("where to send questions or comments about the model")
    primary_uses: str = _paragraph("primary intended uses")
    secondary_uses: str = _paragraph("secondary uses")
    out_of_scope: str = _paragraph("out-of-scope use cases")
    factors: str = _paragraph("factors")
    motivation: str = _paragraph("motivation of the evaluation data")
    training_data: str = _paragraph("training data")
    ethics: str = _paragraph("ethical considerations")
    caveats: str = _paragraph("caveats and recommendations")

    @property
    def languages(self) -> list[str]:
        """The codes in `language`."""
        return [code.strip() for code in self.language.split(",") if code.strip()]

    def unwritten(self) -> dict[str, str]:
        """Key → heading of every paragraph that is still empty."""
        return {
            entry.name: entry.metadata["heading"]
            for entry in fields(self)
            if "heading" in entry.metadata and not getattr(self, entry.name).strip()
        }


def read_words(path: Path) -> Words:
    """The paragraphs from a TOML file.

    Raises:
        PlanError: missing, not TOML, with an unknown key, or with a licence or a language that the
            hub refuses.
    """
    words = from_table(Words, read_toml(path), where=str(path))
    fault = licence_fault(words.license, words.license_name, words.license_link) or language_fault(
        words.languages
    )
    if fault:
        raise PlanError(f"{path}: {fault}")
    return words


def write_skeleton(path: Path, title: str) -> bool:
    """Write a `card.toml` to fill in, unless there is one; says whether it was written."""
    if path.exists():
        return False
    lines = [
        (
            "# The card's hand-written paragraphs, in Markdown. The card is generated around them;"
            " this file is never overwritten."
        ),
        "",
    ]
    for entry in fields(Words):
        heading = entry.metadata.get("heading")
        value = title if entry.name == "title" else entry.default
        note = heading and f"{heading}{HINTS.get(entry.name, '')}"
        lines += [
            f"{entry.name} = {json.dumps(value, ensure_ascii=False)}"
            + (f"  # {note}" if note else "")
        ]
    write_atomic(path, ("\n".join(lines) + "\n").encode())
    return True
