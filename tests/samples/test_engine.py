"""The engine against itself at other batch sizes, against the whole text read anew, and against
transformers.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import GPT2LMHeadModel

from staged.errors import SamplingError
from staged.model.bpe import BPE
from staged.model.checkpoints import load_model
from staged.model.gpt2.model import GPT2, Cache
from staged.samples.engine import check_length, generate
from staged.samples.methods import method
from staged.samples.rows import Generated, Options, slides, window_start
from staged.samples.stops import StopStrings

PROMPTS = ("The river", "The captain keeps", "A", "Before noon the old garden engine")
N_CTX = 128


@pytest.fixture(scope="module")
def loaded(tiny: Path) -> tuple[GPT2, BPE]:
    return load_model(str(tiny))


def run(
    loaded: tuple[GPT2, BPE], prompts: list[list[int]], name: str, **changes: object
) -> list[Generated]:
    model, bpe = loaded
    settings: dict[str, object] = {"length": 30, "end": bpe.end_of_text, "seed": 4}
    return generate(model, prompts, method(name), **(settings | changes))  # type: ignore[arg-type]


class Endless(GPT2):
    """The tiny model without `<|endoftext|>`, so that samples are long."""

    def next_logits(self, tokens_BT: torch.Tensor, cache: object) -> torch.Tensor:
        logits_BV = super().next_logits(tokens_BT, cache)  # type: ignore[arg-type]
        logits_BV[:, -1] = -torch.inf
        return logits_BV


@pytest.fixture(scope="module")
def endless(loaded: tuple[GPT2, BPE]) -> tuple[GPT2, BPE]:
    with torch.device("meta"):
        model = Endless(loaded[0].config)
    model.load_state_dict(loaded[0].state_dict(), assign=True)
    return model.eval().requires_grad_(False), loaded[1]


OPTIONS = [Options(), Options(repetition_penalty=1.4, logprobs=True), Options(context="slide")]


@pytest.mark.parametrize("options", OPTIONS, ids=["plain", "penalty", "slide"])
@pytest.mark.parametrize(
    "name", ["greedy", "temperature-1", "top-k-40", "nucleus", "nucleus+released"]
)
def test_a_sample_depends_on_the_seed_and_its_number_only(
    loaded: tuple[GPT2, BPE], name: str, options: Options
) -> None:
    prompts = (loaded[1].encode_batch(PROMPTS) * 4)[:16]
    length = 30 if options.context == "refuse" else 2 * N_CTX
    batches = {
        size: [
            one
            for first in range(0, 16, size)
            for one in run(
                loaded,
                prompts[first : first + size],
                name,
                first=first,
                length=length,
                options=options,
            )
        ]
        for size in (1, 3, 16)
    }
    bare = {size: [replace(one, logprobs=[]) for one in found] for size, found in batches.items()}
    assert bare[1] == bare[3] == bare[16]
    for alone, together in zip(batches[1], batches[16], strict=True):
        assert alone.logprobs == pytest.approx(together.logprobs, abs=1e-4)
    if name != "greedy":
        assert len({tuple(one.tokens) for one in batches[1]}) > 12


def test_cached_tokens_are_the_likeliest_given_the_whole_text(loaded: tuple[GPT2, BPE]) -> None:
    prompt = loaded[1].encode(PROMPTS[3])
    out = run(loaded, [prompt], "greedy", length=20)[0]
    logits = loaded[0](torch.tensor([prompt + out.tokens]))[0]
    assert logits[len(prompt) - 1 : -1].argmax(dim=1).tolist()[: len(out.tokens)] == out.tokens


def test_ends_at_end_of_text_and_not_after(loaded: tuple[GPT2, BPE]) -> None:
    end = loaded[1].end_of_text
    found = run(loaded, [[end]] * 64, "temperature-1", length=120, seed=2)
    assert {one.reason for one in found} == {"end", "length"}
    for one in found:
        assert end not in one.tokens
        assert one.ended == (len(one.tokens) < 120) or len(one.tokens) == 120


class TestRepetitionPenalty:
    def test_equals_transformers(self, tiny: Path, loaded: tuple[GPT2, BPE]) -> None:
        theirs = GPT2LMHeadModel.from_pretrained(tiny, dtype=torch.float32).eval()
        prompt = loaded[1].encode(PROMPTS[3])
        ids = torch.tensor([prompt])
        asked = {
            "max_new_tokens": 60,
            "do_sample": False,
            "pad_token_id": 0,
            "repetition_penalty": 1.3,
        }
        expected = theirs.generate(ids, attention_mask=torch.ones_like(ids), **asked)[
            0, len(prompt) :
        ].tolist()
        got = run(
            loaded, [prompt, [1, 2]], "greedy", length=60, options=Options(repetition_penalty=1.3)
        )[0]
        assert got.tokens == [token for token in expected if token != loaded[1].end_of_text]
        assert got.tokens != run(loaded, [prompt], "greedy", length=60)[0].tokens

    def test_a_heavy_one_repeats_nothing(self, endless: tuple[GPT2, BPE]) -> None:
        out = run(endless, [[5]], "top-k-1", length=40, options=Options(repetition_penalty=1e6))[0]
        assert len({5, *out.tokens}) == 41


class TestLogprobs:
    @pytest.mark.parametrize("name", ["temperature-1", "temperature-0.5+top-k-5", "greedy"])
    def test_are_the_models_own(self, loaded: tuple[GPT2, BPE], name: str) -> None:
        prompts = loaded[1].encode_batch(PROMPTS)
        options = Options(logprobs=True, repetition_penalty=1.2)
        for prompt, one in zip(prompts, run(loaded, prompts, name, options=options), strict=True):
            drawn = [*one.tokens, *([loaded[1].end_of_text] if one.ended else [])]
            whole = loaded[0](torch.tensor([[*prompt, *drawn]]))[0].double().log_softmax(dim=1)
            expected = whole[len(prompt) - 1 : -1].gather(1, torch.tensor(drawn)[:, None])[:, 0]
            assert one.logprobs == pytest.approx(expected.tolist(), abs=1e-4)

    def test_asking_for_them_changes_nothing(self, loaded: tuple[GPT2, BPE]) -> None:
        prompts = loaded[1].encode_batch(PROMPTS)
        asked = run(loaded, prompts, "nucleus", options=Options(logprobs=True))
        assert [replace(one, logprobs=[]) for one in asked] == run(loaded, prompts, "nucleus")


class TestStops:
    def test_ends_with_the_token_that_completes_it(self, endless: tuple[GPT2, BPE]) -> None:
        prompts = endless[1].encode_batch(PROMPTS)
        free = run(endless, prompts, "temperature-1", length=60)
        stops = StopStrings(["e", "th"], endless[1].decode)
        found = run(endless, prompts, "temperature-1", length=60, options=Options(stops=stops))
        assert "stop" in {one.reason for one in found}
        for one, long in zip(found, free, strict=True):
            assert one.tokens == long.tokens[: len(one.tokens)]
            text = endless[1].decode(one.tokens)
            assert (one.reason == "stop") == ("e" in text or "th" in text)
            before = endless[1].decode(one.tokens[:-1])
            assert "e" not in before
            assert "th" not in before

    def test_the_prompt_does_not_count(self, endless: tuple[GPT2, BPE]) -> None:
        stops = StopStrings(["river"], endless[1].decode)
        assert (
            run(endless, [endless[1].encode("The river")], "greedy", options=Options(stops=stops))[
                0
            ].reason
            == "length"
        )


class TestContext:
    def test_what_does_not_fit_is_said(self, loaded: tuple[GPT2, BPE]) -> None:
        with pytest.raises(
            SamplingError,
            match=(
                r"don't fit the context of 128; the length can be 1 to 119; in staged sample"
                r" --context stop"
            ),
        ):
            run(loaded, [[1] * 10], "greedy", length=120)
        with pytest.raises(SamplingError, match="empty prompt"):
            run(loaded, [[]], "greedy", length=1)
        for context in ("refuse", "stop"):
            with pytest.raises(
                SamplingError, match=r"prompt of 129 tokens doesn't fit the context of 128; .*slide"
            ):
                check_length(loaded[0].config, 129, 1, context=context)
        for context in ("refuse", "stop", "slide"):
            with pytest.raises(SamplingError, match="length can be 1 to"):
                check_length(loaded[0].config, 1, 0, context=context)
        with pytest.raises(SamplingError, match="1 to 100000"):
            check_length(loaded[0].config, 1, 100_001, context="slide")
        with pytest.raises(SamplingError, match="did you mean 'slide'"):
            check_length(loaded[0].config, 1, 1, context="slid")

    def test_stop_says_so(self, endless: tuple[GPT2, BPE]) -> None:
        prompts = [[1] * 10, [2] * 100, [3] * N_CTX]
        found = run(endless, prompts, "temperature-1", length=90, options=Options(context="stop"))
        assert [(one.reason, len(one.tokens)) for one in found] == [
            ("length", 90),
            ("context", 29),
            ("context", 1),
        ]
        assert found[0] == run(endless, prompts[:1], "temperature-1", length=90)[0]

    @pytest.mark.parametrize("prompt", [1, N_CTX - 1, N_CTX, N_CTX + 1, 3 * N_CTX + 7])
    def test_slide_draws_from_the_window_read_anew(
        self, endless: tuple[GPT2, BPE], prompt: int
    ) -> None:
        text = [1 + i * i % 300 for i in range(prompt)]
        out = run(
            endless,
            [text, [*text, 5, 6, 7]],
            "greedy",
            length=2 * N_CTX,
            options=Options(context="slide", logprobs=True),
        )[0]
        assert (out.reason, len(out.tokens)) == ("length", 2 * N_CTX)
        whole = text + out.tokens
        for position in range(prompt, len(whole)):
            start = window_start(position, N_CTX)
            logits = endless[0](torch.tensor([whole[start:position]]))[0, -1, :-1]
            assert float(logits.max() - logits[whole[position]]) < 1e-4
        assert out.slides == slides(len(whole) - 1, N_CTX) > 0

    def test_the_window_is_half_to_wholly_full(self) -> None:
        assert [window_start(n, 8) for n in range(1, 18)] == [0] * 8 + [4] * 4 + [8] * 4 + [12]
        assert [slides(n, 8) for n in (8, 9, 12, 13)] == [0, 1, 1, 2]
        for n_ctx in (1, 2, 7, 1024):
            sizes = {n - window_start(n, n_ctx) for n in range(n_ctx, 9 * n_ctx)}
            assert sizes == set(range(n_ctx // 2 + 1, n_ctx + 1))

    def test_the_penalty_remembers_what_has_left_the_window(
        self, endless: tuple[GPT2, BPE]
    ) -> None:
        out = run(
            endless,
            [[5]],
            "greedy",
            length=150,
            options=Options(repetition_penalty=1e6, context="slide"),
        )[0]
        assert len({5, *out.tokens}) == 151


def test_watched_tokens_are_the_rows_in_their_order(loaded: tuple[GPT2, BPE]) -> None:
    seen: dict[int, list[int]] = {0: [], 1: [], 2: [], 3: []}
    options = Options(watch=lambda row, token: seen[row].append(token))
    found = run(loaded, loaded[1].encode_batch(PROMPTS), "temperature-1", options=options)
    assert list(seen.values()) == [one.tokens for one in found]


def test_a_cache_is_as_long_as_the_texts(
    loaded: tuple[GPT2, BPE], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, bpe = loaded
    asked = []

    def new_cache(batch: int, positions: int) -> Cache:
        asked.append(positions)
        return GPT2.new_cache(model, batch, positions)

    monkeypatch.setattr(model, "new_cache", new_cache)
    generate(model, [[bpe.end_of_text] * 7, [1]], method("temperature-1"), length=5, end=-1, seed=1)
    assert asked == [12]
