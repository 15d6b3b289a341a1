"""A study of watermarks in miniature: what it writes agrees with its texts and tests, a kill changes
nothing, the page holds every number, and what is refused.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest
from typer.testing import CliRunner

import staged
from staged.attacks.kinds import attack
from staged.cli import app
from staged.errors import ArtifactError, PlanError
from staged.model.causal import load_shape, load_tokenizer
from staged.pipeline.tables import TableRow, read_table
from staged.progress import silent
from staged.samples import engine
from staged.stats.judging import holm
from staged.storage.json_files import read_json
from staged.storage.records import read_record
from staged.studies.provenance import marked
from staged.studies.provenance.costs import repeated
from staged.studies.provenance.marked import secret_of
from staged.studies.provenance.page import power_curve
from staged.studies.provenance.plan import VARIANTS, read_provenance
from staged.studies.provenance.results import Power, ProvenanceResult
from staged.studies.provenance.study import provenance_stages
from staged.watermarks import evidence
from staged.watermarks.schemes import make_watermark
from tests.conftest import put_json
from tests.studies.blocks import check_made_backwards
from tests.studies.commands import kill_at_random_moments, run, stages_in

PLAN = """
title = "Marks of <two> schemes"
models = ["mini-s"]
schemes = ["gumbel", "kgw-selfhash"]
methods = ["temperature-1"]
n_texts = 5
length_tokens = 48
lengths = [16, 30, 48]
opening_words = 4
attacks = ["homoglyph"]
substitutions = [0.5]
attacked_tokens = 30
n_human = 30
human_tokens = 40
n_keys = 3
n_marking_keys = 2
judge = "mini-s"
batch = 2
seed = 6
[corpus]
source = "{human}"
budget_tokens = 120
minimum_tokens = 50
shares = {{ test = 1.0 }}
"""
SEED, SCHEMES = 6, ("gumbel", "kgw-selfhash")
STAGES = 1 + 3 + 2 + 2 + 3  # corpus, texts, human, tests, costs


@pytest.fixture(scope="module")
def plan(human_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "plan.toml"
    path.write_text(PLAN.format(human=human_folder), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def finished(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "study"
    shown = run(plan, out, "--workers", "2")
    assert "human text called marked" in shown
    assert str(out / "report.html") in shown.replace("\n", "")
    assert stages_in(out) == STAGES
    return out


@pytest.fixture(scope="module")
def result(finished: Path) -> ProvenanceResult:
    return read_record(finished / "provenance.json", ProvenanceResult)


def texts_of(folder: Path, scheme: str) -> list[TableRow]:
    return read_table(folder / "texts/mini-s/temperature-1" / scheme / "texts.parquet")


def test_texts_are_dealt_to_keys_and_continue_the_same_openings(finished: Path) -> None:
    unmarked, gumbel, kgw = (texts_of(finished, name) for name in ("none", *SCHEMES))
    assert [row["key"] for row in gumbel] == [0, 0, 0, 1, 1]
    assert [row["id"] for row in unmarked] == [0, 1, 2, 3, 4]
    prompts = [row["prompt"] for row in unmarked]
    assert [row["prompt"] for row in gumbel] == [row["prompt"] for row in kgw] == prompts
    assert {len(prompt.split()) for prompt in prompts} == {4}
    written = {row["text"] for row in (*unmarked, *gumbel, *kgw)}
    assert len(written) == 15
    assert not list(finished.glob("texts/**/0*.parquet"))  # pieces are joined


def p_value(scheme: str, key: int, tokens: list[int]) -> tuple[float, int]:
    """(p, tokens counted), by the test that `staged verify` rests on."""
    name, settings = VARIANTS[scheme]
    mark = make_watermark(name, secret_of(SEED, key), load_shape("mini-s").n_vocab, settings)
    test = evidence.test_tokens(tokens, mark)
    return mark.p_value(test.score, test.tokens), test.tokens


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_row_of_tests_is_what_the_text_gives(finished: Path, scheme: str) -> None:
    tokenizer = load_tokenizer("mini-s")
    rows = read_table(finished / "tests/mini-s/temperature-1" / scheme / "tests.parquet")
    texts = {row["id"]: row for row in texts_of(finished, scheme)}
    forms = [(form, n) for n in (16, 30, 48) for form in ("as drawn", "as text")]
    forms += [("middle", 48)]
    forms += [("homoglyph", 30), ("substitution 50%", 30)]
    assert list(dict.fromkeys((row["form"], row["length"]) for row in rows)) == forms
    assert len(rows) == 5 * len(forms)
    for row in rows:
        written = texts[row["id"]]
        [read] = tokenizer.encode_batch([written["text"]])
        if row["form"] == "as drawn":
            tokens = written["tokens"][: row["length"]]
        elif row["form"] == "as text":
            tokens = read[: row["length"]]
        elif row["form"] == "homoglyph":
            cut = tokenizer.decode(read[:30])
            [tokens] = tokenizer.encode_batch(
                [attack("homoglyph", cut, seed=SEED, id=str(row["id"]))]
            )
        else:
            continue
        p, count = p_value(scheme, row["key"], tokens)
        assert (row["key"], row["tokens"]) == (written["key"], count)
        assert row["p"] == pytest.approx(p, rel=1e-6)
        assert row["same"] == (tokens == written["tokens"][: row["length"]])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_power_is_counted_from_its_rows(
    finished: Path, result: ProvenanceResult, scheme: str
) -> None:
    rows = read_table(finished / "tests/mini-s/temperature-1" / scheme / "tests.parquet")
    long = {row["id"]: len(row["tokens"]) for row in texts_of(finished, scheme)}
    shown = [row for row in result.power if row.scheme == scheme]
    assert {(row.model, row.method) for row in shown} == {("mini-s", "temperature-1")}
    for row in shown:
        part = [
            each
            for each in rows
            if (each["form"], each["length"]) == (row.form, row.length)
            and (row.form == "middle" or long[each["id"]] >= row.length)
        ]
        assert row.n == len(part) > 0
        for name, level in (("found_1", 0.01), ("found_01", 0.001)):
            assert getattr(row, name) == sum(each["p"] <= level for each in part) / len(part)
            assert getattr(row, f"{name}_low") <= getattr(row, name) <= getattr(row, f"{name}_high")
        assert row.median_p == pytest.approx(float(np.median([each["p"] for each in part])))
        assert row.tokens == pytest.approx(np.mean([each["tokens"] for each in part]))
    whole = {(row.form, row.length): row for row in shown}
    assert whole["as drawn", 16].same == 1


def test_gumbel_marks_are_found(result: ProvenanceResult) -> None:
    rows = {(row.scheme, row.form, row.length): row for row in result.power}
    assert rows["gumbel", "as drawn", 48].found_1 >= 0.8
    assert rows["gumbel", "as drawn", 48].median_p < rows["gumbel", "as drawn", 16].median_p


@pytest.mark.parametrize("scheme", SCHEMES)
def test_rates_of_human_text_are_counted_from_their_rows(
    finished: Path, result: ProvenanceResult, scheme: str
) -> None:
    rows = read_table(finished / "human" / scheme / "tests.parquet")
    [shown] = [row for row in result.human if row.scheme == scheme]
    assert (shown.n_passages, shown.n_keys, shown.n) == (30, 3, 90) == (30, 3, len(rows))
    for name, level in (("flagged_1", 0.01), ("flagged_01", 0.001)):
        assert getattr(shown, name) == pytest.approx(np.mean([row["p"] <= level for row in rows]))
    by_key = [[row for row in rows if row["key"] == key] for key in range(3)]
    shares = [np.mean([row["p"] <= 0.01 for row in part]) for part in by_key]
    assert (shown.least_1, shown.most_1) == pytest.approx((min(shares), max(shares)))
    own = holm([kstest([row["p_random"] for row in part], "uniform").pvalue for part in by_key])
    assert shown.ks_p == pytest.approx(min(own))
    assert shown.keys_off == sum(p <= 0.01 for p in own)
    assert all(0 < row["p_random"] <= row["p"] * (1 + 1e-9) <= 2 for row in rows)


def test_costs_are_means_over_texts(finished: Path, result: ProvenanceResult) -> None:
    shown = {row.scheme: row for row in result.costs}
    assert list(shown) == ["none", *SCHEMES]
    nats = {}
    for scheme, cost in shown.items():
        rows = read_table(finished / "costs/mini-s/temperature-1" / scheme / "tests.parquet")
        texts = texts_of(finished, scheme)
        nats[scheme] = [row["nats"] / row["judged"] for row in rows]
        assert cost.nats == pytest.approx(np.mean(nats[scheme]))
        assert cost.repeated == pytest.approx(np.mean([repeated(row["tokens"]) for row in texts]))
        assert cost.whole == np.mean([row["reason"] == "length" for row in texts])
        if scheme == "none":
            assert cost.more is None
        else:
            assert cost.more == pytest.approx(np.mean(nats[scheme]) - np.mean(nats["none"]))
    assert 2 < shown["none"].nats < 8


def test_what_a_text_costs_is_what_the_judge_says_of_it_alone(finished: Path) -> None:
    """As `staged evaluate-lm` would: nats of the text behind its opening."""
    from staged.model.causal import load_causal
    from staged.model.reading.token_statistics import token_statistics

    judge, row = load_causal("mini-s"), texts_of(finished, "gumbel")[0]
    prompt, whole = judge.tokenizer.encode_batch([row["prompt"], row["prompt"] + row["text"]])
    [read] = token_statistics(judge, [whole])
    [cost] = read_table(finished / "costs/mini-s/temperature-1/gumbel/tests.parquet")[:1]
    assert cost["judged"] == len(whole) - len(prompt)
    assert cost["nats"] == pytest.approx(-read.logprob[-cost["judged"] :].sum(), rel=1e-5)


@pytest.mark.parametrize(
    ("tokens", "share"),
    [([], 0), ([1, 2, 3], 0), ([1, 2, 3, 4], 0), ([1] * 8, 0.8), ([1, 2, 3, 4, 1, 2, 3, 4], 0.2)],
)
def test_repeated_runs(tokens: list[int], share: float) -> None:
    assert repeated(tokens) == pytest.approx(share)


def test_the_page_holds_every_number(finished: Path, result: ProvenanceResult) -> None:
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "Marks of &lt;two&gt; schemes" in page
    assert not re.search(r"undefined|None|\bnan\b", page)
    shown = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    for row in result.human:
        low, high = 100 * row.flagged_1_low, 100 * row.flagged_1_high
        assert f"{100 * row.flagged_1:.2f} {low:.2f} to {high:.2f}" in shown
        assert f"{3 - row.keys_off} of 3" in shown
    for row in result.power:
        share, low, high = (
            f"{100 * value:.1f}" for value in (row.found_1, row.found_1_low, row.found_1_high)
        )
        n = f", n = {row.n}" if row.form not in ("as text", "as drawn") else ""
        assert f"{share} {low} to {high}{n}" in shown
    nothing = [row for row in result.power if (row.form, row.length) == ("as text", 30)]
    assert (
        "nothing "
        + " ".join(
            f"{100 * row.found_1:.1f} {100 * row.found_1_low:.1f} to {100 * row.found_1_high:.1f},"
            f" n = {row.n}"
            for row in nothing
        )
        in shown
    )
    assert "Here 1 model wrote 5 texts each by 1 method," in shown
    for cost in result.costs:
        assert f"{cost.nats:.3f} {cost.nats_low:.3f} to {cost.nats_high:.3f}" in shown
        if cost.more is not None:
            assert f"{cost.more:+.3f} {cost.more_low:+.3f} to {cost.more_high:+.3f}" in shown
    for form in ("nothing", "middle", "homoglyph", "substitution 50%"):
        assert f'<th scope="row">{form}</th>' in page
    assert page.count("<svg") == 1
    assert page.count("<polyline") == len(SCHEMES)


def test_it_is_rendered_again_from_its_numbers(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    shutil.copy(finished / "provenance.json", folder)
    study = staged.FinishedStudy(folder)
    assert (study.kind, study.is_finetune) == ("watermark study", False)
    shown = CliRunner().invoke(app, ["report", str(folder)], catch_exceptions=False)
    assert "report.html" in shown.stdout
    assert study.report.read_bytes() == (finished / "report.html").read_bytes()
    with pytest.raises(ArtifactError, match=r"watermark study has no cells\.json"):
        study.cells()
    table = read_json(folder / "provenance.json")
    del table["power"][0]["found_1"]
    put_json(folder / "provenance.json", table)
    with pytest.raises(ArtifactError, match="found_1"):
        staged.write_report(folder)


def test_nothing_of_this_machine_is_in_what_goes_out(finished: Path, human_folder: Path) -> None:
    for name in ("provenance.json", "report.html"):
        written = (finished / name).read_text(encoding="utf-8")
        assert str(human_folder.parent) not in written
        assert str(finished.parent) not in written


def test_killed_it_continues_to_the_same_bytes(plan: Path, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    kill_at_random_moments(plan, out, stages=STAGES, seed=3, times=2)
    run(plan, out, "--workers", "2")
    for path in (path for path in finished.rglob("*") if path.is_file()):
        assert (out / path.relative_to(finished)).read_bytes() == path.read_bytes(), path
    manifest = out / "manifest.json"
    before = manifest.stat().st_mtime_ns
    run(plan, out)  # everything is there
    assert manifest.stat().st_mtime_ns == before


def test_texts_go_on_behind_the_last_block(
    plan: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks are of one key and at most a batch: texts 0 and 1, 2, 3 and 4."""
    stages = provenance_stages(read_provenance(plan))
    stage = stages.costs["mini-s", "temperature-1"][1].texts
    firsts, made = [], engine.generate

    def generate(*arguments: Any, first: int, **named: Any) -> Any:
        firsts.append(first)
        if len(firsts) == 3:
            raise KeyboardInterrupt
        return made(*arguments, first=first, **named)

    monkeypatch.setattr(marked, "generate", generate)
    (tmp_path / "000000.parquet").write_text("a piece of an earlier version")
    inputs = {"corpus": finished / "corpus"}
    with pytest.raises(KeyboardInterrupt):
        stage.write(tmp_path, inputs, silent)
    stage.write(tmp_path, inputs, silent)
    assert firsts == [0, 2, 3, 3]
    whole = finished / "texts/mini-s/temperature-1/gumbel/texts.parquet"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blocks", "texts.parquet"]
    assert (tmp_path / "texts.parquet").read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("kind", ["texts", "human", "tests", "costs"])
def test_blocks_in_any_order_give_the_bytes_of_two_workers(
    kind: str, plan: Path, finished: Path, tmp_path: Path
) -> None:
    stages = provenance_stages(read_provenance(plan))
    costs = stages.costs["mini-s", "temperature-1"][1]
    stage = {
        "texts": costs.texts,
        "human": stages.human[0],
        "tests": stages.tests[0],
        "costs": costs,
    }[kind]
    check_made_backwards(stage, finished, stage.inputs(finished), tmp_path / "made")
    assert len(stage.blocks) == {"texts": 3, "human": 3, "tests": 2, "costs": 1}[kind]


def test_parts_of_many_texts(
    plan: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are more than a block takes: rows stand in the same order, and say the same."""
    monkeypatch.setattr("staged.studies.provenance.tested.TEXTS_AT_ONCE", 2)
    monkeypatch.setattr("staged.studies.provenance.tested.PASSAGES_AT_ONCE", 7)
    monkeypatch.setattr("staged.studies.provenance.costs.TEXTS_AT_ONCE", 2)
    stages = provenance_stages(read_provenance(plan))
    costs = stages.costs["mini-s", "temperature-1"][1]
    for stage, count in ((stages.tests[0], 3), (stages.human[1], 15), (costs, 3)):
        assert len(stage.blocks) == count
        folder = tmp_path / stage.name
        folder.mkdir(parents=True)
        stage.write(folder, stage.inputs(finished), silent)
        rows, wanted = (
            read_table(path / stage.name / "tests.parquet") for path in (tmp_path, finished)
        )
        assert len(rows) == len(wanted)
        for ours, theirs in zip(rows, wanted, strict=True):
            for name, value in theirs.items():
                is_float = isinstance(value, float)
                assert ours[name] == (pytest.approx(value, rel=1e-6) if is_float else value)


def row(scheme: str, length: int, share: float, form: str = "as text") -> Power:
    return Power(
        *("mini-s", "nucleus", scheme, form, length, 40, length * 0.9),
        *(share, max(share - 0.1, 0), min(share + 0.1, 1), share, 0, 1, 0.5, 1),
    )


def test_a_curve_a_scheme_and_labels_apart() -> None:
    names = [f"scheme-{i}" for i in range(7)]
    rows = [row(name, n, share) for name in names for n, share in ((25, 0.1), (400, 1.0))]
    svg = power_curve(rows)
    labels = re.findall(r'<text x="500" y="([\d.]+)">(scheme-\d)</text>', svg)
    assert sorted(name for _, name in labels) == names
    heights = sorted(float(y) for y, _ in labels)
    assert all(b - a >= 13.9 for a, b in pairwise(heights))
    assert power_curve([row("gumbel", 25, 0.5)]).count("<circle") == 1
    assert power_curve([row("gumbel", 25, 0.5, form="middle")]) == ""


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('schemes = ["gumbel", "kgw-selfhash"]', 'schemes = ["gumbl"]'), "mean 'gumbel'"),
        (('schemes = ["gumbel", "kgw-selfhash"]', "schemes = []"), "schemes must list at least"),
        (('models = ["mini-s"]', "models = []"), "models must list at least one"),
        (('models = ["mini-s"]', 'models = ["nowhere"]'), "nowhere"),
        (('methods = ["temperature-1"]', 'methods = ["greedy"]'), "nothing to chance"),
        (('methods = ["temperature-1"]', 'methods = ["topk"]'), "topk"),
        (('attacks = ["homoglyph"]', 'attacks = ["homoglif"]'), "did you mean 'homoglyph'"),
        (("lengths = [16, 30, 48]", "lengths = [16, 30, 49]"), "between 1 and length_tokens"),
        (("lengths = [16, 30, 48]", "lengths = []"), "between 1 and length_tokens"),
        (("lengths = [16, 30, 48]", "lengths = [30, 30]"), "lengths: each once"),
        (("length_tokens = 48", "length_tokens = 5000"), "length_tokens: 1 to 4,096"),
        (("substitutions = [0.5]", "substitutions = [1.5]"), "shares of words"),
        (("substitutions = [0.5]", "substitutions = [0.5, 0.501]"), "each percentage once"),
        (
            ("attacked_tokens = 30", "attacked_tokens = 60"),
            "attacked_tokens must be one of lengths",
        ),
        (("n_keys = 3", "n_keys = 0"), "n_keys must be at least 1"),
        (("n_marking_keys = 2", "n_marking_keys = 4"), "n_marking_keys must be 1 to n_keys"),
        (("n_texts = 5", "n_texts = 0"), "n_texts must be at least 1"),
        (("n_texts = 5", "n_text = 5"), "did you mean 'n_texts'"),
        (("n_human = 30", "n_human = 100000"), "asks for 100,000; lower n_human or n_texts"),
        (('judge = "mini-s"', 'judge = "minis"'), "minis"),
    ],
)
def test_a_wrong_plan_is_one_sentence(
    plan: Path,
    tmp_path: Path,
    refused: Callable[..., str],
    change: tuple[str, str],
    sentence: str,
) -> None:
    wrong = tmp_path / "wrong.toml"
    text = plan.read_text(encoding="utf-8")
    assert change[0] in text
    wrong.write_text(text.replace(*change), encoding="utf-8")
    assert sentence in refused(wrong, tmp_path / "out", "--workers", "1")
    assert not (tmp_path / "out" / "provenance.json").exists()


def test_two_models_of_one_name(plan: Path) -> None:
    settings = replace(read_provenance(plan), models=("mini-s", "elsewhere/mini-s"))
    with pytest.raises(PlanError, match="two models are called the same"):
        provenance_stages(settings)


@pytest.mark.parametrize("option", [["--attacks"], ["--samples", "texts"]])
def test_what_belongs_to_release_studies_is_refused(
    plan: Path, tmp_path: Path, refused: Callable[..., str], option: list[str]
) -> None:
    said = refused(plan, tmp_path / "out", *option)
    assert f"{option[0]} belongs to release studies; this plan is of a watermark study" in said


def test_another_studys_folder_is_refused(
    finished: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "study"))
    other = tmp_path / "other.toml"
    other.write_text('models = ["mini-s"]\nmethods = ["nucleus"]\n', encoding="utf-8")
    assert "watermark study" in refused(other, folder)
    assert (folder / "provenance.json").read_bytes() == (finished / "provenance.json").read_bytes()


def test_its_plan_ships_and_is_listed() -> None:
    shown = CliRunner().invoke(app, ["study", "--list"], catch_exceptions=False).stdout
    assert re.search(r"^provenance +Watermarks: false alarms, power and cost$", shown, re.MULTILINE)
    printed = CliRunner().invoke(app, ["study", "provenance", "--show"], catch_exceptions=False)
    assert "schemes = [" in printed.stdout
