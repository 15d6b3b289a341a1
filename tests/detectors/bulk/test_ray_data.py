"""`staged.ray.Detect`: batches of a data set keep their columns and get verdicts."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import staged.ray
from staged.detectors.bulk.columns import SCHEMA
from staged.detectors.opening import open_examiner
from staged.errors import CorpusError, PlanError
from tests.conftest import prose
from tests.detectors.bulk.test_blocks import SETTINGS

OPTIONS = {"detector": SETTINGS.detector, "calibration": SETTINGS.calibration, "fpr": 0.05}


@pytest.fixture(scope="module")
def detect() -> staged.ray.Detect:
    return staged.ray.Detect(**OPTIONS)  # type: ignore[arg-type]


@pytest.fixture
def batch() -> pa.Table:
    return pa.table({"n": [1, 2, 3, 4], "text": [prose(1, 9), "short", None, prose(2, 9)]})


def test_a_table_keeps_its_columns(detect: staged.ray.Detect, batch: pa.Table) -> None:
    judged = detect(batch)
    assert judged.column_names == ["n", "text", *staged.ray.COLUMNS]
    assert judged.select(["n", "text"]) == batch
    texts = [(str(i), text or "") for i, text in enumerate(batch.column("text").to_pylist())]
    expected = [verdict.row() for verdict in SETTINGS.open().examine(texts)]
    for name in staged.ray.COLUMNS:
        assert judged.column(name).to_pylist() == [row[name] for row in expected]
        assert judged.schema.field(name).type == SCHEMA.field(name).type


def test_arrays_are_judged_as_a_table_is(detect: staged.ray.Detect, batch: pa.Table) -> None:
    arrays = {
        "n": np.array([1, 2, 3, 4]),
        "text": np.array(batch.column("text").to_pylist(), dtype=object),
    }
    judged, table = detect(arrays), detect(batch)
    assert list(judged) == table.column_names
    assert judged["verdict"].tolist() == table.column("verdict").to_pylist()
    assert judged["score"][0] == table.column("score")[0].as_py()
    assert np.isnan(judged["score"][2])  # of the empty text


def test_an_empty_batch(detect: staged.ray.Detect, batch: pa.Table) -> None:
    assert detect(batch.slice(0, 0)).schema == detect(batch).schema


def test_another_column_and_names_that_are_taken(batch: pa.Table) -> None:
    renamed = batch.rename_columns(["score", "body"])
    other = staged.ray.Detect(text="body", prefix="staged_", **OPTIONS)  # type: ignore[arg-type]
    assert other(renamed).column_names[2:] == [f"staged_{name}" for name in staged.ray.COLUMNS]
    with pytest.raises(CorpusError, match="no column 'body' among n, text"):
        other(batch)
    with pytest.raises(PlanError, match="the rows have score already; give a prefix="):
        staged.ray.Detect(text="body", **OPTIONS)(renamed)  # type: ignore[arg-type]
    with pytest.raises(CorpusError, match='row 1 of a batch: no string under "n"'):
        staged.ray.Detect(text="n", **OPTIONS)(batch)  # type: ignore[arg-type]


def test_it_takes_what_an_examiner_takes_and_loads_no_cluster() -> None:
    takes = set(inspect.signature(staged.ray.Detect).parameters)
    assert takes == {"text", "prefix", *inspect.signature(open_examiner).parameters}
    code = "import staged.ray, sys; assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray Data warns of itself
def test_a_data_set_of_ray(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    data = pytest.importorskip("ray.data")
    rows = [{"n": i, "text": prose(i, 1 + i % 9)} for i in range(60)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    ray.init(address="local", num_cpus=2, include_dashboard=False)
    try:
        judged = (
            data.read_parquet(str(tmp_path / "rows.parquet"))
            .map_batches(
                staged.ray.Detect,
                fn_constructor_kwargs=OPTIONS,
                batch_format="pyarrow",
                batch_size=16,
                concurrency=1,
            )
            .take_all()
        )
    finally:
        ray.shutdown()
    judged.sort(key=lambda row: row["n"])
    expected = SETTINGS.open().examine([(str(row["n"]), str(row["text"])) for row in rows])
    assert [row["text"] for row in judged] == [row["text"] for row in rows]
    assert [row["verdict"] for row in judged] == [verdict.verdict for verdict in expected]
    assert [row["score"] for row in judged] == pytest.approx([one.score for one in expected])
