"""What a card says of how texts came to be: what they are cut to, what models were given to write
from, texts that were given, servers.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import ArtifactError
from staged.model.checkpoints import model_folder
from staged.release.advance import advance
from staged.release.card.card import card_of
from staged.release.card.check import html_figures, index_figures, untrue, untrue_index
from staged.release.card.detector import detector_card
from staged.release.card.markdown import figures_in
from staged.release.card.paragraphs import Words
from staged.release.card.read_measured import read_evidence
from staged.release.card.render import card_html, card_markdown, detector_markdown
from staged.release.package.verify import verify
from staged.release.plan import read_release
from staged.storage.json_files import read_json
from tests.conftest import put_json
from tests.release.conftest import DATE, write_quality, write_study

WORDS = {32: 16, 64: 30}  # tokens → words


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study")


def cut_to_words(study: Path) -> None:
    """Make the study's cells ones whose texts are cut to words."""
    for name in ("cells.json", "lengths.json"):
        rows = read_json(study / name)
        put_json(
            study / name, [row | {"length_words": WORDS[row["length_tokens"]]} for row in rows]
        )
    facts = read_json(study / "study.json")
    put_json(study / "study.json", facts | {"words": {str(n): WORDS[n] for n in WORDS}})


def test_texts_cut_to_words_are_so_on_both_cards(study: Path) -> None:
    cut_to_words(study)
    evidence = read_evidence([study])
    card = card_of(evidence, Words())
    for text in (card_markdown(card), card_html(card)):
        assert "both cut to 30 words, which stand for the 64 tokens in ids" in text
        assert "tfidf, 16 words " in text
        assert "tfidf, 30 words " in text
        assert "32 tokens" not in text
    assert untrue(figures_in(card_markdown(card)), evidence.cells) == []
    assert untrue(html_figures(card_html(card)), evidence.cells) == []
    own = detector_card(evidence, Words(), model="small", detector="tfidf/small/mix")
    text = detector_markdown(own)
    assert "small's texts by sampling method, 30 words; human text" in text
    assert "tokens" not in text
    assert "config: small/nucleus/30 words" in text
    assert list(index_figures(text))
    assert untrue_index(text, evidence.cells, ()) == []


def test_a_package_whose_texts_are_cut_to_words_is_whole_until_a_figure_changes(
    plan: Callable[..., Path], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    path = plan()
    cut_to_words(tmp_path / "study")
    package = advance(read_release(path), tmp_path / "out", private=keys[0], date=DATE).package
    assert package is not None
    assert verify(package) == []
    card = package / "README.md"
    text = card.read_text(encoding="utf-8")
    assert "tfidf, 16 words " in text
    first = next(iter(figures_in(text)))[2]
    card.write_text(text.replace(first, "99.9 [99.8, 100.0]", 1), encoding="utf-8")
    assert "card" in {problem.kind for problem in verify(package)}


def say(study: Path, *, origins: tuple[str | None, ...] = (None, None), **settings: Any) -> None:
    """Let `study.json` say this of the plan, and where each model's texts come from."""
    facts = read_json(study / "study.json")
    facts["settings"] |= settings
    for model, origin in zip(facts["models"], origins, strict=True):
        model |= {} if origin is None else {"origin": origin} | UNKNOWN
    put_json(study / "study.json", facts)


UNKNOWN = dict.fromkeys(("parameters", "layers", "width", "valid_loss_nats_per_token"))
GIVEN, SERVED = "texts that were given", "behind a server, as large"
TASKS = ["Continue: {opening}", "Write a <b>report</b>.", "Tell a story.", "Go on.", "More."]


@pytest.mark.parametrize(
    ("settings", "origins", "said"),
    [
        (
            {"opening_words": 8},
            (None, None),
            [
                "The first 8 words of human passages are cut off; all models continued such words,"
                " which are no part of what is tested."
            ],
        ),
        (
            {
                "opening_words": 8,
                "chat": {"tasks": TASKS, "system": "Be  brief.", "models": ["owner/large"]},
            },
            (None, None),
            [
                "The first 8 words of human passages are cut off; small continued such words, which"
                " are no part of what is tested.",
                "Tasks of large, in turn: “Continue: {opening}”, “Write a \\<b>report\\</b>.”, “Tell"
                " a story.” and 2 more; {opening} stands for such words, which are cut off an answer"
                " that begins with them; before each stood the system text “Be brief.”.",
            ],
        ),
        (
            {"chat": {"tasks": ["Tell a story."], "system": "", "models": []}},
            (None, None),
            ["Tasks of all models: “Tell a story.”."],
        ),
        (
            {
                "opening_words": 8,
                "samples": "/home/somebody/answers",
                "samples_title": "Answers",
                "samples_licence": "CC0",
            },
            (GIVEN, SERVED),
            [
                "The first 8 words of human passages are cut off; large continued such words, which"
                " are no part of what is tested.",
                "Texts of small were given, not written for the study: answers (Answers, CC0).",
                "large wrote behind a server: the methods are what it was asked for, its own"
                " sampling may differ, and the same seed need not give the same text.",
            ],
        ),
        ({"samples": "answers"}, (GIVEN, GIVEN), ["Texts of all models were given, not"]),
        ({}, (None, None), []),
    ],
)
def test_evaluation_data_says_how_texts_came_to_be(
    study: Path, settings: dict[str, Any], origins: tuple[str | None, ...], said: list[str]
) -> None:
    say(study, origins=origins, **settings)
    card = card_of(read_evidence([study]), Words())
    text = card_markdown(card)
    listed = [line for line in text.splitlines() if line.startswith("  * ")]
    assert len(listed) == len(said)
    for line, sentence in zip(listed, said, strict=True):
        assert line.startswith(f"  * {sentence}")
    assert card_html(card).count("<li>") == text.count("\n* ") + len(said)
    assert "somebody" not in text


def test_a_damaged_chat_is_one_sentence(study: Path) -> None:
    say(study, chat={"system": "x"})
    with pytest.raises(ArtifactError, match=r"study\.json: chat: .*run the study again"):
        card_of(read_evidence([study]), Words())


def test_blanks_advise_what_can_be_done_for_a_model_without_files(study: Path) -> None:
    say(study, origins=(GIVEN, SERVED))
    card = card_of(read_evidence([study]), Words())
    fills = {blank.key: blank.fill for blank in card.blanks}
    for name in ("small", "large"):
        assert fills[f"loss:{name}"] == "a loss cannot be measured without the model's weights"
    address = "in `openai:NAME@URL` NAME is what the server calls the model, URL its address"
    for name, command in (("bias", "bias"), ("survey", "survey make")):
        assert fills[name].startswith(f"`staged {command} openai:large@URL --out out/{name}`")
        assert f"; {address}; of small there are texts alone" in fills[name]
    (alone,) = (
        blank.fill
        for blank in card_of(read_evidence([study]), Words(), models=["small"]).blanks
        if blank.key == "survey"
    )
    assert alone == "of small there are texts alone, and no model to ask"
    assert "evaluate-lm" not in card_markdown(card)


def test_a_trained_model_that_no_study_has_is_noted(
    study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("tuned", "small"):
        (tmp_path / name).mkdir()
        shutil.copy(model_folder("mini-s") / "training.json", tmp_path / name)
    read = write_quality(tmp_path / "read.json", "neo")
    places = [str(place) for place in (study, tmp_path / "tuned", tmp_path / "small", read)]
    out = tmp_path / "card" / "README.md"
    done = CliRunner().invoke(app, ["card", *places, "--out", str(out), "--model", "large"])
    assert done.exit_code == 0, done.output
    said = "no study has a model 'tuned', so the card leaves it out; their models are small, large"
    assert f"tuned/training.json: {said}" in caplog.messages
    assert [message.split(":")[0] for message in caplog.messages] == [
        "tuned/training.json",
        "quality/neo/speeches.txt",
    ]
    assert "tuned" not in out.read_text(encoding="utf-8")
