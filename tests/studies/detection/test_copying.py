"""How much of a text stands word for word in what a model learned from, counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from staged.corpus.build import CorpusSettings, read_documents, write_documents
from staged.corpus.duplicates import RUN_WORDS, word_runs
from staged.errors import ArtifactError
from staged.model.checkpoints import model_folder
from staged.progress import silent
from staged.records import HUMAN, MACHINE, Document
from staged.stats.metrics import ratio
from staged.studies.detection.copying import copied, learned_from, learned_runs
from staged.studies.detection.plan import StudySettings
from staged.studies.detection.study import ReleaseStudy
from tests.studies.detection.made import write_texts

WORDS = [f"word{i}" for i in range(60)]
KNOWN = set(word_runs(" ".join(WORDS[:30])))


def text(words: list[str], i: int = 0) -> Document:
    return Document(f"d{i}", " ".join(words), MACHINE, f"d{i}")


def test_shares_are_of_runs_of_twelve_words() -> None:
    """Of 20 words 9 runs; the first 12 of them are known, so one run is; with 14 known words three
    are.
    """
    strange = [f"strange{i}" for i in range(20)]
    texts = [text(WORDS[:12] + strange[:8]), text(WORDS[5:19] + strange[:6]), text(strange)]
    found = copied(texts, KNOWN)
    assert (found.texts, found.runs) == (3, 27)
    assert found.share == pytest.approx((1 + 3 + 0) / 27)
    assert (found.share, found.share_low, found.share_high) == ratio([1, 3, 0], [9, 9, 9])
    assert RUN_WORDS == 12


def test_a_text_that_is_known_whole_and_one_that_is_short() -> None:
    assert copied([text(WORDS[:30])], KNOWN).share == 1
    found = copied(
        [text(WORDS[:30]), text(WORDS[:11])], KNOWN
    )  # eleven words hold no run, and are a text all the same
    assert (found.share, found.texts, found.runs) == (1, 2, 19)


@pytest.mark.parametrize(
    ("texts", "known", "comparable"),
    [
        ([text(WORDS[:11])], KNOWN, True),
        ([text(WORDS)], set(), True),
        ([text(WORDS)], KNOWN, False),
    ],
)
def test_what_cannot_be_said_is_blank(
    texts: list[Document], known: set[int], comparable: bool
) -> None:
    found = copied(texts, known, comparable=comparable)
    assert (found.share, found.share_low, found.share_high) == (None, None, None)
    assert found.texts == 1


def test_only_what_models_learned_from_is_known(tmp_path: Path) -> None:
    passages = [
        Document(split, " ".join(WORDS[i : i + 15]), HUMAN, split, split)
        for i, split in ((0, "pretrain"), (20, "train"))
    ]
    write_documents(tmp_path / "passages.parquet", passages)
    assert learned_runs(tmp_path / "passages.parquet") == set(word_runs(" ".join(WORDS[:15])))
    write_documents(tmp_path / "none.parquet", passages[1:])
    assert learned_runs(tmp_path / "none.parquet") == set()


class TestLearnedFrom:
    def folder(self, tmp_path: Path, record: object) -> Path:
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        (folder / "training.json").write_text(json.dumps(record))
        return folder

    def test_the_record_says(self, tmp_path: Path) -> None:
        assert (
            learned_from(self.folder(tmp_path, {"settings": {"corpus": {"source": "somewhere"}}}))
            == "somewhere"
        )
        assert learned_from(model_folder("mini-s")) == "sotu"

    def test_without_a_record_nothing_is_known(self, tiny: Path) -> None:
        assert learned_from(tiny) is None

    @pytest.mark.parametrize("record", [{}, {"lr": 1}, []])
    def test_another_programs_record(self, tmp_path: Path, record: object) -> None:
        assert learned_from(self.folder(tmp_path, record)) is None

    @pytest.mark.parametrize("record", [{"settings": {}}, {"settings": []}])
    def test_a_damaged_record(self, tmp_path: Path, record: object) -> None:
        with pytest.raises(
            ArtifactError,
            match="does not say which corpus the model learned from; remove it or train again",
        ):
            learned_from(self.folder(tmp_path, record))


class TestStage:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> StudySettings:
        models = []
        for name, source in (("taught", "here"), ("elsewhere", "there"), ("unknown", None)):
            folder = tmp_path / name
            folder.mkdir()
            models.append(str(folder))
            if source:
                (folder / "training.json").write_text(
                    json.dumps({"settings": {"corpus": {"source": source}}})
                )
        return StudySettings(
            models=tuple(models),
            methods=("nucleus", "top-k-40"),
            n_train=1,
            n_valid=1,
            n_test=2,
            corpus=CorpusSettings("here"),
            lengths=(64,),
        )

    def test_rows(self, tmp_path: Path, settings: StudySettings) -> None:
        root = tmp_path / "study"
        write_texts(root, settings)
        passages = root / "corpus" / "passages.parquet"
        write_documents(
            passages,
            [*read_documents(passages), Document("p", " ".join(WORDS), HUMAN, "p", "pretrain")],
        )
        stage = ReleaseStudy(settings).copying
        (root / "copying").mkdir()
        stage.write(root / "copying", stage.inputs(root), silent)
        rows = json.loads((root / "copying" / "copying.json").read_text())
        names = [
            ("human", ""),
            *((m, how) for m in ("taught", "elsewhere", "unknown") for how in settings.methods),
        ]
        assert [(row["text"], row["method"]) for row in rows] == names
        assert [row["texts"] for row in rows] == [2] * 7
        samples = [f"samples/{model}/{method}" for model, method in names[1:]]
        assert [need.name for need in stage.needs] == ["corpus", *samples]
        assert (stage.name, stage.settings) == ("copying", {"run_words": 12})

    def test_only_models_of_this_corpus_are_compared(
        self, tmp_path: Path, settings: StudySettings
    ) -> None:
        """All texts hold the same known run; of a model that learned elsewhere, or nobody knows
        where, nothing is said.
        """
        root = tmp_path / "study"
        write_texts(root, settings)
        passages = root / "corpus" / "passages.parquet"
        known = Document(
            "p",
            "human text of twelve words that every one of these shall hold",
            HUMAN,
            "p",
            "pretrain",
        )
        human = [
            Document(one.id, known.text, HUMAN, one.source, one.split)
            for one in read_documents(passages)
        ]
        write_documents(passages, [*human, known])
        from staged.pipeline.tables import read_table, write_table

        for path in (root / "samples").rglob("*.parquet"):
            write_table(path, [row | {"text": known.text} for row in read_table(path)])
        (root / "copying").mkdir()
        stage = ReleaseStudy(settings).copying
        stage.write(root / "copying", stage.inputs(root), silent)
        rows = json.loads((root / "copying" / "copying.json").read_text())
        shares = {row["text"]: row["share"] for row in rows}
        assert shares == {"human": 1, "taught": 1, "elsewhere": None, "unknown": None}
        assert {row["runs"] for row in rows} == {2}
