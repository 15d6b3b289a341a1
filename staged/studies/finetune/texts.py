"""The texts of a fine-tuning study: each world's human passages and answers, in pairs of one
length.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from staged.model.bpe import BPE, REPLACEMENT, load_bpe
from staged.model.checkpoints import model_folder
from staged.records import MACHINE, Document
from staged.samples.dataset import read_samples
from staged.studies.detection import splits
from staged.studies.finetune.plan import BASE, FinetuneSettings

SPLITS = ("train", "valid", "test")
Pairs = tuple[list[Document], list[Document]]


def tokenizer(settings: FinetuneSettings) -> BPE:
    return load_bpe(model_folder(settings.model))


def human(root: Path, settings: FinetuneSettings, world: str, split: str) -> list[Document]:
    """A world's human passages of a split, a seeded draw.

    Raises:
        PlanError: there are fewer than the plan asks for; the sentence names the style.
    """
    table = "corpus" if world == BASE else f"style_corpus (style {world!r})"
    passages = root / world / "corpus" / "passages.parquet"
    return splits.drawn(
        passages, split, settings.count(world, split), seed=settings.seed, table=table
    )


def answers(
    root: Path, settings: FinetuneSettings, world: str, split: str, *, only_round: int = 0
) -> list[Document]:
    """What the world's model wrote after the opening, in all rounds or in one of them alone."""
    rows = read_samples(
        root / world / "answers" / f"{split}-{only_round or settings.rounds}.parquet"
    )
    whole = [row["prompt"] + row["text"] for row in rows]
    texts = (
        [row["text"] for row in rows]
        if only_round
        else [text.removeprefix(settings.opening) for text in whole]
    )
    texts = [text.rstrip(REPLACEMENT).strip() for text in texts]
    return [
        Document(f"{world}/{split}/{i}", text, MACHINE, world, split)
        for i, text in enumerate(texts)
    ]


def paired(
    human: Sequence[Document], machine: Sequence[Document], bpe: BPE, limits: Sequence[int] = ()
) -> Pairs:
    """Human and machine text i, both cut to the shorter one's tokens (and to limit i): no pair is
    told apart by its length.
    """
    sizes = [list(bpe.count([one.text for one in part])) for part in (human, machine)]
    lengths = [
        max(1, min(found)) for found in zip(*sizes, *([limits] if limits else []), strict=True)
    ]
    h, m = (
        [splits.cut_to([one], bpe, length)[0] for one, length in zip(part, lengths, strict=True)]
        for part in (human, machine)
    )
    return h, m


def learned_pairs(root: Path, settings: FinetuneSettings, trained: str, split: str) -> Pairs:
    """What a detector learns from or chooses its thresholds on."""
    bpe = tokenizer(settings)
    worlds = (BASE,) if trained == BASE else tuple(settings.styles)
    parts = [
        paired(human(root, settings, one, split), answers(root, settings, one, split), bpe)
        for one in worlds
    ]
    return [h for part in parts for h in part[0]], [m for part in parts for m in part[1]]


def pairs_to_test(root: Path, settings: FinetuneSettings) -> dict[str, Pairs]:
    """Name → pairs: `before`; per style `matched/STYLE`, the same pairs cut to that style's
    lengths, and `after/STYLE`.
    """
    bpe = tokenizer(settings)
    base = human(root, settings, BASE, "test"), answers(root, settings, BASE, "test")
    found = {"before": paired(*base, bpe)}
    for style in settings.styles:
        after = paired(
            human(root, settings, style, "test"), answers(root, settings, style, "test"), bpe
        )
        found |= {
            f"matched/{style}": paired(*base, bpe, bpe.count([one.text for one in after[1]])),
            f"after/{style}": after,
        }
    return found
