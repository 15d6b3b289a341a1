"""The human text of OpenAI's output dataset, as it was published: in files a split, a text a row.

Source: https://github.com/openai/gpt-2-output-dataset.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from staged.errors import CorpusError
from staged.files.texts import read_file
from staged.records import HUMAN, Document

WEBTEXT = "webtext"  # as a plan calls it, wherever it lies
SPLITS = ("train", "valid", "test")


def published_files(source: str) -> dict[str, Path]:
    """Split → file, where a folder holds the dataset's human text; empty of any other place.

    Raises:
        CorpusError: one of the three files is not there.
    """
    folder = Path(source)
    if not source.strip() or not folder.is_dir():
        return {}
    names = {split: f"{WEBTEXT}.{split}.jsonl" for split in SPLITS}
    files = {split: min(folder.rglob(name), default=None) for split, name in names.items()}
    there = {split: file for split, file in files.items() if file is not None}
    lacking = [names[split] for split in SPLITS if split not in there]
    if there and lacking:
        raise CorpusError(
            f"{source}: has no {', '.join(lacking)}; the human text of the output dataset is"
            f" {', '.join(names.values())}"
        )
    return there


def published_documents(files: Mapping[str, Path]) -> list[Document]:
    """A document a row, whole and marked with its split, without the white space before it."""
    return [
        Document(
            f"{file.name}:{row.number}",
            row.text.lstrip(),
            HUMAN,
            f"{file.name}:{row.number}",
            split,
        )
        for split, file in files.items()
        for row in read_file(file)
    ]


def check_webtext(source: str) -> None:
    """Say what to give where a plan's human text is the dataset's and nobody has said where it is.

    Raises:
        CorpusError: that is so.
    """
    if source == WEBTEXT and not Path(source).exists():
        raise CorpusError(
            f"corpus {WEBTEXT!r}: OpenAI's human text does not ship with staged; give a folder of"
            " the output dataset's files by --samples, or the human text alone by --corpus: that"
            " folder, or any other text"
        )
