"""A card's Markdown: text that stays text in it, tables whose figures name their cells, and the
same card as HTML.

A table of figures has a column `cell`, whose code is the cell's id; each figure's column is headed
by what it is. In HTML such a figure carries `data-cell` and `data-field`.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = [
    "RATES",
    "code",
    "fenced",
    "figures_in",
    "html_of",
    "in_table",
    "plain",
    "quoted",
    "shell_word",
]

RATES = {
    "accuracy": "accuracy",
    "auroc": "AUROC",
    "tpr_at_fpr_1": "TPR at 1% FPR",
    "fpr_1": "FPR achieved there",
    "tpr_at_fpr_5": "TPR at 5% FPR",
    "fpr_5": "FPR achieved there",
}
ACHIEVED = "FPR achieved there"
CELL = "cell"
# what is a mark only where something else stands beside it is left as it is elsewhere; a heading, a
# quotation or a list begins a line
SPECIAL = re.compile(r"[\\`*~]|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?])|\](?=[(\[:])|&(?=#?\w+;)")
BEGINS = re.compile(r"^(?=[#+=>\[-])|^(?=\d+[.)])")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
WIDTH = 80  # letters a line of a text in a fence, which does not wrap


class _Figure(NamedTuple):
    """A figure in a table: the token that opens its place, and the one that holds its text."""

    opening: Token
    inline: Token
    id: str
    field: str


def plain(text: str) -> str:
    """A text as it is, in one line of Markdown: nothing in it is a mark, a link or HTML."""
    escaped = SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))
    if BEGINS.match(escaped):
        return (
            re.sub(r"^\d+(?=[.)])", r"\g<0>\\", escaped) if escaped[0].isdigit() else f"\\{escaped}"
        )
    return escaped


def code(text: str) -> str:
    """A text as code inside a line."""
    text = " ".join(text.split())
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{space}{text}{space}{fence}"


def in_table(text: str) -> str:
    """A line of Markdown as it stands in a row of a table."""
    return text.replace("|", r"\|")


def fenced(text: str, language: str = "text") -> str:
    """A text of anybody's as a block of code, which it cannot end; long lines are broken."""
    lines = [
        part
        for line in text.replace("\r\n", "\n").splitlines()
        for part in (wrap(CONTROL.sub(" ", line), WIDTH) or [""])
    ]
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join((f"{fence}{language}", *lines, fence))


def quoted(text: str) -> str:
    """A text as Python and JSON write it."""
    return json.dumps(text, ensure_ascii=False)


def shell_word(text: str) -> str:
    """A text as one word of a command."""
    return shlex.quote(text)


def figures_in(markdown: str) -> Iterator[tuple[str, str, str]]:
    """(cell's id, field, what is shown) of every figure in a card's tables."""
    tokens = _parser().parse(re.sub(r"\A---\n.*?\n---\n", "", markdown, flags=re.DOTALL))
    return ((figure.id, figure.field, figure.inline.content) for figure in _figures(tokens))


def html_of(markdown: str) -> str:
    """The same text as HTML; HTML in it stays text."""
    parser = _parser()
    tokens = parser.parse(markdown)
    for figure in _figures(tokens):
        figure.opening.attrSet("data-cell", figure.id)
        figure.opening.attrSet("data-field", figure.field)
        for part in figure.inline.children or ():
            part.content = part.content.replace(", ", ",\u00a0")  # holds the bounds together
    return str(parser.renderer.render(tokens, parser.options, {}))


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", lambda *_: '<div class="wide" tabindex="0"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return parser


def _figures(tokens: Sequence[Token]) -> Iterator[_Figure]:
    for head, *rows in _tables(tokens):
        titles = [inline.content for _, inline in head]
        if CELL not in titles:
            continue
        at, fields = titles.index(CELL), _fields(titles)
        for row in rows:
            id = next(
                (part.content for part in row[at][1].children or () if part.type == "code_inline"),
                "",
            )
            for field, (opening, inline) in zip(fields, row, strict=True):
                if field:
                    yield _Figure(opening, inline, id, field)


def _fields(titles: Sequence[str]) -> list[str]:
    """The field of each column, empty where it holds no rate."""
    known = {title: field for field, title in RATES.items() if title != ACHIEVED}
    fields: list[str] = []
    for title in titles:
        before = fields[-1] if fields else ""
        fields.append(before.removeprefix("tpr_at_") if title == ACHIEVED else known.get(title, ""))
    return fields


def _tables(tokens: Sequence[Token]) -> Iterator[list[list[tuple[Token, Token]]]]:
    """Each table's rows, its head first, of (opening token, text) a place."""
    rows: list[list[tuple[Token, Token]]] = []
    for i, token in enumerate(tokens):
        if token.type == "table_open":
            rows = []
        elif token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append((token, tokens[i + 1]))
        elif token.type == "table_close":
            yield rows
