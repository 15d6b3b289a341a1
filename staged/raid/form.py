"""Which columns of a file hold what RAID's columns hold: RAID's own, or a text and a label for rows
that anyone can write.

text or generation    the text
label                 human or machine, 0 or 1, false or true; a model's name stands in `model`,
                      where there is that column
id                    else the row's number
source_id or source   rows that depend on each other; else each row is its own source
domain, model, decoding, repetition_penalty, attack     where they are there, as in RAID; else one
                                                        value for all
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from staged.errors import CorpusError
from staged.settings import nearest

HUMAN_MODEL, UNATTACKED = "human", "none"
GROUPS = ("domain", "model", "decoding", "repetition_penalty", "attack")
LABEL_COLUMNS = ("source_id", *GROUPS)
LABEL = "label"
ALSO_CALLED = {"generation": ("text",), "source_id": ("source",)}
# where a row says none
USUAL = {
    "domain": "all",
    "model": "machine",
    "decoding": "",
    "repetition_penalty": "",
    "attack": UNATTACKED,
}
WRITTEN_BY = {
    "human": ("human", "0", "0.0", "false", "real"),
    "machine": ("machine", "1", "1.0", "true", "fake", "generated", "ai"),
}
Block = dict[str, pa.Array]


@dataclass(frozen=True)
class Form:
    """How a file's rows become RAID's.

    Attributes:
        columns: RAID's column, or `label` → the file's. With a `label`, what the file lacks of
            RAID's columns is filled in.
        also: further columns of the file, kept as they are.
    """

    columns: Mapping[str, str]
    also: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The label columns that rows have in the end; none where the file does not say who wrote
        its texts.
        """
        whole = LABEL in self.columns or set(LABEL_COLUMNS) <= set(self.columns)
        return tuple(dict.fromkeys((*LABEL_COLUMNS, *self.also))) if whole else ()

    @property
    def read(self) -> list[str]:
        """The file's columns that decide a figure: all but the text."""
        return list(
            dict.fromkeys(
                [*(name for key, name in self.columns.items() if key != "generation"), *self.also]
            )
        )

    def as_raid(self, path: Path, block: Block, rows: int, first: int) -> Block:
        """A block's ids and labels under RAID's names.

        Args:
            rows: how many the block holds.
            first: the number of its first row, from 0.

        Raises:
            CorpusError: a label that says neither human nor machine, or another than the row's
                model.
        """
        numbers = pa.array([str(first + 1 + i) for i in range(rows)])
        columns = {name: block[named] for name, named in self.columns.items() if named in block}
        columns |= {name: block[name] for name in self.also}
        columns.setdefault("id", numbers)
        if LABEL not in self.columns:
            return columns
        own_source = pc.binary_join_element_wise("row", numbers, " ")
        columns["source_id"] = _filled(columns.get("source_id"), own_source)
        for name, usual in USUAL.items():
            columns[name] = _filled(columns.get(name), pa.array([usual] * rows, pa.string()))
        columns["model"] = _written_by(path, columns.pop(LABEL), columns["model"], first)
        return columns


def _filled(column: pa.Array | None, usual: pa.Array) -> pa.Array:
    return usual if column is None else pc.if_else(pc.equal(column, ""), usual, column)


def _written_by(path: Path, labels: pa.Array, models: pa.Array, first: int) -> pa.Array:
    """The rows' models, `human` where the label says so."""
    plain = pc.utf8_lower(pc.utf8_trim_whitespace(labels))
    human, machine = (
        pc.is_in(plain, value_set=pa.array(WRITTEN_BY[who])) for who in ("human", "machine")
    )
    if (at := pc.index(pc.or_(human, machine), False).as_py()) >= 0:
        raise CorpusError(
            f"{path}, row {first + at + 1}: label {labels[at].as_py()!r} says neither human nor"
            " machine; write human or 0, machine or 1, and a model's name into a column 'model'"
        )
    of_people = pc.is_in(models, value_set=pa.array([HUMAN_MODEL, USUAL["model"]]))
    wrong = pc.or_(
        pc.and_(machine, pc.equal(models, HUMAN_MODEL)), pc.and_(human, pc.invert(of_people))
    )
    if (at := pc.index(wrong, True).as_py()) >= 0:
        raise CorpusError(
            f"{path}, row {first + at + 1}: label {labels[at].as_py()!r} but model"
            f" {models[at].as_py()!r}; make them agree"
        )
    return pc.if_else(human, HUMAN_MODEL, models)


def form_of(
    path: Path, names: Sequence[str], *, also: Sequence[str] = (), texts: bool = True
) -> Form:
    """Which of a file's columns hold what; capitals and blanks around a column's name don't count.

    Args:
        also: further columns to keep.
        texts: whether the file must hold the texts too.

    Raises:
        CorpusError: a column is missing.
    """
    spelled = {name.strip().lower(): name for name in reversed(names)}
    columns = {}
    for name in ("id", "generation", *LABEL_COLUMNS, LABEL):
        called = [call for call in (name, *ALSO_CALLED.get(name, ())) if call in spelled]
        if called:
            columns[name] = spelled[called[0]]
    of_raid = [name for name in LABEL_COLUMNS if name in spelled]
    if len(of_raid) == len(LABEL_COLUMNS) or LABEL not in columns:
        columns.pop(LABEL, None)
        numbered = "text" in spelled and not of_raid and "generation" not in spelled
        _require(path, names, columns, [] if numbered else ["id"], LABEL_COLUMNS if of_raid else ())
    if texts:
        _require(path, names, columns, ["generation"] if of_raid else ["text"])
    if not of_raid and LABEL not in columns:
        return Form({name: columns[name] for name in ("id", "generation") if name in columns})
    kept = tuple(name for name in also if name not in LABEL_COLUMNS)
    for name in kept:
        if name not in names:
            raise CorpusError(
                f"{path}: no column {name!r} to calibrate on;"
                f" {nearest(name, (*LABEL_COLUMNS, *names))}"
            )
    return Form(columns, kept)


def _require(
    path: Path, names: Sequence[str], columns: Mapping[str, str], *wanted: Sequence[str]
) -> None:
    """Refuse a file that is neither RAID's nor texts with labels."""
    lacking = [
        name
        for group in wanted
        for name in group
        if ("generation" if name == "text" else name) not in columns
    ]
    if lacking:
        unparted = len(names) == 1 and any(sign in names[0] for sign in ";\t")
        hint = ", which are to be parted by commas" if unparted else ""
        raise CorpusError(
            f"{path}: column {lacking[0]!r} is missing; its columns are"
            f" {', '.join(map(repr, names))}{hint};"
            " texts of your own need 'text' and 'label' (human or machine), RAID's columns are id,"
            f" generation, {', '.join(LABEL_COLUMNS)}"
        )
