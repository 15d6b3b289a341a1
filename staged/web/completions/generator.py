"""The model that writes: what a request asks for, as soon as it is certain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from staged.errors import SamplingError
from staged.model.causal import TextTokenizer
from staged.pages.figures import counted
from staged.samples.decoders import load_decoder
from staged.samples.engine import Decoder
from staged.samples.writers.contract import Row, SampleSettings
from staged.samples.writers.local import EngineWriter
from staged.web.completions.request import BATCH, Completion, checked, settings_of
from staged.web.limits import Limits, RefusedError
from staged.web.worker import Check

Write = Callable[[int, str], None]  # takes a sample's number and a piece of its text


@dataclass(frozen=True)
class Written:
    """What came of a request.

    Attributes:
        rows: one a text, as `SampleSettings.row` gives them.
        prompt_tokens, completion_tokens: read and written in all; a prompt counts once.
    """

    rows: Sequence[Row]
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Generator:
    """One model that writes for whoever asks; called from one thread only.

    Attributes:
        name: how requests call it.
        model: as `model_folder` takes it.
    """

    name: str
    model: str
    precision: str
    device: str
    network: Decoder
    tokenizer: TextTokenizer

    @property
    def context(self) -> int:
        """Tokens of a prompt and its continuation together."""
        return self.network.config.n_ctx

    def settings(self, asked: Completion, limits: Limits) -> SampleSettings:
        """What is asked, checked as far as that takes no tokenizer.

        Raises:
            RefusedError: 404 for another model, 400 or 413 for the rest.
        """
        if asked.model != self.name:
            raise RefusedError(404, f"model: there is none of that name; this is {self.name}.")
        checked(asked, limits)
        try:
            return settings_of(
                asked, model=self.model, precision=self.precision, device=self.device
            )
        except SamplingError as error:
            raise RefusedError(400, f"{str(error).removeprefix('sample: ')}.") from None

    def write(self, settings: SampleSettings, write: Write, still_wanted: Check) -> Written:
        """Write all texts; `write` gets each piece, never an empty one.

        Args:
            still_wanted: asked after every token; what it raises ends the work.

        Raises:
            RefusedError: 400, a prompt and a length that do not fit the context.
        """
        read = self._lengths(settings)
        writer = EngineWriter(settings, self.tokenizer, None, self.network)

        def tell(sample: int, text: str) -> None:
            still_wanted()
            if text:
                write(sample, text)

        firsts = range(0, settings.count, settings.batch)
        rows = [row for first in firsts for row in writer.tell(first, tell)]
        return Written(rows, sum(read), sum(row["length"] for row in rows))

    def _lengths(self, settings: SampleSettings) -> list[int]:
        """Tokens of each prompt; the mark that begins a text stands for an empty one."""
        encoded = self.tokenizer.encode_batch(settings.prompts)
        lengths = [max(len(tokens), 1) for tokens in encoded]
        most = self.context + 1 - max(lengths)  # the last token is written, and never read
        if settings.length > most:
            raise RefusedError(
                400,
                f"max_tokens: a prompt of {counted(max(lengths), 'token')} and"
                f" {counted(settings.length, 'new token')} do not fit the context of"
                f" {self.context:,}; send a shorter prompt, or at most {max(most, 0):,}.",
            )
        return lengths


def open_generator(model: str, *, precision: str = "", device: str = "auto") -> Generator:
    """A model that writes; of a folder its last name is what requests call it.

    Raises:
        CheckpointError, PlanError, SamplingError: as `load_decoder`.
    """
    network, tokenizer = load_decoder(model, precision=precision, rows=BATCH, device=device)
    return Generator(PurePath(model).name, model, precision, device, network, tokenizer)
