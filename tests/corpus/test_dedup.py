"""Rows without their repeats: the same as an exact search finds, in memory that stays flat."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasketch import MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import staged
from staged.cli import app
from staged.corpus.duplicates import WORD, drop_duplicates, shingles_of
from staged.corpus.repeats import dedup
from staged.corpus.repeats.candidates import pairs_in
from staged.corpus.repeats.clusters import Clusters
from staged.corpus.repeats.dedup import Deduplicated, deduplicate
from staged.corpus.repeats.sketches import SKETCH, Bands, bands_for, similarity, sketches_of
from staged.errors import ArtifactError, CorpusError, PlanError
from staged.records import HUMAN, Document
from tests.storage.test_gate import tree

WORDS = [f"word{i}" for i in range(3000)]


def text(draw: random.Random, words: int) -> str:
    return " ".join(draw.choices(WORDS, k=words))


def changed(words: str, share: float, draw: random.Random) -> str:
    """A text with a share of its words replaced."""
    parts = words.split(" ")
    for place in draw.sample(range(len(parts)), round(share * len(parts))):
        parts[place] = f"new{draw.randrange(10**9)}"
    return " ".join(parts)


def jaccard(one: str, other: str) -> float:
    first, second = (shingles_of(WORD.findall(text.lower())) for text in (one, other))
    return len(first & second) / len(first | second)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """150 texts, and 150 with none to all of their words changed, without chains."""
    draw = random.Random(11)
    shares = (0.0, 0.005, 0.01, 0.02, 0.04, 0.06, 0.3)
    texts = [text(draw, 40 + i) for i in range(150)]
    texts += [changed(one, shares[i % 7], draw) for i, one in enumerate(texts)]
    return [{"id": f"t{i}", "text": one, "n": i} for i, one in enumerate(texts)]


def test_the_same_rows_stay_as_in_an_exact_search(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Every pair that is removed is as similar as it must be; of the pairs that are, no more are
    missed than the error says, and those that are as today's exact index has them.
    """
    result = deduplicate(
        [str(write(tmp_path / "in.jsonl", rows))], tmp_path / "out.jsonl", threshold=0.5
    )
    gone = {row["id"]: row for row in read(tmp_path / "out.jsonl.removed")}
    missed, chances = 0, []
    index = MinHashLSH(threshold=0.5, num_perm=64)  # as `drop_duplicates` has it
    for i in range(150):
        exact = jaccard(rows[i]["text"], rows[150 + i]["text"])
        row = gone.get(f"t{150 + i}")
        chances += [Bands(index.b, index.r).missed(exact)] if exact >= 0.5 else []
        assert row is None or exact >= 0.5
        if row is None:
            missed += exact >= 0.5
            continue
        assert (row["repeats"], row["kind"]) == (f"t{i}", "verbatim" if exact == 1 else "near")
        assert row["similarity"] == pytest.approx(exact, abs=5e-4)
    assert missed <= 1
    documents = [Document(row["id"], row["text"], HUMAN, row["id"], "train") for row in rows]
    kept, counts = drop_duplicates(documents)
    ours = {row["id"] for row in read(tmp_path / "out.jsonl")}
    assert ours <= {document.id for document in kept}
    most = sum(chances) + 3 * sum(chance * (1 - chance) for chance in chances) ** 0.5
    assert len(kept) - len(ours) <= most  # what today's index misses, by its shorter signatures
    assert (
        result.verbatim
        == counts["verbatim"]
        == sum(row["kind"] == "verbatim" for row in gone.values())
    )
    assert (result.rows, result.kept) == (300, len(ours))
    assert result.kept + result.verbatim + result.near == 300
    assert result.clusters == len(gone)
    assert result.missed_at_threshold <= 0.01


def test_the_first_of_a_cluster_stays_through_chains(tmp_path: Path) -> None:
    draw = random.Random(2)
    first = text(draw, 100)
    second = changed(first, 0.03, draw)
    third = changed(second, 0.03, draw)
    assert jaccard(first, third) < 0.65 < jaccard(first, second)
    texts = [text(draw, 30), first, second, third, first.upper() + "!", second]
    write(tmp_path / "in.jsonl", [{"text": one} for one in texts])
    result = deduplicate([str(tmp_path / "in.jsonl")], tmp_path / "out.jsonl", threshold=0.65)
    assert [row["text"] for row in read(tmp_path / "out.jsonl")] == texts[:2]
    gone = read(tmp_path / "out.jsonl.removed")
    assert [row["id"] for row in gone] == [f"in.jsonl:{n}" for n in (3, 4, 5, 6)]
    assert {row["repeats"] for row in gone} == {"in.jsonl:2"}
    assert [row["kind"] for row in gone] == ["near", "near", "verbatim", "near"]
    assert (result.clusters, result.verbatim, result.near) == (1, 1, 3)


def test_files_of_every_kind(tmp_path: Path) -> None:
    draw = random.Random(5)
    one, two, three, four = (text(draw, 20) for _ in range(4))
    place = tmp_path / "in"
    place.mkdir()
    write(place / "a.jsonl", [{"id": 1, "text": one}, {"text": None}, {"text": two, "extra": [1]}])
    write(place / "b.parquet", [{"text": two, "source": "x"}, {"text": three, "source": None}])
    (place / "c.txt").write_text(f"{three}\n")
    (place / "d.txt").write_text(four)
    (place / "e.txt").write_text("  \n")
    out = place / "out.jsonl"
    for _ in range(2):  # the second time its own files are there
        result = deduplicate([str(place)], out)
        assert [row["text"] for row in read(out)] == [one, two, three, four]
        assert (result.rows, result.kept, result.verbatim) == (6, 4, 2)
    assert read(out)[0] == {"id": 1, "text": one}
    assert read(out)[1] == {"text": two, "extra": [1]}
    assert read(out)[3] == {"id": "d.txt", "source": "d.txt", "text": four}
    gone = read(place / "out.jsonl.removed")
    assert [(row["id"], row["repeats"]) for row in gone] == [
        ("b.parquet:1", "a.jsonl:3"),
        ("c.txt", "b.parquet:2"),
    ]


def test_parquet_keeps_its_columns(tmp_path: Path) -> None:
    schema = pa.schema([("text", pa.string()), ("n", pa.int32()), ("on", pa.date32())])
    rows = [{"text": f"text number {i // 2}", "n": i, "on": None} for i in range(3000)]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "in.parquet")
    result = deduplicate([str(tmp_path / "in.parquet")], tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.schema == schema
    assert result.kept == table.num_rows == 1500
    assert table["n"].to_pylist() == list(range(0, 3000, 2))


def test_rows_that_fit_no_columns_are_said(tmp_path: Path) -> None:
    write(
        tmp_path / "a.jsonl", [{"text": "one"}, {"text": "two", "n": 1}, {"text": "six", "n": "x"}]
    )
    with pytest.raises(CorpusError, match=r"out\.parquet.*write \.jsonl"):
        deduplicate([str(tmp_path / "a.jsonl")], tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()
    assert not (tmp_path / "out.parquet.removed").exists()


def test_a_killed_run_continues_with_the_same_bytes(
    rows: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dedup, "CHUNK_ROWS", 32)
    source = write(tmp_path / "in.jsonl", rows)
    (tmp_path / "whole").mkdir()
    whole = deduplicate([str(source)], tmp_path / "whole" / "out.jsonl")
    made: list[int] = []
    make = dedup.sketches_of

    def counted(texts: list[str], bands: Bands) -> Any:
        made.append(len(texts))
        if len(made) in (3, 8):
            raise KeyboardInterrupt
        return make(texts, bands)

    monkeypatch.setattr(dedup, "sketches_of", counted)
    (tmp_path / "killed").mkdir()
    out = tmp_path / "killed" / "out.jsonl"
    for where in ("sketches", "sketches", "pairs", "rows"):
        with monkeypatch.context() as patch:
            for name in {"pairs": ["join_similar"], "rows": ["_removed_line"]}.get(where, []):
                patch.setattr(dedup, name, interrupt)
            with pytest.raises(KeyboardInterrupt):
                deduplicate([str(source)], out)
        assert [path.name for path in out.parent.iterdir()] == ["out.jsonl.blocks"]
    assert deduplicate([str(source)], out) == whole
    assert len(made) == 12  # 10 parts, and two that were broken off
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_killed_between_its_files_it_still_knows_them(
    stop: int, rows: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three files are renamed one after another; what stands there stays its own."""
    source, out = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    deduplicate([str(source)], out, threshold=0.9)
    replace, calls = Path.replace, []

    def broken(self: Path, target: Path) -> Any:
        if Path(target).name.startswith("out.jsonl") and Path(target).parent == tmp_path:
            calls.append(target)
            if len(calls) == stop:
                raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", broken)
        with pytest.raises(KeyboardInterrupt):
            deduplicate([str(source)], out, threshold=0.5)
    result = deduplicate([str(source)], out, threshold=0.5)
    assert len(read(out)) == result.kept
    out.write_text(out.read_text() + '{"text": "mine"}\n')
    with pytest.raises(ArtifactError, match="changed since"):
        deduplicate([str(source)], out, threshold=0.5)


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [{"text": "a text"}])
    for threshold in (0.0, 1.1, float("nan")):
        with pytest.raises(PlanError, match="above 0 and at most 1"):
            deduplicate([str(source)], tmp_path / "out.jsonl", threshold=threshold)
    with pytest.raises(PlanError, match="end its name with"):
        deduplicate([str(source)], tmp_path / "out.csv")
    with pytest.raises(PlanError, match="is read here and would be replaced"):
        deduplicate([str(source)], source)
    with pytest.raises(CorpusError, match="holds no row with text"):
        deduplicate([str(write(tmp_path / "none.jsonl", [{"text": ""}]))], tmp_path / "out.jsonl")
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"text": 3}\n')
    with pytest.raises(CorpusError, match="row 2: no string"):
        deduplicate([str(tmp_path / "bad.jsonl")], tmp_path / "out.jsonl")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(CorpusError, match="not a readable Parquet file"):
        deduplicate([str(tmp_path / "bad.parquet")], tmp_path / "out.jsonl")
    (tmp_path / "latin.jsonl").write_bytes('{"text": "café"}\n'.encode("latin-1"))
    with pytest.raises(CorpusError, match="is not UTF-8"):
        deduplicate([str(tmp_path / "latin.jsonl")], tmp_path / "out.jsonl")


def test_the_command_and_the_verb(tmp_path: Path) -> None:
    source = write(
        tmp_path / "in.jsonl", [{"text": "one and the same"}, {"text": "One, and the same!"}]
    )
    command = ["corpus", "dedup", str(source), "--out", str(tmp_path / "out.jsonl")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "2 rows: 1 stay; 1 repeat another word for word, 0 nearly, in 1 cluster" in done.stdout
    facts = json.loads(CliRunner().invoke(app, [*command, "--json", "--threshold", "0.9"]).stdout)
    assert (facts["rows"], facts["kept"], facts["threshold"]) == (2, 1, 0.9)
    result = staged.dedup_corpus(source, tmp_path / "out.jsonl", threshold=0.9)
    assert result == Deduplicated(**facts)
    assert json.loads((tmp_path / "out.jsonl.dedup").read_text()) == facts


# --- the parts -----------------------------------------------------------------------------------


@given(
    st.integers(2, 60).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=80),
        )
    )
)
@settings(max_examples=60, deadline=None)
def test_clusters_are_the_connected_ones_and_the_first_leads(
    case: tuple[int, list[tuple[int, int]]],
) -> None:
    count, pairs = case
    clusters, groups = Clusters(count), {i: {i} for i in range(count)}
    for one, other in pairs:
        assert clusters.join(one, other) is (groups[one] is not groups[other])
        both = groups[one] | groups[other]
        groups |= dict.fromkeys(both, both)
    assert [clusters.first(i) for i in range(count)] == [min(groups[i]) for i in range(count)]
    expected = [[i, min(groups[i])] for i in range(count) if min(groups[i]) != i]
    assert clusters.removed().tolist() == expected


def test_bands_miss_at_most_what_they_say() -> None:
    for threshold in (0.1, 0.3, 0.5, 0.75, 0.9, 0.99, 1.0):
        bands = bands_for(threshold)
        assert bands.bands * bands.rows <= 128
        assert bands.missed(threshold) <= 0.01 or bands.rows == 1
        assert bands.missed(min(1, threshold + 0.05)) <= bands.missed(threshold)
    assert Bands(2, 3).missed(0.5) == pytest.approx((1 - 0.125) ** 2)


def test_pairs_are_met_as_often_as_the_formula_says() -> None:
    """600 pairs of one similarity, 16 bands of 8: candidates by their keys, against 1 − (1 − s⁸)¹⁶."""
    draw, bands, similar, met = random.Random(1), Bands(16, 8), [], 0
    for _ in range(600):
        one = text(draw, 120)
        other = changed(one, 0.04, draw)
        keys = sketches_of([one, other], bands).keys
        met += bool((keys[0] == keys[1]).any())
        similar.append(jaccard(one, other))
    chances = np.array([1 - bands.missed(s) for s in similar])
    spread = np.sqrt((chances * (1 - chances)).sum())
    assert 0.3 < chances.mean() < 0.9
    assert abs(met - chances.sum()) <= 3 * spread


def test_similarity_is_exact_for_short_texts_and_close_for_long_ones() -> None:
    draw = random.Random(4)
    for words, share in ((100, 0.05), (200, 0.02), (4000, 0.03), (4000, 0.1)):
        one = text(draw, words)
        other = changed(one, share, draw)
        sketches = sketches_of([one, other], Bands(1, 1))
        ends = sketches.bounds
        near = similarity(sketches.smallest[: ends[1]], sketches.smallest[ends[1] :])
        error = 0.0 if words <= SKETCH else 3 * 0.5 / SKETCH**0.5
        assert near == pytest.approx(jaccard(one, other), abs=error + 1e-12)


def test_texts_without_a_word(tmp_path: Path) -> None:
    texts = ["!!!", "???", "!!!", "… —", "a", "A", "b"]
    write(tmp_path / "in.jsonl", [{"text": one} for one in texts])
    deduplicate([str(tmp_path / "in.jsonl")], tmp_path / "out.jsonl")
    assert [row["text"] for row in read(tmp_path / "out.jsonl")] == ["!!!", "???", "… —", "a", "b"]


def test_equal_keys_lie_side_by_side(tmp_path: Path) -> None:
    dealt = np.array(
        [(5, 0), (7, 1), (5, 2), (5, 3), (7, 4), (9, 5)], dtype=[("key", "<u8"), ("row", "<u4")]
    )
    (tmp_path / "keys").write_bytes(dealt.tobytes())
    assert list(pairs_in(tmp_path / "keys")) == [(0, 2), (0, 3), (2, 3), (1, 4)]


FLAT = """
import json, sys, threading, time
import psutil
from staged.corpus.repeats.dedup import deduplicate
from pathlib import Path
process, peaks, rows = psutil.Process(), [], 0
def progress(what, done, total):
    if what == "read":
        peaks.append((done, process.memory_info().rss))
    else:
        peaks.append((-done, process.memory_info().rss))
result = deduplicate([sys.argv[1]], Path(sys.argv[2]), progress=progress)
peaks.append((0, process.memory_info().rss))
print(json.dumps([result.rows, result.kept, peaks]))
"""


def generated(count: int) -> Iterator[str]:
    """Short rows, one in ten a repeat of one long before it."""
    draw = random.Random(9)
    for i in range(count):
        number = i if i < 1000 or draw.random() > 0.1 else draw.randrange(i)
        line = random.Random(number)
        yield " ".join(f"{line.randrange(4000):x}" for _ in range(8))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_memory_stays_flat_over_a_million_rows(tmp_path: Path) -> None:
    """From the first tenth on it grows by the 5 bytes a row that are said, and by less than 10%."""
    source = tmp_path / "in.jsonl"
    with open(source, "w") as file:
        file.writelines(json.dumps({"text": one}) + "\n" for one in generated(1_000_000))
    done = subprocess.run(
        [sys.executable, "-c", FLAT, str(source), str(tmp_path / "out.jsonl")],
        capture_output=True,
        text=True,
        check=True,
    )
    rows, kept, peaks = json.loads(done.stdout)
    assert rows == 1_000_000
    assert 0.88 < kept / rows < 0.92
    tenth = max(rss for at, rss in peaks if 0 < at <= 100_000)
    assert max(rss for _, rss in peaks) - 5 * rows < 1.1 * tenth
