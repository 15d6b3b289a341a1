"""The classifier of styles: does a fine-tuned model write in the style that it was taught?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from staged.detectors.kinds.tfidf import load_tfidf, train_tfidf
from staged.pipeline.stage import Inputs, Stage
from staged.pipeline.tables import TableRow, write_table
from staged.progress import Progress
from staged.records import HUMAN, MACHINE, Document
from staged.studies.finetune.plan import BASE, CLASSIFIER, TUNED
from staged.studies.finetune.worlds import Answers, World
from staged.studies.stages import Corpus
from staged.studies.texts import SPLITS, cut_to


@dataclass(frozen=True, kw_only=True)
class Classifier(Stage):
    """One TF-IDF detector a style, trained on human text of that style against the others'; a text
    is called by the highest score.

    Rows of `text` (human, base, fine-tuned), `style` (empty for base), `part`, `source`, `called`.
    """

    n_train: int
    n_valid: int
    n_test: int
    seed: int
    rounds: int
    round_tokens: int
    human: tuple[Corpus, ...]
    answers: tuple[Answers, ...]

    @property
    def name(self) -> str:
        return CLASSIFIER

    @property
    def cost(self) -> float:
        return 15.0

    def write(self, folder: Path, inputs: Inputs, progress: Progress) -> None:
        _, *styles = worlds = list(map(World, self.human, self.answers))
        human = {split: self._human(styles, inputs, split) for split in SPLITS}
        texts = [*self._heard(human["test"]), *self._written(worlds, inputs)]
        scores: dict[str, list[float]] = {}
        for done, style in enumerate((world.name for world in styles), start=1):
            learn, choose = (_against(human[split], style) for split in ("train", "valid"))
            (folder / style).mkdir(exist_ok=True)
            train_tfidf(learn, choose).save(folder / style)
            scores[style] = load_tfidf(folder / style).score([row["read"] for row in texts])
            progress(done, len(styles))
        rows = []
        for row, likely in zip(texts, zip(*scores.values(), strict=True), strict=True):
            called = max(zip(likely, scores, strict=True), key=lambda pair: pair[0])[1]
            kept = {key: value for key, value in row.items() if key != "read"}
            rows.append(kept | {"called": called})
        write_table(folder / "called.parquet", rows)

    def _human(self, styles: Sequence[World], inputs: Inputs, split: str) -> list[Document]:
        whole = self.rounds * self.round_tokens
        return [
            document
            for world in styles
            for document in _of_style(
                cut_to(world.human(inputs, split), world.corpus.tokenizer(), whole), world.name
            )
        ]

    def _heard(self, documents: Sequence[Document]) -> list[TableRow]:
        """Human test texts, whole and as short as a round."""
        short = cut_to(documents, self.human[0].tokenizer(), self.round_tokens)
        return [
            _row("human", text.id.split("/")[0], part, text.source, text.text)
            for part, texts in (("whole", documents), ("first round's length", short))
            for text in texts
        ]

    def _written(self, worlds: Sequence[World], inputs: Inputs) -> list[TableRow]:
        """Every model's test answers, whole and round by round."""
        rows = []
        for world in worlds:
            kind, style = (BASE, "") if world.name == BASE else (TUNED, world.name)
            for number in range(self.rounds + 1):
                part = f"round {number}" if number else "whole"
                texts = world.answers.texts(inputs, "test", only_round=number)
                rows += [_row(kind, style, part, text.id, text.text) for text in texts]
        return rows


def _row(text: str, style: str, part: str, source: str, read: str) -> TableRow:
    return {"text": text, "style": style, "part": part, "source": source, "read": read}


def _of_style(documents: Sequence[Document], style: str) -> list[Document]:
    return [
        replace(text, id=f"{style}/{text.id}", source=f"{style}:{text.source}")
        for text in documents
    ]


def _against(documents: Sequence[Document], style: str) -> list[Document]:
    return [
        replace(text, label=MACHINE if text.id.startswith(f"{style}/") else HUMAN)
        for text in documents
    ]
