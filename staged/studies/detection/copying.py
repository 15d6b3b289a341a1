"""How much of generated text, and of held-out human text, stands word for word in the text that
models learned from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from staged.corpus.build import read_documents
from staged.corpus.duplicates import RUN_WORDS, copied_runs, word_runs
from staged.corpus.learned import model_learned
from staged.pipeline.stage import Inputs, Stage, unrecorded
from staged.progress import Progress
from staged.records import Document
from staged.stats import metrics
from staged.storage.records import write_record
from staged.studies.detection.results import Copied, StudyCopied
from staged.studies.generators.texts import MachineTexts
from staged.studies.stages import Corpus


@dataclass(frozen=True, kw_only=True)
class Copying(Stage):
    """Shares of the human test texts and of every model's and method's, in `copying.json`.

    Attributes:
        n_test: human texts.
        seed: of their draw.
    """

    run_words: int = RUN_WORDS
    n_test: int = unrecorded()  # samples have as many
    seed: int = unrecorded()  # as samples have
    opening_words: int | None = None
    corpus: Corpus
    samples: tuple[MachineTexts, ...]

    @property
    def name(self) -> str:
        return "copying"

    @property
    def cost(self) -> float:
        return 15.0

    @property
    def files(self) -> Inputs:
        records = {
            f"record of {stage.model}": stage.folder / "training.json"
            for stage in self.samples
            if stage.folder
        }
        return {name: path for name, path in records.items() if path.is_file()}

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        """No share where a model learned from another corpus, or it is not known."""
        known = learned_runs(inputs[self.corpus.name] / "passages.parquet")
        people = self.corpus.drawn(inputs, "test", self.n_test, seed=self.seed)
        rows = [StudyCopied(**asdict(copied(people, known)), text="human", method="")]
        for stage in self.samples:
            comparable = learned_from(stage.folder) == self.corpus.corpus.source
            shares = copied(stage.texts(inputs, "test"), known, comparable=comparable)
            rows.append(StudyCopied(**asdict(shares), text=stage.model, method=stage.method))
        write_record(folder / "copying.json", rows)


def learned_runs(passages: Path) -> set[int]:
    """The 12-word runs of a corpus's `pretrain` split; none where it has no such split."""
    return {
        run
        for passage in read_documents(passages, split="pretrain")
        for run in word_runs(passage.text)
    }


def copied(texts: Iterable[Document], known: set[int], *, comparable: bool = True) -> Copied:
    """How many of the texts' 12-word runs are known.

    Args:
        comparable: else the share is None, as it is without runs.
    """
    hits, runs = zip(*(copied_runs(document.text, known) for document in texts), strict=True)
    share = metrics.ratio(hits, runs) if sum(runs) and known and comparable else (None, None, None)
    return Copied(**metrics.named("share", share), texts=len(runs), runs=sum(runs))


def learned_from(folder: Path | None) -> str | None:
    """The corpus that the record in a model's folder says it learned from, or None.

    Raises:
        ArtifactError: the record is not one of ours.
    """
    learned = model_learned(folder) if folder else None
    return learned.corpus if learned else None
