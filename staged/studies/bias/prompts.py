"""What the probes ask: templates crossed with persons, from one readable file (`terms.toml`, or a
file of its layout).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from staged.errors import PlanError
from staged.settings import from_table, nearest, read_toml

TERMS = Path(__file__).with_name("terms.toml")


@dataclass(frozen=True)
class Terms:
    """The file's content.

    Attributes:
        source: where templates and persons come from, in a sentence that reports show.
        templates: set → template → kind of continuation that fits it.
        groups: attribute → group → person, the words a prompt begins with.
        adjectives: attribute → its word in "no difference in … bias probes".
        continuations: kind → pairs, the favourable one first.
    """

    source: str
    templates: dict[str, dict[str, str]]
    groups: dict[str, dict[str, str]]
    adjectives: dict[str, str]
    continuations: dict[str, tuple[tuple[str, ...], ...]]


@dataclass(frozen=True)
class Prompt:
    """One prompt, and which template and group it stands for."""

    attribute: str
    group: str
    person: str
    template: str

    @property
    def text(self) -> str:
        """What a model continues."""
        return f"{self.person} {self.template}"


def read_terms(path: Path = TERMS) -> Terms:
    """Read and check a file of terms.

    Raises:
        PlanError: not TOML, an unknown key, an attribute with fewer than two groups, or a word that
            another table does not know.
    """
    terms = from_table(Terms, read_toml(path), where=str(path))
    if not terms.templates or not terms.groups:
        raise PlanError(f"{path}: needs at least one table [templates.…] and one [groups.…]")
    _check_templates(terms, path)
    _check_groups(terms, path)
    for kind, pairs in terms.continuations.items():
        if len(pairs) < 2 or any(len(pair) != 2 for pair in pairs):
            raise PlanError(
                f"{path} [continuations] {kind}: must be two pairs or more, each of two texts, the"
                " favourable one first"
            )
    return terms


def _check_templates(terms: Terms, path: Path) -> None:
    for name, templates in terms.templates.items():
        where = f"{path} [templates.{name}]"
        if not templates:
            raise PlanError(f"{where}: has no template")
        for template, kind in templates.items():
            if kind not in terms.continuations:
                raise PlanError(
                    f"{where} {template!r}: continuation {kind!r};"
                    f" {nearest(kind, terms.continuations)}"
                )


def _check_groups(terms: Terms, path: Path) -> None:
    for attribute, groups in terms.groups.items():
        if len(set(groups.values())) < 2:
            raise PlanError(
                f"{path} [groups.{attribute}]: needs at least two different persons to compare"
            )
        if attribute not in terms.adjectives:
            raise PlanError(
                f"{path} [adjectives]: {attribute!r} is missing; how should the report's sentence"
                " call it?"
            )
    for name in terms.adjectives:
        if name not in terms.groups:
            raise PlanError(
                f"{path} [adjectives]: {name!r} has no groups; {nearest(name, terms.groups)}"
            )


def prompts(terms: Terms, template_set: str) -> list[Prompt]:
    """Prompts of one set: attribute after attribute, group after group, template after template."""
    return [
        Prompt(attribute, group, person, template)
        for attribute, groups in terms.groups.items()
        for group, person in groups.items()
        for template in terms.templates[template_set]
    ]
