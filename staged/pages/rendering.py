"""A room's page templates, and those that several rooms share."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from staged.pages.figures import counted, estimate, percent

__all__ = ["environment", "is_web_address", "unbroken"]

HYPHENATED = re.compile(r"([\w.@]+(?:-[\w.@]+)+)")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
LONGEST = 40  # characters of a name that a narrow page has room for


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
    templates.filters["percent"] = lambda row, what: percent(*estimate(row, what), unit="%")
    templates.filters["unbroken"] = unbroken
    templates.filters["shown"] = shown
    templates.filters["counted"] = counted
    templates.tests["web_address"] = is_web_address
    templates.filters["pvalue"] = lambda value: "<0.0001" if value < 1e-4 else f"{value:.4f}"
    return templates


def unbroken(text: str) -> Markup:
    """A text in which names such as `mini-s` are not broken at their hyphens, as HTML: by a style,
    so that what is searched for and copied stays as it was typed. A name that is too long for a
    narrow page breaks where it must.
    """
    parts = HYPHENATED.split(text)  # what is between names, and a name, in turn
    return Markup("").join(
        Markup('<span class="name">{}</span>').format(part)
        if number % 2 and len(part) <= LONGEST
        else escape(part)
        for number, part in enumerate(parts)
    )


def shown(text: str) -> str:
    """A text whose control characters, which no page may hold, are U+FFFD; a model of bytes writes
    such.
    """
    return CONTROL.sub("\ufffd", text)


def is_web_address(url: str) -> bool:
    """Whether a page may link to it: `http` or `https`, and a host."""
    try:
        address = urlsplit(url)
    except ValueError:
        return False
    return address.scheme in ("http", "https") and bool(address.netloc)
