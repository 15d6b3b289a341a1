"""The bytes that go out: copies, but with names where records say where something lies, and none
that hold a secret.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any, BinaryIO

from staged.detectors.catalog import CALIBRATION, CALIBRATION_OF_WORDS
from staged.errors import ArtifactError, ReleaseError
from staged.release.package.leaks import leaks_in, places_of, secrets_in
from staged.storage.placeless import named

__all__ = ["check_leaks", "check_said", "without_places"]

CALIBRATIONS = (CALIBRATION, CALIBRATION_OF_WORDS)
# JSON that is no record: vocabularies, and what a detector is
NO_RECORDS = (
    "tokenizer.json",
    "vocab.json",
    "encoder.json",
    "added_tokens.json",
    "terms.json",
    "evidence.json",
    *CALIBRATIONS,
)
VOCABULARIES = (
    *NO_RECORDS[:5],
    "vocab.txt",
    "merges.txt",
    "vocab.bpe",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
TEXTS = (".html", ".json", ".csv")
EVIDENCE = ("study/", "bias/", "survey/", "finetune/")
# these call models as they were given; cards and gates know them by the last part, as studies do
PROBES = ("bias/", "survey/")
MOST_NAMED = 5


def without_places(parts: Mapping[str, Path]) -> dict[str, bytes]:
    """Path in the package → bytes, of records that say where models and texts lie on this machine.

    Raises:
        ArtifactError: a record is damaged.
    """
    replaced: dict[str, str] = {}
    records = {
        name: named(_json(path), replaced, owners=not name.startswith(PROBES))
        for name, path in parts.items()
        if _is_record(name)
    }
    changed: dict[str, bytes] = {}
    for name, path in parts.items() if replaced else ():
        if name in records and records[name] != _json(path):
            text = json.dumps(records[name], indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        elif name.startswith(EVIDENCE) and path.suffix in TEXTS:
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
        else:
            continue
        changed[name] = _said_by_name(text, replaced).encode("utf-8", "surrogateescape")
    return changed


def check_leaks(
    parts: Mapping[str, Path], changed: Mapping[str, bytes], folders: Iterable[Path]
) -> None:
    """Read every file that goes out, whole, for secrets and for paths of this machine.

    Args:
        parts: path in the package → file.
        changed: bytes that go out in the place of some.
        folders: of this machine, whose paths nobody else needs.

    Raises:
        ReleaseError: there are some; the sentence says where and of what kind, not what.
    """
    places, leaks = places_of(folders), []
    for name, path in parts.items():
        with io.BytesIO(changed[name]) if name in changed else open(path, "rb") as file:
            leaks += [
                f"{path}{f':{line}' if line else ''}: {what}"
                for line, what in _leaks(name, file, places)
            ]
    if leaks:
        more = f" (and {len(leaks) - MOST_NAMED} more)" if len(leaks) > MOST_NAMED else ""
        raise ReleaseError(
            f"not to be published: {'; '.join(leaks[:MOST_NAMED])}{more}; take it out and run this"
            " again; a secret that others may have seen has to be revoked too"
        )


def check_said(words: str, where: str) -> None:
    """Refuse a secret in what a person says to be published.

    Raises:
        ReleaseError: there is one.
    """
    if secrets := secrets_in(words):
        raise ReleaseError(f"{where}: holds {secrets[0]}, and is published; say it without")


def _leaks(name: str, file: BinaryIO, places: list[str]) -> Iterable[tuple[int, str]]:
    """Tokens may be called like a folder; a calibration is written anew (`calibrated.py`)."""
    return leaks_in(name, file, () if Path(name).name in (*VOCABULARIES, *CALIBRATIONS) else places)


def _is_record(name: str) -> bool:
    return (
        name.endswith(".json")
        and not name.endswith(".index.json")
        and Path(name).name not in NO_RECORDS
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(
            f"{path}: damaged: {error}; make it again, as it is to be published"
        ) from None


def _said_by_name(text: str, replaced: Mapping[str, str]) -> str:
    """Also inside sentences and pages; the longest first, as one place may lie in another."""
    for place in sorted(replaced, key=len, reverse=True):
        for form in {place, escape(place), json.dumps(place)[1:-1]}:
            text = re.sub(
                rf"(?<![\w./-]){re.escape(form)}(?![\w-])",
                replaced[place].replace("\\", r"\\"),
                text,
            )
    return text
