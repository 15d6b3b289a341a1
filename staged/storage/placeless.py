"""What published records call a model, a text or a folder: by its name, never by where it lies on
somebody's machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

__all__ = ["SERVED", "is_place", "named", "place_name"]

# of the hub: a name, though it has a slash
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
WINDOWS = re.compile(r"[A-Za-z]:[\\/]|.*\\")
# a model behind a server, whose address is nobody else's business; its name may hold an @ itself
SERVED = re.compile(r"openai:(?P<name>.*?)@(?P<url>(?i:https?)://.*)", re.DOTALL)
# keys under which our records, and transformers', say a model, a text or a folder
KEYS = {
    "_name_or_path",
    "also_calibrate",
    "base",
    "base_model_name_or_path",
    "corpus",
    "first",
    "held_out",
    "human",
    "init",
    "model",
    "models",
    "name_or_path",
    "scorer",
    "samples",
    "second",
    "sentences",
    "texts",
    "tokenizer",
    "tokenizer_file",
}
# a `source` elsewhere is whose method or word list it is
# and `file` is a text's where it stands at the top
TABLES = {("corpus", "source"), ("style_corpus", "source"), ("", "file")}
STYLES = "styles"  # a table of name → text
# of texts, mostly paths from the corpus's own folder, which is what leaks are found by; others get
# names
IDS = "sources"


def place_name(place: str) -> str:
    """`speeches` of `/home/me/speeches/`, `../speeches` and `C:\\texts\\speeches`; `NAME` of
    `openai:NAME@URL`; a name, also one of the hub, as it is.
    """
    if served := SERVED.fullmatch(place):
        return served["name"]
    if not is_place(place):
        return place
    pure = PureWindowsPath(place) if WINDOWS.match(place) else PurePosixPath(place)
    return pure.name if pure.name not in ("", ".", "..", "~") else Path(place).resolve().name


def is_place(text: str) -> bool:
    """Whether a text says where something lies, rather than what it is called."""
    if SERVED.fullmatch(text):
        return True
    if "\n" in text or re.match(r"\w+://(?!/)", text):  # words, or an address
        return False
    if (
        text.startswith(("/", "~", "file:", "./", "../"))
        or text in (".", "..")
        or WINDOWS.match(text)
    ):
        return True
    return "/" in text and (not REPOSITORY.fullmatch(text) or Path(text).exists())


def _is_here(place: str) -> bool:
    """Whether a place is one of this machine's, whatever key it stands under; `/tmp` is
    anybody's.
    """
    path = Path(place)
    with suppress(OSError):  # longer than a path can be
        return path.is_absolute() and len(path.parts) > 2 and path.exists()
    return False


def named(record: Any, replaced: dict[str, str] | None = None, *, owners: bool = True) -> Any:
    """A record of JSON values with names where it says places; everything else as it is.

    Args:
        replaced: receives place → name of what was replaced.
        owners: whether `owner/name` is a name of the hub's; else the folder of a model, which goes
            by its name.
    """
    return _named(record, ("", ""), {} if replaced is None else replaced, owners)


def _named(record: Any, at: tuple[str, str], replaced: dict[str, str], owners: bool) -> Any:
    """Args: at: the keys of the table around it, and its own."""
    if isinstance(record, Mapping):
        return {
            key: _named(value, (at[1], at[1] if at[1] == STYLES else key), replaced, owners)
            for key, value in record.items()
        }
    if isinstance(record, list | tuple):
        return [_named(item, at, replaced, owners) for item in record]
    if not isinstance(record, str):
        return record
    if (not owners and at[1] in KEYS and REPOSITORY.fullmatch(record)) or (
        at in TABLES and "/" in record and not re.match(r"\w+://", record)
    ):
        replaced[record] = PurePosixPath(record).name
    elif is_place(record) and (
        at[1] in KEYS
        or at[1] == STYLES
        or at in TABLES
        or (at[1] == IDS and Path(record).is_absolute())
        or _is_here(record)
    ):
        replaced[record] = place_name(record)
    return replaced.get(record, record)
