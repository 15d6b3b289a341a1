"""Texts of several tokenizers are counted each in its own and cut to one number of words."""

from __future__ import annotations

from pathlib import Path

import pytest

from staged.corpus.build import CorpusSettings, read_documents
from staged.errors import PlanError
from staged.model.bpe import train_bpe
from staged.model.causal import load_tokenizer
from staged.progress import silent
from staged.records import count_words
from staged.studies.generators.lengths import StudyCorpus, Tokenizers, distinct, words_in
from tests.conftest import prose
from tests.families import write_family

SHARES = {"train": 0.4, "valid": 0.25, "test": 0.35}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama whose tokens are shorter than the tiny GPT-2's."""
    coarse = train_bpe([prose(seed, 4) for seed in range(3)], 290)
    return write_family(tmp_path_factory.mktemp("llama") / "llama", coarse, "llama")


def corpus(human: Path, *models: Path | str, given: bool = False, named: str = "") -> StudyCorpus:
    settings = CorpusSettings(str(human), budget_tokens=90, minimum_tokens=30, shares=SHARES)
    tokenizers = Tokenizers(tuple(map(str, models)), given, named)
    return StudyCorpus(corpus=settings, tokenizers=tokenizers, lengths=(20, 40))


def made(stage: StudyCorpus, folder: Path) -> dict[str, Path]:
    folder.mkdir()
    stage.write(folder, {}, silent)
    return {stage.name: folder}


def test_one_tokenizer_counts_as_ever(human_folder: Path, tiny: Path, tmp_path: Path) -> None:
    stage = corpus(human_folder, tiny)
    inputs = made(stage, tmp_path / "corpus")
    assert not stage.tokenizers.are_several
    assert stage.words(inputs, 20) is None
    assert "lengths" not in stage.settings
    assert list(stage.files) == ["tokenizer"]
    texts = read_documents(tmp_path / "corpus" / "passages.parquet")
    (cut,) = stage.cut(inputs, texts[:1], 20)
    assert load_tokenizer(str(tiny)).count([cut.text]) == [20]


def test_several_tokenizers_are_compared_in_words(
    human_folder: Path, tiny: Path, llama: Path, tmp_path: Path
) -> None:
    stage = corpus(human_folder, tiny, llama)
    inputs = made(stage, tmp_path / "corpus")
    assert stage.tokenizers.are_several
    assert stage.counted_by == (str(tiny), str(llama))
    assert stage.settings["lengths"] == [20, 40]
    texts = read_documents(tmp_path / "corpus" / "passages.parquet")
    for model in (tiny, llama):  # the budget holds by both
        assert max(load_tokenizer(str(model)).count([text.text for text in texts])) <= 90
    finest = load_tokenizer(str(llama))
    for tokens in (20, 40):
        words = stage.words(inputs, tokens)
        assert words is not None
        long = [text for text in texts if count_words(text.text) >= words]
        cut = stage.cut(inputs, long, tokens)
        assert {count_words(text.text) for text in cut} == {words}
        assert all(
            whole.text.startswith(short.text) for whole, short in zip(long, cut, strict=True)
        )
        train = [text.text for text in texts if text.split == "train"]
        enough = [
            count_words(cut) >= words
            for text, cut in zip(train, finest.truncate(train, tokens), strict=True)
            if finest.count([text])[0] >= tokens
        ]
        assert sum(enough) / len(enough) >= 0.95
        assert words == words_in(train, [load_tokenizer(str(m)) for m in (tiny, llama)], tokens)


def test_the_same_words_for_one_vocabulary_in_two_families(
    tiny: Path, bpe: object, tmp_path: Path
) -> None:
    neox = write_family(tmp_path / "neox", bpe, "gpt_neox")  # type: ignore[arg-type]
    assert distinct([str(tiny), str(neox)]) == (str(tiny),)


def test_a_server_or_given_texts_count_in_words(human_folder: Path, tiny: Path) -> None:
    served = "openai:small@http://127.0.0.1:9/v1"
    assert corpus(human_folder, tiny, served).tokenizers.are_several
    assert corpus(human_folder, tiny, given=True).tokenizers.are_several
    assert corpus(human_folder, served).counted_by == ("mini-s",)
    named = corpus(human_folder, tiny, served, named=str(tiny))
    assert not named.tokenizers.are_several
    assert named.counted_by == (str(tiny),)


def test_text_without_blanks_is_said() -> None:
    with pytest.raises(
        PlanError, match=r"parts 20 tokens of the corpus into 1 words.*key tokenizer"
    ):
        words_in(["東京" * 40], [load_tokenizer("mini-s")], 20)
