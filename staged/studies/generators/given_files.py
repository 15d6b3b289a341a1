"""Machine texts that somebody has, as files: OpenAI's output dataset, sample files of ours, rows.

    small-117M-k40.train.jsonl    the output dataset's: model, method and split from the name
    train.parquet                 of a folder as studies keep their samples: the split
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

from staged.corpus.published import WEBTEXT
from staged.errors import PlanError
from staged.files.texts import ROWS, read_rows, row_text
from staged.model.sources.releases import BUCKET, released
from staged.model.sources.served import parse_served
from staged.notes import note
from staged.settings import is_folder_name
from staged.studies.models import short_name
from staged.studies.texts import SPLITS

DATASET = re.compile(
    r"(?P<model>(?:small|medium|large|xl)-(?P<size>\d+M))(?P<method>-k40|-nucleus)?"
    r"\.(?P<split>train|valid|test)\.jsonl"
)
METHODS = {None: "temperature-1", "-k40": "top-k-40", "-nucleus": "nucleus"}
HUMAN_SET = f"{WEBTEXT}."
UNFINISHED = (".blocks", ".partial")  # folders of a run that has not ended
UNKNOWN = "unknown"  # the method of rows that do not say theirs


@dataclass(frozen=True)
class GivenFile:
    """A file of texts, and what its name says of all of them; None where it says nothing.

    Attributes:
        name: below the folder that was given.
    """

    path: Path
    name: str
    model: str | None = None
    method: str | None = None
    split: str | None = None

    @property
    def is_published(self) -> bool:
        """Whether it is one of the output dataset's, by its name."""
        return DATASET.fullmatch(self.path.name) is not None


@dataclass(frozen=True, slots=True)
class GivenText:
    """A row.

    Attributes:
        text: without its prompt, and without the white space before it, which human texts lack.
        prompt_cut: the row's text began with its prompt.
        group: what it comes from; rows of one group stay in one split.
        split: as its row or file says it; empty where they do not.
    """

    text: str
    prompt_cut: bool
    group: str
    split: str


@dataclass(frozen=True)
class GivenTexts:
    """Which files hold texts of which model by which method."""

    kinds: Mapping[tuple[str, str], tuple[GivenFile, ...]]

    @property
    def models(self) -> tuple[str, ...]:
        """In the order of the files."""
        return tuple(dict.fromkeys(model for model, _ in self.kinds))

    def methods(self, models: tuple[str, ...]) -> tuple[str, ...]:
        """By which there are texts of any of these models."""
        return tuple(
            dict.fromkeys(
                method
                for held, method in self.kinds
                if any(named_alike(model, held) for model in models)
            )
        )

    def of(self, model: str, method: str) -> tuple[GivenFile, ...]:
        """The files that hold a model's texts by a method."""
        several = (
            files
            for (held, how), files in self.kinds.items()
            if how == method and named_alike(model, held)
        )
        return tuple(dict.fromkeys(file for files in several for file in files))

    @property
    def undealt(self) -> tuple[GivenFile, ...]:
        """The files whose names do not say the split."""
        files = (file for several in self.kinds.values() for file in several)
        return tuple(dict.fromkeys(file for file in files if file.split is None))


NOTHING = GivenTexts({})


def read_given(place: str) -> GivenTexts:
    """What a folder, or one file, holds; files that are passed over are named in a note.

    Raises:
        PlanError: there is no such place, no such file in it, or a row that cannot be used.
        CorpusError: a file that is damaged, or a row without a text; the sentence names it.
    """
    kinds: dict[tuple[str, str], list[GivenFile]] = defaultdict(list)
    for file in given_files(place):
        if file.model and file.method:
            kinds[file.model, file.method].append(file)
            continue
        for kind in dict.fromkeys((model, method) for model, method, _ in rows_of(file)):
            kinds[kind].append(file)
    if not kinds:
        raise PlanError(f"samples {place!r}: its files hold no row; give some with texts")
    return GivenTexts({kind: tuple(files) for kind, files in kinds.items()})


def given_files(place: str) -> list[GivenFile]:
    """The files of a folder, or the one file, that hold texts.

    Raises:
        PlanError: there is no such place, or no such file in it.
    """
    folder = Path(place)
    if not folder.exists():
        raise PlanError(f"samples {place!r}: no such file or folder; give one with sample files")
    paths = [folder] if folder.is_file() else sorted(p for p in folder.rglob("*") if p.is_file())
    kept = [path for path in paths if path.suffix.lower() in ROWS and not _is_unfinished(path)]
    _note_passed_over(place, paths, kept)
    root = folder.parent if folder.is_file() else folder
    files = [
        _file(path, path.relative_to(root).as_posix())
        for path in kept
        if not path.name.startswith(HUMAN_SET)
    ]
    if not files:
        raise PlanError(
            f"samples {place!r}: holds no sample file; they are {', '.join(ROWS)}, with a text a"
            ' row under "text"'
        )
    return files


def _is_unfinished(path: Path) -> bool:
    return any(part.endswith(UNFINISHED) for part in path.parts)


def _note_passed_over(place: str, paths: list[Path], kept: list[Path]) -> None:
    human = [path.name for path in kept if path.name.startswith(HUMAN_SET)]
    if human:
        note(f"samples {place}: {', '.join(human)} left out: human text, which [corpus] reads")
    others = [path.name for path in paths if path not in kept]
    if others:
        shown = ", ".join(others[:3]) + (f" and {len(others) - 3:,} more" if others[3:] else "")
        note(f"samples {place}: {shown} not read: no finished {', '.join(ROWS)} file")


def _file(path: Path, name: str) -> GivenFile:
    known = DATASET.fullmatch(path.name)
    if known is None:
        return GivenFile(path, name, split=path.stem if path.stem in SPLITS else None)
    return GivenFile(path, name, known["model"], METHODS[known["method"]], known["split"])


def named_alike(wanted: str, model: str) -> bool:
    """Whether a plan's model is the one of a file or row: by its name, or by any name of a released
    size.
    """
    names = [short_name(wanted), short_name(model)]
    sizes = [released(re.sub(r"^(small|medium|large|xl)-", "", name)) for name in names]
    return names[0] == names[1] or (sizes[0] is not None and sizes[0] == sizes[1])


def rows_of(file: GivenFile) -> Iterator[tuple[str, str, GivenText]]:
    """(model, method, text) of each row.

    Raises:
        CorpusError: damaged, or a row without a text; the sentence names it.
        PlanError: a row whose split, model or method a study cannot have.
    """
    for number, row in read_rows(file.path):
        where = f"{file.path}, row {number}"
        whole, prompt = row_text(row, where), _string(row, "prompt")
        begins = bool(prompt) and whole.startswith(prompt)
        split = file.split or _string(row, "split")
        if split not in ("", *SPLITS):
            raise PlanError(f"{where}: split {split!r}; known: {', '.join(SPLITS)}")
        text = whole.removeprefix(prompt) if begins else whole
        group = _string(row, "source") or prompt or f"{file.name}/{number}"
        model = _row_model(file.model or _string(row, "model") or file.path.stem)
        method = file.method or _string(row, "method") or UNKNOWN
        for key, value in (("model", model), ("method", method)):
            check_folder_name(value, f"{where}: {key}")
        yield model, method, GivenText(text.lstrip(), begins, group, split)


def _row_model(model: str) -> str:
    """What a study calls a row's model; a server's is `openai:NAME` in sample files."""
    return short_name(model if parse_served(model) else model.removeprefix(BUCKET))


def check_folder_name(name: str, where: str) -> None:
    """Refuse a name that cannot be a folder's in a study.

    Raises:
        PlanError: it is not one plain name.
    """
    if not is_folder_name(name):
        raise PlanError(f"{where} {name!r} cannot be a folder's name; choose letters and digits")


def _string(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""
