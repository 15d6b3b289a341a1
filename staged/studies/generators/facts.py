"""What a study says of the texts that its models wrote from prompts, or by tokens of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from staged.errors import PlanError, StagedError
from staged.model.causal import is_outside, load_shape, load_tokenizer
from staged.model.checkpoints import load_model
from staged.pipeline.stage import Inputs
from staged.records import Document, count_words
from staged.samples.chat.template import WITHOUT_CHAT, ChatPrompts
from staged.samples.engine import check_length
from staged.samples.sample_stage import check_at_hand
from staged.storage.records import LATER
from staged.studies.generators.prompts import after_opening
from staged.studies.generators.sampled import Samples
from staged.studies.generators.texts import MachineTexts

HUMAN_TEXT = "human"


@dataclass(frozen=True)
class Written:
    """Test texts as they came, before they were cut.

    Attributes:
        text: the model, or `human`; its method is empty.
        texts: how many.
        words: the median of their lengths.
        shorter: those with fewer words than the matrix's texts are cut to; None where it counts in
            tokens.
        refused: answers of an instruct model that refuse the task.
        opened: answers that begin with the opening they were given, which was cut off.
    """

    text: str
    method: str
    texts: int
    words: float
    shorter: int | None = field(default=None, metadata=LATER)
    refused: int | None = field(default=None, metadata=LATER)
    opened: int | None = field(default=None, metadata=LATER)


def written(
    inputs: Inputs, human: Sequence[Document], samples: Iterable[MachineTexts], words: int | None
) -> Iterator[Written]:
    """A row of the human test texts, and one a model and method.

    Args:
        words: what the matrix's texts are cut to; None where that is tokens.
    """
    yield Written(HUMAN_TEXT, "", *_lengths(human, words))
    for stage in samples:
        lengths = _lengths(stage.texts(inputs, "test"), words)
        yield Written(stage.model, stage.method, *lengths, *_answers(inputs, stage))


def _lengths(texts: Sequence[Document], words: int | None) -> tuple[int, float, int | None]:
    counts = [count_words(text.text) for text in texts]
    shorter = None if words is None else sum(count < words for count in counts)
    return len(counts), float(median(counts)), shorter


def _answers(inputs: Inputs, stage: MachineTexts) -> tuple[int | None, int | None]:
    """How many of an instruct model's answers refuse, and how many repeat their opening."""
    if not isinstance(stage, Samples) or stage.prompts is None or stage.prompts.tasks is None:
        return None, None
    answers, openings = stage.answers(inputs, "test"), stage.openings(inputs, "test")
    repeated = [
        bool(opening) and after_opening(row["text"], opening) != row["text"].lstrip()
        for row, opening in zip(answers, openings, strict=True)
    ]
    refused = sum(row["refused"] for row in answers)
    return refused, sum(repeated) if stage.prompts.opening_words else None


def check_models(samples: Iterable[MachineTexts]) -> None:
    """Before the long work: the models that are here are whole, and hold texts so long; servers can
    be asked, and instruct models have a template.

    Raises:
        CheckpointError, SamplingError, PlanError: one of these is not so.
    """
    for stage in {stage.given: stage for stage in samples if isinstance(stage, Samples)}.values():
        check_at_hand(stage.given)
        if stage.folder is None:
            continue
        check_length(load_shape(stage.given), 1, max(stage.lengths.values()))
        if not is_outside(stage.folder):
            load_model(stage.given)  # reads every tensor
        if stage.prompts and stage.prompts.tasks is not None:
            _check_template(stage.given, stage.prompts.system or "")


def _check_template(model: str, system: str) -> None:
    try:
        ChatPrompts(model, system)
    except StagedError as error:
        raise PlanError(
            f"study: [chat]: {str(error).removesuffix(WITHOUT_CHAT)}; name by chat.models those of"
            " the plan's models that answer tasks"
        ) from None


def check_prompts(inputs: Inputs, samples: Iterable[MachineTexts]) -> None:
    """Before the long work: openings and lengths fit together.

    Raises:
        PlanError: a passage no longer than its opening.
        SamplingError: an opening and a length beyond a model's context.
    """
    for stage in {stage.given: stage for stage in samples if isinstance(stage, Samples)}.values():
        if stage.folder is None or stage.corpus is None:
            continue
        tokenizer, shape = load_tokenizer(stage.given), load_shape(stage.given)
        for split, length in stage.lengths.items():
            counts = map(len, tokenizer.encode_batch(stage.openings(inputs, split)))
            check_length(shape, max(counts), length)
