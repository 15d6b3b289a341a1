"""Models that write on this machine: our engine, alone or with a draft."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from staged.errors import SamplingError
from staged.model.causal import TextTokenizer
from staged.model.checkpoints import model_folder
from staged.model.formats.layouts import files_beside_weights, weight_files
from staged.samples.chat.answers import AnswerStream
from staged.samples.chat.template import ChatPrompts
from staged.samples.decoders import load_decoder, path_taken
from staged.samples.engine import Decoder, check_length, generate
from staged.samples.rows import Generated, Options
from staged.samples.speculative import AHEAD, Pair, speculate_all
from staged.samples.stops import StopStrings, TextStream
from staged.samples.writers.contract import Row, SampleSettings
from staged.samples.writers.marks import opened_watermark
from staged.storage.digests import sha256_file
from staged.watermarks.contract import Watermark
from staged.watermarks.schemes import settings_of

Watch = Callable[[int, int], None]  # takes a row and its new token


@dataclass(frozen=True)
class LocalWriter(ABC):
    """A `Writer` whose tokens are drawn here.

    Attributes:
        bpe: the model's tokenizer.
        chat: puts prompts into the model's template; None continues them.
    """

    settings: SampleSettings
    bpe: TextTokenizer
    chat: ChatPrompts | None

    @abstractmethod
    def continued(
        self, prompts: Sequence[Sequence[int]], first: int, watch: Watch | None
    ) -> list[Generated]:
        """Each prompt's continuation, that of row i from the stream of sample first + i."""

    @property
    def stops(self) -> StopStrings:
        return StopStrings(self.settings.stop, self.bpe.decode)

    def block(self, first: int) -> list[Row]:
        return self._rows(first)

    def speak(self, write: Callable[[str], None]) -> Row:
        if self.chat is None:
            return self._spoken(write)
        answer = AnswerStream(write, opened=self.chat.opens_reasoning)
        row = self._spoken(answer.feed)
        answer.finish()
        return row

    def _spoken(self, write: Callable[[str], None]) -> Row:
        [row] = self.tell(0, lambda _, text: write(text))
        return row

    def tell(self, first: int, write: Callable[[int, str], None]) -> list[Row]:
        """As `block`, without a chat; each text goes to `write`, with the number of its sample, as
        soon as it is certain. What `write` raises ends the block.
        """
        streams: dict[int, TextStream] = defaultdict(lambda: TextStream(self.stops))
        rows = self._rows(first, watch=lambda i, token: write(first + i, streams[i].feed(token)))
        for i, stream in streams.items():
            write(first + i, stream.finish())
        return rows

    def facts(self) -> dict[str, Any]:
        settings = self.settings
        models = [name for name in (settings.model, settings.draft) if name]
        template = {"template": self.chat.source} if self.chat else {}
        beside = {name: sums for name in models if (sums := _sums_beside_weights(name))}
        return (
            template
            | ({"beside": beside} if beside else {})
            | {
                "ahead": AHEAD if settings.draft else 0,
                "weights": {
                    name: [sha256_file(path) for path in weight_files(model_folder(name))]
                    for name in models
                },
                "computed_by": path_taken(settings.model, settings.precision, settings.device),
            }
        )

    def _rows(self, first: int, watch: Watch | None = None) -> list[Row]:
        ids = range(first, min(first + self.settings.block, self.settings.count))
        encoded = (self.chat or self.bpe).encode_batch([self.settings.prompt(i) for i in ids])
        prompts = [prompt or [self.bpe.end_of_text] for prompt in encoded]
        generated = self.continued(prompts, first, watch)
        return [self._row(i, drawn) for i, drawn in zip(ids, generated, strict=True)]

    def _row(self, i: int, drawn: Generated) -> Row:
        text, stopped = self.stops.cut(self.bpe.decode(drawn.tokens))
        row = self.settings.row(
            i,
            text,
            length=len(drawn.tokens),
            reason=drawn.reason,
            stopped=stopped,
            top_p=drawn.top_p,
            slides=drawn.slides,
            opened=self.chat is not None and self.chat.opens_reasoning,
        )
        if self.settings.logprobs:
            tokens = [*drawn.tokens, self.bpe.end_of_text] if drawn.ended else drawn.tokens
            row |= {"tokens": tokens, "logprobs": drawn.logprobs}
        return row


@dataclass(frozen=True)
class EngineWriter(LocalWriter):
    """One model, a batch of samples at once."""

    model: Decoder
    watermark: Watermark | None = None

    def facts(self) -> dict[str, Any]:
        marks = settings_of(self.watermark) if self.watermark else None
        return super().facts() | ({"marks": marks} if marks else {})

    def continued(
        self, prompts: Sequence[Sequence[int]], first: int, watch: Watch | None
    ) -> list[Generated]:
        settings = self.settings
        penalty, context = settings.repetition_penalty, settings.context
        return generate(
            self.model,
            prompts,
            settings.method,
            length=settings.length,
            end=self.bpe.end_of_text,
            seed=settings.seed,
            first=first,
            options=Options(penalty, self.stops, settings.logprobs, context, watch, self.watermark),
        )


@dataclass(frozen=True)
class DraftedWriter(LocalWriter):
    """A model with a smaller one that guesses ahead, one sample at a time."""

    pair: Pair

    def continued(
        self, prompts: Sequence[Sequence[int]], first: int, watch: Watch | None
    ) -> list[Generated]:
        settings = self.settings
        drafted = speculate_all(
            self.pair,
            prompts,
            settings.method,
            length=settings.length,
            end=self.bpe.end_of_text,
            seed=settings.seed,
            first=first,
            watch=watch,
        )
        return [draft.generated for draft in drafted]


def _sums_beside_weights(model: str) -> dict[str, str]:
    """File → SHA-256 of what decides a model's texts beside its weights."""
    files = files_beside_weights(model_folder(model))
    return {name: sha256_file(path) for name, path in files.items()}


def open_local(settings: SampleSettings) -> LocalWriter:
    """The models of some settings, whose prompts and length fit their context.

    Raises:
        CheckpointError, SamplingError, PlanError: a model, or what is asked of it.
        ProvenanceError, ArtifactError: the key that is to mark samples.
    """
    rows = AHEAD + 1 if settings.draft else min(settings.batch, settings.count)
    load = partial(load_decoder, precision=settings.precision, device=settings.device)
    chat = ChatPrompts(settings.model, settings.system) if settings.chat else None
    large, bpe = load(settings.model, rows=rows)
    if not settings.draft:
        _check_fits(large, chat or bpe, settings)
        watermark = opened_watermark(settings, large.config.n_vocab)
        return EngineWriter(settings, bpe, chat, large, watermark)
    small, other = load(settings.draft, rows=1)
    if other.vocabulary() != bpe.vocabulary():
        raise SamplingError(
            f"sample: {settings.draft} has another tokenizer than {settings.model}; a draft needs"
            " the same one"
        )
    pair = Pair(large, small)
    _check_fits(pair, chat or bpe, settings)
    return DraftedWriter(settings, bpe, chat, pair)


def _check_fits(
    model: Decoder | Pair, encoder: TextTokenizer | ChatPrompts, settings: SampleSettings
) -> None:
    longest = max((len(ids) for ids in encoder.encode_batch(settings.prompts)), default=1)
    context, is_drafted = settings.context, bool(settings.draft)
    check_length(model.config, max(longest, 1), settings.length, context=context, draft=is_drafted)
