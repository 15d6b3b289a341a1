"""The report is a picture of the JSON beside it: what is there is shown, what is missing is blank,
what is odd is escaped.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from staged.cells import Cell
from staged.errors import ArtifactError
from staged.storage.json_files import read_json
from staged.storage.records import to_json
from staged.studies.detection.report.page import write_report
from tests.conftest import put_json

SIZES, METHODS = ("small<1>", "large"), ("temperature-1", "top-k-40")
COMPARISON = {
    **{
        "what": "a beats b",
        "cell_a": "a",
        "cell_b": "b",
        "n_pairs": 20,
        "only_a": 3,
        "only_b": 1,
        "difference": 0.1,
    },
    **{
        "difference_low": -0.1,
        "difference_high": 0.3,
        "p": 0.6,
        "p_holm": 0.6,
        "verdict": "not enough evidence",
    },
}


def cell(
    trained_on: str, trained_method: str, tested_on: str, tested_method: str, **changed: Any
) -> dict[str, Any]:
    names = {
        "trained_on": trained_on,
        "trained_method": trained_method,
        "tested_on": tested_on,
        "tested_method": tested_method,
    }
    key = f"tfidf/{trained_on}/{trained_method}/{tested_on}/{tested_method}/64"
    rates = {
        "accuracy": 0.731,
        "accuracy_low": 0.6,
        "accuracy_high": 0.8,
        "auroc": 0.82,
        "auroc_low": 0.8,
        "auroc_high": 0.9,
    }
    none = dict.fromkeys(name for name in Cell.__dataclass_fields__ if "fpr" in name)
    return {
        "id": key,
        "detector": "tfidf",
        **names,
        "length_tokens": 64,
        "n_human": 10,
        "n_machine": 10,
        **rates,
        **none,
        **changed,
    }


class Reader(HTMLParser):
    """Checks that tags nest and that nothing is loaded from elsewhere."""

    VOID = ("meta", "link", "input", "br", "hr", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open_tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not [
            value
            for name, value in attrs
            if name in ("src", "srcset") or (name == "href" and (value or "#")[0] != "#")
        ]
        if tag not in self.VOID:
            self.open_tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished study's JSON, of two sizes and two methods, in which one cell was not measured."""
    trained = (*METHODS, "mix")
    cells = [cell(a, m, b, n) for a in SIZES for m in trained for b in SIZES for n in METHODS]
    cells = [one for one in cells if one["id"] != "tfidf/large/top-k-40/small<1>/top-k-40/64"]
    put_json(tmp_path / "cells.json", cells)
    put_json(
        tmp_path / "lengths.json",
        [cell(a, "mix", a, n, length_tokens=t) for a in SIZES for n in METHODS for t in (32, 64)],
    )
    finding = {
        "claim": "Larger is harder.",
        "test": "a minus b",
        "verdict": "not enough evidence",
        "comparisons": [COMPARISON],
    }
    put_json(tmp_path / "findings.json", {"findings": [finding], "neighbours": [COMPARISON]})
    texts = [{"model": "", "method": "", "id": "h1", "text": "A <b>bold</b> & human passage."}]
    texts += [
        {"model": size, "method": name, "id": "m1", "text": "machine"}
        for size in SIZES
        for name in METHODS
    ]
    put_json(tmp_path / "gallery.json", texts)
    settings = {
        "title": "Two <sizes>",
        "models": SIZES,
        "methods": METHODS,
        "detectors": ["tfidf"],
        "n_test": 10,
        "seed": 1,
    }
    settings |= {"length_tokens": 64, "corpus": {"source": "sotu"}}
    removed = {"verbatim": 1, "near": 0, "verbatim_across_splits": 0, "near_across_splits": 0}
    shapes = {"parameters": 1000, "layers": 2, "width": 8, "valid_loss_nats_per_token": None}
    share = {
        "text": "human",
        "method": "",
        "share": None,
        "share_low": None,
        "share_high": None,
        "texts": 10,
        "runs": 90,
    }
    facts = {"settings": settings, "versions": {"commit": "0" * 40}, "copying": [share]}
    facts |= {"corpus": {"passages": {"test": 10}, "sources": {"test": 3}, "removed": removed}}
    put_json(
        tmp_path / "study.json", facts | {"models": [{"name": size} | shapes for size in SIZES]}
    )
    return tmp_path


def page(folder: Path) -> str:
    write_report(folder)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_unmeasured_cells_are_blank_and_measured_ones_are_shown(folder: Path) -> None:
    html = page(folder)
    by_size = re.findall(r'<table class="heat show-accuracy">.*?</table>', html, re.DOTALL)[
        1
    ]  # top-k-40
    assert by_size.count("73.1") == 3
    assert by_size.count('class="blank"') == 1
    assert ">0.0" not in by_size


def test_text_and_names_are_escaped(folder: Path) -> None:
    html = page(folder)
    assert "A &lt;b&gt;bold&lt;/b&gt; &amp; human passage." in html
    assert "small<1>" not in html


def test_one_well_formed_file_that_loads_nothing(folder: Path) -> None:
    reader = Reader()
    reader.feed(page(folder))
    assert [tag for tag in reader.open_tags if tag not in ("p", "li")] == []


def test_a_changed_cell_changes_the_page(folder: Path) -> None:
    assert "12.3" not in page(folder)
    cells = read_json(folder / "cells.json")
    cells[0]["accuracy"] = 0.123
    put_json(folder / "cells.json", cells)
    assert "12.3" in page(folder)


def test_a_study_of_another_version_is_one_sentence_and_keeps_the_old_page(folder: Path) -> None:
    before = page(folder)
    facts = read_json(folder / "study.json")
    del facts["copying"][0]["share_low"]
    facts["copying"][0]["share"] = 0.1
    put_json(folder / "study.json", facts)
    with pytest.raises(ArtifactError, match="another version"):
        write_report(folder)
    assert (folder / "report.html").read_text(encoding="utf-8") == before


def test_no_cells_is_said(folder: Path) -> None:
    put_json(folder / "cells.json", [])
    with pytest.raises(ArtifactError, match="holds no cell"):
        write_report(folder)


def test_cell_has_every_field(folder: Path) -> None:
    row = Cell(**read_json(folder / "cells.json")[0])
    assert set(to_json(row)) == set(cell("a", "b", "c", "d"))


def describe(folder: Path, **corpus: str) -> str:
    """The page of a study whose plan says these things of its human text, and who made it when."""
    facts = read_json(folder / "study.json")
    facts["settings"] |= {"author": "A <b> Writer", "date": "2026-11-30"}
    facts["settings"]["corpus"] |= corpus
    put_json(folder / "study.json", facts)
    return page(folder)


def test_what_a_study_says_of_itself_is_shown_and_escaped(folder: Path) -> None:
    write_report(folder)
    html = describe(
        folder, title="Speeches & <i>", licence="CC <0>", url="https://example.org/?a=1&b=2"
    )
    assert "A &lt;b&gt; Writer · 2026-11-30" in html
    assert "Speeches &amp; &lt;i&gt; (<code>sotu</code>), CC &lt;0&gt;" in html
    assert '<a href="https://example.org/?a=1&amp;b=2" rel="noreferrer">' in html
    assert not {"<b> Writer", "<i>", "<0>"} & set(re.findall(r"<[^>]*>[^<]*", html))


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        " javascript:alert(1)",
        "JavaScript://example.org/%0aalert(1)",
        "data:text/html,hello",
        "//example.org",
        "file:///etc/hosts",
        "https:",
        "https://[",
    ],
)
def test_only_a_web_address_becomes_a_link(folder: Path, url: str) -> None:
    html = describe(folder, url=url)
    assert {link[0] for link in re.findall(r'href="([^"]*)"', html)} == {"#"}
    assert url.strip() in html


def test_a_study_that_says_nothing_of_itself(folder: Path) -> None:
    html = page(folder)
    assert "Human text: sotu." in html
    assert "None" not in html


def test_names_do_not_break_and_are_copied_as_they_are(folder: Path) -> None:
    html = page(folder)
    assert '<span class="name">top-k-40</span>' in html
    assert "\u2011" not in html  # a hyphen that no search finds
    assert re.search(r"\.name { white-space: nowrap; }", html)


def test_every_cell_has_its_n_without_a_pointer(folder: Path) -> None:
    facts = read_json(folder / "cells.json")
    html = page(folder)
    shown = re.findall(r'<td class="h\d+" title="[^"]*">.*?</td>', html)
    assert len(shown) > len(facts)  # by size and by method
    assert all('<small class="untouched">10+10</small>' in one for one in shown)
    assert "@media (max-width: 40rem), (hover: none), print" in html


def test_findings_have_their_counts(folder: Path) -> None:
    findings = read_json(folder / "findings.json")
    verdicts = ("as claimed", "not enough evidence", "the other way", "the other way")
    findings["findings"][0]["comparisons"] = [COMPARISON | {"verdict": one} for one in verdicts]
    put_json(folder / "findings.json", findings)
    assert "1 of 4 comparisons as claimed, 2 the other way." in page(folder)
    findings["findings"][0]["comparisons"] = [COMPARISON]
    put_json(folder / "findings.json", findings)
    assert "0 of 1 comparisons as claimed." in page(folder)


def test_too_few_valid_texts_are_said_first(folder: Path) -> None:
    """No cell of this study has a rate."""
    facts = read_json(folder / "study.json")
    row = {"detector": "tfidf", "trained_on": SIZES[0], "trained_method": "mix", "n_human": 20}
    facts["thresholds"] = [row | {"best": 0.5, "fpr_1": None, "fpr_5": 0.25}]
    put_json(folder / "study.json", facts)
    text = " ".join(re.sub(r"<[^>]+>", "", page(folder)).split())
    assert "Not enough evidence for one: a false-positive rate of 1% takes 99" in text
    assert "there are 20." in text
    assert "no threshold is certified" in text
    assert "AUROC 82.0% [80.0, 90.0] on" in text


def test_a_certified_threshold_is_given(folder: Path) -> None:
    rates = {"tpr_at_fpr_1": 0.5, "tpr_at_fpr_1_low": 0.3, "tpr_at_fpr_1_high": 0.7, "fpr_1": 0.2}
    rates |= {name.replace("_1", "_5"): value for name, value in rates.items()}
    put_json(folder / "cells.json", [one | rates for one in read_json(folder / "cells.json")])
    facts = read_json(folder / "study.json")
    row = {"detector": "tfidf", "trained_on": SIZES[0], "trained_method": "mix", "n_human": 250}
    facts["thresholds"] = [row | {"best": 0.5, "fpr_1": 0.8125, "fpr_5": 0.25}]
    put_json(folder / "study.json", facts)
    text = " ".join(re.sub(r"<[^>]+>", "", page(folder)).split())
    assert "A score above 0.8125, which at most 1% of human texts" in text
    assert "chosen on 250 human valid texts" in text
    assert "Not distinguishable there: tfidf/large/mix." in text
    assert (
        "20.0% [5.7, 51.0] of human test texts are called machine-written (n = 10), which" in text
    )


def test_sizes_that_contradict_the_plans_order_are_said(folder: Path) -> None:
    assert "The plan’s order is not that" not in page(folder)
    facts = read_json(folder / "study.json")
    facts["models"][0]["parameters"] = 10**9
    put_json(folder / "study.json", facts)
    assert "The plan’s order is not that" in page(folder)


def test_control_characters_do_not_get_into_the_page(folder: Path) -> None:
    gallery = read_json(folder / "gallery.json")
    gallery[0]["text"] = "a\x00b\x08c"
    put_json(folder / "gallery.json", gallery)
    html = page(folder)
    assert "a\ufffdb\ufffdc" in html
    assert "\x00" not in html
