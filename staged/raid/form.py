"""Which columns of a file hold what RAID's columns hold: RAID's own, or a text and a label for rows
that anyone can write.

text or generation    the text
label                 human or machine, as `WRITTEN_BY` spells them; a model's name stands in
                      `model`, where there is that column
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
    "human": ("human", "human-written", "0", "0.0", "false", "real"),
    "machine": (
        *("machine", "machine-generated", "1", "1.0", "true", "fake", "generated"),
        *("ai", "ai-generated", "llm"),
    ),
}
# names under which others have them: said, never guessed, as each may also mean another thing
LIKE = {
    "text": (
        *("content", "body", "generated_text", "texts", "document", "essay", "article", "passage"),
        *("answer", "response", "completion", "output", "sentence"),
    ),
    LABEL: (
        *("labels", "class", "target", "is_ai", "is_generated", "is_machine", "generated", "ai"),
        *("written_by", "author", "type", "category", "source"),
    ),
}
LOOKED_FOR = (
    "'text' (or 'generation') and 'label' (human or machine) for texts of your own, or RAID's id,"
    f" generation, {', '.join(LABEL_COLUMNS)}"
)
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
        own = (LABEL,) if LABEL in self.columns else ()
        whole = own or set(LABEL_COLUMNS) <= set(self.columns)
        return tuple(dict.fromkeys((*LABEL_COLUMNS, *own, *self.also))) if whole else ()

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
        columns["model"] = _written_by(path, columns[LABEL], columns["model"], first)
        return columns


def _filled(column: pa.Array | None, usual: pa.Array) -> pa.Array:
    return usual if column is None else pc.if_else(pc.equal(column, ""), usual, column)


def _written_by(path: Path, labels: pa.Array, models: pa.Array, first: int) -> pa.Array:
    """The rows' models, `human` where the label says so."""
    plain = pc.utf8_lower(pc.utf8_trim_whitespace(labels))
    plain = pc.replace_substring_regex(plain, "[ _]", "-")
    human, machine = (
        pc.is_in(plain, value_set=pa.array(WRITTEN_BY[who])) for who in ("human", "machine")
    )
    if (at := pc.index(pc.or_(human, machine), False).as_py()) >= 0:
        raise CorpusError(
            f"{path}, row {first + at + 1}: label {labels[at].as_py()!r} says neither human nor"
            " machine; write human or 0, machine or 1, and a model's name into a column 'model';"
            f" {_spellings()}"
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


def _spellings() -> str:
    return "; ".join(f"{who} is also {', '.join(WRITTEN_BY[who][1:])}" for who in WRITTEN_BY)


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
    if len(of_raid) == len(LABEL_COLUMNS):
        columns.pop(LABEL, None)
    wanted = _wanted(spelled, of_raid)
    if texts:
        wanted.append("generation" if of_raid else "text")
    _require(path, names, columns, wanted)
    _refuse_doubles(path, names, columns)
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


def _wanted(spelled: Mapping[str, str], of_raid: Sequence[str]) -> list[str]:
    """The columns beside the text that this file has to have, going by what it has."""
    if len(of_raid) == len(LABEL_COLUMNS):
        return ["id"]
    if LABEL in spelled:
        return []
    if "generation" in spelled or (of_raid and "text" not in spelled):
        return ["id", *(LABEL_COLUMNS if of_raid else ())]
    return ["text", *([LABEL] if of_raid else [])]  # without a label it is only scored


def _require(
    path: Path, names: Sequence[str], columns: Mapping[str, str], wanted: Sequence[str]
) -> None:
    """Refuse a file that is neither RAID's nor texts with labels."""
    lacking = [name for name in wanted if ("generation" if name == "text" else name) not in columns]
    if lacking:
        unparted = len(names) == 1 and any(sign in names[0] for sign in ",;\t")
        hint = ", which are to be parted by commas (.csv) or tabs (.tsv)" if unparted else ""
        raise CorpusError(
            f"{path}: column {lacking[0]!r} is missing; its columns are"
            f" {', '.join(map(repr, names))}{hint}; looked for {LOOKED_FOR}"
            f"{renaming(names, columns)}"
        )


def renaming(names: Sequence[str], columns: Mapping[str, str]) -> str:
    """What to call columns that may hold what the file lacks: a clause of an error, or nothing."""
    advice = []
    for wanted, key in (("text", "generation"), (LABEL, LABEL)):
        like = [name for name in names if name.strip().lower() in LIKE[wanted]]
        if key not in columns and like:
            advice.append(f"if {like[0]!r} is it, call it {wanted!r}")
    return f"; {', and '.join(advice)}" if advice else ""


def _refuse_doubles(path: Path, names: Sequence[str], columns: Mapping[str, str]) -> None:
    """Refuse what two columns may hold."""
    calls = {"generation": ("generation", "text")} if LABEL in columns else {}
    for name in columns:
        may = [
            column
            for column in names
            if column.strip().lower() in calls.get(name, (columns[name].strip().lower(),))
        ]
        if len(may) > 1:
            raise CorpusError(
                f"{path}: {' and '.join(map(repr, may))} may both hold the {_what(name)}; leave out"
                " or rename those that do not"
            )


def _what(name: str) -> str:
    return "text" if name == "generation" else name
