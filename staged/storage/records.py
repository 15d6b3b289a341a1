"""Records: frozen dataclasses as JSON files, by the types of their fields.

    dataclass       an object, one key a field      tuple, Sequence     a list, read as a tuple
    dict, Mapping   an object, read as a dict       None                null

    read_record(path, type(value)) == value     after write_record(path, value)

Versions read each other's files. A key that no field names is passed over, since a newer version
may have written it; a field with the metadata OTHERS, a dictionary, keeps such keys. A field whose
key is missing takes its default, since an older version may have left it out; one with the metadata
LATER is left out again where it is None. What else does not fit is one sentence.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from staged.errors import ArtifactError, StagedError
from staged.storage.forms import Form
from staged.storage.json_files import read_json, write_json

__all__ = ["LATER", "OTHERS", "from_json", "read_record", "to_json", "write_record"]

T = TypeVar("T")
AGAIN = "make it again"
LATER = {"later": True}
OTHERS = {"others": True}  # metadata of a field that keeps the keys which no other field names
PLAIN = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


def write_record(path: Path, value: Any, *, form: Form | None = None) -> None:
    """A record, or a tuple or dictionary of records, as `write_json` writes JSON.

    Raises:
        ArtifactError: a file stands there that is not ours.
    """
    write_json(path, to_json(value), form=form)


def read_record(path: Path, kind: type[T], *, again: str = AGAIN) -> T:
    """Read what `write_record` wrote.

    Args:
        kind: the record's class, or a type made of records such as `tuple[Row, ...]`.
        again: what to do about a file that does not fit, for the sentence of the error.

    Raises:
        ArtifactError: missing, no JSON, or not such a record; the sentence names the place in it.
    """
    return from_json(kind, read_json(path), where=str(path), again=again)


def to_json(value: Any) -> Any:
    """A record as JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        table: dict[str, Any] = {}
        for field in fields(value):
            item = to_json(getattr(value, field.name))
            if item is not None or field.metadata != LATER:
                table |= item if field.metadata == OTHERS else {field.name: item}
        return table
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    return [to_json(item) for item in value] if isinstance(value, tuple | list) else value


def from_json(kind: type[T], value: Any, *, where: str, again: str = AGAIN) -> T:
    """A record from JSON values; a whole number may stand for any number, and stays one.

    Args:
        where: how the error calls the file.

    Raises:
        ArtifactError: the values are not such a record.
    """
    try:
        return cast(T, _record(kind, value, ""))
    except (_MisfitError, StagedError) as misfit:  # the second where a class refuses its own values
        raise ArtifactError(
            f"{where}: is damaged, or of another version of staged: {misfit}; {again}"
        ) from None


class _MisfitError(Exception):
    """What does not fit, and where."""


def _record(kind: Any, value: Any, at: str) -> Any:
    """`at`: the place in the file, such as `.rows[3].n`."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        inner = next(arg for arg in args if arg is not type(None))
        return None if value is None else _record(inner, value, at)
    if origin in (tuple, Sequence):
        return _tuple(args if origin is tuple else (*args, ...), value, at)
    if origin in (dict, Mapping):
        return {key: _record(args[1], item, f"{at}.{key}") for key, item in _object(value, at)}
    if is_dataclass(kind):
        return _dataclass(kind, dict(_object(value, at)), at)
    if kind is not Any and not _is_plain(kind, value):
        raise _MisfitError(f"{_place(at)} is not {PLAIN[kind]}")
    return value


def _tuple(args: tuple[Any, ...], value: Any, at: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _MisfitError(f"{_place(at)} is not a list")
    kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
    if len(kinds) != len(value):
        raise _MisfitError(f"{_place(at)} does not hold {len(kinds)} values")
    return tuple(
        _record(kind, item, f"{at}[{i}]")
        for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _dataclass(kind: Any, table: dict[str, Any], at: str) -> Any:
    values = {}
    for field, hint in _fields_of(kind):
        if field.metadata == OTHERS:
            names = {other.name for other, _ in _fields_of(kind)}
            values[field.name] = {key: item for key, item in table.items() if key not in names}
        elif field.name in table:
            values[field.name] = _record(hint, table[field.name], f"{at}.{field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise _MisfitError(f"{_place(at)} has no {field.name!r}")
    return kind(**values)


@cache
def _fields_of(kind: Any) -> list[tuple[Field[Any], Any]]:
    hints = get_type_hints(kind)
    return [(field, hints[field.name]) for field in fields(kind)]


def _object(value: Any, at: str) -> Any:
    if not isinstance(value, dict):
        raise _MisfitError(f"{_place(at)} is not an object")
    return value.items()


def _is_plain(kind: Any, value: Any) -> bool:
    return type(value) is kind or (kind is float and type(value) is int)


def _place(at: str) -> str:
    return at.removeprefix(".") or "it"
