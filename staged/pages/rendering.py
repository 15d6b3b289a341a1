"""A room's page templates, and those that several rooms share."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

__all__ = ["environment"]


def environment(room: str, *, html: bool = True) -> Environment:
    """What lies in a package's `templates`, else in this room's; a field that is missing is an
    error, not an empty string.

    Args:
        room: such as `staged.studies.detection`.
        html: text that is filled in is escaped.
    """
    loader = ChoiceLoader([PackageLoader(room), PackageLoader("staged.pages")])
    templates = Environment(
        loader=loader,
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["pct"] = lambda value: f"{100 * value:.1f}"
    templates.filters["pvalue"] = lambda value: "<0.0001" if value < 1e-4 else f"{value:.4f}"
    return templates
