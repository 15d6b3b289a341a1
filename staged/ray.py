"""For Ray Data: `staged.ray.Detect`, which judges the texts of a data set in its own pipeline.

    import ray
    import staged.ray

    judged = ray.data.read_parquet("texts/").map_batches(
        staged.ray.Detect,
        fn_constructor_kwargs={"detector": "evidence"},
        batch_format="pyarrow",
        batch_size=1024,
        concurrency=2,
    )
    judged.write_parquet("judged/")

Nothing here imports Ray: an actor of it makes one `Detect`, with the detector loaded once, and
calls it with batch after batch. `staged detect --engine ray` needs no pipeline, and continues when
it is killed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from staged.detectors.bulk.columns import table_of
from staged.detectors.opening import open_examiner
from staged.detectors.verdicts import judged
from staged.errors import CorpusError, PlanError
from staged.files.texts import row_text

__all__ = ["COLUMNS", "Detect"]

# what a row gets, named and typed as in the file that `staged detect --out FILE.parquet` writes
COLUMNS = ("verdict", "p_value", "score", "fpr", "words", "n_human", "detector", "kind", "reason")

Batch = TypeVar("Batch", pa.Table, Mapping[str, Any])


class Detect:
    """Judges batches: each row keeps its columns and gets those of `COLUMNS`.

    Args:
        text: the column with the texts; null is an empty text.
        prefix: before the name of each new column, where a batch has columns that are called so.
        detector, fpr, calibration, kind, device: as `staged.open_examiner` takes them.

    Raises:
        CheckpointError, PlanError, ProvenanceError: as `staged.open_examiner`.
    """

    def __init__(
        self,
        *,
        text: str = "text",
        prefix: str = "",
        detector: str | Path = "evidence",
        fpr: float = 0.01,
        calibration: str | Path | None = None,
        kind: str = "",
        device: str = "auto",
    ) -> None:
        self._text, self._prefix = text, prefix
        self._examiner = open_examiner(
            str(detector), fpr=fpr, calibration=calibration, kind=kind, device=device
        )

    def __call__(self, batch: Batch) -> Batch:
        """The batch with its verdicts, in the order of its rows.

        Args:
            batch: a table (`batch_format="pyarrow"`), or column → NumPy array
                (`batch_format="numpy"`).

        Raises:
            CorpusError: no such column, or a value that is no text; by its number in the batch.
            PlanError: the batch has columns that are called as the new ones.
        """
        if isinstance(batch, pa.Table):
            table: Any = batch
            for name, column in self._columns(table.column_names, self._of_table(table)).items():
                table = table.append_column(name, column)
            return table
        columns = self._columns(list(batch), list(batch.get(self._text, ())))
        arrays = {name: column.to_numpy(zero_copy_only=False) for name, column in columns.items()}
        return {**batch, **arrays}

    def _of_table(self, batch: pa.Table) -> list[Any]:
        if self._text not in batch.column_names:
            return []
        texts: list[Any] = batch.column(self._text).to_pylist()
        return texts

    def _columns(self, names: list[str], texts: list[Any]) -> dict[str, pa.Array]:
        if self._text not in names:
            raise CorpusError(
                f"staged.ray.Detect: no column {self._text!r} among {', '.join(names)}; name it by"
                " text="
            )
        taken = {f"{self._prefix}{name}" for name in COLUMNS} & {*names}
        if taken:
            raise PlanError(
                f"staged.ray.Detect: the rows have {', '.join(sorted(taken))} already; give a"
                " prefix= for the new columns"
            )
        table = table_of(judged(self._examiner, map(self._pair, range(1, len(texts) + 1), texts)))
        return {f"{self._prefix}{name}": table.column(name).combine_chunks() for name in COLUMNS}

    def _pair(self, number: int, value: Any) -> tuple[str, str]:
        where = f"staged.ray.Detect: row {number} of a batch"
        return str(number), row_text({self._text: value}, where, under=(self._text,))
