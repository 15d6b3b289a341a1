"""The stages of a study, each one folder in and one folder out, and which reads which.

    corpus ─┬──────────────┐
            │              ▼
    models ─► samples ─► detectors ─► scores     (then, in the parent: cells, findings, report)

Sample i of a split draws the same random numbers, and the same top-p, for every model: so texts of
two models pair by number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from staged.model.checkpoints import model_folder
from staged.model.formats.layouts import model_files, weight_files
from staged.pipeline.stage import Inputs, Stage, unrecorded
from staged.pipeline.tables import TableRow
from staged.progress import Progress, shifted
from staged.records import MACHINE, Document
from staged.samples.dataset import SampleSettings, read_samples
from staged.samples.methods import method
from staged.samples.sample_stage import keep_file
from staged.streams import derive
from staged.studies import stages
from staged.studies.detection.plan import MIX
from staged.studies.stages import Corpus, TrainedDetector
from staged.studies.texts import cut_to, mixed


@dataclass(frozen=True, kw_only=True)
class Samples(Stage):
    """One model's texts by one method, a file a split.

    Attributes:
        model: its name; a folder goes by the folder's.
        counts: split → texts.
        lengths: split → tokens generated a text.
        given: the model as the plan names it.
    """

    model: str
    method: str
    counts: dict[str, int]
    lengths: dict[str, int]
    seed: int
    batch: int
    precision: str
    given: str = unrecorded()

    @property
    def name(self) -> str:
        return f"samples/{self.model}/{self.method}"

    @cached_property
    def cost(self) -> float:
        """By the size of the model's weights."""
        files = weight_files(model_folder(self.given))
        return sum(path.stat().st_size for path in files) / 1e6 + 4

    @property
    def files(self) -> Inputs:
        return model_files(model_folder(self.given))

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        total, before = sum(self.counts.values()), 0
        for split, count in self.counts.items():
            wanted = SampleSettings(
                model=self.given,
                method=method(self.method),
                count=count,
                length=self.lengths[split],
                seed=derive(self.seed, self.method, split),
                batch=self.batch,
                precision=self.precision,
            )
            out = folder / f"{split}.parquet"
            keep_file(out, wanted, progress=shifted(progress, before, total))
            before += count

    def texts(self, inputs: Inputs, split: str) -> list[Document]:
        """The texts of a split, as they were sampled."""
        rows = read_samples(inputs[self.name] / f"{split}.parquet")
        source = f"{self.model}/{self.method}/{split}"
        return [
            Document(f"{source}/{row['id']}", row["text"], MACHINE, source, split) for row in rows
        ]


@dataclass(frozen=True, kw_only=True)
class Detector(TrainedDetector):
    """A detector trained on one model's texts by one method, or by all in equal parts (`mix`).

    Attributes:
        length_tokens: of the texts that it learns from.
    """

    model: str
    method: str
    length_tokens: int
    corpus: Corpus
    samples: tuple[Samples, ...]

    @property
    def name(self) -> str:
        return f"detectors/{self.kind}/{self.model}/{self.method}"

    @property
    def corpora(self) -> tuple[Corpus, ...]:
        return (self.corpus,)

    def machine(self, inputs: Inputs, split: str, count: int) -> list[Document]:
        """The machine texts of its model and method."""
        return mixed([stage.texts(inputs, split) for stage in self.samples], count)

    def documents(self, inputs: Inputs, split: str) -> list[Document]:
        """Human and machine texts of one split at the matrix's length."""
        count = {"train": self.n_train, "valid": self.n_valid}[split]
        people = self.corpus.drawn(inputs, split, count, seed=self.seed)
        documents = people + self.machine(inputs, split, count)
        return cut_to(documents, self.corpus.tokenizer(), self.length_tokens)


@dataclass(frozen=True, kw_only=True)
class Scores(stages.Scores):
    """A detector's scores of human texts, of every model's and method's, and, trained on the mix,
    of its own model's at every length of the curve.

    Attributes:
        length_tokens: the matrix's.
        samples: every model's and method's.
    """

    length_tokens: int
    lengths: tuple[int, ...]
    detector: Detector
    corpus: Corpus
    samples: tuple[Samples, ...]

    @property
    def name(self) -> str:
        return f"scores/{self.detector.kind}/{self.detector.model}/{self.detector.method}"

    @property
    def scored_lengths(self) -> tuple[int, ...]:
        """In tokens: the whole curve for a detector that was trained on the mix."""
        return self.lengths if self.detector.method == MIX else (self.length_tokens,)

    @property
    def n_sets(self) -> int:
        return len(self.scored_lengths)

    def sets(self, inputs: Inputs) -> Iterator[tuple[list[str], list[TableRow]]]:
        bpe = self.corpus.tokenizer()
        for tokens in self.scored_lengths:
            documents = cut_to(self.scored(inputs, tokens), bpe, tokens)
            rows = [{"document": document.id, "length_tokens": tokens} for document in documents]
            yield [document.text for document in documents], rows

    def scored(self, inputs: Inputs, tokens: int) -> list[Document]:
        """What is scored at one length, whole: human `valid` and `test` texts, the detector's own
        machine `valid`, and every model's and method's `test`, or of the curve's other lengths
        its own model's.
        """
        on_curve = tokens != self.length_tokens
        model = self.detector.model
        tested = [stage for stage in self.samples if not on_curve or stage.model == model]
        return [
            *self.corpus.drawn(inputs, "valid", self.n_valid, seed=self.seed),
            *self.corpus.drawn(inputs, "test", self.n_test, seed=self.seed),
            *self.detector.machine(inputs, "valid", self.n_valid),
            *(document for stage in tested for document in stage.texts(inputs, "test")),
        ]
