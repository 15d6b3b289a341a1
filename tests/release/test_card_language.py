"""What a card says of the language model itself: how it is loaded, what it writes, what texts cost
it, how it was trained; in tables and fences that no text breaks.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import ArtifactError, PlanError
from staged.model.bpe import BPE
from staged.release.advance import advance
from staged.release.card.card import card_of
from staged.release.card.detector import detector_card
from staged.release.card.markdown import code, fenced, html_of, in_table, plain
from staged.release.card.paragraphs import Words
from staged.release.card.read_measured import read_evidence
from staged.release.card.render import card_html, card_markdown, detector_markdown
from staged.release.package.verify import verify
from staged.release.plan import read_release
from staged.storage.json_files import read_json
from staged.storage.records import to_json
from tests.conftest import put_json
from tests.model.llamas import write_llama
from tests.release.conftest import (
    DATE,
    PUBLISHED,
    WRITTEN,
    write_bias,
    write_quality,
    write_study,
    write_survey,
)

WIDEST = 5  # columns of a table in the hub's page
LONGEST_WORD = 14  # letters of a number or a title's word, which does not break
HOSTILE = (
    "```\n</code></pre><script>alert(1)</script>\n~~~\n# Heading\n<!-- \n| a | b |\n---\n"
    "[x](javascript:alert(1)) ![y](z) &lt; $$x$$ `````` \x00 \u2028 end"
)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study")


def blocks(markdown: str, language: str) -> list[str]:
    """The fenced blocks of a card in this language."""
    tokens = MarkdownIt().parse(markdown)
    return [token.content for token in tokens if token.type == "fence" and token.info == language]


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_cards_commands_load_and_sample_a_packaged_model(
    family: str,
    plan: Callable[..., Path],
    tmp_path: Path,
    bpe: BPE,
    keys: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = plan()
    if family == "llama":
        shutil.rmtree(tmp_path / "weights")
        write_llama(tmp_path / "weights", bpe)
    package = advance(read_release(path), tmp_path / "out", private=keys[0], date=DATE).package
    assert package is not None
    card = (package / "README.md").read_text(encoding="utf-8")
    monkeypatch.chdir(package.parent)
    (snippet,) = blocks(card, "python")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(snippet, "README.md", "exec"), {})
    assert printed.getvalue().startswith("The")
    assert len(printed.getvalue()) > 10
    (command,) = blocks(card, "bash")
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output
    assert len(done.output) > 10


@pytest.mark.parametrize(
    ("known", "said", "loads"),
    [
        ({}, "size and shape are not known", False),
        ({"origin": "behind a server, as large-7b"}, "behind a server, as large-7b", False),
        ({"parameters": 8_000_000_000, "family": "llama"}, "llama, 8,000,000,000 parameters", True),
        ({"valid_loss_nats_per_token": 4.5}, "held-out loss 4.500 nats per token", False),
    ],
)
def test_a_card_shows_what_is_known_of_a_model(
    study: Path, known: dict[str, Any], said: str, loads: bool
) -> None:
    """Of one behind a server nothing but its name may be known."""
    evidence = read_evidence([study])
    unknown: dict[str, Any] = dict.fromkeys(
        ("parameters", "layers", "width", "valid_loss_nats_per_token")
    )
    card = card_of(evidence, Words(), models=["small"])
    small = replace(card.models[0], **unknown | known)
    (first,) = evidence.studies
    facts = SimpleNamespace(**vars(first.facts) | {"models": (small,)})
    bare: Any = replace(evidence, studies=(replace(first, facts=cast(Any, facts)),))
    for form in (card_markdown, card_html):
        assert said in form(card_of(bare, Words()))
    text = card_markdown(card_of(bare, Words()))
    assert f"* **small**: {said} (`study/study.json#small`)" in text
    assert bool(blocks(text, "python")) == loads
    assert ("nothing here can be loaded" in text) != loads


def test_first_samples_are_shown_with_model_and_method(study: Path) -> None:
    texts = read_json(study / "gallery.json")
    texts[1]["text"] = HOSTILE + " and on" * 200
    put_json(study / "gallery.json", texts)
    card = card_of(read_evidence([study]), Words())
    markdown, page = card_markdown(card), card_html(card)
    assert len(card.samples) == 4  # models × methods
    for sample in card.samples:
        assert sample.id.endswith("/0")
        assert f"**{sample.model}**, {sample.method} (`{sample.id}`):" in markdown
    assert "A person's." not in markdown
    shown = blocks(markdown, "text")
    assert len(shown) == 4
    assert shown[0].startswith("```\n</code></pre><script>alert(1)</script>\n~~~\n# Heading\n")
    assert shown[0].endswith("and on …\n")
    assert max(map(len, shown[0].splitlines())) <= 80
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "javascript:" not in re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL)


def test_a_study_without_its_gallery_leaves_a_blank(study: Path) -> None:
    (study / "gallery.json").unlink()
    card = card_of(read_evidence([study]), Words())
    assert [blank.what for blank in card.blanks if blank.key == "samples"] == [
        "sample outputs of small, large"
    ]
    assert "*Blank: sample outputs of small, large." in card_markdown(card)


def test_quality_is_a_table_and_fills_the_blank(study: Path, tmp_path: Path) -> None:
    facts = read_json(study / "study.json")
    for model in facts["models"]:
        model["valid_loss_nats_per_token"] = None
    put_json(study / "study.json", facts)
    folder = tmp_path / "somewhere"
    folder.mkdir()
    read = write_quality(
        folder / "a.json", f"{folder}/small", f"{folder}/speeches.txt", documents_learned_from=3
    )
    other = write_quality(folder / "b.json", "hub/unknown", "-")
    again = write_quality(folder / "c.json", "../large", "-", perplexity_per_word=None)
    given = [study, read, other, again]
    card = card_of(read_evidence([*given, read]), Words())
    text = card_markdown(card)
    assert (
        "| small, speeches.txt `quality/small/speeches.txt` | 4.250 | 1.750 [1.625, 1.875] |"
        " 1,234.5 | 1,200 |"
    ) in text
    assert "| large, standard input `quality/large/standard input` |" in text
    assert "| — | 1,200 |" in text
    assert "small was trained on 3 of the 1,200 documents of speeches.txt" in text
    assert "unknown" not in text
    for shown in (text, card_html(card), str(to_json(card))):
        assert "somewhere" not in shown
    assert not [blank for blank in card.blanks if blank.key.startswith("loss")]
    write_quality(folder / "d.json", "small", "speeches.txt", nats_per_token=1.0)
    with pytest.raises(ArtifactError, match=r"both hold row 'quality/small/speeches\.txt'"):
        read_evidence([*given, folder / "d.json"])
    put_json(folder / "e.json", {"model": "small"})
    with pytest.raises(ArtifactError, match=r"e\.json: is no result of `staged evaluate-lm --out`"):
        read_evidence([study, folder / "e.json"])


def test_training_facts_are_shown_by_name(study: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(PUBLISHED.parents[1] / "staged/model/minis/mini-s", tmp_path / "small")
    text = card_markdown(card_of(read_evidence([study, folder]), Words()))
    assert (
        "* **small**: 953,856 parameters, from random weights on `sotu` (7,357 passages of 152"
        " sources): 2,273 steps, 8,316,427 tokens; held-out loss 4.035 nats per token at the end"
        " (`small/training.json`)"
    ) in text
    table = read_json(folder / "training.json")
    table["settings"]["corpus"]["source"] = "/home/of/somebody/novels"
    table["settings"]["init"] = "/home/of/somebody/base"
    put_json(folder / "training.json", table)
    text = card_markdown(card_of(read_evidence([study, folder]), Words()))
    assert "from `base` on `novels`" in text
    assert "somebody" not in text
    put_json(folder / "training.json", {"epochs": 3})
    assert "epochs" not in card_markdown(card_of(read_evidence([study, folder]), Words()))


def test_a_card_against_the_licence_beside_it_is_refused(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "card" / "README.md"
    out.parent.mkdir()
    shutil.copy(PUBLISHED.parents[1] / "LICENSE", out.parent / "LICENSE")
    (out.parent / "card.toml").write_text('license = "apache-2.0"\n', encoding="utf-8")
    refused = CliRunner().invoke(app, ["card", str(study), "--out", str(out)])
    assert isinstance(refused.exception, PlanError)
    assert "the card's license is 'apache-2.0', but" in str(refused.exception)
    assert not out.exists()
    (out.parent / "LICENSE").write_text("Ask us first.\n", encoding="utf-8")
    other = 'license = "other"\nlicense_name = "ours-1.0"\nlicense_link = "LICENSE"\n'
    (out.parent / "card.toml").write_text(other, encoding="utf-8")
    assert CliRunner().invoke(app, ["card", str(study), "--out", str(out)]).exit_code == 0
    assert "License: [ours-1.0](LICENSE)" in out.read_text(encoding="utf-8")


def test_a_packages_card_against_its_licence_is_a_problem(
    plan: Callable[..., Path], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    package = advance(read_release(plan()), tmp_path / "out", private=keys[0], date=DATE).package
    assert package is not None
    shutil.copy(PUBLISHED.parents[1] / "LICENSE", package / "LICENSE")
    card = (package / "README.md").read_text(encoding="utf-8")
    (package / "README.md").write_text(card.replace("license: mit", "license: gpl-3.0"))
    said = [problem.what for problem in verify(package) if problem.file == "README.md"]
    assert any("the card's license is 'gpl-3.0'" in what for what in said)


def test_tables_fit_the_hubs_column(study: Path, tmp_path: Path) -> None:
    names = {"small": 6.0, "large": 6.5}
    everything = [
        study,
        write_bias(tmp_path / "bias", **names),
        write_survey(tmp_path / "survey", **names),
        PUBLISHED / "finetune",
        write_quality(tmp_path / "q.json", "small"),
    ]
    evidence = read_evidence(everything)
    detector = detector_card(evidence, Words(), model="small", detector="tfidf/small/mix")
    for text in (card_markdown(card_of(evidence, Words(**WRITTEN))), detector_markdown(detector)):
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert len(rows) > 20
        assert max(line.count("|") - 1 for line in rows) <= WIDEST
        for line in rows:
            _, *figures = (part.strip() for part in line.strip("|").split("|"))
            words = [word for figure in figures for word in figure.split()]
            assert max(map(len, words)) <= LONGEST_WORD, line


def test_the_page_is_made_of_the_cards_markdown(study: Path) -> None:
    written = "A list:\n\n* one\n* two\n\n| a | b |\n|---|---|\n| 1 | <script>2</script> |"
    card = card_of(read_evidence([study]), Words(ethics=written, caveats="[x](javascript:y)"))
    page = card_html(card)
    assert "<li>one</li>" in page
    assert "<td>1</td>" in page
    assert "<script>" not in page
    assert 'href="javascript' not in page
    body = card_markdown(card).split("---\n", 2)[2].strip()
    assert html_of(body) in page


@given(st.text(), st.text())
def test_no_text_is_more_than_text(text: str, other: str) -> None:
    tokens = MarkdownIt("commonmark").enable("table")
    shown = tokens.parse(f"{fenced(text)}\n\nafter")
    assert [token.type for token in shown][:2] == ["fence", "paragraph_open"]
    row = in_table(f"{plain(text)} {code(other or 'x')}")
    table = html_of(f"| a | b |\n|---|---|\n| {row} | 1 |")
    assert table.count("<td") == 2
    assert set(re.findall(r"<(\w+)", table)) <= {
        *("div", "table", "thead", "tbody", "tr", "th", "td", "code")
    }
    line = html_of(f"before\n\n{plain(text)}\n\nafter")
    assert set(re.findall(r"<(\w+)", line)) == {"p"}
