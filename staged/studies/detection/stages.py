"""The stages of a study, each one folder in and one folder out, and which reads which.

    corpus ─┬──────────────┐
            │              ▼
    models ─► samples ─► detectors ─► scores     (then, in the parent: cells, findings, report)

Samples stand in studies/generators.
"""

from __future__ import annotations

from dataclasses import dataclass

from staged.pipeline.stage import Effort, Inputs
from staged.pipeline.tables import TableRow
from staged.records import Document
from staged.studies import stages
from staged.studies.detection.plan import MIX
from staged.studies.generators.texts import MachineTexts
from staged.studies.stages import Corpus, TrainedDetector
from staged.studies.texts import mixed


@dataclass(frozen=True, kw_only=True)
class Detector(TrainedDetector):
    """A detector trained on one model's texts by one method, or by all in equal parts (`mix`).

    Attributes:
        length_tokens: of the texts that it learns from and chooses on.
        train_tokens: of those that it learns from, where these are longer.
        opening_words: cut off human passages; None where there are none.
    """

    model: str
    method: str
    length_tokens: int
    train_tokens: int | None = None
    opening_words: int | None = None
    corpus: Corpus
    samples: tuple[MachineTexts, ...]

    @property
    def name(self) -> str:
        return f"detectors/{self.kind}/{self.model}/{self.method}"

    @property
    def efforts(self) -> tuple[Effort, ...]:
        longest, passes = self.train_tokens or self.length_tokens, 1
        if self.roberta is not None:
            longest, passes = self.roberta.usual_tokens(longest), self.roberta.epochs
        return (
            Effort("train", self.learner, 2 * self.n_train * passes, longest),
            Effort("score", self.learner, 2 * self.n_valid * passes, self.length_tokens),
        )

    @property
    def corpora(self) -> tuple[Corpus, ...]:
        return (self.corpus,)

    def machine(self, inputs: Inputs, split: str, count: int) -> list[Document]:
        """The machine texts of its model and method."""
        return mixed([stage.texts(inputs, split) for stage in self.samples], count)

    def documents(self, inputs: Inputs, split: str) -> list[Document]:
        """Human and machine texts of one split, cut to its length."""
        longer = self.train_tokens if split == "train" else None
        count = {"train": self.n_train, "valid": self.n_valid}[split]
        people = self.corpus.drawn(inputs, split, count, seed=self.seed)
        documents = people + self.machine(inputs, split, count)
        return self.corpus.cut(inputs, documents, longer or self.length_tokens)

    def sampled(self, inputs: Inputs) -> list[Document]:
        return self.machine(inputs, "train", self.n_train)


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
    opening_words: int | None = None
    detector: Detector
    corpus: Corpus
    samples: tuple[MachineTexts, ...]

    @property
    def name(self) -> str:
        return f"scores/{self.detector.kind}/{self.detector.model}/{self.detector.method}"

    @property
    def scored_lengths(self) -> tuple[int, ...]:
        """In tokens: the whole curve for a detector that was trained on the mix."""
        return self.lengths if self.detector.method == MIX else (self.length_tokens,)

    @property
    def efforts(self) -> tuple[Effort, ...]:
        sizes = zip(self.set_sizes, self.scored_lengths, strict=True)
        return tuple(Effort("score", self.detector.learner, *size) for size in sizes)

    @property
    def set_sizes(self) -> tuple[int, ...]:
        return tuple(
            2 * self.n_valid + self.n_test * (1 + len(self._tested(tokens)))
            for tokens in self.scored_lengths
        )

    def texts_of(self, inputs: Inputs, number: int) -> tuple[list[str], list[TableRow]]:
        tokens = self.scored_lengths[number]
        documents = self.corpus.cut(inputs, self.scored(inputs, tokens), tokens)
        rows = [{"document": document.id, "length_tokens": tokens} for document in documents]
        return [document.text for document in documents], rows

    def scored(self, inputs: Inputs, tokens: int) -> list[Document]:
        """What is scored at one length, whole: human `valid` and `test` texts, the detector's own
        machine `valid`, and every model's and method's `test`, or of the curve's other lengths
        its own model's.
        """
        return [
            *self.corpus.drawn(inputs, "valid", self.n_valid, seed=self.seed),
            *self.corpus.drawn(inputs, "test", self.n_test, seed=self.seed),
            *self.detector.machine(inputs, "valid", self.n_valid),
            *(
                document
                for stage in self._tested(tokens)
                for document in stage.texts(inputs, "test")
            ),
        ]

    def _tested(self, tokens: int) -> list[MachineTexts]:
        """Whose texts are scored at one length."""
        on_curve = tokens != self.length_tokens
        model = self.detector.model
        return [stage for stage in self.samples if not on_curve or stage.model == model]
