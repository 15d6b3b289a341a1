"""Plans: one frozen dataclass per stage, read from TOML, with errors that name the nearest known
key.
"""

from __future__ import annotations

import datetime
import difflib
import math
import tomllib
import types
from collections.abc import Collection, Iterable, Sequence
from dataclasses import MISSING, asdict, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from staged.errors import PlanError

__all__ = [
    "LARGEST",
    "Check",
    "check_each",
    "check_listed",
    "computing",
    "described",
    "describing",
    "determining",
    "from_table",
    "is_folder_name",
    "nearest",
    "over",
    "read_toml",
]

T = TypeVar("T")
Check = tuple[bool, str]  # whether it holds, and else what is wrong
LARGEST = 2**31 - 1  # of a number that counts something: what files and tensors hold
DESCRIBES = {"describes": True}
COMPUTES = {"computes": True}


def describing() -> Any:
    """A key that says something of a plan, or of its text, and determines nothing that is made:
    empty where nothing is said; a TOML date is taken as text.
    """
    return field(default="", metadata=DESCRIBES)


def computing(default: Any) -> Any:
    """A key that says where and in which parts something is computed, not what: results record it
    nowhere, so that what is finished stays valid on another machine.
    """
    return field(default=default, metadata=COMPUTES)


def determining(settings: Any) -> dict[str, Any]:
    """Settings as a table, without the keys that describe, or say how it is computed."""
    table = asdict(settings)
    for option in fields(settings):
        value = getattr(settings, option.name)
        if option.metadata in (DESCRIBES, COMPUTES):
            del table[option.name]
        elif is_dataclass(value):
            table[option.name] = determining(value)
        elif isinstance(value, dict):
            inner = {key: item for key, item in value.items() if is_dataclass(item)}
            table[option.name] |= {key: determining(item) for key, item in inner.items()}
    return table


def described(recorded: dict[str, Any], settings: Any) -> dict[str, Any]:
    """Recorded settings with the keys that describe, as a plan says them now; empty ones are left
    out.
    """
    table = dict(recorded)
    for option in fields(settings):
        value = getattr(settings, option.name)
        if option.metadata == DESCRIBES:
            table.pop(option.name, None)
            table |= {option.name: value} if value else {}
        elif is_dataclass(value) and isinstance(table.get(option.name), dict):
            table[option.name] = described(table[option.name], value)
    return table


def read_toml(path: Path) -> dict[str, Any]:
    """Parse one TOML file.

    Raises:
        PlanError: the file is missing, unreadable or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PlanError(f"{path}: no such file; give the path of a TOML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: cannot be read as a plan: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{path}: not valid TOML: {error}") from None


def over(defaults: dict[str, Any], table: Any, *, where: str) -> dict[str, Any]:
    """A plan's table over what stands in for the keys that it leaves out.

    Raises:
        PlanError: no table.
    """
    if not isinstance(table, dict):
        raise PlanError(f"{where}: must be a table of keys and values, not {table!r}")
    return defaults | table


def from_table(cls: type[T], table: Any, *, where: str) -> T:
    """Build the dataclass `cls` from a TOML table.

    Args:
        table: key → value as tomllib gives them; arrays become tuples.
        where: how errors call this table, such as `my.toml [corpus]`.

    Raises:
        PlanError: no table, an unknown key, a missing one, a value of another type, or a number
            that is none (`nan`, `inf`).
    """
    table = over({}, table, where=where)
    known = {option.name: option for option in fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            raise PlanError(f"{where}: unknown key {key!r}; {nearest(key, known)}")
    for name, option in known.items():
        if name not in table and option.default is MISSING and option.default_factory is MISSING:
            raise PlanError(f"{where}: key {name!r} is missing")
    dates = {
        key: value.isoformat()
        for key, value in table.items()
        if isinstance(value, datetime.date) and known[key].metadata == DESCRIBES
    }
    hints = get_type_hints(cls)
    return cls(
        **{
            key: _convert(value, hints[key], f"{where}: {key}")
            for key, value in (table | dates).items()
        }
    )


def _float(value: int, where: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise PlanError(
            f"{where} must be a finite number, not one of {len(str(abs(value))):,} digits"
        ) from None


def nearest(word: str, known: Any) -> str:
    """`did you mean 'x'?` when something known is close, else the list of what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"


def check_each(checks: Iterable[Check], *, where: str) -> None:
    """Refuse at the first check that does not hold; they are asked for one by one, so that a later
    one may rest on those before it.

    Raises:
        PlanError: one does not hold.
    """
    for holds, fault in checks:
        if not holds:
            raise PlanError(f"{where}: {fault}")


def is_folder_name(name: str) -> bool:
    """Whether a name can be a folder's: one plain, printable name."""
    return Path(name).name == name and name not in ("", ".", "..") and name.isprintable()


def check_listed(names: Sequence[Any], *, where: str, known: Collection[str] = ()) -> None:
    """Refuse an empty list, one that names something twice and, where it is said what is known, a
    name that is not.

    Raises:
        PlanError: the list is one of these.
    """
    if not names or len(set(names)) != len(names):
        raise PlanError(f"{where} must list at least one, each once, not {list(names)}")
    for name in names if known else ():
        if name not in known:
            raise PlanError(f"{where}: unknown {name!r}; {nearest(name, known)}")


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        hint = next(arg for arg in args if arg is not type(None))
        return None if value is None else _convert(value, hint, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(item, args[0], where) for item in value)
    if origin is dict and isinstance(value, dict):
        return {key: _convert(item, args[1], f"{where}.{key}") for key, item in value.items()}
    # it would pass, or fail, every comparison
    if isinstance(value, float) and not math.isfinite(value):
        raise PlanError(f"{where} must be a finite number, not {value}")
    if hint is float and type(value) is int:
        return _float(value, where)
    if (
        hint is not Any
        and isinstance(hint, type)
        and isinstance(value, hint)
        and type(value) is not bool
    ):
        return value
    if type(value) is not hint:
        wanted = (
            "a list"
            if origin is tuple
            else "a table"
            if origin is dict
            else f"of type {hint.__name__}"
        )
        raise PlanError(f"{where} must be {wanted}, not {value!r}")
    return value
