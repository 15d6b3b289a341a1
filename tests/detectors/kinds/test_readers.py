"""Several readers as one detector: how they combine, when the language model is asked, what is
kept, what is said.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from staged.detectors.calibration.calibration import fit_calibration
from staged.detectors.catalog import calibration_file, load_detector, open_detector
from staged.detectors.contract import Explaining
from staged.detectors.identity import detector_files, known_by
from staged.detectors.kinds.readers.detector import Combination, ReadersDetector
from staged.detectors.kinds.readers.plain import plain
from staged.detectors.names import parse_name
from staged.detectors.opening import open_examiner
from staged.errors import CheckpointError, PlanError
from tests.conftest import prose, put_json
from tests.detectors.kinds.tiny import tiny_readers

TEXTS = [prose(seed, 4) for seed in range(4)]


@pytest.fixture(scope="module")
def kept(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept") / "mine"
    folder.mkdir()
    tiny_readers(tiny).save(folder)
    return folder


class TestCombination:
    def test_the_language_model_is_asked_where_words_leave_it_open(self) -> None:
        mine = Combination(
            (1.0, 1.0, 0.0), (1.0, 1.0, 1.0, 0.0), clear=-2.0, sure=2.0, low=-3.0, high=4.0
        )
        lexical, encoder = np.asarray([-3.0, 0.0, 1.5, 3.0]), np.zeros(4)
        assert mine.is_open(mine.alone(lexical, encoder)).tolist() == [False, True, True, False]
        asked = np.asarray([np.nan, 0.5, 5.0, np.nan])
        assert mine.together(lexical, encoder, asked).tolist() == [-4.0, 0.5, 4.0, 5.0]

    def test_more_of_any_reader_is_never_less(self) -> None:
        mine = Combination(
            (1.0, 0.5, 0.2), (0.7, 0.4, 0.9, -0.1), clear=-1.0, sure=1.0, low=-2.0, high=1.5
        )
        grid = np.linspace(-3, 3, 61)
        for column in range(3):
            readings = np.zeros((61, 3))
            readings[:, column] = grid
            alone = mine.alone(readings[:, 0], readings[:, 1])
            found = mine.together(
                readings[:, 0],
                readings[:, 1],
                np.where(mine.is_open(alone), readings[:, 2], np.nan),
            )
            assert (np.diff(found) >= -1e-12).all()


class TestDetector:
    def test_scores_are_the_readers_together(self, tiny: Path) -> None:
        mine = tiny_readers(tiny)
        lines = [plain(text) for text in TEXTS]
        assert mine.numbers is not None
        a, b, c = (
            mine.lexical.log_odds(lines),
            mine.encoder.log_odds(lines),
            mine.numbers.log_odds(lines),
        )
        assert mine.score(TEXTS) == pytest.approx((0.8 * a + 0.5 * b + 0.7 * c).tolist(), abs=1e-4)
        assert isinstance(mine, Explaining)
        assert [one.score for one in mine.scored(TEXTS)] == pytest.approx(mine.score(TEXTS))
        assert mine.score([]) == []
        assert all(map(math.isfinite, mine.score(["", "one", "word " * 3000])))

    def test_what_is_sure_is_not_read_with_a_language_model(self, tiny: Path) -> None:
        mine = tiny_readers(tiny, clear=100.0, sure=101.0)
        found = mine.scored(TEXTS)
        assert mine.numbers is not None
        assert "scorer" not in vars(mine.numbers)  # never loaded
        assert {one.opinions[2].log_odds for one in found} == {None}
        assert all("not asked: the others are sure" in one.opinions[2].says for one in found)

    def test_opinions_name_each_reader(self, tiny: Path) -> None:
        one = tiny_readers(tiny).scored(TEXTS[:1])[0]
        assert [opinion.reader for opinion in one.opinions] == [
            "words and phrases",
            "how words are put together",
            "how evenly it surprises a language model",
        ]
        assert all(opinion.says for opinion in one.opinions)
        assert set(one.kinds) <= {"news", "story"}

    def test_round_trip(self, kept: Path, tiny: Path) -> None:
        mine, again = tiny_readers(tiny), load_detector(kept)
        assert isinstance(again, ReadersDetector)
        assert again.score(TEXTS) == pytest.approx(
            mine.score(TEXTS), abs=0.2
        )  # matrices are kept in eight bits
        assert (again.combination, again.mixing, again.name) == (
            mine.combination,
            mine.mixing,
            "mine",
        )
        assert open_detector(str(kept), device="cpu").score(TEXTS) == pytest.approx(
            again.score(TEXTS)
        )

    @pytest.mark.parametrize(
        "change", [{"words": [1]}, {"all": "x"}, {"mixing": {}}, {"clear": None}]
    )
    def test_damage_is_said(self, kept: Path, tmp_path: Path, change: dict) -> None:  # type: ignore[type-arg]
        for file in kept.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        put_json(
            tmp_path / "readers.json", json.loads((kept / "readers.json").read_text()) | change
        )
        with pytest.raises(CheckpointError, match=r"readers\.json: not a readable detector"):
            load_detector(tmp_path)


class TestWithoutTheLanguageModel:
    @pytest.fixture
    def alone(self, kept: Path, tiny: Path, tmp_path: Path) -> Path:
        """The same detector, whose language model is not on this machine."""
        folder = tmp_path / "alone"
        folder.mkdir()
        tiny_readers(tmp_path / "gone").save(folder)
        return folder

    def test_words_judge_alone(self, alone: Path) -> None:
        mine = load_detector(alone)
        assert isinstance(mine, ReadersDetector)
        assert mine.numbers is None
        lines = [plain(text) for text in TEXTS]
        expected = mine.combination.alone(
            mine.lexical.log_odds(lines), mine.encoder.log_odds(lines)
        )
        assert mine.score(TEXTS) == pytest.approx(expected.tolist())
        assert "not installed" in mine.scored(TEXTS)[0].opinions[2].says

    def test_by_a_calibration_of_their_own(self, alone: Path, kept: Path) -> None:
        people = [(float(i), 20) for i in range(200)]
        for file, names in (
            ("calibration.json", known_by(parse_name(str(kept)))),
            ("calibration-words.json", known_by(parse_name(str(alone)))),
        ):
            fit_calibration("mine", people, edges_words=[5], known_by=names).save(alone / file)
        assert calibration_file(parse_name(str(alone))) == alone / "calibration-words.json"
        assert open_examiner(str(alone), device="cpu").calibration is not None
        assert "numbers.npz" not in detector_files(parse_name(str(alone)))
        assert "numbers.npz" in detector_files(parse_name(str(kept)))
        with pytest.raises(CheckpointError, match=r"not .* as it is now"):
            open_examiner(str(alone), calibration=alone / "calibration.json", device="cpu")


class TestExaminer:
    @pytest.fixture
    def judging(self, kept: Path, tmp_path: Path) -> Path:
        human = [(-9.0 + i / 200, 20) for i in range(200)] + [
            (50.0 + i / 200, 20) for i in range(200)
        ]
        kinds = ["news"] * 200 + ["story"] * 200
        file = tmp_path / "c.json"
        fit_calibration(
            "mine", human, edges_words=[5], kinds=kinds, known_by=known_by(parse_name(str(kept)))
        ).save(file)
        return file

    def test_kinds_decide_and_can_be_given(self, kept: Path, judging: Path) -> None:
        news, story = (
            open_examiner(str(kept), calibration=judging, kind=kind, device="cpu")
            for kind in ("news", "story")
        )
        assert news.examine([("a", TEXTS[0])])[0].kind == "news"
        assert story.examine([("a", TEXTS[0])])[0].p_value == 1
        row = news.examine([("a", TEXTS[0])])[0].row()
        assert (row["kind"], len(row["opinions"])) == ("news", 3)
        with pytest.raises(PlanError, match="did you mean 'story'"):
            open_examiner(str(kept), calibration=judging, kind="storey", device="cpu")
        assert news.identity != story.identity

    def test_a_calibration_that_does_not_know_the_detector_s_files_is_another_s(
        self, kept: Path, tmp_path: Path
    ) -> None:
        """`evidence` was the name of another detector before; its calibrations say no more than
        that.
        """
        fit_calibration("mine", [(0.0, 20)] * 200, edges_words=[5]).save(tmp_path / "old.json")
        with pytest.raises(CheckpointError, match="calibrates the detector 'mine'"):
            open_examiner(str(kept), calibration=tmp_path / "old.json", device="cpu")

    def test_shares_and_weights_of_words(self, kept: Path, judging: Path) -> None:
        examiner = open_examiner(str(kept), calibration=judging, device="cpu")
        text = prose(7, 12)
        share = examiner.share(text)
        assert share is not None
        assert 0 <= share.low <= share.share <= share.high <= 1
        assert share.sentences == 12
        found = examiner.word_weights(text)
        assert [text[one.start : one.end] for one in found][:2] == text.split()[:2]
        assert examiner.share("") is None
