"""Speculation changes the speed and not the distribution: by algebra for one token, by counting for
whole texts.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy import stats

from staged.errors import PlanError, SamplingError
from staged.model.bpe import BPE, train_bpe
from staged.model.gpt2.config import GPT2Config
from staged.model.gpt2.model import GPT2, initialise
from staged.samples.dataset import SampleSettings, read_samples, sample, write_samples
from staged.samples.drawing.next_token import distribution
from staged.samples.engine import generate
from staged.samples.methods import method
from staged.samples.speculative import Pair, remainder, speculate
from tests.conftest import prose

END = 5


def model(seed: int, scale: float = 25.0) -> GPT2:
    """Six tokens, far from uniform."""
    made = GPT2(GPT2Config(n_vocab=6, n_ctx=12, n_embd=16, n_head=2, n_layer=1)).eval()
    initialise(made, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for weight in made.parameters():
            weight.mul_(scale if weight.dim() > 1 else 1)
    return made.requires_grad_(False)


LARGE, SMALL = model(1), model(2)
BOTH = Pair(LARGE, SMALL)


def test_keeping_and_remainder_make_up_the_large_distribution() -> None:
    stream = torch.Generator().manual_seed(3)
    for _ in range(50):
        p, q = (torch.rand(9, generator=stream, dtype=torch.float64) ** 4 for _ in range(2))
        p, q = p / p.sum(), q / q.sum()
        kept = q * (p / q).clamp(max=1)
        left = remainder(p, q)
        assert torch.allclose(kept + (1 - kept.sum()) * left / left.sum(), p)


def test_equal_distributions_leave_no_remainder() -> None:
    p = torch.tensor([0.2, 0.8])
    assert torch.equal(remainder(p, p), p)


def exact(name: str, prompt: list[int], length: int) -> dict[tuple[int, ...], float]:
    """Probability of every text of up to `length` tokens, by the large model alone."""
    found: dict[tuple[int, ...], float] = {}

    def walk(text: tuple[int, ...], mass: float) -> None:
        if len(text) == length or (text and text[-1] == END):
            found[text] = mass
            return
        logits = LARGE(torch.tensor([[*prompt, *text]]))[:, -1]
        for token, share in enumerate(
            distribution(logits, method(name), torch.tensor([0.7]))[0].tolist()
        ):
            if share > 0:
                walk((*text, token), mass * share)

    walk((), 1.0)
    return found


@pytest.mark.parametrize("ahead", [1, 3])
@pytest.mark.parametrize("name", ["temperature-1", "top-k-3", "temperature-0.7+top-p-0.7"])
def test_texts_have_the_large_models_distribution(name: str, ahead: int) -> None:
    expected, n = exact(name, [1, 2], 3), 3000
    counts: Counter[tuple[int, ...]] = Counter()
    for i in range(n):
        one = speculate(
            BOTH, [1, 2], method(name), length=3, end=END, seed=7, sample=i, ahead=ahead
        ).generated
        counts[(*one.tokens, *([END] if one.ended else []))] += 1
    assert set(counts) <= set(expected)
    common = [text for text, mass in expected.items() if n * mass >= 5]
    observed = [*(counts[text] for text in common), n - sum(counts[text] for text in common)]
    wanted = [
        *(n * expected[text] for text in common),
        n * (1 - sum(expected[text] for text in common)),
    ]
    if wanted[-1] < 5:
        observed, wanted = observed[:-1], wanted[:-1]
        wanted = [w * sum(observed) / sum(wanted) for w in wanted]
    assert stats.chisquare(observed, wanted).pvalue > 1e-4


def test_greedy_is_the_large_models_greedy_text() -> None:
    for first in range(5):
        out = generate(LARGE, [[first, 0]], method("greedy"), length=8, end=END, seed=1)[0]
        assert (
            speculate(
                BOTH, [first, 0], method("greedy"), length=8, end=END, seed=1
            ).generated.tokens
            == out.tokens
        )


def test_a_draft_equal_to_the_model_is_never_refused() -> None:
    for i in range(20):
        one = speculate(
            Pair(LARGE, LARGE), [0], method("temperature-1"), length=11, end=-1, seed=2, sample=i
        )
        assert one.kept == one.proposed > 0
        assert one.rounds == 3  # 5 + 5 + 1 tokens


def test_a_sample_depends_on_the_seed_and_its_number() -> None:
    def texts(seed: int) -> list[list[int]]:
        wanted = {"length": 8, "end": -1, "seed": seed}
        return [
            speculate(BOTH, [0], method("temperature-1"), **wanted, sample=i).generated.tokens  # type: ignore[arg-type]
            for i in range(12)
        ]

    assert texts(1) == texts(1)
    assert texts(1) != texts(2)
    assert len({tuple(text) for text in texts(1)}) > 6


def test_fills_the_context_to_its_end() -> None:
    one = speculate(BOTH, [0, 1], method("temperature-1"), length=11, end=-1, seed=3)
    assert len(one.generated.tokens) == 11
    assert one.generated.reason == "length"


def test_another_vocabulary_is_refused() -> None:
    other = GPT2(GPT2Config(n_vocab=7, n_ctx=12, n_embd=16, n_head=2, n_layer=1))
    with pytest.raises(SamplingError, match="one tokenizer"):
        Pair(LARGE, other)


def test_a_draft_with_another_tokenizer_is_refused(bpe: BPE, tiny: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny, other)
    (other / "tokenizer.json").unlink()
    train_bpe([prose(90, 400)], bpe.n_vocab).save(other)
    settings = SampleSettings(str(tiny), method("greedy"), 1, 5, draft=str(other))
    with pytest.raises(SamplingError, match="has another tokenizer than"):
        next(sample(settings))


def test_with_a_draft_each_sample_is_kept_when_it_is_made(tiny: Path, tmp_path: Path) -> None:
    settings = SampleSettings(str(tiny), method("temperature-1"), 3, 5, draft=str(tiny))
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_samples(tmp_path / "s.jsonl", settings, progress=stop)
    assert len(list((tmp_path / "s.jsonl.blocks").glob("0*.jsonl"))) == 2
    write_samples(tmp_path / "s.jsonl", settings)
    write_samples(tmp_path / "whole.jsonl", replace(settings, batch=2))
    assert (tmp_path / "s.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert seen == [(1, 3), (2, 3)]


def test_the_command_draws_through_a_draft(tmp_path: Path) -> None:
    out = tmp_path / "s.jsonl"
    wanted = SampleSettings(
        model="mini-m", draft="mini-s", method=method("top-k-40"), count=3, length=20, seed=2
    )
    write_samples(out, wanted)
    rows = read_samples(out)
    assert [row["id"] for row in rows] == [0, 1, 2]
    assert all(row["text"] and row["model"] == "mini-m" for row in rows)
    again = list(sample(wanted))
    assert rows == again


def test_a_draft_goes_without_the_other_options() -> None:
    with pytest.raises(PlanError, match="draft model goes without"):
        SampleSettings(
            model="mini-m",
            draft="mini-s",
            method=method("greedy"),
            count=1,
            length=5,
            logprobs=True,
        )


@pytest.mark.parametrize(("prompt", "length"), [("The river " * 200, 5), ("The river", 10_000)])
def test_what_does_not_fit_says_what_can_be_done(prompt: str, length: int) -> None:
    """Not --context alone, which a draft forbids."""
    settings = SampleSettings(
        model="mini-m",
        draft="mini-s",
        method=method("greedy"),
        count=1,
        length=length,
        prompts=(prompt,),
        precision="fp32",
    )
    with pytest.raises(SamplingError, match="in staged sample leave out --draft: then --context"):
        list(sample(settings))
