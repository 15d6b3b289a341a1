"""The adapter for EleutherAI's harness, where `lm_eval` is installed: tiny local tasks against
transformers in a plain loop.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, GPT2LMHeadModel, PreTrainedTokenizerFast

from staged.errors import PlanError, SamplingError
from staged.model.bpe import BPE
from staged.model.gpt2.config import END_OF_TEXT
from staged.model.reading.evaluate import evaluate
from tests.conftest import prose
from tests.families import BEGIN, FAMILIES, write_family

with warnings.catch_warnings():  # the harness's own imports are not ours to mend
    warnings.simplefilter("ignore")
    lm_eval = pytest.importorskip("lm_eval")
    from lm_eval.tasks import TaskManager

    from staged.samples import harness
    from staged.samples.engine import generate
    from staged.samples.harness import StagedLM
    from staged.samples.rows import Generated

pytestmark = pytest.mark.filterwarnings("ignore")

N_CTX = 128  # of the tiny model
QUESTIONS = ["The river keeps", "emoji 🎈 and", "  odd \t space", prose(1, 40), ""]
CHOICES = [" the bridge.", " a ladder", "é東", " the bridge. It does so every winter", "\n"]
TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{rows}"}}, cache_dir: "{cache}"}}
test_split: test
output_type: {kind}
"""
CHOICE = (
    'doc_to_text: "{{question}}"\ndoc_to_choice: "{{choices}}"\ndoc_to_target:'
    ' "{{answer}}"\ntarget_delimiter: ""\n'
)
CHOICE += "metric_list: [{metric: acc}]\n"
ROLLING = (
    'doc_to_text: ""\ndoc_to_target: "{{text}}"\nmetric_list: [{metric: bits_per_byte}, {metric:'
    " word_perplexity}]\n"
)
CONTINUE = (
    'doc_to_text: "{{question}}"\ndoc_to_target: "{{answer}}"\nmetric_list: [{metric:'
    " exact_match}]\n"
)
CONTINUE += 'generation_kwargs: {until: ["e"], max_gen_toks: 12}\n'


class Plain:
    """transformers' model, one text at a time."""

    def __init__(self, folder: Path, bpe: BPE) -> None:
        self.model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float64).eval()
        self.bpe = bpe

    @torch.no_grad()
    def loglikelihood(self, context: list[int], continuation: list[int]) -> tuple[float, bool]:
        ids = (context + continuation)[-(N_CTX + 1) :]
        logprobs = torch.log_softmax(
            self.model(torch.tensor([ids[:-1]])).logits[0, -len(continuation) :], dim=1
        )
        right = torch.tensor(continuation)
        return float(logprobs.gather(1, right[:, None]).sum()), bool(
            (logprobs.argmax(1) == right).all()
        )

    def answer(self, question: str, choice: str) -> tuple[float, bool]:
        """The harness's rule: blanks at the end of the question belong to the answer; no question
        is `<|endoftext|>`.
        """
        stem = question.rstrip()
        if not question:
            return self.loglikelihood([self.bpe.end_of_text], self.bpe.encode(choice))
        context = self.bpe.encode(stem)
        return self.loglikelihood(context, self.bpe.encode(question + choice)[len(context) :])

    def spanning(self, context: str, continuation: str) -> tuple[float, bool]:
        """From the last token on that the context and the whole text share."""
        whole, stem = self.bpe.encode(context + continuation), self.bpe.encode(context.rstrip())
        shared = next(
            (i for i, (a, b) in enumerate(zip(whole, stem, strict=False)) if a != b),
            min(len(whole), len(stem)),
        )
        if not whole[shared:]:
            return 0.0, True
        return self.loglikelihood(whole[:shared] or [self.bpe.end_of_text], whole[shared:])

    def rolling(self, text: str) -> float:
        ids = [self.bpe.end_of_text, *self.bpe.encode(text)]
        total = 0.0
        for first in range(1, len(ids), N_CTX):
            end = min(first + N_CTX, len(ids))
            total += self.loglikelihood(ids[max(0, end - 1 - N_CTX) : first], ids[first:end])[0]
        return total

    def continuation(self, prompt: str, length: int, stop: str) -> str:
        ids = (self.bpe.encode(prompt) or [self.bpe.end_of_text])[-(N_CTX - length) :]
        given = len(ids)
        for _ in range(length):
            ids.append(int(self.model(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == self.bpe.end_of_text:
                ids.pop()
                break
        return self.bpe.decode(ids[given:]).split(stop)[0]


@pytest.fixture(scope="module")
def plain(tiny: Path, bpe: BPE) -> Plain:
    return Plain(tiny, bpe)


def request(*args: Any) -> SimpleNamespace:
    return SimpleNamespace(args=args)


def write_task(folder: Path, name: str, kind: str, rest: str, rows: list[dict[str, Any]]) -> None:
    (folder / f"{name}.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
    )
    head = TASK.format(name=name, kind=kind, rows=folder / f"{name}.jsonl", cache=folder / "cache")
    (folder / f"{name}.yaml").write_text(head + rest, encoding="utf-8")


def run(folder: Path, model: Any, tasks: list[str], **options: Any) -> dict[str, Any]:
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    found = lm_eval.simple_evaluate(
        model=model, tasks=tasks, task_manager=manager, bootstrap_iters=0, **options
    )
    results: dict[str, Any] = found["results"]
    return results


def test_tiny_local_tasks_run_and_say_what_the_plain_loop_says(
    tiny: Path, tmp_path: Path, plain: Plain
) -> None:
    questions = [prose(seed, 1)[: 20 + seed] for seed in range(8)]
    choices = CHOICES[:3]
    best = [
        max(range(3), key=lambda i, q=question: plain.answer(q, choices[i])[0])
        for question in questions
    ]
    answers = [
        best[0],
        *((one + 1) % 3 for one in best[1:3]),
        *best[3:],
    ]  # two of eight the model has wrong
    rows = [
        {"question": q, "choices": choices, "answer": a}
        for q, a in zip(questions, answers, strict=True)
    ]
    write_task(tmp_path, "tiny_choice", "multiple_choice", CHOICE, rows)
    texts = [prose(seed, 2) for seed in range(5)] + ["Zürich 🎈 東京"]
    write_task(
        tmp_path,
        "tiny_rolling",
        "loglikelihood_rolling",
        ROLLING,
        [{"text": text} for text in texts],
    )
    told = [{"question": q, "answer": plain.continuation(q, 12, "e")} for q in questions[:3]] + [
        {"question": "x", "answer": "no"}
    ]
    write_task(tmp_path, "tiny_continue", "generate_until", CONTINUE, told)

    tasks = ["tiny_choice", "tiny_rolling", "tiny_continue"]
    got = run(tmp_path, "staged", tasks, model_args={"model": str(tiny), "batch_size": 2})
    assert got["tiny_choice"]["acc,none"] == pytest.approx(6 / 8)
    size = sum(len(text.encode()) for text in texts)
    bits = -sum(map(plain.rolling, texts)) / size / math.log(2)
    assert got["tiny_rolling"]["bits_per_byte,none"] == pytest.approx(bits, rel=1e-6)
    assert got["tiny_continue"]["exact_match,none"] == pytest.approx(3 / 4)

    ours = evaluate(
        str(tiny), str(tmp_path / "tiny_rolling.jsonl")
    ).to_json()  # each text fits the context: windows don't matter
    assert ours["bits_per_byte"] == pytest.approx(
        got["tiny_rolling"]["bits_per_byte,none"], rel=1e-6
    )
    assert ours["perplexity_per_word"] == pytest.approx(
        got["tiny_rolling"]["word_perplexity,none"], rel=1e-3
    )


@pytest.fixture(scope="module")
def transformers_harness(tiny: Path) -> Any:
    """The harness's own adapter for transformers, over the same weights and tokenizer."""
    from lm_eval.models.huggingface import HFLM

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(tiny / "tokenizer.json"), eos_token=END_OF_TEXT, pad_token=END_OF_TEXT
    )
    model = GPT2LMHeadModel.from_pretrained(tiny, dtype=torch.float32).eval()
    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, max_length=N_CTX, device="cpu")


TEXT = st.lists(
    st.sampled_from([*prose(4, 30).split(" "), " ", "  ", "\n", "\t", "é", "東", "🎈", "'s"]),
    max_size=9,
).map(" ".join)
PAIRS = st.tuples(TEXT, st.floats(0, 1)).map(
    lambda one: (one[0][: round(one[1] * len(one[0]))], one[0][round(one[1] * len(one[0])) :])
)
PAIRS |= st.tuples(
    st.text(max_size=12), st.text(max_size=12)
)  # the first kind splits texts anywhere, most often inside a token


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(st.lists(PAIRS, min_size=1, max_size=8))
def test_many_joins_equal_the_harness_own_adapter(
    tiny: Path, plain: Plain, transformers_harness: Any, pairs: list[tuple[str, str]]
) -> None:
    check_joins(tiny, plain, transformers_harness, pairs)


@settings(max_examples=60, deadline=None)
@given(st.lists(PAIRS, min_size=1, max_size=8))
def test_joins_equal_the_harness_own_adapter(
    tiny: Path, plain: Plain, transformers_harness: Any, pairs: list[tuple[str, str]]
) -> None:
    check_joins(tiny, plain, transformers_harness, pairs)


def check_joins(tiny: Path, plain: Plain, theirs: Any, pairs: list[tuple[str, str]]) -> None:
    """Each pair as the harness's adapter has it; where that fails, for want of a token, as a plain
    loop over the whole has it.
    """
    got = StagedLM(str(tiny), batch_size=3).loglikelihood(
        [request(*pair) for pair in pairs], disable_tqdm=True
    )
    for pair, (value, greedy) in zip(pairs, got, strict=True):
        try:
            ((expected, expected_greedy),) = theirs.loglikelihood(
                [request(*pair)], disable_tqdm=True
            )
        except (
            AssertionError,
            IndexError,
            RuntimeError,
        ):  # it takes no context or continuation of no tokens
            expected, expected_greedy = plain.spanning(*pair)
        assert value == pytest.approx(expected, abs=1e-3), pair
        assert greedy == expected_greedy, pair
        assert value < 0 or not (pair[0][len(pair[0].rstrip()) :] + pair[1]), (
            pair
        )  # nothing but an empty text is certain


def test_a_token_that_spans_the_join_is_scored(tiny: Path, plain: Plain, bpe: BPE) -> None:
    word = max((bpe.decode([one]) for one in range(bpe.end_of_text)), key=len)
    context, continuation = "The river" + word[:2], word[2:]
    assert len(bpe.encode(context)) >= len(bpe.encode(context + continuation)), (
        "the fixture's vocabulary changed"
    )
    ((value, greedy),) = StagedLM(str(tiny)).loglikelihood(
        [request(context, continuation)], disable_tqdm=True
    )
    assert value == pytest.approx(plain.spanning(context, continuation)[0], abs=1e-3)
    assert value < -0.01
    assert not greedy


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_loglikelihood_equals_the_plain_loop(tiny: Path, plain: Plain, batch: int) -> None:
    asked = [(question, choice) for question in QUESTIONS for choice in CHOICES]
    got = StagedLM(str(tiny), batch_size=batch).loglikelihood(
        [request(*pair) for pair in asked], disable_tqdm=True
    )
    for pair, (value, greedy) in zip(asked, got, strict=True):
        expected, expected_greedy = plain.answer(*pair)
        assert value == pytest.approx(expected, abs=1e-3), pair
        assert greedy == expected_greedy


def test_greedy_continuation_is_told_as_greedy(tiny: Path, plain: Plain, bpe: BPE) -> None:
    context = bpe.encode("The river")
    best = int(plain.model(torch.tensor([context])).logits[0, -1].argmax())
    answers = StagedLM(str(tiny))._loglikelihood_tokens(
        [(None, context, [best]), (None, context, [best - 1])], disable_tqdm=True
    )
    assert [greedy for _, greedy in answers] == [True, False]


@pytest.mark.parametrize("batch", [1, 4])
def test_rolling_equals_the_harness_windows_in_a_plain_loop(
    tiny: Path, plain: Plain, batch: int
) -> None:
    texts = [prose(3, 60), "short", "", "Zürich 東京 🎈 " * 30]
    got = StagedLM(str(tiny), batch_size=batch).loglikelihood_rolling(
        [request(text) for text in texts], disable_tqdm=True
    )
    assert got == pytest.approx([plain.rolling(text) for text in texts], rel=1e-6, abs=1e-9)


def test_greedy_generation_is_transformers_cut_at_the_stop(tiny: Path, plain: Plain) -> None:
    prompts = ["The river", "é 🎈", prose(2, 40), ""]
    expected = [plain.continuation(prompt, 20, "a") for prompt in prompts]
    for batch in (1, 4):
        model = StagedLM(str(tiny), batch_size=batch)
        asked = {"until": "a", "max_gen_toks": 20}
        assert (
            model.generate_until([request(prompt, asked) for prompt in prompts], disable_tqdm=True)
            == expected
        )


def test_generation_ends_where_the_stop_stands(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []

    def counted(*arguments: Any, **wanted: Any) -> list[Generated]:
        found = generate(*arguments, **wanted)
        lengths.extend(len(one.tokens) for one in found)
        return found

    monkeypatch.setattr(harness, "generate", counted)
    model = StagedLM(str(tiny), batch_size=1)
    (whole,) = model.generate_until([request("The river", {"max_gen_toks": 20})], disable_tqdm=True)
    (cut,) = model.generate_until(
        [request("The river", {"until": [whole[2], ""], "max_gen_toks": 20})], disable_tqdm=True
    )
    assert cut == whole.split(whole[2])[0]
    assert lengths[1] < lengths[0] == 20


def test_sampled_generation_does_not_depend_on_the_batch(tiny: Path) -> None:
    asked = {"do_sample": True, "temperature": 1.0, "max_gen_toks": 10}
    requests = [request("The river", asked) for _ in range(5)]
    one, other = (
        StagedLM(str(tiny), batch_size=size).generate_until(requests, disable_tqdm=True)
        for size in (2, 5)
    )
    assert one == other
    assert len(set(one)) > 1


def test_the_harness_own_command_line_runs_it(tiny: Path, tmp_path: Path) -> None:
    write_task(
        tmp_path,
        "tiny_shell",
        "loglikelihood_rolling",
        ROLLING,
        [{"text": "The river keeps the bridge."}],
    )
    command = [
        sys.executable,
        "-m",
        "staged.samples.harness",
        "--model",
        "staged",
        "--model_args",
        f"model={tiny}",
    ]
    command += ["--tasks", "tiny_shell", "--include_path", str(tmp_path), "--batch_size", "8"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "bits_per_byte" in answer.stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch_size": "auto"}, "must be a number"),
        ({"precision": "fp8"}, "known: fp32, bf16"),
    ],
)
def test_bad_arguments_are_refused(tiny: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        StagedLM(str(tiny), **options)


def test_what_does_not_fit_the_context_is_refused(tiny: Path) -> None:
    model = StagedLM(str(tiny))
    with pytest.raises(PlanError, match="does not fit the model's context of 128"):
        model.loglikelihood([request("The", prose(1, 60))], disable_tqdm=True)
    with pytest.raises(SamplingError, match="leave no room"):
        model.generate_until([request("The", {"max_gen_toks": 128})], disable_tqdm=True)


class TestFamilies:
    """Other families than GPT-2, against the harness's own adapter over the same folder."""

    @pytest.fixture(scope="class", params=FAMILIES)
    @staticmethod
    def pair(
        request: pytest.FixtureRequest, bpe: BPE, tmp_path_factory: pytest.TempPathFactory
    ) -> tuple[StagedLM, Any]:
        """Ours and the harness's own, over a Llama that puts `<s>` before each text, a NeoX and a
        Qwen2 that put nothing.
        """
        from lm_eval.models.huggingface import HFLM

        folder = write_family(tmp_path_factory.mktemp("family"), bpe, request.param, spread=0.3)
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json"),
            bos_token=BEGIN if request.param == "llama" else None,
            eos_token=END_OF_TEXT,
            pad_token=END_OF_TEXT,
        )
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        theirs = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, device="cpu")
        return StagedLM(str(folder), batch_size=3), theirs

    def test_loglikelihood(self, pair: tuple[StagedLM, Any]) -> None:
        asked = [
            (question, choice)
            for question in ("The river keeps", "emoji 🎈 and ", prose(1, 20), "")
            for choice in (" the bridge.", " a ladder", "é東")
        ]
        ours, theirs = (
            model.loglikelihood([request(*one) for one in asked], disable_tqdm=True)
            for model in pair
        )
        for (value, greedy), (expected, expected_greedy) in zip(ours, theirs, strict=True):
            assert value == pytest.approx(expected, abs=1e-3)
            assert greedy == expected_greedy

    @pytest.mark.parametrize("sentences", [1, 12, 40])
    def test_rolling(self, pair: tuple[StagedLM, Any], sentences: int) -> None:
        """Theirs reads a Llama's `<s>` twice, and predicts the second."""
        model, adapter = pair
        text = prose(3, sentences)
        (ours,) = model.loglikelihood_rolling([request(text)], disable_tqdm=True)
        adapter.add_bos_token = False
        (theirs,) = adapter.loglikelihood_rolling([request(text)], disable_tqdm=True)
        adapter.add_bos_token = None
        assert ours == pytest.approx(theirs, rel=1e-5)

    def test_evaluate_says_the_same_of_a_short_text(
        self, pair: tuple[StagedLM, Any], tmp_path: Path
    ) -> None:
        (tmp_path / "x.txt").write_text(prose(3, 3), encoding="utf-8")
        (ours,) = pair[0].loglikelihood_rolling([request(prose(3, 3))], disable_tqdm=True)
        result = evaluate(pair[0].name, str(tmp_path / "x.txt"))
        assert result.nats == pytest.approx(-ours, rel=1e-6)

    def test_greedy_generation(self, pair: tuple[StagedLM, Any]) -> None:
        asked = {"until": ["zz"], "max_gen_toks": 10, "do_sample": False}
        prompts = ["The river", "é 🎈", prose(2, 40)]
        ours, theirs = (
            model.generate_until([request(prompt, asked) for prompt in prompts], disable_tqdm=True)
            for model in pair
        )
        assert ours == theirs
