"""What a study says of the texts that its models wrote from prompts, or by tokens of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
            tokens. `shorter_train`: of the texts that detectors learn from.
        empty: without a word.
        refused: answers of an instruct model that refuse the task.
        opened: answers that begin with the opening they were given, which was cut off.
    """

    text: str
    method: str
    texts: int
    words: float
    shorter: int | None = field(default=None, metadata=LATER)
    shorter_train: int | None = field(default=None, metadata=LATER)
    empty: int | None = field(default=None, metadata=LATER)
    refused: int | None = field(default=None, metadata=LATER)
    opened: int | None = field(default=None, metadata=LATER)


def written(
    inputs: Inputs,
    human: Mapping[str, Sequence[Document]],
    samples: Iterable[MachineTexts],
    words: int | None,
) -> Iterator[Written]:
    """A row of the human test texts, and one a model and method.

    Args:
        human: of `train` and `test`.
        words: what the matrix's texts are cut to; None where that is tokens.
    """
    yield Written(HUMAN_TEXT, "", *_lengths(human["train"], human["test"], words))
    for stage in samples:
        train, test = (stage.texts(inputs, split) for split in ("train", "test"))
        lengths = _lengths(train, test, words)
        yield Written(stage.model, stage.method, *lengths, *_answers(inputs, stage))


def _lengths(
    train: Sequence[Document], test: Sequence[Document], words: int | None
) -> tuple[int, float, int | None, int | None, int]:
    counts, learned = ([count_words(text.text) for text in texts] for texts in (test, train))
    shorter, shorter_train = (
        None if words is None else sum(count < words for count in part)
        for part in (counts, learned)
    )
    return len(counts), float(median(counts)), shorter, shorter_train, counts.count(0)


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
        check_length(load_shape(stage.given), 1, max(stage.written_lengths.values()))
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
    """Before the long work: what models are given and lengths fit together.

    Raises:
        PlanError: a passage no longer than its opening.
        SamplingError: a prompt and a length beyond a model's context.
    """
    for stage in {stage.given: stage for stage in samples if isinstance(stage, Samples)}.values():
        if stage.folder is None or stage.prompts is None:
            continue
        shape, encode = load_shape(stage.given), _encoder(stage)
        for split, length in stage.written_lengths.items():
            prompts = stage.prompts.of(stage.openings(inputs, split))
            check_length(shape, max(map(len, encode(prompts))), length)


def _encoder(stage: Samples) -> Callable[[Sequence[str]], list[list[int]]]:
    """Prompts → token ids, as the model reads them."""
    if stage.prompts is None or stage.prompts.tasks is None:
        return load_tokenizer(stage.given).encode_batch
    return ChatPrompts(stage.given, stage.prompts.system or "").encode_batch
