"""From a plan to a detector of several readers at tiny size: texts, crops, folds, killed and
continued, what is kept.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from staged.cli import app
from staged.detectors.calibration.calibration_file import load_calibration
from staged.detectors.catalog import load_detector
from staged.detectors.identity import known_by
from staged.detectors.kinds.readers.detector import ReadersDetector
from staged.detectors.names import parse_name
from staged.detectors.opening import open_examiner
from staged.errors import CheckpointError, CorpusError, PlanError
from staged.plans.shipped import find_plan
from staged.records import HUMAN, MACHINE, count_words
from staged.training import transfer
from staged.training.readers import encoder as encoder_training
from staged.training.readers.combination import fit_combination
from staged.training.readers.crops import Crops, cropped
from staged.training.readers.detector import build_readers, gather
from staged.training.readers.encoder import rate, train_encoder
from staged.training.readers.encoder_base import load_base
from staged.training.readers.judging import MOST_OF_ONE, even_shares, judged_crops
from staged.training.readers.labelled import LONGEST, Example, read_labelled, read_people
from staged.training.readers.plan import ReadersSettings, read_readers
from tests.conftest import prose, toml


def silent(what: str, done: int, total: int) -> None:
    pass


@pytest.fixture
def examples(settings: ReadersSettings, tmp_path: Path) -> list[Example]:
    return gather(tmp_path / "gathered", settings, device="cpu", progress=silent)


class TestTexts:
    def test_rows_as_they_are_meant(self, settings: ReadersSettings) -> None:
        found = read_labelled(settings.labelled[0])
        assert Counter(one.label for one in found) == {HUMAN: 16, MACHINE: 16}
        assert {one.source for one in found} == {"one/essay"}
        machine = next(one for one in found if one.label == MACHINE)
        assert machine.generator == "bot nucleus"
        assert machine.text.startswith(
            "The harbour"
        )  # the three words that a person wrote are gone
        assert all(one.words == count_words(one.text) for one in found)
        assert {one.pair for one in found if one.label == HUMAN} == {
            one.pair for one in found if one.label == MACHINE
        }

    @pytest.mark.parametrize(
        "row", [{"text": "a"}, {"text": "a", "label": 2}, {"text": "a", "label": "human"}]
    )
    def test_a_row_without_a_label_is_refused(self, tmp_path: Path, row: dict[str, Any]) -> None:
        (tmp_path / "set.jsonl").write_text(json.dumps(row) + "\n")
        with pytest.raises(CorpusError, match=r"row 1: the label"):
            read_labelled(str(tmp_path / "set.jsonl"))

    def test_long_documents_become_several(self, tmp_path: Path) -> None:
        for name, length in (("long", 150), ("short", 6), ("few", 2)):
            (tmp_path / f"{name}.txt").write_text(prose(1, length), encoding="utf-8")
        found = read_people(str(tmp_path))
        assert Counter(one.pair.split(":")[1] for one in found) == {"long.txt": 2, "short.txt": 1}
        assert max(one.words for one in found) <= LONGEST
        assert {one.source for one in found} == {tmp_path.name}

    def test_own_generators_continue_people_s_passages(
        self, examples: list[Example], settings: ReadersSettings
    ) -> None:
        own = [one for one in examples if one.id.startswith("own:")]
        assert own
        pairs = {one.pair for one in examples if one.label == HUMAN}
        assert all(one.pair in pairs and one.label == MACHINE for one in own)
        assert {settings.group(one) for one in own} == {"* temperature-1"}

    def test_samples_of_another_plan_are_made_anew(
        self, examples: list[Example], settings: ReadersSettings, tmp_path: Path
    ) -> None:
        changed = replace(settings, seed=2)
        again = gather(tmp_path / "gathered", changed, device="cpu", progress=silent)
        assert {one.text for one in again if one.id.startswith("own:")}.isdisjoint(
            one.text for one in examples if one.id.startswith("own:")
        )


class TestCrops:
    @pytest.fixture
    def crops(self, examples: list[Example], settings: ReadersSettings) -> Crops:
        return Crops(
            examples, settings.shares(examples), settings.group, words=(20, 40), careless=0.0
        )

    def test_a_batch_is_half_and_half_and_of_one_length(self, crops: Crops) -> None:
        for number in range(10):
            batch = crops.batch(number, tokens=600)
            assert Counter(one.example.label for one in batch)[MACHINE] == len(batch) / 2
            assert {count_words(one.text) for one in batch if one.example.words >= 40} <= set(
                range(20, 41)
            )
            assert len({count_words(one.text) for one in batch if one.example.words >= 40}) == 1
            assert all(one.text in one.example.text for one in batch)
        assert crops.batch(3) == crops.batch(3)
        assert crops.batch(3) != crops.batch(4)

    def test_groups_come_by_their_shares(
        self, examples: list[Example], settings: ReadersSettings
    ) -> None:
        crops = Crops(
            examples, settings.shares(examples), settings.group, words=(20, 20), careless=0.0
        )
        found = Counter(
            settings.group(one.example)
            for number in range(200)
            for one in crops.batch(number, tokens=400)
        )
        assert found["two/review"] / found["one/essay"] == pytest.approx(1, abs=0.2)
        assert found["*/* bot nucleus"] / found["* temperature-1"] == pytest.approx(2, abs=0.4)

    def test_some_of_either_class_are_careless(
        self, examples: list[Example], settings: ReadersSettings
    ) -> None:
        crops = Crops(
            examples, settings.shares(examples), settings.group, words=(30, 30), careless=1.0
        )
        changed = Counter(
            one.example.label
            for number in range(30)
            for one in crops.batch(number)
            if one.text not in one.example.text
        )
        assert min(changed[HUMAN], changed[MACHINE]) > 20

    def test_a_class_without_texts_is_refused(
        self, examples: list[Example], settings: ReadersSettings
    ) -> None:
        with pytest.raises(CorpusError, match="both kinds"):
            Crops([one for one in examples if one.label == HUMAN], {}, settings.group)

    def test_cropped(self) -> None:
        stream = np.random.default_rng(1)
        text = prose(1, 20).replace("\n\n", " ")
        found = [cropped(text, 12, stream) for _ in range(40)]
        assert all(one in text and count_words(one) == 12 for one in found)
        assert 5 < sum(text.startswith(one) for one in found) < 35
        assert cropped("a b c", 12, stream) == "a b c"

    def test_judged_crops_of_every_group(
        self, examples: list[Example], settings: ReadersSettings
    ) -> None:
        settings = replace(settings, careless=0.0)
        found = judged_crops(examples, settings)
        assert found == judged_crops(examples, settings)
        counts = Counter((one.example.label, settings.group(one.example)) for one in found)
        assert (counts[HUMAN, "one/essay"], counts[MACHINE, "*/* bot nucleus"]) == (12, 6)
        many = Counter(
            one.example.id for one in judged_crops(examples, replace(settings, judged=10_000))
        )
        assert set(many.values()) == {MOST_OF_ONE}
        shares = even_shares(found, settings)
        machine = np.asarray([one.example.label == MACHINE for one in found])
        assert shares[machine].sum() == pytest.approx(1)
        assert shares[~machine].sum() == pytest.approx(1)

    def test_so_many_more_judged_crops_are_careless(
        self, examples: list[Example], settings: ReadersSettings
    ) -> None:
        clean = judged_crops(examples, replace(settings, careless=0.0))
        found = judged_crops(examples, replace(settings, careless=0.5))
        assert found[: len(clean)] == clean  # what is kept of them is found again
        more = Counter(
            (one.example.label, settings.group(one.example)) for one in found[len(clean) :]
        )
        assert (more[HUMAN, "one/essay"], more[MACHINE, "*/* bot nucleus"]) == (6, 3)
        assert any(one.text not in one.example.text for one in found[len(clean) :])


class TestPlan:
    def test_a_text_that_fits_no_pattern_is_named(
        self, examples: list[Example], settings: ReadersSettings
    ) -> None:
        with pytest.raises(PlanError, match="fits no pattern of machines"):
            replace(settings, machines={"x": 1.0}).shares(examples)
        with pytest.raises(PlanError, match="'two/review' fits no pattern of folds"):
            replace(settings, folds={"one/*": 0, "three/*": 1}).fold("two/review")

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"words": (40, 20)}, "shortest and the longest"),
            ({"folds": {"*": 0}}, "at least two"),
            ({"folds": {"a": 0, "b": 2}}, "numbered from 0"),
            ({"edges_words": (50, 50)}, "must ascend"),
            ({"machines": {"*": 0.0}}, "above 0"),
            ({"machines": {}}, "must list at least one"),
            ({"judged": -5}, "at least 1"),
            ({"careless": 7.0}, "careless in"),
            ({"judged_words": (40, 20)}, "judged_words must be"),
            ({"seed": -1}, "seed at least 0"),
        ],
    )
    def test_what_cannot_be_is_refused(
        self, settings: ReadersSettings, change: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(PlanError, match=says):
            replace(settings, **change)

    def test_the_shipped_plan_reads_and_knows_its_kinds(self) -> None:
        plan = read_readers(find_plan("evidence"))
        assert plan.name == "evidence"
        assert {plan.kind("news"), plan.kind("outfox/essay"), plan.kind("nothing")} == {
            "news",
            "essay",
            "",
        }
        assert plan.fold("l2r/Finance") != plan.fold("l2r/Business")

    def test_round_trip(self, settings: ReadersSettings, tmp_path: Path) -> None:
        (tmp_path / "plan.toml").write_text(toml(settings), encoding="utf-8")
        assert read_readers(tmp_path / "plan.toml") == settings


def test_the_combination_finds_what_each_reader_is_worth() -> None:
    stream = np.random.default_rng(1)
    machine = np.arange(4000) >= 2000
    readings = stream.normal(size=(4000, 3)) + np.where(machine, 1.0, -1.0)[:, None] * [
        1.0,
        0.5,
        0.0,
    ]
    found = fit_combination(readings, machine, np.ones(4000))
    assert found.all[:3] == pytest.approx(
        [2, 1, 0], abs=0.3
    )  # log-odds of two normal distributions
    assert min(found.all[:3]) >= 0
    alone = found.alone(readings[:, 0], readings[:, 1])
    assert (alone[~machine] > found.sure).mean() <= 0.0015
    assert (alone[machine] < found.clear).mean() <= 0.011


class TestEncoderTraining:
    def test_a_killed_training_ends_with_the_same_weights(
        self,
        examples: list[Example],
        settings: ReadersSettings,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(encoder_training, "KEEP_EVERY", 2)
        crops = Crops(examples, settings.shares(examples), settings.group, words=(20, 40))

        def trained(name: str, stop: int = 99) -> dict[str, torch.Tensor]:
            def watch(done: int, total: int) -> None:
                if done == stop:
                    raise KeyboardInterrupt

            torch.manual_seed(1)
            model, tokenizer = load_base(settings.encoder.base)
            checkpoint = tmp_path / name
            return train_encoder(
                model, tokenizer, crops, settings.encoder, checkpoint=checkpoint, progress=watch
            ).state_dict()

        with pytest.raises(KeyboardInterrupt):
            trained("killed", stop=3)
        again, whole = trained("killed"), trained("whole")
        assert all(torch.equal(again[name], whole[name]) for name in whole)
        fresh = load_base(settings.encoder.base)[0].state_dict()
        moved = {name for name in whole if not torch.equal(whole[name], fresh[name])}
        assert moved
        assert not any("embeddings" in name for name in moved)

    def test_the_learning_rate_rises_and_falls(self) -> None:
        rates = [rate(step, 100) for step in range(100)]
        assert rates[0] < rates[4] <= 1
        assert rates[-1] < 0.01
        assert max(rates) == pytest.approx(1, abs=0.01)

    def test_an_encoder_that_is_none_is_said(self, tiny: Path, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="cannot be loaded"):
            load_base(str(tmp_path))


class TestWhole:
    def test_built_killed_and_again(self, settings: ReadersSettings, tmp_path: Path) -> None:
        def stop(what: str, done: int, total: int) -> None:
            if what == "encoder, fold 1" and done == 1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            build_readers(tmp_path / "killed", settings, progress=stop)
        facts = build_readers(tmp_path / "killed", settings)
        assert facts == build_readers(tmp_path / "whole", settings)
        folder = tmp_path / "whole" / "detector"
        for file in sorted(folder.iterdir()):
            assert (
                file.read_bytes() == (tmp_path / "killed" / "detector" / file.name).read_bytes()
            ), file.name
        self._check(facts, folder)

    def _check(self, facts: dict[str, Any], folder: Path) -> None:
        assert {row["machine"] for row in facts["auroc"]} == {"*/* bot nucleus", "* temperature-1"}
        assert {row["score"] for row in facts["auroc"]} == {
            "lexical",
            "encoder",
            "numbers",
            "of all readers",
            "of words alone",
        }
        assert all(0 <= row["low"] <= row["auroc"] <= row["high"] <= 1 for row in facts["auroc"])
        assert {row["source"] for row in facts["flagged"]["of all readers"]} >= {
            "one/essay",
            "two/review",
        }
        detector = load_detector(folder)
        assert isinstance(detector, ReadersDetector)
        assert all(map(math.isfinite, detector.score([prose(1, 5), ""])))
        calibration = load_calibration(folder / "calibration.json")
        assert calibration.known_by == known_by(parse_name(str(folder)))
        assert set(calibration.by_kind) == {"essay", "review", ""} - {""}
        assert load_calibration(folder / "calibration-words.json").known_by == known_by(
            parse_name(str(folder)), with_scorer=False
        )
        assert open_examiner(str(folder), device="cpu").calibration == calibration
        assert (folder / "learned.json").is_file()

    def test_transfer_between_families_kinds_and_years(
        self, settings: ReadersSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transfer, "FEWEST", 2)
        monkeypatch.setattr(transfer, "PARTS", 2)  # a detector is trained for each
        plan = replace(
            settings, families={"one/*": "first", "two/*": "second"}, years={"*": 2019}, judged=24
        )
        cells = transfer.build_transfer(tmp_path / "out", plan, work=tmp_path / "work")
        found = {(one.view, one.trained_on, one.tested_on) for one in cells}
        names = {
            "family": ["first", "second", "all"],
            "kind": ["essay", "review", "all"],
            "year": ["2019", "all"],
        }
        assert found == {(view, a, b) for view, each in names.items() for a in each for b in each}
        assert all(
            0 <= one.auroc_low <= one.auroc <= one.auroc_high <= 1 and one.n_human and one.n_machine
            for one in cells
        )
        held = json.loads((tmp_path / "out" / "transfer.json").read_text())
        assert held["cells"] == [asdict(one) for one in cells]
        assert {file.name for file in (tmp_path / "out").iterdir()} >= {
            "transfer.md",
            "family.png",
            "kind.png",
            "year.png",
        }
        before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
        transfer.build_transfer(tmp_path / "out", plan, work=tmp_path / "work")
        assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before

    def test_on_the_command_line(self, settings: ReadersSettings, tmp_path: Path) -> None:
        (tmp_path / "plan.toml").write_text(toml(settings), encoding="utf-8")
        command = ["train-detector", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "out")]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        assert "Sources that no reader learned from" in done.output
        assert (tmp_path / "out" / "detector" / "readers.json").is_file()
        done = CliRunner().invoke(app, ["train-detector", str(tmp_path / "nowhere.toml")])
        assert isinstance(done.exception, PlanError)
