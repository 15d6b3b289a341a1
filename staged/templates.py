"""A room's page templates."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["environment"]


def environment(room: str, *, html: bool = True) -> Environment:
    """What lies in a package's `templates`; a field that is missing is an error, not an empty string.

    Args:
        room: such as `staged.report`.
        html: text that is filled in is escaped.
    """
    return Environment(loader=PackageLoader(room), autoescape=html, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
