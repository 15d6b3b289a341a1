"""Rows of a file of labelled texts: .csv, .tsv, .jsonl or .parquet, read a block at a time, without
its texts or only them.

RAID's train.csv holds 11 GB, nearly all of it text. What decides a figure (ids, sources, labels) is
read first and kept as codes; texts are read a second time, in order, when they are scored.

Format    https://github.com/liamdugan/raid, Dugan et al. 2024: id, adv_source_id, source_id, model,
          decoding, repetition_penalty, attack, domain, title, prompt, generation; `model` is
          `human` for human text; the test file has only id and generation. What else is read, and
          as what: `form`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from staged.errors import CorpusError, first_line
from staged.files.rows import json_lines
from staged.raid.form import GROUPS, HUMAN_MODEL, UNATTACKED, form_of

__all__ = [
    "GROUPS",
    "UNATTACKED",
    "Column",
    "Rows",
    "column_names",
    "is_labelled",
    "read_rows",
    "texts_in_blocks",
]

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".jsonl", ".ndjson", ".parquet")
LINES = (".jsonl", ".ndjson")
FILE = f"a file of labelled texts ({', '.join(SUFFIXES)})"
BLOCK_BYTES = 1 << 24  # longer than any row
BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Column:
    """One column of few values: row i holds values[codes[i]]."""

    codes: np.ndarray
    values: tuple[str, ...]

    def is_in(self, wanted: Iterable[str]) -> np.ndarray:
        """Of each row, whether it holds one of these values."""
        codes = [self.values.index(value) for value in wanted if value in self.values]
        return np.isin(self.codes, codes)


@dataclass(frozen=True)
class Rows:
    """A file without its texts.

    Attributes:
        ids: strings, all different, in the file's order.
        columns: name → what the rows hold; empty for a file without labels.
        spelled: name → how the file calls the column.
    """

    path: Path
    ids: pa.Array
    columns: dict[str, Column]
    spelled: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labelled(self) -> bool:
        """Whether the file says who wrote each text."""
        return bool(self.columns)

    @property
    def human(self) -> np.ndarray:
        """Of each row, whether a person wrote it."""
        return self.columns["model"].is_in([HUMAN_MODEL])


def read_rows(path: Path, *, also: Sequence[str] = (), texts: bool = True) -> Rows:
    """Ids and labels of a file of labelled texts.

    Args:
        also: further columns to keep, beside RAID's own.
        texts: whether the file must hold the texts too.

    Raises:
        CorpusError: no such file or kind of file, a missing column, an id that is empty or there
            twice, damage.
    """
    form = form_of(path, column_names(path), also=also, texts=texts)
    ids: list[pa.Array] = []
    coded: dict[str, list[pa.Array]] = {name: [] for name in form.labels}
    done = 0
    for raw in _blocks(path, form.read or [form.columns["generation"]]):
        rows = len(next(iter(raw.values())))
        block = form.as_raid(path, raw, rows, done)
        done += rows
        ids.append(block["id"])
        for name in coded:
            coded[name].append(block[name].dictionary_encode())
    if not sum(map(len, ids)):
        raise CorpusError(f"{path}: holds no rows; give a file with texts")
    whole = pa.concat_arrays(ids)
    _check_ids(path, whole)
    columns = {name: _column(parts) for name, parts in coded.items()}
    return Rows(path, whole, columns, form.columns)


def is_labelled(path: Path) -> bool:
    """Whether a file says who wrote its texts, by its columns alone.

    Raises:
        CorpusError: as `read_rows`.
    """
    return bool(form_of(path, column_names(path), texts=False).labels)


def _check_ids(path: Path, ids: pa.Array) -> None:
    if (empty := pc.index(ids, "").as_py()) >= 0:
        raise CorpusError(f"{path}, row {empty + 1}: the id is empty; every row needs its own")
    if pc.count_distinct(ids).as_py() < len(ids):
        counts = ids.value_counts()
        twice = counts.field(0).filter(pc.greater(counts.field(1), 1))
        raise CorpusError(
            f"{path}: id {twice[0].as_py()!r} is there more than once ({len(twice)} such ids);"
            " every row needs its own"
        )


def _column(parts: Sequence[pa.Array]) -> Column:
    whole = pa.chunked_array(parts).unify_dictionaries().combine_chunks()
    whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    return Column(whole.indices.to_numpy(), tuple(whole.dictionary.to_pylist()))


def texts_in_blocks(path: Path, *, first: int, size: int) -> Iterator[list[str]]:
    """The texts from row `first` on, `size` at a time; a missing text is the empty one."""
    column = form_of(path, column_names(path)).columns["generation"]
    flat = (text for block in _blocks(path, [column]) for text in block[column].to_pylist())
    rest = islice(flat, first, None)
    while texts := list(islice(rest, size)):
        yield texts


def column_names(path: Path) -> list[str]:
    """Names of a file's columns, read from its beginning.

    Raises:
        CorpusError: no such file, another kind of file, or damage.
    """
    if not path.is_file():
        fault = "is no file" if path.exists() else "no such file"
        raise CorpusError(f"{path}: {fault}; give {FILE}")
    try:
        if _kind(path) == ".parquet":
            return list(pq.read_schema(path).names)
        if _kind(path) in LINES:
            return list(next(iter(_json_rows(path)), {}))
        return list(
            pacsv.open_csv(
                path,
                read_options=pacsv.ReadOptions(block_size=BLOCK_BYTES),
                parse_options=_parse(path),
            ).schema.names
        )
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise _damaged(path, error) from None


def _kind(path: Path) -> str:
    suffix = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        raise CorpusError(f"{path}: unknown kind of file; give {FILE}")
    return suffix


def _parse(path: Path) -> pacsv.ParseOptions:
    parted = "\t" if _kind(path).startswith(".tsv") else _separator(path)
    return pacsv.ParseOptions(delimiter=parted, newlines_in_values=True)


def _separator(path: Path) -> str:
    """What parts a .csv's columns: `;` only where its first line holds no comma, as a spreadsheet
    saves it where the comma is decimal; one column alone could not be measured.
    """
    with pa.input_stream(str(path)) as stream:  # .csv.gz is unpacked
        first = stream.read(BLOCK_ROWS).splitlines()[:1]
    return ";" if first and b";" in first[0] and b"," not in first[0] else ","


def _blocks(path: Path, names: Sequence[str]) -> Iterator[dict[str, pa.Array]]:
    """These columns of the file as strings, in blocks of rows; what is missing is the empty one."""
    readers = {".parquet": _parquet_blocks} | dict.fromkeys(LINES, _json_blocks)
    try:
        for block in readers.get(_kind(path), _csv_blocks)(path, names):
            columns = {name: pc.fill_null(block[name].cast(pa.string()), "") for name in names}
            for column in columns.values():
                column.validate(full=True)  # a Parquet file's strings may be no UTF-8
            yield columns
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise _damaged(path, error) from None


def _csv_blocks(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    convert = pacsv.ConvertOptions(
        include_columns=list(names), column_types={name: pa.string() for name in names}
    )
    yield from pacsv.open_csv(
        path,
        read_options=pacsv.ReadOptions(block_size=BLOCK_BYTES),
        parse_options=_parse(path),
        convert_options=convert,
    )


def _parquet_blocks(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=BLOCK_ROWS, columns=list(names))


def _json_blocks(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    rows = enumerate(_json_rows(path), start=1)
    while part := list(islice(rows, BLOCK_ROWS)):
        for number, row in part:
            if lacking := [name for name in names if name not in row]:
                raise CorpusError(
                    f"{path}, row {number}: column {lacking[0]!r} is missing; every row needs it"
                )
        yield pa.RecordBatch.from_pydict(
            {name: [_text(row[name]) for _, row in part] for name in names}
        )


def _text(value: object) -> str:
    # halves of surrogate pairs fit no table
    return "" if value is None else str(value).encode("utf-8", "replace").decode()


def _json_rows(path: Path) -> Iterator[dict[str, object]]:
    with open(path, encoding="utf-8-sig", newline="\n") as file:
        yield from (
            row for _, row in json_lines(file, str(path), like='{"text": "…", "label": "human"}')
        )


def _damaged(path: Path, error: Exception) -> CorpusError:
    reason = first_line(error)
    foreign = isinstance(error, UnicodeError) or "utf8" in reason.lower().replace("-", "")
    if foreign and _kind(path) != ".parquet":  # whose text is never anything else
        return CorpusError(
            f"{path}: its text is not UTF-8, but perhaps Latin-1; save it as UTF-8 (in Excel: CSV"
            " UTF-8)"
        )
    return CorpusError(
        f"{path}: cannot be read as labelled texts: {reason}; repair or export it again"
    )
