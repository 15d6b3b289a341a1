"""What is asked of a model that writes, and what every writer gives: our engine, alone or with a
draft, and a server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from staged.errors import PlanError, SamplingError
from staged.model.gpt2.packed import PRECISIONS
from staged.model.sources.served import model_identity, parse_served
from staged.samples.chat.answers import answer_columns
from staged.samples.drawing.marking import check_marks
from staged.samples.engine import CONTEXTS
from staged.samples.methods import Method
from staged.samples.prompts import check_chat, check_prompts
from staged.samples.stops import check_stops
from staged.settings import LARGEST, nearest

Row = dict[str, Any]  # of a sample file: see `staged.samples.columns`
AT_ONCE = 16  # requests at the same time: a small server's few places stay full
LEAST_PENALTY = 0.001  # far below it logits divided by it are no longer finite


@dataclass(frozen=True)
class SampleSettings:
    """What to generate.

    Attributes:
        model: as `model_folder` takes it, of any family, or `openai:NAME@URL`.
        method: how tokens are drawn.
        count: number of samples.
        length: new tokens at most.
        prompts: texts to continue; none, or an empty one, is an unconditional sample.
        per_prompt: neighbouring samples that share a prompt: sample i continues prompt i //
            per_prompt, modulo their number.
        batch: samples computed at once, without a draft; part of what determines the bytes in bf16.
            Of a server so many are asked at once, up to a limit, which determines nothing.
        draft: a smaller model of the same tokenizer that proposes tokens for `model` to judge
            (speculative decoding, exact); empty is off. Samples then run one by one.
        precision: `fp32`, `bf16` or `int8`; empty takes bf16 where the processor has it. A server
            has its own, and device too.
        stop: strings at which a sample ends; its text ends before them.
        repetition_penalty: 0.001 … 1,000; 1 is off.
        logprobs: rows also hold their tokens and log-probabilities.
        context: where a text outgrows the context: `refuse`, `stop` or `slide`.
        device: `cpu`, `cuda`, or `auto` for a GPU where there is one.
        chat: prompts are a user's messages, put into the model's chat template, and samples its
            answers.
        system: of a chat, the text that stands before each message.
        watermark: the scheme by which samples are marked, one of `SCHEMES`; empty is off.
        key: the id of the key that marks them.
    """

    model: str
    method: Method
    count: int
    length: int
    seed: int = 1
    prompts: tuple[str, ...] = ()
    per_prompt: int = 1
    batch: int = 128
    precision: str = ""
    draft: str = ""
    stop: tuple[str, ...] = ()
    repetition_penalty: float = 1.0
    logprobs: bool = False
    context: str = "refuse"
    device: str = "cpu"
    chat: bool = False
    system: str = ""
    watermark: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        for name, what in NUMBERS.items():
            if not 1 <= getattr(self, name) <= LARGEST:
                raise SamplingError(
                    f"sample: {what} must be at least 1 and at most {LARGEST:,}, not"
                    f" {getattr(self, name)}"
                )
        if not 0 <= self.seed < 2**64:
            raise SamplingError(f"sample: the seed must be 0 … 2⁶⁴ − 1, not {self.seed}")
        if self.precision not in ("", *PRECISIONS):
            raise PlanError(f"sample: precision {self.precision!r}; known: {', '.join(PRECISIONS)}")
        if not LEAST_PENALTY <= self.repetition_penalty <= 1 / LEAST_PENALTY:
            allowed = f"{LEAST_PENALTY:g} to {1 / LEAST_PENALTY:g}"
            raise SamplingError(
                f"sample: the repetition penalty can be {allowed}, not {self.repetition_penalty:g};"
                " 1 is off"
            )
        if self.context not in CONTEXTS:
            raise PlanError(f"sample: context {self.context!r}; {nearest(self.context, CONTEXTS)}")
        if self.draft and (
            self.stop or self.logprobs or self.repetition_penalty != 1 or self.context != "refuse"
        ):
            raise PlanError(
                "sample: a draft model goes without --stop, --logprobs, --repetition-penalty and"
                " --context"
            )
        check_stops(self.stop)
        check_prompts(self.prompts)
        check_chat(self.prompts, self.system, chat=self.chat)
        check_marks(self.watermark, self.key, self.model, self.method, self.draft)

    @property
    def block(self) -> int:
        """Samples that are computed, and kept, together; with a draft they run one by one, and from
        a server they come so.
        """
        return 1 if self.draft or parse_served(self.model) else self.batch

    @property
    def at_once(self) -> int:
        """Blocks that may be asked for at the same time, by threads; here all threads compute
        one.
        """
        return min(self.batch, AT_ONCE) if parse_served(self.model) else 1

    def prompt(self, i: int) -> str:
        """The text that sample i continues."""
        return self.prompts[i // self.per_prompt % len(self.prompts)] if self.prompts else ""

    def deciding(self) -> dict[str, Any]:
        """What of this decides the bytes of samples, in JSON values: of a server neither where it
        is asked nor how a model here would compute. A chat's part and a watermark's only where
        there is one, so that what was begun before there were such goes on.
        """
        left_out = () if self.chat else ("chat", "system")
        left_out = left_out if self.watermark else (*left_out, "watermark", "key")
        if parse_served(self.model):
            left_out = (*left_out, *COMPUTING)
        known = asdict(self) | {"model": model_identity(self.model)}
        return {name: value for name, value in known.items() if name not in left_out}

    def row(
        self,
        i: int,
        text: str,
        *,
        length: int | None,
        reason: str,
        stopped: str | None,
        top_p: float,
        slides: int = 0,
        opened: bool = False,
    ) -> Row:
        """Sample i, as it stands in a file; see `staged.samples.columns.Sample`.

        Args:
            text: all that was written; of a chat, reasoning included.
            opened: as `answer_apart` takes it.
        """
        row = {
            "id": i,
            "ended": reason == "end",
            "length": length,
            "text": text,
            "model": model_identity(self.model),
            "method": self.method.name,
            "prompt": self.prompt(i),
            "seed": self.seed,
            "temperature": self.method.temperature,
            "top_k": self.method.top_k,
            "top_p": round(top_p, 6),
            "semantics": self.method.semantics,
            "repetition_penalty": self.repetition_penalty,
            "reason": reason,
            "stopped": stopped,
            "slides": slides,
        }
        row |= answer_columns(text, self.system, opened=opened) if self.chat else {}
        return row | ({"watermark": self.watermark, "key": self.key} if self.watermark else {})


COMPUTING = ("batch", "precision", "device")  # how a model here computes
NUMBERS = {
    "count": "the number of samples",
    "per_prompt": "the number of samples a prompt",
    "batch": "the batch",
    "length": "the length",
}


class Writer(Protocol):
    """What generates the samples of some settings."""

    def block(self, first: int) -> list[Row]:
        """The rows of samples first … first + settings.block − 1, as far as there are so many."""

    def speak(self, write: Callable[[str], None]) -> Row:
        """Sample 0; its text goes to `write` as soon as it is certain."""

    def facts(self) -> dict[str, Any]:
        """What decides its texts beside the settings, in JSON values; `computed_by`: in words."""


def precision_and_device(model: str, precision: str, device: str) -> tuple[str, str]:
    """Precision and device of the settings of a model that computes here; those of one behind a
    server say nothing of either.
    """
    return ("", "cpu") if parse_served(model) else (precision, device)
