"""From a plan to an `evidence` detector at tiny size: data, resuming, what is learned, what is
saved.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from staged.cli import app
from staged.corpus.files import read_corpus
from staged.detectors.calibration.calibration_file import load_calibration
from staged.detectors.catalog import load_detector
from staged.detectors.identity import known_by
from staged.detectors.kinds import evidence
from staged.detectors.kinds.features import FEATURES, SMOOTHER, feature_matrix, inside_words
from staged.detectors.names import parse_name
from staged.detectors.opening import open_examiner
from staged.errors import ArtifactError, CheckpointError, PlanError, SamplingError
from staged.model.reading.token_statistics import TokenStatistics
from staged.plans.shipped import find_plan
from staged.records import HUMAN, MACHINE, Document
from staged.storage.marks import EMPTIED, mark_construction
from staged.training import features
from staged.training.evidence import generated, passages, report, texts
from staged.training.evidence import training as evidence_training
from staged.training.evidence.generated import (
    SampleBatch,
    cells,
    first_words,
    generator_of,
    method_of,
)
from staged.training.evidence.plan import (
    PENALISED,
    EnsembleSettings,
    EvidenceSettings,
    generator_name,
    read_detector_plan,
    read_evidence,
)
from staged.training.evidence.training import build_detector
from staged.training.evidence.weights import fit_weights, ridge_logistic
from tests.conftest import put_json, toml

METHODS = {"temperature-1": 1.0, "top-k-40": 2.0, PENALISED: 1.0}


@pytest.fixture
def settings(tiny: Path, human_folder: Path, tmp_path: Path) -> EvidenceSettings:
    held, plain = tmp_path / "held", tmp_path / "plain"
    for folder, word in ((held, "lighthouse"), (plain, "boat")):
        folder.mkdir()
        for path in list(human_folder.iterdir())[:3]:
            (folder / path.name).write_text(
                path.read_text(encoding="utf-8").replace("harbour", word), encoding="utf-8"
            )
    return EvidenceSettings(
        human=(str(human_folder),),
        also_calibrate=(str(plain),),
        held_out=(str(held),),
        generators={str(tiny): 160},
        methods=METHODS,
        smooth=("top-k-40",),
        attacks=("misspelling",),
        words=(15, 25),
        edges_words=(5,),
        n_human=96,
        n_held_out=8,
        prompt_words=5,
        scorer=str(tiny),
    )


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "BLOCK", 32)
    monkeypatch.setattr(report, "FEWEST", 2)


@pytest.mark.usefixtures("small")
class TestTraining:
    def test_whole_and_again_and_after_a_kill(
        self, settings: EvidenceSettings, tmp_path: Path
    ) -> None:
        def stop(what: str, done: int, total: int) -> None:
            if what == "features" and done >= 64:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            build_detector(tmp_path / "killed", settings, progress=stop)
        facts = build_detector(tmp_path / "killed", settings)
        assert facts == build_detector(tmp_path / "whole", settings)
        detector = tmp_path / "whole" / "detector"
        for path in sorted(detector.rglob("*")):
            if path.is_file():
                assert (
                    path.read_bytes()
                    == (tmp_path / "killed" / "detector" / path.relative_to(detector)).read_bytes()
                ), path
        self._check(facts, detector)

    def _check(self, facts: dict, folder: Path) -> None:  # type: ignore[type-arg]
        assert {row["machine"] for row in facts["auroc"]} == {"all", "tiny", *METHODS}
        assert {row["score"] for row in facts["auroc"]} == {"evidence", *FEATURES}
        assert all(0 <= row["low"] <= row["auroc"] <= row["high"] <= 1 for row in facts["auroc"])
        assert facts["achieved"]["0.05"][0]["n"] > facts["attacked"]["0.05"][0]["n"] - 1 > 0
        assert "plain" in facts["calibrated_on"]
        assert "held" not in facts["calibrated_on"]
        assert open_examiner(str(folder)).calibration == load_calibration(
            folder / "calibration.json"
        )
        assert load_calibration(folder / "calibration.json").known_by
        scores = load_detector(folder).score(["The harbour opens the window.", "", "a " * 4000])
        assert all(math.isfinite(score) for score in scores)

    def test_a_generator_trained_again_under_its_name_writes_anew(
        self,
        settings: EvidenceSettings,
        tiny: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        model, out = tmp_path / "generator", tmp_path / "samples"
        shutil.copytree(tiny, model)
        plan = replace(settings, generators={str(model): 160})
        human = passages.build_human(tmp_path / "human", plan)

        def texts() -> list[str]:
            return [
                one.text
                for one in generated.build_machine(out, human, plan, progress=lambda *_: None)
            ]

        first = texts()
        with monkeypatch.context() as patch:
            patch.setattr(
                generated,
                "write_samples",
                lambda *_, **__: pytest.fail("a text was generated again"),
            )
            assert texts() == first
        weights = load_file(model / "model.safetensors")
        save_file(
            {name: -tensor for name, tensor in weights.items()},
            model / "model.safetensors",
            {"format": "pt"},
        )
        with monkeypatch.context() as patch:
            patch.setattr(generated, "write_samples", lambda *_, **__: sys.exit("killed"))
            with pytest.raises(SystemExit):
                texts()
        second = texts()
        assert len(second) == len(first)
        assert not set(second) & set(first)
        for record in out.glob("*.weights.json"):
            record.unlink()  # samples of before there were records: they are taken as they stand
        save_file(weights, model / "model.safetensors", {"format": "pt"})
        assert texts() == second
        shutil.rmtree(model)
        assert texts() == second

    def test_two_detectors_as_one(
        self, settings: EvidenceSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out, plan, other = tmp_path / "out", tmp_path / "texts.toml", tmp_path / "other"
        build_detector(out, settings)
        shutil.copytree(out / "detector", other)
        made = json.loads((other / "evidence.json").read_text(encoding="utf-8"))
        put_json(
            other / "evidence.json",
            made | {"name": "other", "biases": [1.0, -3.0], "most_tokens": 12},
        )
        plan.write_text(toml(settings), encoding="utf-8")
        (tmp_path / "both.toml").write_text(
            f'texts = "{plan}"\nname = "both"\n[members]\n"{out / "detector"}" = 1\n"{other}"'
            " = 3\n",
            encoding="utf-8",
        )
        both = tmp_path / "both"
        for kept in ("human", "samples", "features"):
            shutil.copytree(out / kept, both / kept)
        monkeypatch.setattr(
            generated,
            "write_samples",
            lambda *_, **__: pytest.fail("a text was generated again"),
        )
        facts = build_detector(both, read_detector_plan(tmp_path / "both.toml"))
        assert {row["score"] for row in facts["auroc"]} == {"both", "evidence", "other"}
        ensemble = load_detector(both / "detector")
        text = "The harbour opens the window while the letter waits for the morning."
        (one,), (two,) = (load_detector(place).score([text]) for place in (out / "detector", other))
        assert ensemble.score([text]) == pytest.approx([(one + 3 * two) / 4])
        calibration = load_calibration(both / "detector" / "calibration.json")
        assert calibration.detector == ensemble.name == "both"
        shipped = load_calibration(out / "detector" / "calibration.json")
        assert [len(bin) for bin in calibration.human] == [len(bin) for bin in shipped.human]
        assert calibration.human != shipped.human

    def test_members_that_cannot_be_joined_are_said_before_anything_is_made(
        self, settings: EvidenceSettings, tmp_path: Path
    ) -> None:
        build_detector(tmp_path / "out", settings)
        mine = str(tmp_path / "out" / "detector")
        shutil.copytree(mine, tmp_path / "again")
        for members, said in (
            ({mine: 1.0, "lrr@mini-s": 1.0}, "not of the kind of `evidence`"),
            ({mine: 1.0, str(tmp_path / "again"): 1.0}, "is called 'evidence'; members' names"),
        ):
            with pytest.raises(PlanError, match=said):
                build_detector(
                    tmp_path / "both",
                    EnsembleSettings(members, "evidence-2026-11", "both"),
                )
        with pytest.raises(PlanError, match="members' names and its own must differ"):
            build_detector(
                tmp_path / "both",
                EnsembleSettings({mine: 1.0, "x": 1.0}, "evidence-2026-11", "evidence"),
            )
        for weight in (0.0, math.nan, math.inf):
            with pytest.raises(PlanError, match="each with a weight above 0"):
                EnsembleSettings({mine: 1.0, "x": weight}, "evidence-2026-11", "both")
        assert not (tmp_path / "both").exists()

    def test_what_an_earlier_run_left_is_replaced_whole(
        self, settings: EvidenceSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        facts = build_detector(tmp_path / "out", settings)
        place = tmp_path / "out" / "detector"
        kept = {path.name: path.read_bytes() for path in place.iterdir()}
        monkeypatch.setattr(evidence_training, "report", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            build_detector(tmp_path / "out", replace(settings, rarer=9.0))
        assert {path.name: path.read_bytes() for path in place.iterdir()} == kept
        monkeypatch.undo()
        monkeypatch.setattr(texts, "BLOCK", 32)
        monkeypatch.setattr(report, "FEWEST", 2)
        build_detector(tmp_path / "out", replace(settings, rarer=9.0))
        (place / "notes.txt").write_text("mine", encoding="utf-8")
        with pytest.raises(ArtifactError, match=r"notes\.txt"):
            build_detector(tmp_path / "out", settings)
        (place / "notes.txt").unlink()
        assert build_detector(tmp_path / "out", settings) == facts
        assert {path.name: path.read_bytes() for path in place.iterdir()} == kept

    def test_a_finished_run_is_not_done_again_and_one_killed_while_replacing_is_ended(
        self, settings: EvidenceSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        facts = build_detector(tmp_path / "out", settings)
        place = tmp_path / "out" / "detector"
        shutil.copytree(place, tmp_path / "out" / "detector.partial")
        mark_construction(place, EMPTIED)  # as its removal had begun
        (place / "manifest.json").unlink()
        (place / "evidence.json").unlink()
        monkeypatch.setattr(
            features,
            "scored_features",
            lambda *_, **__: pytest.fail("a text was read again"),
        )
        for _ in range(2):
            assert build_detector(tmp_path / "out", settings) == facts
            assert load_detector(place).name == "evidence"

    def test_changed_text_is_read_again_and_no_test_text_of_before_stays(
        self, settings: EvidenceSettings, tmp_path: Path
    ) -> None:
        build_detector(tmp_path / "out", settings)
        tests = tmp_path / "out" / "test" / "human"
        assert "plain.jsonl" in {path.name for path in tests.iterdir()}
        changed = next(Path(settings.held_out[0]).rglob("*.txt"))
        changed.write_text(
            changed.read_text(encoding="utf-8").replace("lighthouse", "windmill"), encoding="utf-8"
        )
        build_detector(tmp_path / "out", settings)
        assert "windmill" in (tests / "held.jsonl").read_text(encoding="utf-8")
        build_detector(tmp_path / "out", replace(settings, also_calibrate=()))
        assert "plain.jsonl" not in {path.name for path in tests.iterdir()}

    def test_a_scorer_that_was_trained_again_is_another(
        self, settings: EvidenceSettings, tiny: Path, tmp_path: Path
    ) -> None:
        scorer = tmp_path / "scorer"
        shutil.copytree(tiny, scorer)
        settings = replace(settings, scorer=str(scorer))
        build_detector(tmp_path / "out", settings)
        place = tmp_path / "out" / "detector"
        before, known = (place / "evidence.json").read_bytes(), known_by(parse_name(str(place)))
        shutil.copytree(place, tmp_path / "kept")
        weights = load_file(scorer / "model.safetensors")
        save_file(
            {name: one * 1.5 for name, one in weights.items()},
            scorer / "model.safetensors",
            metadata={"format": "pt"},
        )
        assert known_by(parse_name(str(place))) != known
        with pytest.raises(CheckpointError, match="as it is now"):
            open_examiner(str(tmp_path / "kept"))
        build_detector(tmp_path / "out", settings)
        assert (place / "evidence.json").read_bytes() != before
        assert open_examiner(str(place)).calibration

    def test_folders_of_others_stay(self, settings: EvidenceSettings, tmp_path: Path) -> None:
        for name in ("test", "human"):
            mine = tmp_path / name / name / "my_tests.py"
            mine.parent.mkdir(parents=True)
            mine.write_text("mine")
            with pytest.raises(
                ArtifactError, match=r"my_tests\.py, and nothing here was made by staged"
            ):
                build_detector(tmp_path / name, settings)
            assert mine.read_text() == "mine"

    def test_what_is_finished_needs_no_generator(
        self, settings: EvidenceSettings, tiny: Path, tmp_path: Path
    ) -> None:
        writer = tmp_path / "writer"
        shutil.copytree(tiny, writer)
        settings = replace(settings, generators={str(writer): 160})
        facts = build_detector(tmp_path / "out", settings)
        shutil.rmtree(writer)
        assert build_detector(tmp_path / "out", settings) == facts

    def test_samples_of_another_plan_are_said(
        self, settings: EvidenceSettings, tmp_path: Path
    ) -> None:
        build_detector(tmp_path / "out", settings)
        other = tmp_path / "other"
        shutil.copytree(tmp_path / "out" / "samples", other / "samples")
        for changed in ({"seed": 2}, {"repetition_penalty": 1.5}):
            with pytest.raises(
                SamplingError, match="holds samples of another plan; choose another --out"
            ):
                build_detector(other, replace(settings, **changed))  # type: ignore[arg-type]

    def test_too_few_passages_are_said_before_a_text_is_written(
        self, settings: EvidenceSettings, tmp_path: Path
    ) -> None:
        many = dict.fromkeys(settings.generators, 100_000)
        with pytest.raises(
            PlanError,
            match=r"texts of .* words are to be written by .* give more text, or ask for fewer",
        ):
            build_detector(tmp_path / "out", replace(settings, generators=many))
        assert not list((tmp_path / "out" / "samples").iterdir())

    def test_a_folder_that_is_no_such_detector_stays(
        self, settings: EvidenceSettings, tmp_path: Path
    ) -> None:
        mine = tmp_path / "out" / "detector" / "config.json"
        mine.parent.mkdir(parents=True)
        mine.write_text("{}", encoding="utf-8")
        with pytest.raises(
            ArtifactError, match=r"holds config\.json, and nothing here was made by staged"
        ):
            build_detector(tmp_path / "out", settings)
        assert mine.read_text(encoding="utf-8") == "{}"

    def test_the_command_shows_members_by_their_names(
        self, settings: EvidenceSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("mine.toml").write_text(toml(settings), encoding="utf-8")
        result = CliRunner().invoke(app, ["train-detector", "mine.toml"])
        assert result.exit_code == 0, result.output
        made = json.loads(Path("out/mine/detector/evidence.json").read_text(encoding="utf-8"))
        Path("second").mkdir()
        put_json(Path("second/evidence.json"), made | {"name": "second"})
        Path("both.toml").write_text(
            'texts = "mine.toml"\nname = "both"\n[members]\n"out/mine/detector" = 1\n"second"'
            " = 3\n",
            encoding="utf-8",
        )
        for kept in ("human", "samples", "features"):
            shutil.copytree(Path("out/mine", kept), Path("out/both", kept))
        result = CliRunner().invoke(app, ["train-detector", "both.toml"])
        assert result.exit_code == 0, result.output
        table = result.stdout.partition("Human texts that had no part in it")[0]
        shown = {line.split("│")[2].strip() for line in table.splitlines() if line.count("│") > 3}
        assert shown == {"both", "evidence", "second"}
        assert "detector: out/both/detector" in result.stdout

    def test_a_member_that_learned_from_the_texts_is_refused(
        self, settings: EvidenceSettings, tmp_path: Path
    ) -> None:
        build_detector(tmp_path / "out", settings)
        mine = str(tmp_path / "out" / "detector")
        plan = tmp_path / "texts.toml"
        as_folder = tuple(f"{one}/" for one in settings.human)
        swapped = {"human": settings.held_out, "held_out": settings.human}
        for changed in ({"seed": 2}, {"seed": 2, "human": as_folder}, swapped):
            plan.write_text(toml(replace(settings, **changed)), encoding="utf-8")  # type: ignore[arg-type]
            with pytest.raises(
                PlanError,
                match=r"learned from texts of .* that this plan's texts calibrate or test with",
            ):
                build_detector(
                    tmp_path / "both", EnsembleSettings({mine: 1.0, "x": 1.0}, str(plan), "both")
                )
        assert not (tmp_path / "both").exists()

    def test_a_missing_model_is_said_before_anything_is_made(
        self, settings: EvidenceSettings, tmp_path: Path
    ) -> None:
        for changed in ({"scorer": "nope"}, {"generators": settings.generators | {"mini-zz": 4}}):
            with pytest.raises(CheckpointError):
                build_detector(tmp_path / "out", replace(settings, **changed))  # type: ignore[arg-type]
        assert not (tmp_path / "out").exists()

    def test_another_detector_is_not_overwritten(
        self, settings: EvidenceSettings, tmp_path: Path
    ) -> None:
        build_detector(tmp_path / "out", settings)
        before = (tmp_path / "out" / "detector" / "evidence.json").read_bytes()
        with pytest.raises(
            PlanError,
            match="holds the detector 'evidence', and this plan makes 'mine'; choose another --out",
        ):
            build_detector(tmp_path / "out", replace(settings, name="mine"))
        assert (tmp_path / "out" / "detector" / "evidence.json").read_bytes() == before

    def test_an_unknown_device_is_said_before_anything_is_made(
        self, settings: EvidenceSettings, tmp_path: Path
    ) -> None:
        with pytest.raises(PlanError, match="device 'tpu'"):
            build_detector(tmp_path / "out", settings, device="tpu")
        assert not (tmp_path / "out").exists()

    def test_damage_is_one_sentence(self, settings: EvidenceSettings, tmp_path: Path) -> None:
        build_detector(tmp_path / "out", settings)
        path = tmp_path / "out" / "detector" / "evidence.json"
        made = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(made | {"smooth": [1.0]}), encoding="utf-8")
        with pytest.raises(CheckpointError, match="another length"):
            load_detector(path.parent)
        path.write_text(json.dumps(made | {"features": ["x"]}), encoding="utf-8")
        with pytest.raises(CheckpointError, match="other features"):
            load_detector(path.parent)


class TestData:
    def test_no_source_in_two_splits_and_held_out_only_tests(
        self, settings: EvidenceSettings
    ) -> None:
        found = passages.human_passages(
            settings, {name: read_corpus(name) for name in settings.corpora}
        )
        splits: dict[str, set[str]] = {}
        for one in found:
            splits.setdefault(one.source, set()).add(one.split)
        assert all(len(those) == 1 for those in splits.values())
        held = {one.split for one in found if one.source.startswith("held:")}
        assert held == {"test"}
        plain = {one.split for one in found if one.source.startswith("plain:")}
        assert plain == {"valid", "test"}
        assert not [
            one for one in passages.attacked(found, settings) if one.source.startswith("plain")
        ]
        assert {one.split for one in found} == {"train", "valid", "test"}

    def test_a_machine_text_shares_its_sources_beginning_length_and_split(
        self, settings: EvidenceSettings, tmp_path: Path
    ) -> None:
        human = passages.build_human(tmp_path / "human", settings)
        machine = generated.build_machine(
            tmp_path / "samples", human, settings, progress=lambda done, total: None
        )
        assert len(machine) == sum(cell.count for cell in cells(settings))
        by_start = {
            (one.source, tuple(one.text.split()[:4])): one for one in human
        }  # the fifth word may go on
        for one in machine:
            source = by_start[one.source, tuple(one.text.split()[:4])]
            assert (one.label, one.split) == (MACHINE, source.split)
            assert len(one.text.split()) <= len(source.text.split())
            assert not one.source.startswith(("held:", "plain:"))

    @pytest.mark.parametrize(
        ("text", "words", "cut"),
        [
            ("a  b\n c d", 3, "a  b\n c"),
            (" a b", 9, " a b"),
            ("", 3, ""),
            ("a b ", 2, "a b"),
            ("  ", 1, ""),
        ],
    )
    def test_first_words(self, text: str, words: int, cut: str) -> None:
        assert first_words(text, words) == cut

    def test_the_committed_plan_reads(self) -> None:
        plan = read_evidence(find_plan("evidence-2026-11"))
        assert sum(cell.count for cell in cells(plan)) == pytest.approx(
            sum(plan.generators.values()), rel=0.05
        )

    @pytest.mark.parametrize(
        "wrong",
        [
            {"human": ()},
            {"smooth": ("nucleus",)},
            {"words": (0,)},
            {"methods": {}},
            {"prompt_words": 0},
            {"smooth_penalty": -1.0},
            {"edges_words": (50, 50)},
            {"attacks": ("x",)},
            {"generators": {"a/model": 1, "b/model": 1}},
            {"held_out": ("other/essays", "more/essays")},
        ],
    )
    def test_wrong_plans(self, settings: EvidenceSettings, wrong: dict) -> None:  # type: ignore[type-arg]
        with pytest.raises(PlanError):
            replace(settings, **wrong)

    @pytest.mark.parametrize("name", ["letters under fire", "a:b"])
    @pytest.mark.parametrize("where", ["human", "also_calibrate", "held_out"])
    def test_a_corpus_whose_name_would_be_misread_is_refused(
        self, settings: EvidenceSettings, where: str, name: str
    ) -> None:
        """`letters under fire` would count as letters under an attack called fire."""
        with pytest.raises(PlanError, match="rename it"):
            replace(settings, **{where: (f"texts under here/{name}",)})  # type: ignore[arg-type]
        assert replace(settings, **{where: ("texts under here/letters",)})  # type: ignore[arg-type]


PLAN = EvidenceSettings(("a",), (), {"g": 1}, {"nucleus": 1.0, "temperature-1": 1.0}, ("nucleus",))


class TestWeights:
    def documents(self, n: int) -> list[Document]:
        human = [Document(f"h{i}", "", HUMAN, "a:x", "train") for i in range(n)]
        names = ["g.nucleus.75", "g.temperature-1.75"]
        return human + [
            Document(f"{name}.{i}", "", MACHINE, "a:x", "train") for name in names for i in range(n)
        ]

    def test_both_sides_of_human_text_score_high(self) -> None:
        """Human text in the middle of one feature, one machine kind below, one above: a single line
        could not tell them.
        """
        stream, at = np.random.default_rng(5), FEATURES.index("surprise-spread")
        n = 300
        features = stream.normal(size=(3 * n, len(FEATURES)))
        features[n : 2 * n, at] -= 4
        features[2 * n :, at] += 4
        odds = fit_weights(features, self.documents(n), PLAN).log_odds(features)
        human, smooth, rough = odds[:n], odds[n : 2 * n], odds[2 * n :]
        assert np.mean(smooth[:, None] > human[None]) > 0.95
        assert np.mean(rough[:, None] > human[None]) > 0.95

    def test_the_smooth_way_keeps_to_its_directions(self) -> None:
        """A feature that moves the wrong way in these generators' text gets no weight, nor does one
        without a direction.
        """
        stream, n = np.random.default_rng(7), 200
        features = stream.normal(size=(3 * n, len(FEATURES)))
        features[n : 2 * n, FEATURES.index("fast-detectgpt")] -= 3
        features[n : 2 * n, FEATURES.index("entropy")] += 3
        features[n : 2 * n, FEATURES.index("rank-100")] += 1
        smooth = dict(
            zip(FEATURES, fit_weights(features, self.documents(n), PLAN).smooth, strict=True)
        )
        assert smooth["fast-detectgpt"] == smooth["entropy"] == 0
        assert smooth["rank-100"] > 0
        assert all(weight * SMOOTHER.get(name, 0) >= 0 for name, weight in smooth.items())

    def test_the_smooth_way_takes_what_the_plan_names(self) -> None:
        stream, n = np.random.default_rng(7), 200
        features = stream.normal(size=(3 * n, len(FEATURES)))
        for name in ("fast-detectgpt", "rank-100"):
            features[n : 2 * n, FEATURES.index(name)] += 2
        weights = fit_weights(
            features,
            self.documents(n),
            replace(PLAN, smooth_features=("fast-detectgpt", "unsure-z")),
        )
        smooth = dict(zip(FEATURES, weights.smooth, strict=True))
        assert smooth["fast-detectgpt"] > smooth["rank-100"] == 0
        with pytest.raises(PlanError, match="smooth_features names 'rank-10'"):
            replace(PLAN, smooth_features=("rank-10",))

    def test_rough_generators_are_rough_by_any_method(self) -> None:
        features = np.random.default_rng(8).normal(size=(90, len(FEATURES)))
        with pytest.raises(PlanError, match="both ways"):  # nothing is left for the smooth way
            fit_weights(features, self.documents(30), replace(PLAN, rough=("g",)))

    def test_the_rough_way_is_rarer_by_so_much(self) -> None:
        features = np.random.default_rng(10).normal(size=(90, len(FEATURES)))
        one, other = (
            fit_weights(features, self.documents(30), replace(PLAN, rarer=rarer))
            for rarer in (0.0, 2.0)
        )
        assert np.subtract(one.biases, other.biases) == pytest.approx((0.0, 2.0))

    def test_a_text_too_short_for_features_is_no_machines(self) -> None:
        features = np.random.default_rng(11).normal(7.0, size=(90, len(FEATURES)))
        weights = fit_weights(features, self.documents(30), PLAN)
        short, average = weights.log_odds(np.stack([np.zeros(len(FEATURES)), weights.mean]))
        assert short == average

    def test_log_odds_are_calibrated(self) -> None:
        """Gaussian classes one feature apart by d have log-odds d·x − d²/2; a strong ridge must not
        shrink them.
        """
        stream, n, d = np.random.default_rng(9), 4000, 1.5
        x = np.concatenate([stream.normal(size=n), stream.normal(d, size=n)])[:, None]
        weights, bias = ridge_logistic(
            x, np.arange(2 * n) >= n, np.full(2 * n, 1 / (2 * n)), penalty=1.0
        )
        assert weights[0] == pytest.approx(d, rel=0.08)
        assert bias == pytest.approx(-(d**2) / 2, rel=0.1)

    def test_one_wild_feature_cannot_decide_alone(self) -> None:
        features = np.random.default_rng(6).normal(size=(90, len(FEATURES)))
        wild = np.zeros((1, len(FEATURES)))
        wild[0, 3] = 1e12
        assert abs(fit_weights(features, self.documents(30), PLAN).log_odds(wild)[0]) < 50

    def test_careless_spelling_is_no_sign_of_a_machine(self) -> None:
        """Attacked human text lies where rough text does, but for one feature; told so, the rough
        way leaves it alone.
        """
        stream, n, inside = np.random.default_rng(11), 300, FEATURES.index("surprise-inside")
        features = stream.normal(size=(4 * n, len(FEATURES)))
        features[n : 2 * n, FEATURES.index("surprise-spread")] -= 4
        features[2 * n :, FEATURES.index("surprise-spread")] += 4
        features[3 * n :, inside] += 4
        people = self.documents(n)
        careless = [
            replace(one, id=f"{one.id}~misspelling", source="a under misspelling:x")
            for one in people[:n]
        ]
        told = fit_weights(features, people + careless, replace(PLAN, attacked_share=1.0)).log_odds(
            features
        )
        untold = fit_weights(features[: 3 * n], people, PLAN).log_odds(features)
        cut = [np.quantile(odds[:n], 0.95) for odds in (told, untold)]
        assert np.mean(told[3 * n :] > cut[0]) < 0.1 < 0.9 < np.mean(untold[3 * n :] > cut[1])
        assert np.mean(told[2 * n : 3 * n] > cut[0]) > 0.75


class TestFeatures:
    def test_short_texts_have_no_sign(self) -> None:
        short = TokenStatistics(
            np.arange(3), np.zeros(2), np.zeros(2), np.ones(2), np.ones(2, dtype=np.int64), 0.0
        )
        assert not feature_matrix([short], [np.zeros(2, dtype=bool)]).any()
        assert feature_matrix([], []).shape == (0, len(FEATURES))

    def test_known_values(self) -> None:
        n = 20
        logprob, mean = -np.arange(1.0, n + 1), np.full(n, -2.0)
        rank = np.array([1, 11, 101, 1001] * 5, dtype=np.int64)
        text = TokenStatistics(np.arange(n + 1), logprob, mean, np.full(n, 4.0), rank, 0.0)
        row = feature_matrix([text], [np.zeros(n, dtype=bool)])[0]
        value = dict(zip(FEATURES, row, strict=True))
        assert value["likelihood"] == pytest.approx(-10.5)
        assert value["entropy"] == pytest.approx(2.0)
        assert value["fast-detectgpt"] == pytest.approx((-210 + 40) / math.sqrt(80))
        assert value["surprise-spread"] == pytest.approx(math.sqrt((n**2 - 1) / 12))
        assert value["surprise-jump"] == pytest.approx(1.0)
        assert [value[f"rank-{k}"] for k in (10, 100, 1000)] == pytest.approx([0.25, 0.5, 0.75])
        assert value["surprise-q0.5"] == pytest.approx(10.5)
        assert value["surprise-inside"] == 0

    @pytest.mark.parametrize("fill", [0.0, -1e6])
    def test_always_finite(self, fill: float) -> None:
        n = 30
        same = TokenStatistics(
            np.arange(n + 1),
            np.full(n, fill),
            np.full(n, fill),
            np.zeros(n),
            np.ones(n, dtype=np.int64),
            0.0,
        )
        assert np.isfinite(feature_matrix([same], [np.arange(n) % 2 == 0])).all()

    def test_tokens_inside_words_count_in_one_feature_only(self) -> None:
        """Pieces of misspelt words between the others change nothing but the surprise inside
        words.
        """
        stream, n = np.random.default_rng(1), 30

        def text(logprob: np.ndarray, fill: float) -> TokenStatistics:
            m = len(logprob)
            return TokenStatistics(
                np.arange(m + 1),
                logprob,
                np.full(m, fill),
                np.full(m, 2.0),
                np.ones(m, dtype=np.int64),
                0.0,
            )

        logprob, inside = -stream.gamma(2, 2, n), np.arange(2 * n) % 2 == 1
        mixed = np.where(inside, -9.0, np.repeat(logprob, 2))
        plain, pieces = feature_matrix(
            [text(logprob, -3.0), text(mixed, -3.0)], [np.zeros(n, dtype=bool), inside]
        )
        assert np.flatnonzero(plain != pieces).tolist() == [FEATURES.index("surprise-inside")]
        assert pieces[FEATURES.index("surprise-inside")] == pytest.approx(4.5)

    def test_unsure_features_read_the_tokens_of_high_entropy_alone(self) -> None:
        stream, n = np.random.default_rng(3), 40
        unsure = np.arange(n) % 2 == 0

        def value(surprise: np.ndarray, entropy: np.ndarray) -> dict[str, float]:
            m = len(surprise)
            text = TokenStatistics(
                np.arange(m + 1),
                -surprise,
                -entropy,
                np.full(m, 4.0),
                np.ones(m, dtype=np.int64),
                0.0,
            )
            return dict(
                zip(FEATURES, feature_matrix([text], [np.zeros(m, dtype=bool)])[0], strict=True)
            )

        surprise = stream.gamma(2, 2, n)
        found = value(surprise, np.where(unsure, 5.0, 1.0))
        z = (5.0 - surprise[unsure]) / 2
        assert found["unsure-z"] == pytest.approx(z.mean(), rel=1e-3)
        assert found["unsure-low"] == pytest.approx((z < -1).mean())
        assert found["unsure-q0.9"] == pytest.approx(np.quantile(surprise[unsure], 0.9))
        assert found["unsure-spread"] == pytest.approx(surprise[unsure].std())
        assert found["unsure-jump"] == pytest.approx(np.abs(np.diff(surprise[unsure])).mean())
        other = value(np.where(unsure, surprise, 0.5), np.where(unsure, 5.0, 1.0))
        same = [name for name in FEATURES if name.startswith("unsure-")]
        assert [found[name] for name in same] == [other[name] for name in same]
        everywhere = value(surprise, np.full(n, 1.0))  # nowhere unsure: all tokens count
        assert everywhere["unsure-spread"] == everywhere["surprise-spread"]

    def test_inside_words(self) -> None:
        text = "It's a glo-rious 1st day, naïve"
        pieces = [
            "It",
            "'",
            "s",
            " a",
            " g",
            "lo",
            "-",
            "ri",
            "ous",
            " 1",
            "st",
            " day",
            ",",
            " na",
            "ïve",
        ]
        ends = np.cumsum([len(piece) for piece in pieces]).tolist()
        spans = list(zip([0, *ends[:-1]], ends, strict=True))
        assert [
            piece
            for piece, within in zip(pieces[1:], inside_words(text, spans), strict=True)
            if within
        ] == [
            "lo",
            "ous",
            "ïve",
        ]
        assert len(inside_words("a", [(0, 1)])) == len(inside_words("", [])) == 0


def test_evidence_reads_one_line() -> None:
    assert evidence.one_line("a\n\n b\u00a0c\t d ") == "a b c d"


def test_a_generator_with_a_dot_in_its_name_keeps_its_name_and_method() -> None:
    cell = SampleBatch("hub/Qwen2.5-0.5B", "temperature-0.8", 100, 3)
    text = Document(f"{cell.name}.7", "text", MACHINE, "essays:1", "train")
    assert generator_of(text) == generator_name("hub/Qwen2.5-0.5B") == "Qwen2_5-0_5B"
    assert method_of(text) == "temperature-0.8"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"methods": dict.fromkeys(METHODS, 0.0)}, "every method's share be above 0"),
        ({"generators": {"g": -5}}, "at least 1 text"),
        ({"attacked_share": math.nan}, "must be at least 0"),
        ({"repetition_penalty": -2.0}, "repetition_penalty must be above 0"),
        ({"rarer": math.inf}, "rarer a number"),
        ({"smooth": tuple(METHODS)}, "needs machine texts of both ways"),
        ({"name": "a/b"}, "one that a folder can have"),
        ({"name": ""}, "one that a folder can have"),
        ({"n_held_out": -3}, "n_held_out at least 0"),
        ({"prompt_words": 10}, "nothing would be left for a machine to write"),
        ({"edges_words": (50,)}, "no text of 25 words is long enough"),
    ],
)
def test_plans_that_would_fail_after_hours(
    settings: EvidenceSettings, changed: dict, said: str
) -> None:  # type: ignore[type-arg]
    with pytest.raises(PlanError, match=said):
        replace(settings, **changed)
