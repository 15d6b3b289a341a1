"""What generation promises, of both engines: ours for GPT-2, plain and packed, and transformers'
cached forward pass for every other family.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from staged.errors import SamplingError
from staged.model.bpe import BPE
from staged.model.causal import TextTokenizer
from staged.model.checkpoints import load_model
from staged.model.gpt2.packed_linear import bf16_is_native, int8_is_native
from staged.model.transformers_lm import load_outside
from staged.samples.decoders import load_decoder
from staged.samples.drawing.next_token import draw
from staged.samples.engine import Decoder, generate
from staged.samples.methods import method
from staged.samples.rows import Generated, Options, slides, window_start
from staged.samples.speculative import Pair, speculate
from staged.samples.stops import StopStrings
from staged.streams import uniforms
from tests.conftest import prose
from tests.families import FAMILIES, write_family

METHODS = ("greedy", "temperature-1", "top-k-40", "nucleus", "temperature-0.7+top-p-0.9+released")
PACKED = {"gpt2 bf16": bf16_is_native(), "gpt2 int8": int8_is_native()}
# GPT-2's own weights through either engine, then families that only transformers has
EXACT = ("gpt2", "gpt2 through transformers", *FAMILIES)
TEXTS = ("The river", "The captain keeps", "A", "Before noon the old garden engine", "emoji 🎈 and")
ROUNDING = 1e-5  # a nucleus' edge, and a token's, move with the last digits of a sum
NEVER = -1  # an end of text that no token is: samples then go on to their length


@dataclass(frozen=True)
class Engine:
    """A model to generate with, as everything else here sees it."""

    name: str
    folder: Path
    model: Decoder
    tokenizer: TextTokenizer

    @property
    def n_ctx(self) -> int:
        return self.model.config.n_ctx

    @property
    def prompts(self) -> list[list[int]]:
        """Five, of different lengths."""
        return self.tokenizer.encode_batch(TEXTS)

    def run(self, prompts: Sequence[Sequence[int]], name: str, **changes: Any) -> list[Generated]:
        settings: dict[str, Any] = {"length": 24, "end": NEVER, "seed": 4}
        return generate(self.model, prompts, method(name), **settings | changes)

    @torch.inference_mode()
    def logits(self, text: Sequence[int]) -> torch.Tensor:
        """Float32 (T, V) of a text read anew."""
        return self.model(torch.tensor([list(text)]), self.model.new_cache(1, len(text)))[0].float()


def open_engine(name: str, tiny: Path, folder: Path, bpe: BPE) -> Engine:
    if name in FAMILIES:
        write_family(folder, bpe, name, spread=0.3)
        return Engine(name, folder, *load_decoder(str(folder), precision="fp32"))
    if name == "gpt2 through transformers":
        outside = load_outside(tiny, dtype=torch.float32)
        return Engine(name, tiny, outside, outside.tokenizer)
    if not PACKED.get(name, True):
        pytest.skip(f"this processor has no {name.removeprefix('gpt2 ')}")
    precision = name.removeprefix("gpt2").strip() or "fp32"
    return Engine(name, tiny, *load_decoder(str(tiny), precision=precision))


@pytest.fixture(scope="module", params=EXACT)
def exact(
    request: pytest.FixtureRequest, tiny: Path, bpe: BPE, tmp_path_factory: pytest.TempPathFactory
) -> Engine:
    """In float32."""
    return open_engine(request.param, tiny, tmp_path_factory.mktemp("family"), bpe)


@pytest.fixture(scope="module", params=(*EXACT, *PACKED))
def engine(
    request: pytest.FixtureRequest, tiny: Path, bpe: BPE, tmp_path_factory: pytest.TempPathFactory
) -> Engine:
    """In every precision that it has."""
    return open_engine(request.param, tiny, tmp_path_factory.mktemp("family"), bpe)


@pytest.fixture(scope="module", params=FAMILIES)
def family(
    request: pytest.FixtureRequest, tiny: Path, bpe: BPE, tmp_path_factory: pytest.TempPathFactory
) -> Engine:
    """Another than GPT-2."""
    return open_engine(request.param, tiny, tmp_path_factory.mktemp("family"), bpe)


def unlogged(samples: Sequence[Generated]) -> list[Generated]:
    return [replace(sample, logprobs=[]) for sample in samples]


class TestSeeds:
    @pytest.mark.parametrize("name", METHODS)
    def test_each_token_is_the_methods_draw_by_the_samples_own_random_number(
        self, exact: Engine, name: str
    ) -> None:
        chosen, prompts, length = method(name), exact.prompts[1:4], 8
        for row, sample in enumerate(exact.run(prompts, name, length=length, first=7)):
            text, u = list(prompts[row]), uniforms(4, 7 + row, length + 1)
            low, high = chosen.top_p
            assert sample.top_p == pytest.approx(low + (high - low) * u[0], abs=1e-6)
            for number, token in zip(u[1:].tolist(), sample.tokens, strict=False):
                logits = exact.logits(text)[-1:]
                around = {
                    int(draw(logits, torch.tensor([v]), chosen, torch.tensor([p])))
                    for v in (number, number - ROUNDING, number + ROUNDING)
                    for p in (sample.top_p, sample.top_p - ROUNDING, sample.top_p + ROUNDING)
                }
                assert token in around
                text.append(token)

    @pytest.mark.parametrize(
        ("name", "options", "length"),
        [
            ("greedy", Options(), 24),
            ("temperature-1", Options(), 24),
            ("temperature-1", Options(repetition_penalty=1.4, logprobs=True), 24),
            ("top-k-40", Options(context="slide"), 140),
        ],
        ids=["greedy", "temperature-1", "penalty", "slide"],
    )
    def test_a_sample_depends_on_the_seed_and_its_number_only(
        self, exact: Engine, name: str, options: Options, length: int
    ) -> None:
        prompts = exact.prompts
        batches = {
            size: [
                sample
                for first in range(0, len(prompts), size)
                for sample in exact.run(
                    prompts[first : first + size], name, first=first, length=length, options=options
                )
            ]
            for size in (1, 2, 5)
        }
        assert unlogged(batches[1]) == unlogged(batches[2]) == unlogged(batches[5])
        for alone, together in zip(batches[1], batches[5], strict=True):
            assert alone.logprobs == pytest.approx(together.logprobs, abs=1e-4)

    def test_equal_prompts_give_different_samples_and_another_seed_others(
        self, engine: Engine
    ) -> None:
        prompts = [engine.prompts[0]] * 6
        first, other = (engine.run(prompts, "temperature-1", seed=seed) for seed in (1, 2))
        assert len({tuple(sample.tokens) for sample in [*first, *other]}) == 12
        assert engine.run(prompts, "temperature-1", seed=1) == first


class TestSameTexts:
    @pytest.mark.parametrize("name", METHODS)
    def test_a_gpt2_through_either_engine(self, tiny: Path, name: str) -> None:
        ours, bpe = load_model(str(tiny))
        theirs = load_outside(tiny, dtype=torch.float32)
        texts = [prose(seed, 1)[: 10 + 3 * seed] for seed in range(24 if name == "greedy" else 6)]
        assert bpe.encode_batch(texts) == theirs.tokenizer.encode_batch(texts)
        arguments: dict[str, Any] = {"length": 60, "end": bpe.end_of_text, "seed": 1}
        a, b = (
            generate(model, bpe.encode_batch(texts), method(name), **arguments)
            for model in (ours, theirs)
        )
        assert a == b
        assert [bpe.decode(sample.tokens) for sample in a] == [
            theirs.tokenizer.decode(sample.tokens) for sample in b
        ]

    @pytest.mark.parametrize("penalty", [1.0, 1.3])
    def test_greedy_is_transformers_own_token_by_token(self, exact: Engine, penalty: float) -> None:
        theirs = AutoModelForCausalLM.from_pretrained(exact.folder, dtype=torch.float32)
        end = exact.tokenizer.end_of_text
        ends = {end, *getattr(exact.tokenizer, "specials", [])}  # each ends a text
        found = exact.run(
            exact.prompts, "greedy", length=40, options=Options(repetition_penalty=penalty), end=end
        )
        for prompt, sample in zip(exact.prompts, found, strict=True):
            ids = torch.tensor([prompt])
            whole = theirs.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=40,
                pad_token_id=0,
                eos_token_id=sorted(ends),
                repetition_penalty=penalty,
            )
            drawn = whole[0, len(prompt) :].tolist()
            expected = [token for token in drawn if token not in ends]
            both = min(len(sample.tokens), len(expected))
            assert sample.tokens[:both] == expected[:both]
            if penalty == 1 or len(ends) == 1:  # else each special token has a penalty of its own
                assert (len(sample.tokens), sample.ended) == (both, drawn[-1] in ends)


class TestEnds:
    def test_at_the_length(self, engine: Engine) -> None:
        found = engine.run(engine.prompts, "temperature-1")
        assert {(sample.reason, len(sample.tokens)) for sample in found} == {("length", 24)}

    def test_at_the_end_of_text_and_not_after(self, engine: Engine) -> None:
        end = engine.tokenizer.end_of_text
        found = engine.run([engine.prompts[2]] * 48, "temperature-1", length=64, end=end)
        assert {sample.reason for sample in found} == {"end", "length"}
        for sample in found:
            assert end not in sample.tokens
            assert sample.ended or len(sample.tokens) == 64

    def test_with_the_token_that_completes_a_stop_string(self, exact: Engine) -> None:
        decode = exact.tokenizer.decode
        free = exact.run(exact.prompts, "temperature-1")
        stops = StopStrings(["e", "th", "n"], decode)
        found = exact.run(exact.prompts, "temperature-1", options=Options(stops=stops))
        assert "stop" in {sample.reason for sample in found}
        for sample, longer in zip(found, free, strict=True):
            assert sample.tokens == longer.tokens[: len(sample.tokens)]
            assert (sample.reason == "stop") == (stops.cut(decode(sample.tokens))[1] is not None)
            assert stops.cut(decode(sample.tokens[:-1]))[1] is None

    def test_rows_that_end_early_leave_the_others_as_they_are(self, exact: Engine) -> None:
        """So many end that the batch shrinks."""
        free = exact.run(exact.prompts, "temperature-1")
        chosen = free[0].tokens[3]
        for sample, longer in zip(
            exact.run(exact.prompts, "temperature-1", end=chosen), free, strict=True
        ):
            whole = longer.tokens
            assert sample.tokens == whole[: whole.index(chosen) if chosen in whole else None]


class TestContext:
    def test_refuse(self, engine: Engine) -> None:
        n_ctx = engine.n_ctx
        engine.run([[5] * n_ctx], "greedy", length=1)
        with pytest.raises(SamplingError, match=f"don't fit the context of {n_ctx}"):
            engine.run([[5] * 10], "greedy", length=n_ctx)
        with pytest.raises(SamplingError, match=f"doesn't fit the context of {n_ctx}"):
            engine.run([[5] * (n_ctx + 1)], "greedy", length=1)
        with pytest.raises(SamplingError, match="empty prompt"):
            engine.run([[]], "greedy")

    def test_stop(self, engine: Engine) -> None:
        n_ctx = engine.n_ctx
        prompts = [[1] * 10, [2] * (n_ctx - 20), [3] * n_ctx]
        found = engine.run(prompts, "temperature-1", length=50, options=Options(context="stop"))
        assert [(sample.reason, len(sample.tokens)) for sample in found] == [
            ("length", 50),
            ("context", 21),
            ("context", 1),
        ]

    @pytest.mark.parametrize("beyond", [-1, 0, 1, 40])
    def test_slide_draws_from_the_window_read_anew(self, exact: Engine, beyond: int) -> None:
        n_ctx = exact.n_ctx
        text = [1 + i * i % 300 for i in range(n_ctx + beyond)]
        sample = exact.run(
            [text, [*text, 5, 6]], "greedy", length=n_ctx, options=Options(context="slide")
        )[0]
        whole = text + sample.tokens
        assert sample.slides == slides(len(whole) - 1, n_ctx) > 0
        for position in range(len(text), len(whole)):
            logits = exact.logits(whole[window_start(position, n_ctx) : position])[-1]
            assert float(logits.max() - logits[whole[position]]) < 1e-4


class TestOptions:
    @pytest.mark.parametrize("name", ["temperature-1", "temperature-0.5+top-k-5", "greedy"])
    def test_logprobs_are_a_fresh_log_softmax(self, engine: Engine, name: str) -> None:
        options = Options(logprobs=True, repetition_penalty=1.2)
        near = 0.2 if engine.name in PACKED else 1e-4
        for prompt, sample in zip(
            engine.prompts, engine.run(engine.prompts, name, options=options), strict=True
        ):
            whole = engine.logits([*prompt, *sample.tokens]).double().log_softmax(dim=1)
            drawn = torch.tensor(sample.tokens)[:, None]
            expected = whole[len(prompt) - 1 : -1].gather(1, drawn)[:, 0]
            assert sample.logprobs == pytest.approx(expected.tolist(), abs=near)

    def test_asking_for_them_changes_nothing(self, engine: Engine) -> None:
        asked = engine.run(engine.prompts, "nucleus", options=Options(logprobs=True))
        assert unlogged(asked) == engine.run(engine.prompts, "nucleus")

    def test_a_heavy_penalty_repeats_nothing(self, engine: Engine) -> None:
        heavy = Options(repetition_penalty=1e3)
        sample = engine.run([[5]], "greedy", length=40, options=heavy)[0]
        assert len({5, *sample.tokens}) == 41

    def test_watched_tokens_are_the_rows_in_their_order(self, engine: Engine) -> None:
        seen: dict[int, list[int]] = {row: [] for row in range(len(TEXTS))}
        options = Options(watch=lambda row, token: seen[row].append(token))
        found = engine.run(engine.prompts, "temperature-1", options=options)
        assert list(seen.values()) == [sample.tokens for sample in found]


@torch.inference_mode()
def test_a_cache_forgets_rows_and_tokens(exact: Engine) -> None:
    model = exact.model
    ids_BT = torch.randint(300, (4, 20), generator=torch.Generator().manual_seed(1))
    cache, fresh = model.new_cache(4, 20), model.new_cache(2, 20)
    model(ids_BT[:, :12], cache)
    cache.length = 7
    rows = torch.tensor([True, False, False, True])
    cache.keep(rows)
    after = model(ids_BT[rows, 7:], cache)
    assert cache.length == 20
    torch.testing.assert_close(after, model(ids_BT[rows], fresh)[:, 7:], atol=1e-4, rtol=0)


class TestDrafts:
    """Speculative decoding by a smaller model of the same family."""

    def test_greedy_texts_are_the_large_models_own(
        self, family: Engine, bpe: BPE, tmp_path: Path
    ) -> None:
        write_family(tmp_path, bpe, family.name, seed=6, spread=0.3)
        pair = Pair(family.model, load_decoder(str(tmp_path), precision="fp32")[0])
        expected = family.run(family.prompts, "greedy", length=40)
        for prompt, alone in zip(family.prompts, expected, strict=True):
            drafted = speculate(pair, prompt, method("greedy"), length=40, end=NEVER, seed=1)
            assert drafted.generated.tokens == alone.tokens
            assert drafted.rounds <= 40

    def test_a_model_drafts_for_itself_without_a_refusal(self, family: Engine) -> None:
        both = Pair(family.model, family.model)
        prompt = family.prompts[3]
        drafted = speculate(both, prompt, method("temperature-1"), length=40, end=NEVER, seed=1)
        assert drafted.kept == drafted.proposed
        assert drafted.rounds == 10
