"""Which texts make up each split of a study, which make up the mix, and where they are cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from staged.errors import PlanError
from staged.model.bpe import BPE
from staged.records import HUMAN, MACHINE, Document
from staged.studies.detection.graph import counts, study_stages
from staged.studies.detection.plan import MIX, StudySettings
from staged.studies.texts import cut_to, drawn
from tests.studies.detection.made import human, machine, opened, write_texts

SETTINGS = StudySettings(
    models=("dir/s", "l"),
    methods=("nucleus", "top-k-40", "temperature-1"),
    n_train=7,
    n_valid=5,
    n_test=6,
    length_tokens=24,
    lengths=(12, 24),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_texts(tmp_path, SETTINGS)
    return tmp_path


def test_counts() -> None:
    assert counts(SETTINGS) == {"train": 7, "valid": 5, "test": 6}


@pytest.mark.parametrize(("split", "n"), [("train", 7), ("valid", 5), ("test", 6)])
def test_human_texts_of_a_split(root: Path, split: str, n: int) -> None:
    found = human(root, SETTINGS, split)
    assert len(found) == len({one.id for one in found}) == n
    assert {(one.split, one.label) for one in found} == {(split, HUMAN)}
    assert all(one.text.startswith(f"human {split} ") for one in found)
    assert human(root, SETTINGS, split) == found
    assert found != sorted(
        found, key=lambda one: int(one.id.split("-")[1])
    )  # a draw, not the first ones


def test_the_draw_depends_on_the_seed(root: Path) -> None:
    passages = root / "corpus" / "passages.parquet"
    one, other = (drawn(passages, "test", 6, seed=seed, table="corpus") for seed in (1, 2))
    assert one == human(root, SETTINGS, "test") != other
    assert len(drawn(passages, "test", 9, seed=1, table="corpus")) == 9  # all there are


def test_too_few_passages_are_said_with_what_to_do(root: Path) -> None:
    with pytest.raises(
        PlanError,
        match=(
            r"has 9 human passages for test, the plan asks for 10; lower n_test, .*raise"
            r" t\.shares\.test"
        ),
    ):
        drawn(root / "corpus" / "passages.parquet", "test", 10, seed=1, table="t")


def test_sources_never_straddle_splits(root: Path) -> None:
    of = {split: {one.source for one in human(root, SETTINGS, split)} for split in counts(SETTINGS)}
    assert not of["train"] & of["valid"] | of["train"] & of["test"] | of["valid"] & of["test"]


@pytest.mark.parametrize(("model", "name"), [("dir/s", "s"), ("l", "l")])
def test_machine_texts_of_a_method(root: Path, model: str, name: str) -> None:
    found = machine(root, SETTINGS, model, "top-k-40", "test")
    source = f"{name}/top-k-40/test"
    assert found == [
        Document(f"{source}/{i}", f"{name} top-k-40 test {i}", MACHINE, source, "test")
        for i in range(6)
    ]
    assert opened(root, SETTINGS)[0].samples[name, "top-k-40"].name == f"samples/{name}/top-k-40"


def test_the_mix_takes_the_methods_in_turn(root: Path) -> None:
    found = machine(root, SETTINGS, "dir/s", MIX, "train")
    turns = ["nucleus", "top-k-40", "temperature-1"] * 3
    assert [one.text for one in found] == [f"s {turns[i]} train {i}" for i in range(7)]
    assert [
        len(machine(root, SETTINGS, "l", MIX, split)) for split in ("train", "valid", "test")
    ] == [7, 5, 6]


class TestCut:
    def test_at_on_and_below_a_texts_length(self, bpe: BPE) -> None:
        text = (
            "The river crosses the bridge near the station, 7 times. The captain keeps the letter."
        )
        n = bpe.count([text])[0]
        document = Document("a", text, MACHINE, "here", "test")
        assert cut_to([document], bpe, n) == cut_to([document], bpe, n + 1) == [document]
        (short,) = cut_to([document], bpe, n - 1)
        assert text.startswith(short.text)
        assert short.text != text
        assert bpe.count([short.text])[0] == n - 1
        assert (short.id, short.label, short.source, short.split) == ("a", MACHINE, "here", "test")
        assert [bpe.count([one.text])[0] for one in cut_to([document] * 2, bpe, 3)] == [3, 3]

    def test_half_a_character_at_the_end_is_left_out_of_both_classes(self, bpe: BPE) -> None:
        """A human text is cut through a character; a sample ended within one, and holds its
        replacement.
        """
        emoji = "word \N{SMILING FACE WITH SUNGLASSES}"
        n = bpe.count([emoji])[0]
        (text,) = cut_to([Document("a", emoji, HUMAN, "here")], bpe, n - 1)
        (sample,) = cut_to(
            [Document("b", "word \N{REPLACEMENT CHARACTER}", MACHINE, "there")], bpe, 99
        )
        assert (text.text, sample.text) == ("word ", "word ")

    def test_tokens_are_counted_by_the_first_model(self, tiny: Path) -> None:
        settings = StudySettings(models=(str(tiny), "mini-s"), lengths=(64,))
        assert study_stages(settings).corpus.tokenizer().n_vocab == 384


def test_what_a_detector_is_scored_on(root: Path) -> None:
    """At the matrix's length every model's and method's test texts; elsewhere on the curve those of
    its own model.
    """
    stages, inputs = opened(root, SETTINGS)
    nucleus, mix = (stages.scores["tfidf", "l", name] for name in ("nucleus", MIX))
    found = [one.id for one in nucleus.scored(inputs, 24)]
    expected = [one.id for split in ("valid", "test") for one in human(root, SETTINGS, split)]
    expected += [f"l/nucleus/valid/{i}" for i in range(5)]
    expected += [
        f"{model}/{method}/test/{i}"
        for model in "sl"
        for method in SETTINGS.methods
        for i in range(6)
    ]
    assert found == expected
    curve = [one.id for one in mix.scored(inputs, 12)]
    assert [one for one in curve if "/test/" in one] == [
        f"l/{method}/test/{i}" for method in SETTINGS.methods for i in range(6)
    ]
    assert (mix.scored_lengths, nucleus.scored_lengths) == ((12, 24), (24,))
