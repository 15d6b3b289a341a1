"""Machine texts that somebody has, as files: OpenAI's output dataset, sample files of ours, rows.

    small-117M-k40.train.jsonl    the output dataset's: model, method and split from the name
    rows of .jsonl or .parquet    "text", and where they have them "model", "method", "prompt",
                                  "split" and "source"

Source of the names: https://github.com/openai/gpt-2-output-dataset.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from staged.errors import PlanError
from staged.files.texts import ROWS, read_rows, row_text
from staged.model.sources.releases import released
from staged.notes import note

DATASET = re.compile(
    r"(?P<model>(?:small|medium|large|xl)-(?P<size>\d+M))(?P<method>-k40|-nucleus)?"
    r"\.(?P<split>train|valid|test)\.jsonl"
)
METHODS = {None: "temperature-1", "-k40": "top-k-40", "-nucleus": "nucleus"}
HUMAN_SET = "webtext."
UNKNOWN = "unknown"  # the method of rows that do not say theirs
NEEDED = ("train", "valid", "test")


@dataclass(frozen=True)
class GivenFile:
    """A file of texts, and what its name says of all of them; None where it says nothing."""

    path: Path
    model: str | None = None
    method: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class GivenText:
    """A row.

    Attributes:
        text: without its prompt.
        prompt_cut: the row's text began with its prompt.
        group: what it comes from; rows of one group stay in one split.
        split: as its row or file says it; empty where they do not.
    """

    text: str
    prompt_cut: bool
    group: str
    split: str


def given_files(place: str) -> list[GivenFile]:
    """The files of a folder, or the one file, that hold texts; others are named in a note.

    Raises:
        PlanError: there is no such place, or no such file in it.
    """
    folder = Path(place)
    if not folder.exists():
        raise PlanError(f"samples {place!r}: no such file or folder; give one with sample files")
    paths = [folder] if folder.is_file() else sorted(p for p in folder.rglob("*") if p.is_file())
    kept = [path for path in paths if path.suffix.lower() in ROWS]
    files = [_file(path) for path in kept if not path.name.startswith(HUMAN_SET)]
    _note_passed_over(place, [path.name for path in kept if path.name.startswith(HUMAN_SET)], paths)
    if not files:
        raise PlanError(
            f"samples {place!r}: holds no sample file; they are {', '.join(ROWS)}, with a text a"
            ' row under "text"'
        )
    return files


def _note_passed_over(place: str, human: list[str], paths: list[Path]) -> None:
    if human:
        note(f"samples {place}: {', '.join(human)} left out: human text, which [corpus] reads")
    others = [path.name for path in paths if path.suffix.lower() not in ROWS]
    if others:
        shown = ", ".join(others[:3]) + (f" and {len(others) - 3:,} more" if others[3:] else "")
        note(f"samples {place}: {shown} not read: no {', '.join(ROWS)} file")


def _file(path: Path) -> GivenFile:
    name = DATASET.fullmatch(path.name)
    if name is None:
        return GivenFile(path)
    return GivenFile(path, name["model"], METHODS[name["method"]], name["split"])


def named_alike(wanted: str, model: str) -> bool:
    """Whether a plan's model is the one of a file or row: by its name, or by any name of a released
    size.
    """
    sizes = [released(re.sub(r"^(small|medium|large|xl)-", "", name)) for name in (wanted, model)]
    return wanted == model or (sizes[0] is not None and sizes[0] == sizes[1])


def rows_of(file: GivenFile) -> Iterator[tuple[str, str, GivenText]]:
    """(model, method, text) of each row.

    Raises:
        CorpusError: damaged, or a row without a text; the sentence names it.
        PlanError: a row whose split is not one of a study's.
    """
    for number, row in read_rows(file.path):
        where = f"{file.path}, row {number}"
        whole, prompt = row_text(row, where), _string(row, "prompt")
        begins = bool(prompt) and whole.startswith(prompt)
        split = file.split or _string(row, "split")
        if split not in ("", *NEEDED):
            raise PlanError(f"{where}: split {split!r}; known: {', '.join(NEEDED)}")
        group = _string(row, "source") or prompt or f"{file.path.name}/{number}"
        text = GivenText(whole.removeprefix(prompt) if begins else whole, begins, group, split)
        model = file.model or _string(row, "model") or file.path.stem
        yield model, file.method or _string(row, "method") or UNKNOWN, text


def _string(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def listed(files: list[GivenFile]) -> dict[tuple[str, str], list[GivenFile]]:
    """(model, method) → the files that hold texts of it; a file whose name does not say so is read
    for it.
    """
    kinds: dict[tuple[str, str], list[GivenFile]] = defaultdict(list)
    for file in files:
        if file.model and file.method:
            kinds[file.model, file.method].append(file)
            continue
        for model, method in dict.fromkeys((model, method) for model, method, _ in rows_of(file)):
            kinds[model, method].append(file)
    return dict(kinds)
