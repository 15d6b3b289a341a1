"""Rows without their repeats: the first of each cluster stays; memory does not grow with the texts.

    ROWS.jsonl            the rows that stay, as they came
    ROWS.jsonl.removed    a JSON object for each row that does not: which, and what it repeats
    ROWS.jsonl.dedup      what was asked for, counts, and the digests by which staged knows its work
    ROWS.jsonl.blocks/    finished parts, while it works or after a kill

What is in memory: 5 bytes a row, and parts of a fixed size; above 13 million rows the parts, of
which there are no more than 1,024, grow with them.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from staged.corpus.repeats.candidates import ENDING, Kept, deal, join_similar, pairs_in
from staged.corpus.repeats.clusters import Clusters
from staged.corpus.repeats.rows import Row, files_at, receiving, rows_of, schema_of
from staged.corpus.repeats.sketches import Bands, Sketches, bands_for, sketches_of
from staged.errors import CorpusError, PlanError
from staged.files.places import refuse_to_replace
from staged.files.texts import ROWS
from staged.progress import NamedProgress
from staged.storage.digests import sha256_file
from staged.storage.forms import Form, holds, json_object, rows_have_keys
from staged.storage.pieces import Encoding, blocks_of, cached, continued
from staged.storage.records import write_record
from staged.storage.writing import replacing, write_atomic

THRESHOLD = 0.75  # Jaccard similarity
CHUNK_ROWS, CHUNK_CHARACTERS = 8192, 1 << 23
REPLACES = f"replaces{ENDING}"
REMOVED_KEYS = ("id", "file", "repeats", "kind", "similarity")


@dataclass(frozen=True)
class Deduplicated:
    """What came of it.

    Attributes:
        rows, kept: with text, and left of them.
        verbatim, near: removed: the same words in the same order as the first of their cluster, or
            nearly.
        clusters: of two rows or more.
        threshold: Jaccard similarity of 5-word shingles.
        missed_at_threshold: the probability that a pair just as similar as that is not compared.
        kept_sha256, removed_sha256: of the two files.
    """

    rows: int
    kept: int
    verbatim: int
    near: int
    clusters: int
    threshold: float
    missed_at_threshold: float
    kept_sha256: str
    removed_sha256: str


def removed_of(out: Path) -> Path:
    """The list of rows that were left out of a file."""
    return out.with_name(f"{out.name}.removed")


def counts_of(out: Path) -> Path:
    """What came of the work on a file."""
    return out.with_name(f"{out.name}.dedup")


def deduplicate(
    places: Sequence[str],
    out: Path,
    *,
    threshold: float = THRESHOLD,
    progress: NamedProgress = lambda what, done, total: None,
) -> Deduplicated:
    """Write rows without their repeats, word for word or near; killed and called again, it
    continues.

    Two rows repeat one another where the Jaccard similarity of their 5-word shingles is the
    threshold or more; clusters are made of such pairs, and the first row of each stays, in the
    order in which the places are given.

    Raises:
        PlanError: a threshold that is none, or a place that may not be written.
        CorpusError: as `text_files` and `rows_of`.
        ArtifactError: a file that is not ours stands in the place, or it cannot be written.
    """
    outputs = (out, removed_of(out), counts_of(out))
    _check(places, outputs, threshold)
    files = files_at(places, outputs)
    bands = bands_for(threshold)
    wanted = {"files": [_identity(*file) for file in files], "threshold": threshold}
    with continued(out, wanted, pieces=f"*{ENDING}", form=_is_ours) as folder:
        chunks = _sketched(folder, files, bands, partial(progress, "read"))
        with Kept(folder, _read_parts(folder, chunks)) as kept:
            clusters = _clusters(folder, chunks, kept, threshold, partial(progress, "compared"))
            return _written(out, files, clusters, kept, folder, bands, threshold)


def _check(places: Sequence[str], outputs: Sequence[Path], threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise PlanError(f"--threshold {threshold:g}: must be above 0 and at most 1")
    if outputs[0].suffix.lower() not in ROWS:
        raise PlanError(f"{outputs[0]}: rows are written; end its name with {', '.join(ROWS)}")
    for out in outputs:
        refuse_to_replace(out, *(place for place in places if Path(place).is_file()))


def _identity(name: str, file: Path) -> list[Any]:
    """What tells a file from another, without reading all of it."""
    facts = file.stat()
    return [name, facts.st_size, facts.st_mtime_ns]


def _is_ours(out: Path) -> bool:
    """The form of a file of rows: the counts beside it know its digest, or the work that was about
    to replace it.
    """
    known = {(json_object(counts_of(out)) or {}).get("kept_sha256")}
    replaces = blocks_of(out) / REPLACES
    known |= {replaces.read_text()} if replaces.is_file() else set()
    return sha256_file(out) in known


def _chunks(files: Sequence[tuple[str, Path]]) -> Iterator[list[str]]:
    """The texts, so many at a time."""
    texts: list[str] = []
    characters = 0
    for file in files:
        for row in rows_of(*file):
            texts.append(row.text)
            characters += len(row.text)
            if len(texts) == CHUNK_ROWS or characters >= CHUNK_CHARACTERS:
                yield texts
                texts, characters = [], 0
    if texts:
        yield texts


def _packed(sketches: Sketches) -> bytes:
    data = io.BytesIO()
    np.savez(data, **asdict(sketches))
    return data.getvalue()


def _unpacked(data: bytes) -> Sketches:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return Sketches(**arrays)


SKETCHES: Encoding[Sketches] = Encoding(_packed, _unpacked)


def _sketched(
    folder: Path,
    files: Sequence[tuple[str, Path]],
    bands: Bands,
    progress: Callable[[int, int], None],
) -> list[tuple[str, int]]:
    """(file, texts) of each chunk's sketches, finished parts read; progress is rows so far, twice:
    how many there are is not known.
    """
    chunks: list[tuple[str, int]] = []

    def jobs() -> Iterator[tuple[str, Callable[[], Sketches]]]:
        for number, texts in enumerate(_chunks(files)):
            chunks.append((f"{number:06d}{ENDING}", len(texts)))
            yield chunks[-1][0], partial(sketches_of, texts, bands)

    for _ in cached(folder, jobs(), SKETCHES):
        rows = sum(texts for _, texts in chunks)
        progress(rows, rows)
    if not chunks:
        raise CorpusError(f"{files[0][1].parent}: holds no row with text")
    return chunks


def _read_parts(folder: Path, chunks: Sequence[tuple[str, int]]) -> Iterator[Sketches]:
    return (_unpacked((folder / name).read_bytes()) for name, _ in chunks)


def _clusters(
    folder: Path,
    chunks: Sequence[tuple[str, int]],
    kept: Kept,
    threshold: float,
    progress: Callable[[int, int], None],
) -> Clusters:
    rows, bands = sum(texts for _, texts in chunks), bands_for(threshold).bands
    clusters = Clusters(rows)
    partitions = deal(folder, _read_parts(folder, chunks), rows * bands)
    for done, file in enumerate(partitions, start=1):
        join_similar(clusters, pairs_in(file), kept, threshold)
        progress(done, len(partitions))
    return clusters


def _written(
    out: Path,
    files: Sequence[tuple[str, Path]],
    clusters: Clusters,
    kept: Kept,
    folder: Path,
    bands: Bands,
    threshold: float,
) -> Deduplicated:
    """Write all three files; a former file of rows is known until it is replaced."""
    removed, counts = removed_of(out), counts_of(out)
    if out.exists() and not (folder / REPLACES).exists():
        write_atomic(folder / REPLACES, sha256_file(out).encode())
    forms: dict[Path, Form] = {
        out: _is_ours,
        removed: rows_have_keys(*REMOVED_KEYS),
        counts: holds("kept_sha256", "removed_sha256"),
    }
    with ExitStack() as stack:
        places = {
            path: stack.enter_context(replacing(path, form=form)) for path, form in forms.items()
        }
        tally = _split(out, places[out], places[removed], files, clusters, kept, folder)
        result = Deduplicated(
            **tally,
            threshold=threshold,
            missed_at_threshold=bands.missed(threshold),
            kept_sha256=sha256_file(places[out]),
            removed_sha256=sha256_file(places[removed]),
        )
        write_record(places[counts], result)
    return result


def _split(
    out: Path,
    stay: Path,
    go: Path,
    files: Sequence[tuple[str, Path]],
    clusters: Clusters,
    kept: Kept,
    folder: Path,
) -> dict[str, int]:
    """Write the rows that stay and the list of the others, and count them."""
    verbatim = near = rows = 0
    heads = np.zeros(len(clusters.above), dtype=bool)
    with (
        receiving(stay, out, schema_of(files)) as staying,
        open(go, "w", encoding="utf-8") as going,
        _Names(folder) as names,
    ):
        for number, row in enumerate(row for file in files for row in rows_of(*file)):
            rows += 1
            names.add(row.id)
            first = clusters.first(number)
            if first == number:
                staying.write(row.fields)
                continue
            same = kept.same_words(number, first)
            verbatim, near = verbatim + same, near + (not same)
            heads[first] = True
            similar = kept.similarity(number, first)
            going.write(_removed_line(row, names.of(first), same, similar))
    counts = {"rows": rows, "kept": rows - verbatim - near, "verbatim": verbatim, "near": near}
    return counts | {"clusters": int(heads.sum())}


def _removed_line(row: Row, first: str, same: bool, similar: float) -> str:
    kind = "verbatim" if same else "near"
    values = (row.id, row.file, first, kind, round(similar, 3))
    return json.dumps(dict(zip(REMOVED_KEYS, values, strict=True)), ensure_ascii=False) + "\n"


class _Names:
    """The rows' ids, in a file: what a later row repeats is asked for by its number."""

    def __init__(self, folder: Path) -> None:
        self.text = open(folder / f"ids{ENDING}", "w+b", buffering=0)  # noqa: SIM115
        self.bounds = open(folder / f"id-bounds{ENDING}", "w+b", buffering=0)  # noqa: SIM115
        self.end = 0

    def __enter__(self) -> _Names:
        self.bounds.write(np.int64(0).tobytes())
        return self

    def __exit__(self, *_: object) -> None:
        self.text.close()
        self.bounds.close()

    def add(self, name: str) -> None:
        """The next row's."""
        data = name.encode("utf-8", "surrogatepass")
        self.end += len(data)
        self.text.write(data)
        self.bounds.write(np.int64(self.end).tobytes())

    def of(self, row: int) -> str:
        """An earlier row's."""
        begin, end = np.frombuffer(os.pread(self.bounds.fileno(), 16, 8 * row), dtype=np.int64)
        data = os.pread(self.text.fileno(), int(end - begin), int(begin))
        return data.decode("utf-8", "surrogatepass")
