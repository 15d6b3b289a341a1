"""The model that writes: what a request asks for, as soon as it is certain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from staged.errors import SamplingError
from staged.keys.ring import open_key
from staged.model.causal import TextTokenizer
from staged.pages.figures import counted
from staged.provenance.manifest.facts import Facts
from staged.provenance.model_facts import facts, told_name
from staged.provenance.sign import signer_of
from staged.samples.decoders import load_decoder
from staged.samples.engine import Decoder
from staged.samples.methods import Method
from staged.samples.writers.contract import Row, SampleSettings
from staged.samples.writers.local import EngineWriter
from staged.samples.writers.marks import opened_watermark
from staged.web.completions.marks import Marks
from staged.web.completions.request import BATCH, Completion, checked, settings_of
from staged.web.limits import ClientGoneError, Limits, RefusedError
from staged.web.worker import Check

if TYPE_CHECKING:  # needs the extra
    from staged.provenance.fingerprints.log import FingerprintLog

Write = Callable[[int, str], None]  # takes a sample's number and a piece of its text


@dataclass(frozen=True)
class Written:
    """What came of a request.

    Attributes:
        rows: one a text, as `SampleSettings.row` gives them.
        prompt_tokens, completion_tokens: read and written in all; a prompt counts once.
        manifests: one a text, where texts are signed.
    """

    rows: Sequence[Row]
    prompt_tokens: int
    completion_tokens: int
    manifests: Sequence[bytes] = ()


@dataclass(frozen=True)
class Generator:
    """One model that writes for whoever asks; called from one thread only.

    Attributes:
        name: how requests call it.
        model: as `model_folder` takes it.
        marks: what is put on every text; None puts nothing on it.
    """

    name: str
    model: str
    precision: str
    device: str
    network: Decoder
    tokenizer: TextTokenizer
    marks: Marks | None = None

    @property
    def context(self) -> int:
        """Tokens of a prompt and its continuation together."""
        return self.network.config.n_ctx

    @property
    def marks_in_words(self) -> str:
        """What is put on every text."""
        marks = self.marks
        if marks is None or not (marks.watermark or marks.signer):
            return "nothing that it writes is marked or signed"
        if marks.watermark is None:
            return f"nothing that it writes is marked; key {marks.key} signs every text"
        signs = "marks and signs" if marks.signer else "marks"
        return f"key {marks.key} {signs} every text, by {marks.watermark.scheme}"

    def settings(self, asked: Completion, limits: Limits) -> SampleSettings:
        """What is asked, checked as far as that takes no tokenizer.

        Raises:
            RefusedError: 404 for another model, 400 or 413 for the rest.
        """
        if asked.model != self.name:
            raise RefusedError(404, f"model: there is none of that name; this is {self.name}.")
        checked(asked, limits)
        try:
            settings = settings_of(
                asked, model=self.model, precision=self.precision, device=self.device
            )
        except SamplingError as error:
            raise RefusedError(400, f"{str(error).removeprefix('sample: ')}.") from None
        if self.marks is not None:
            self.marks.check(settings)
        return settings

    def write(self, settings: SampleSettings, write: Write, still_wanted: Check) -> Written:
        """Write all texts; `write` gets each piece, never an empty one.

        Args:
            still_wanted: asked after every token; what it raises ends the work.

        Raises:
            RefusedError: 400, a prompt and a length that do not fit the context.
        """
        read = self._lengths(settings)
        watermark = self.marks.watermark if self.marks else None
        writer = EngineWriter(settings, self.tokenizer, None, self.network, watermark)

        given: dict[int, list[str]] = defaultdict(list)

        def tell(sample: int, text: str) -> None:
            still_wanted()
            if text:
                write(sample, text)
                given[sample].append(text)

        firsts = range(0, settings.count, settings.batch)
        try:
            rows = [row for first in firsts for row in writer.tell(first, tell)]
        except ClientGoneError:  # who leaves a stream before its end has what came until then
            if self.marks and self.marks.remember:
                self.marks.remember(["".join(parts) for parts in given.values()])
            raise
        manifests = self.marks.put_on(settings, rows) if self.marks else ()
        return Written(rows, sum(read), sum(row["length"] for row in rows), manifests)

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


def open_generator(
    model: str,
    *,
    precision: str = "",
    device: str = "auto",
    watermark: str = "",
    key: str = "",
    signpost: str = "",
    log: FingerprintLog | None = None,
) -> Generator:
    """A model that writes; of a folder its last name is what requests call it.

    Args:
        watermark, key: the scheme that marks every text, and the key's id, which also signs if it
            is for that; empty ones are off.
        signpost: how anybody can test for the mark, for the manifest: a URL.
        log: takes a fingerprint of every text.

    Raises:
        CheckpointError, PlanError, SamplingError: as `load_decoder`.
        ProvenanceError, ArtifactError: the key.
    """
    network, tokenizer = load_decoder(model, precision=precision, rows=BATCH, device=device)
    name = told_name(model)
    marks = _marks(model, network.config.n_vocab, watermark, key, signpost) if key else None
    if log is not None:
        marks = replace(marks or Marks("", None, None, Facts()), remember=_remember(log, name, key))
    return Generator(name, model, precision, device, network, tokenizer, marks)


def _remember(log: FingerprintLog, model: str, key: str) -> Callable[[list[str]], object]:
    from staged.provenance.fingerprints.contents import Entry

    return lambda texts: log.add_all([Entry(text, model, key) for text in texts])


def _marks(model: str, vocabulary: int, watermark: str, key_id: str, signpost: str) -> Marks:
    """What a key puts on every text; it remembers that it marks with it."""
    key = open_key(key_id)
    settings = SampleSettings(
        model, Method("marked"), 1, 1, watermark=watermark, key=key_id if watermark else ""
    )
    said = facts(model, watermark=watermark, key=key_id if watermark else "", detector=signpost)
    signer = signer_of(key) if "signing" in key.purposes else None
    return Marks(key_id, opened_watermark(settings, vocabulary), signer, said)
