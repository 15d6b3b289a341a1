"""`staged survey` from end to end, with answers made up here: the design's balance, the blinding,
the tally, spoilt sheets.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from staged.cli import app
from staged.errors import ArtifactError, CorpusError, PlanError, StagedError
from staged.files.sheets import read_sheet, words_digest
from staged.model.checkpoints import model_folder
from staged.release.card.read_measured import read_evidence
from staged.samples import dataset
from staged.stats.comparing import resampled_means, stream, widened_interval
from staged.storage.records import read_record
from staged.survey import texts as survey_texts
from staged.survey.analyse import tally
from staged.survey.design import make_survey
from staged.survey.page import result_page
from staged.survey.plan import HEADER, OWN_WORDS, SCALES, SurveySettings
from staged.survey.results import Survey
from tests.conftest import prose

MODELS = ("./alpha", "./beta", "./gamma")
Rate = Callable[[str, int, str], tuple[object, object, object]]  # model, sheet, text → ratings


def survey(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["survey", *map(str, arguments)])


def settings(**changed: object) -> SurveySettings:
    made: dict[str, Any] = {
        "models": MODELS,
        "sheets": 8,
        "each": 2,
        "length": 60,
        "sentences": "sentences.txt",
        "precision": "fp32",
        "batch": 8,
    }
    return SurveySettings(**(made | changed))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three names of one model, sentences, and a finished questionnaire of eight sheets."""
    folder = tmp_path_factory.mktemp("survey")
    for name in MODELS:
        shutil.copytree(model_folder("mini-s"), folder / name)
    sentences = dict.fromkeys(
        f"{one}." for seed in range(12) for one in prose(seed, 4).replace("\n", " ").split(". ")
    )
    (folder / "sentences.txt").write_text("\n".join(sentences), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        make_survey(settings(), Path("out"))
    return folder


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the questionnaire, beside which answers may be written."""
    monkeypatch.chdir(place)  # models' names determine their random streams
    return shutil.copytree(place / "out", tmp_path / "out")


def key_of(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "key.json").read_text(encoding="utf-8"))["rows"]


def answer(
    folder: Path, rate: Rate, sheets: range = range(1, 9), separator: str = ","
) -> list[Path]:
    """Made-up answers: every sheet rated by a rule, as a spreadsheet would save it."""
    models = {(str(one["sheet"]), str(one["row"])): one["model"] for one in key_of(folder)}
    paths = []
    for sheet in sheets:
        source, path = folder / "sheets" / f"sheet-{sheet}.csv", folder / f"answers-{sheet}.csv"
        rows = [
            row
            | dict(
                zip(SCALES, rate(models[row["sheet"], row["row"]], sheet, row["text"]), strict=True)
            )
            for row in read_sheet(source, HEADER, of="")
        ]
        write(path, rows, separator)
        paths.append(path)
    return paths


def write(path: Path, rows: list[dict[str, object]], separator: str = ",") -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, HEADER, delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)


def test_sheets_are_balanced_and_no_text_stands_twice(here: Path) -> None:
    rows = key_of(here)
    assert len(rows) == 8 * 2 * 3
    assert set(Counter((row["sheet"], row["model"]) for row in rows).values()) == {2}
    assert len({row["text_sha256"] for row in rows}) == len(rows)
    per_sheet = Counter((row["sheet"], row["sentence"]) for row in rows)
    assert set(per_sheet.values()) == {1}
    whole = [row for row in rows if int(row["sheet"]) <= 6]  # two groups of three sheets
    assert Counter(Counter(row["sentence"] for row in whole).values()) == {3: 12}
    assert set(Counter((row["sentence"], row["model"]) for row in whole).values()) == {1}
    orders = {tuple(row["model"] for row in rows if row["sheet"] == sheet) for sheet in range(1, 9)}
    assert len(orders) > 3  # shuffled, sheet by sheet


def test_sheets_say_nothing_of_models_and_print_shows_the_same_texts(here: Path) -> None:
    for sheet in range(1, 9):
        table, page = (
            (here / "sheets" / f"sheet-{sheet}.{kind}").read_text(encoding="utf-8")
            for kind in ("csv", "html")
        )
        assert not [name for name in ("alpha", "beta", "gamma", "sha256") if name in table + page]
        assert page.count("<section>") == 6
        assert page.count('class="box"') == 6 * 3 * 4
        rows = read_sheet(here / "sheets" / f"sheet-{sheet}.csv", HEADER, of="")
        assert [row["row"] for row in rows] == list("123456")
        for row in rows:
            known = next(
                one
                for one in key_of(here)
                if (str(one["sheet"]), str(one["row"])) == (row["sheet"], row["row"])
            )
            assert row["text"].startswith(known["sentence"])


def test_killed_it_continues_to_the_same_bytes_and_done_it_is_left_alone(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []

    def stop(progress: int, total: int) -> None:
        done.append(progress)
        if len(done) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_survey(settings(), tmp_path / "killed", stop)
    assert not (tmp_path / "killed" / "key.json").exists()
    make_survey(settings(), tmp_path / "killed")
    names = sorted(path.relative_to(here) for path in here.rglob("*") if path.is_file())
    assert names == sorted(
        path.relative_to(tmp_path / "killed")
        for path in (tmp_path / "killed").rglob("*")
        if path.is_file()
    )
    assert all(
        (here / one).read_bytes() == (tmp_path / "killed" / one).read_bytes() for one in names
    )
    (here / "sheets" / "sheet-1.csv").write_text("answered", encoding="utf-8")
    monkeypatch.setattr(dataset, "sample", None)
    make_survey(settings(), here)
    assert (here / "sheets" / "sheet-1.csv").read_text(encoding="utf-8") == "answered"
    with pytest.raises(StagedError, match="questionnaire of other settings"):
        make_survey(settings(seed=2), here)


@pytest.mark.parametrize(
    ("added", "shown"),
    [
        (" We went home. The roads w", "It rained. We went home."),
        (" We went\nhome all of", "It rained."),
        (' He said "no." ', 'It rained. He said "no."'),
        (" We met Mr. Smith. He came with Mr.", "It rained. We met Mr. Smith."),
        (" We met him on Jan. 5 at noon. It was Feb.", "It rained. We met him on Jan. 5 at noon."),
        (" We paid. It cost 3.", "It rained. We paid."),
        (" We came from the U.S. We saw the U.", "It rained."),
        ("", "It rained."),
        (" and so on", "It rained."),
    ],
)
def test_a_text_ends_with_the_last_sentence_that_the_model_finished(added: str, shown: str) -> None:
    assert survey_texts.finished("It rained.", added) == shown


def test_an_opening_without_an_end_is_finished_by_the_model() -> None:
    assert (
        survey_texts.finished("In a finding, scientists", " found a herd. It sp")
        == "In a finding, scientists found a herd."
    )
    assert (
        survey_texts.finished("In a finding, scientists", " found a herd of")
        == "In a finding, scientists"
    )


def test_every_text_holds_enough_of_the_models_own(here: Path) -> None:
    key = json.loads((here / "key.json").read_text(encoding="utf-8"))
    assert key["own_words_at_least"] == OWN_WORDS
    texts = {
        (row["sheet"], row["row"]): row["text"]
        for path in (here / "sheets").glob("*.csv")
        for row in read_sheet(path, HEADER, of="")
    }
    for one in key["rows"]:
        text = texts[str(one["sheet"]), str(one["row"])]
        assert text.startswith(one["sentence"])
        assert text.endswith(survey_texts.FINISHED)
        own = len(text.split()) - len(one["sentence"].split())
        assert own == one["own_words"] >= OWN_WORDS
    assert max(one["tries"] for one in key["rows"]) > 1  # else nothing here was drawn again


def test_a_model_that_finishes_nothing_is_refused(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    with pytest.raises(
        PlanError,
        match=(
            r"in 8 tries \./alpha finished no sentence with 10 words .*raise --length, now 4 tokens"
        ),
    ):
        make_survey(settings(length=4), tmp_path / "short")
    assert not (tmp_path / "short" / "key.json").exists()
    assert not list(tmp_path.rglob("*.csv"))


def test_an_older_questionnaire_is_tallied_without_what_a_person_alone_wrote(here: Path) -> None:
    """Its key says nothing of own words, and a row of it shows the opening sentence alone."""
    key = json.loads((here / "key.json").read_text(encoding="utf-8"))
    del key["own_words_at_least"]
    for one in key["rows"]:
        del one["own_words"], one["tries"]
    bare = next(one for one in key["rows"] if (one["sheet"], one["row"]) == (1, 1))
    bare["text_sha256"] = words_digest(bare["sentence"])
    (here / "key.json").write_text(json.dumps(key), encoding="utf-8")
    path = here / "sheets" / "sheet-1.csv"
    rows = read_sheet(path, HEADER, of="")
    rows[0]["text"] = bare["sentence"]
    write(here / "answers.csv", [row | dict.fromkeys(SCALES, "3,0") for row in rows], ";")
    found = tally(here, [here / "answers.csv"])
    assert (found.texts, found.unrated, found.human_only) == (5, 0, 1)
    assert {one.model: one.texts for one in found.models}[bare["model"]] == 1
    assert all(0 < (one.own_share or 0) < 1 for one in found.models)
    assert "Left out as a person's alone: 1 text to which" in result_page(found)


def test_sentences_of_the_embedded_corpus_are_whole_and_of_test_documents() -> None:
    found = survey_texts._messages()
    assert len(found) > 1000
    assert all(8 <= len(one.split()) <= 40 for one in found)


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_rise_that_people_agree_on_is_found(here: Path, separator: str) -> None:
    answers = answer(
        here,
        lambda model, sheet, text: (4, 4, 4) if model == "./gamma" else (2, 2, 2 + sheet % 2),
        separator=separator,
    )
    done = survey("tally", here, *answers)
    assert done.exit_code == 0, done.output
    found = json.loads((here / "survey.json").read_text(encoding="utf-8"))
    assert (found["respondents"], found["texts"], found["unrated"]) == (8, 48, 0)
    first, _, third = found["models"]
    assert (first["index"], third["index"], third["low"], third["high"]) == (4.5, 10, 10, 10)
    assert first["low"] < 4.5 < first["high"]
    assert (first["respondents"], first["texts"], first["believable"], first["clear"]) == (
        8,
        16,
        2,
        2.5,
    )
    same, rise, _ = found["differences"]
    assert (same["difference"], same["p"], same["verdict"]) == (0, 1, "no difference found")
    assert (rise["difference"], rise["verdict"]) == (-5.5, "differs")
    assert rise["p"] < rise["p_holm"] < 0.05
    assert (
        f"./alpha is rated less credible than ./gamma: -5.50 [{rise['low']:+.2f},"
        f" {rise['high']:+.2f}] points" in done.stdout
    )
    page = (here / "survey.md").read_text(encoding="utf-8")
    assert "8 people rated 48 texts, and left 0 unrated" in page
    assert read_record(here / "survey.json", Survey) == tally(here, answers)
    evidence = read_evidence([here])
    assert [one.model for one in evidence.credibility] == ["alpha", "beta", "gamma"]
    assert (evidence.differences[0].first, evidence.differences[0].second) == ("alpha", "beta")
    assert evidence.compared[0].models == ("alpha", "beta")


def test_few_people_are_not_enough_evidence_and_one_has_no_interval(here: Path) -> None:
    def rate(model: str, sheet: int, text: str) -> tuple[int, int, int]:
        return (4, 4, 4) if model == "./gamma" else (1, 1, 1)

    few = tally(here, answer(here, rate, range(1, 5)))
    assert {row.verdict for row in few.differences} == {
        "not enough evidence"
    }  # 2 / 2⁴ is above any level
    assert {row.detectable for row in few.differences} == {None}
    assert "84 points could have been missed" in few.sentences[0].text
    alone = tally(here, answer(here, rate, range(1, 2)))
    assert {(row.low, row.high) for row in (*alone.models, *alone.differences)} == {(None, None)}


def test_a_person_counts_once_and_blanks_are_left_out(here: Path) -> None:
    (path,) = answer(here, lambda model, sheet, text: (3, 3, 3), range(1, 2))
    models = {str(one["row"]): one["model"] for one in key_of(here) if one["sheet"] == 1}
    rows = read_sheet(path, HEADER, of="")
    chosen = next(row for row in rows if models[row["row"]] == "./alpha")
    chosen.update(dict.fromkeys(SCALES, ""))
    write(path, rows)  # type: ignore[arg-type]
    (other,) = answer(here, lambda model, sheet, text: (1, 1, 1), range(2, 3))
    found = tally(here, [path, other])
    assert (found.texts, found.unrated) == (11, 1)
    assert found.models[0].index == (7 + 1) / 2
    assert (found.models[0].texts, found.models[1].texts) == (3, 4)


def spoilt(here: Path, **change: str) -> Path:
    (path,) = answer(here, lambda model, sheet, text: (3, 3, 3), range(1, 2))
    rows = read_sheet(path, HEADER, of="")
    rows[1] |= change
    write(path, rows)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"accurate": "5"}, "row 3: accurate is '5'; write 1, 2, 3 or 4"),
        ({"clear": "2,5"}, "row 3: clear is '2,5'"),
        ({"believable": " "}, "row 3: believable is empty; rate all of"),
        ({"text": "Another text."}, "row 3: not a text that key.json knows"),
        ({"sheet": "99"}, "row 3: not a text that key.json knows"),
        ({"row": "1"}, "row 3: not a text that key.json knows"),
    ],
)
def test_a_spoilt_row_is_named(here: Path, change: dict[str, str], says: str) -> None:
    path = spoilt(here, **change)
    done = survey("tally", here, path)
    assert isinstance(done.exception, CorpusError)
    assert str(done.exception).startswith(str(path))
    assert says in str(done.exception)
    assert not (here / "survey.json").exists()


@pytest.mark.parametrize(
    "damage",
    [
        "{",
        "[]",
        "{}",
        '{"settings": {}, "rows": []}',
        '{"settings": ["models", "seed"], "rows": [1]}',
        '{"settings": {"models": null, "seed": 1}, "rows": [{}]}',
        '{"settings": {"models": ["a"], "seed": 1}, "rows": []}',
        (
            '{"settings": {"models": ["a"], "seed": 1}, "rows": [["sheet", "row", "model",'
            ' "text_sha256"]]}'
        ),
        (
            '{"settings": {"models": ["a"], "seed": 1}, "rows": [{"sheet": 1, "row": 1, "model":'
            ' "b", "text_sha256": ""}]}'
        ),
    ],
)
def test_a_damaged_key_is_said(here: Path, tmp_path: Path, damage: str) -> None:
    (path,) = answer(here, lambda model, sheet, text: (3, 3, 3), range(1, 2))
    place = tmp_path / "damaged"
    place.mkdir()
    (place / "key.json").write_text(damage)
    with pytest.raises(
        ArtifactError, match=r"key\.json: is not the key that `staged survey` wrote"
    ):
        tally(place, [path])
    assert [one.name for one in place.iterdir()] == ["key.json"]


def test_a_sheet_answered_twice_or_not_at_all_is_refused(here: Path, tmp_path: Path) -> None:
    (path,) = answer(here, lambda model, sheet, text: (3, 3, 3), range(1, 2))
    shutil.copy(path, tmp_path / "again.csv")
    with pytest.raises(
        CorpusError, match=r"again.csv, row 2: sheet 1 is answered in .*answers-1.csv too"
    ):
        tally(here, [path, tmp_path / "again.csv"])
    rows = read_sheet(path, HEADER, of="")
    write(path, [*rows, rows[0]])  # type: ignore[list-item]
    with pytest.raises(CorpusError, match="row 8: sheet 1, row 1 stands here twice"):
        tally(here, [path])
    with pytest.raises(CorpusError, match="no rating; write 1, 2, 3 or 4 into"):
        tally(here, [here / "sheets" / "sheet-1.csv"])
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="its columns must be sheet, row, text"):
        tally(here, [other])
    latin = tmp_path / "latin.csv"
    latin.write_bytes(b"sheet;row;text\n1;1;caf\xe9\n")
    with pytest.raises(CorpusError, match="save it as CSV in UTF-8"):
        tally(here, [latin])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["./alpha", "./alpha"], "./alpha is given twice"),
        (["no-such-model"], "no-such-model"),
        (["./alpha", "--sheets", "1"], "sheets must be at least 2"),
        (["./alpha", "--method", "luck"], "luck"),
        (["./alpha", "--sentences", "nowhere.txt"], "nowhere.txt"),
        (
            ["./alpha", "--sheets", "999", "--sentences", "sentences.txt"],
            "different sentences, 1998 are needed",
        ),
    ],
)
def test_wrong_requests_say_so(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(place)
    done = survey("make", *arguments, "--out", tmp_path / "new")
    assert isinstance(done.exception, StagedError)
    assert says in str(done.exception)
    assert not list(tmp_path.rglob("*.csv"))


def test_a_widened_interval_covers_with_few_people() -> None:
    """Eight people, 400 draws: a plain percentile interval would hold the mean in about 90% of
    them.
    """
    rng = stream(1, "coverage")
    hits = 0
    for _ in range(400):
        values = rng.normal(5, 1, 8)
        low, high = widened_interval(resampled_means(values, 999, rng), 8)
        hits += low <= 5 <= high
    assert hits / 400 > 0.93
    assert np.diff(widened_interval(resampled_means(values, 999, rng), 8)) > 0
