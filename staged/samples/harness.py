"""Any causal language model, as one of EleutherAI's lm-evaluation-harness (`lm_eval`).

    python -m staged.samples.harness --model staged --model_args model=mini-s --tasks TASK
    lm_eval.simple_evaluate(model=StagedLM("mini-s"), tasks=[…])

The first is the harness's own command line, the second the same from Python.

It stands here, to the right of the model, because some tasks generate text.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from tqdm import tqdm

try:
    from lm_eval.api.model import TemplateLM
    from lm_eval.api.registry import register_model
    from lm_eval.utils import get_rolling_token_windows
except ImportError as error:
    missing = "staged.samples.harness needs EleutherAI's harness: pip install 'staged[lm-eval]'"
    if __name__ == "__main__":
        sys.stderr.write(f"staged: {missing}\n")
        sys.exit(2)
    raise ImportError(missing) from error

import numpy as np

from staged.errors import PlanError, SamplingError
from staged.model.causal import causal_of, load_network
from staged.model.reading.encoding import Ids, start_of_text
from staged.model.reading.evaluate import PRECISIONS
from staged.model.reading.likelihood import Window, score
from staged.samples.engine import generate
from staged.samples.methods import from_numbers
from staged.samples.rows import Options
from staged.samples.stops import StopStrings

log = logging.getLogger(__name__)

# the harness's order
LENGTH_NAMES = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")


@register_model("staged")
class StagedLM(TemplateLM):  # type: ignore[misc]
    """A model that `lm_eval` can run: our GPT-2, or another family through transformers.

    Args:
        model: as `load_network` takes it, of any family.
        precision: `fp32` or `bf16`.
        batch_size: full windows computed at once.
        max_gen_toks: new tokens where a task doesn't say; by default a quarter of the context.
        seed: of tasks that sample.
        device, max_batch_size: the harness's command line always passes them (`cuda:0` unless
            told); neither has a use here.

    Raises:
        CheckpointError: the model.
        PlanError: another precision, or a batch size that is not a number.
    """

    def __init__(
        self,
        model: str,
        *,
        precision: str = "fp32",
        batch_size: int | str | None = None,
        max_gen_toks: int | None = None,
        seed: int = 1,
        device: str | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        if precision not in PRECISIONS:
            raise PlanError(f"lm-eval: precision {precision!r}; known: {', '.join(PRECISIONS)}")
        if device not in (None, "cpu"):
            log.warning("device %s is left unused: the staged model runs on cpu", device)
        if not str(batch_size or 8).isdecimal():
            raise PlanError(f"lm-eval: the batch size must be a number, not {batch_size!r}")
        self.model, self.text_tokenizer = load_network(model, dtype=PRECISIONS[precision])
        self.lm = causal_of(model, self.model, self.text_tokenizer)
        self.start = start_of_text(self.text_tokenizer)
        self.name, self.batch_size, self.seed = model, int(batch_size or 8), seed
        self.max_gen_toks = max_gen_toks or max(1, self.max_length // 4)

    @property
    def max_length(self) -> int:
        """The context in tokens."""
        return self.model.config.n_ctx

    @property
    def eot_token_id(self) -> int:
        """The id of the end of text: `<|endoftext|>`, or what another family has."""
        return self.text_tokenizer.end_of_text

    @property
    def prefix_token_id(self) -> int:
        """The last of the ids that stand before a text without context."""
        return self.start[-1]

    @property
    def tokenizer_name(self) -> str:
        """What the harness keys its cache of requests by."""
        return f"staged-{self.name}"

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **kwargs: Any
    ) -> list[int]:
        """Token ids, behind those that the tokenizer puts before each text; GPT-2's puts none."""
        return self.text_tokenizer.encode(string)

    def loglikelihood(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """What `_loglikelihood_tokens` says of each (context, continuation); these may be empty."""
        encoded = [(request.args, *self._encode_pair(*request.args)) for request in requests]
        return self._loglikelihood_tokens(encoded, disable_tqdm=disable_tqdm)

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Token ids of a context and of what follows it, by the harness's rule,
        `TemplateLM._encode_pair`.

        Blanks at the context's end belong to the continuation, and of both together that is what
        stands behind as many tokens as the context has. Where one token spans the join that may be
        none, and none would be certain; then the continuation begins behind the last token that
        both share, so that the spanning token counts.
        """
        encode = self.text_tokenizer.encode
        stem, whole = encode(context.rstrip()), encode(context + continuation)
        if len(whole) > len(stem):
            return stem, whole[len(stem) :]
        shared = sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(stem, whole, strict=False))
        )
        return whole[:shared], whole[shared:]

    def _loglikelihood_tokens(
        self,
        requests: Sequence[tuple[Any, list[int], list[int]]],
        disable_tqdm: bool = False,
        **kwargs: Any,
    ) -> list[tuple[float, bool]]:
        """Of each (key, context, continuation) the continuation's log-likelihood in nats, and
        whether greedy decoding gives it.

        A context too long for the model loses its beginning.

        Raises:
            PlanError: a continuation that alone is too long.
        """
        pairs = [(context or self.start, continuation) for _, context, continuation in requests]
        sequences = [
            np.array(context + continuation, dtype=np.int32) for context, continuation in pairs
        ]
        windows = [
            self._window(i, len(context), len(continuation))
            for i, (context, continuation) in enumerate(pairs)
        ]
        answers = [(0.0, True)] * len(requests)  # an empty continuation is certain
        scored = [window for window in windows if window.first <= window.end]
        for index, nats, chosen in self._score(sequences, scored, disable_tqdm):
            key = scored[index].sequence
            answers[key] = (-float(nats.sum(dtype=np.float64)), bool(chosen.all()))
            if requests[key][0] is not None:
                self.cache_hook.add_partial("loglikelihood", requests[key][0], answers[key])
        return answers

    def _window(self, sequence: int, context: int, continuation: int) -> Window:
        last = context + continuation - 1
        if continuation > self.max_length:
            raise PlanError(
                f"lm-eval: a continuation of {continuation:,} tokens does not fit the model's"
                f" context of {self.max_length:,}; score it by a task of output type"
                " loglikelihood_rolling"
            )
        if last > self.max_length:
            log.warning(
                "a context of %d tokens and its continuation don't fit %d; its beginning is"
                " left out",
                context,
                self.max_length,
            )
        return Window(sequence, start=max(0, last - self.max_length), end=last, first=context)

    def _score(
        self, sequences: Sequence[Ids], windows: Sequence[Window], quiet: bool
    ) -> Iterator[tuple[int, Any, Any]]:
        with tqdm(total=len(windows), disable=quiet, desc="staged: loglikelihood") as bar:
            for result in score(self.lm, sequences, windows, batch=self.batch_size):
                bar.update()
                yield result

    def loglikelihood_rolling(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[float]:
        """Log-likelihood of whole texts in nats, in the harness's windows: disjoint, but the last
        one reads a full context.
        """
        sequences, windows = [], []
        for i, request in enumerate(requests):
            # what the tokenizer puts before the text stands there already, and is not predicted
            tokens = self.text_tokenizer.encode(request.args[0])[len(self.text_tokenizer.before) :]
            sequences.append(np.array([*self.start, *tokens], dtype=np.int32))
            windows += list(self._rolling(i, tokens))
        totals = [0.0] * len(requests)
        for index, nats, _ in self._score(sequences, windows, disable_tqdm):
            totals[windows[index].sequence] -= float(nats.sum(dtype=np.float64))
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    def _rolling(self, sequence: int, tokens: list[int]) -> Iterator[Window]:
        first, before = len(self.start), len(self.start) - 1
        for read, scored in get_rolling_token_windows(
            tokens, self.prefix_token_id, self.max_length - before, context_len=1
        ):
            end = first + len(scored) - 1
            yield Window(sequence, start=max(0, end - len(read) - before), end=end, first=first)
            first = end + 1

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Continuations, each cut before the first of its stop strings; greedy unless the task says
        `do_sample`.

        Raises:
            SamplingError: a task that asks for more new tokens than the context holds.
        """
        groups: dict[str, list[int]] = {}
        for i, request in enumerate(requests):
            groups.setdefault(json.dumps(request.args[1], sort_keys=True), []).append(i)
        answers = [""] * len(requests)
        with tqdm(total=len(requests), disable=disable_tqdm, desc="staged: generate_until") as bar:
            for group in groups.values():
                for first in range(0, len(group), self.batch_size):
                    part = group[first : first + self.batch_size]
                    settings = requests[part[0]].args[1]
                    for i, text in zip(
                        part,
                        self._continue([requests[i].args[0] for i in part], settings, first),
                        strict=True,
                    ):
                        answers[i] = text
                        self.cache_hook.add_partial("generate_until", requests[i].args, text)
                        bar.update()
        return answers

    def _continue(self, prompts: Sequence[str], settings: dict[str, Any], first: int) -> list[str]:
        length = next(
            (int(settings[name]) for name in LENGTH_NAMES if settings.get(name) is not None),
            self.max_gen_toks,
        )
        if length >= self.max_length:
            raise SamplingError(
                f"lm-eval: {length} new tokens leave no room for a prompt in the context of"
                f" {self.max_length}"
            )
        sampled = settings.get("do_sample", False)
        numbers = (
            (settings.get("temperature"), settings.get("top_k"), settings.get("top_p"))
            if sampled
            else (0.0, None, None)
        )
        rows = [
            (ids or self.start)[-(self.max_length - length) :]
            for ids in self.text_tokenizer.encode_batch(prompts)
        ]
        until = settings.get("until") or []
        stops = StopStrings(
            [string for string in ([until] if isinstance(until, str) else until) if string],
            self.text_tokenizer.decode,
        )
        arguments = {"length": length, "end": self.eot_token_id, "seed": self.seed, "first": first}
        generated = generate(
            self.model, rows, from_numbers(*numbers), **arguments, options=Options(stops=stops)
        )
        return [
            stops.cut(self.text_tokenizer.decode(generation.tokens))[0] for generation in generated
        ]


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
