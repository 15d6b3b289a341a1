"""Which decoder is taken where; and that generation keeps its tensors where the decoder is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import PlanError, SamplingError
from staged.model import devices, grouped_search
from staged.model.bpe import BPE
from staged.model.checkpoints import load_model
from staged.model.devices import chosen_device
from staged.model.gpt2.cuda_graph import StaticGPT2, static_is_native
from staged.model.gpt2.model import GPT2
from staged.samples.decoders import load_decoder, path_taken
from staged.samples.engine import generate
from staged.samples.methods import method
from staged.samples.rows import Options
from staged.samples.speculative import Pair, speculate

GPU = pytest.mark.skipif(
    not static_is_native(), reason="needs a CUDA GPU that computes in bfloat16; none is here"
)
METHODS = [
    "greedy",
    "temperature-1",
    "top-k-40",
    "nucleus",
    "nucleus+released",
    "temperature-0.7+top-k-9+top-p-0.8",
]
TEXTS = ["The river", "A", "Before noon the old garden engine", "The captain keeps"]


@pytest.fixture(scope="module")
def static(tiny: Path) -> StaticGPT2:
    return StaticGPT2(load_model(str(tiny))[0])


class TestDevice:
    def test_auto_takes_a_gpu_where_there_is_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for there, taken in ((True, "cuda"), (False, "cpu")):
            monkeypatch.setattr(devices, "static_is_native", lambda there=there: there)
            assert chosen_device("auto") == taken
            assert chosen_device("auto", "int8") == "cpu"
            assert chosen_device("cpu") == "cpu"

    def test_what_cannot_be_is_said(self, monkeypatch: pytest.MonkeyPatch, tiny: Path) -> None:
        monkeypatch.setattr(devices, "static_is_native", lambda: False)
        with pytest.raises(
            SamplingError, match="no GPU that computes in bfloat16; use --device cpu"
        ):
            load_decoder(str(tiny), device="cuda")
        with pytest.raises(PlanError, match=r"device 'cuda0'; .*cuda"):
            load_decoder(str(tiny), device="cuda0")
        monkeypatch.setattr(devices, "static_is_native", lambda: True)
        with pytest.raises(SamplingError, match="int8 is for processors"):
            load_decoder(str(tiny), precision="int8", device="cuda")

    def test_on_the_command_line(
        self, monkeypatch: pytest.MonkeyPatch, tiny: Path, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(devices, "static_is_native", lambda: False)
        refused = CliRunner().invoke(app, ["sample", str(tiny), "--device", "cuda"])
        assert isinstance(refused.exception, SamplingError)
        done = CliRunner().invoke(
            app, ["sample", str(tiny), "--precision", "fp32", "--out", str(tmp_path / "x.jsonl")]
        )
        assert "(fp32, plain PyTorch)" in done.stdout

    def test_the_gpu_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(devices, "static_is_native", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
        assert path_taken("mini-s", "", "auto") == "bf16, CUDA graphs on a GPU"
        assert "CUDA" not in path_taken("mini-s", "fp32", "cpu")


@pytest.mark.parametrize(
    "options",
    [Options(), Options(context="slide", logprobs=True, repetition_penalty=1.2)],
    ids=["plain", "all"],
)
@pytest.mark.parametrize("name", METHODS)
def test_static_places_generate_what_the_exact_model_does(
    tiny: Path, bpe: BPE, name: str, options: Options
) -> None:
    """The same random numbers, rows that end at different times, a window that slides; in float64,
    so that no edge is near.
    """
    found = []
    for model in (double(tiny), StaticGPT2(double(tiny))):
        prompts, length = bpe.encode_batch(TEXTS * 2), 200 if options.context == "slide" else 60
        found.append(
            generate(
                model,
                prompts,
                method(name),
                length=length,
                end=bpe.end_of_text,
                seed=2,
                options=options,
            )
        )
    for exact, other in zip(*found, strict=True):
        assert (exact.tokens, exact.reason, exact.top_p, exact.slides) == (
            other.tokens,
            other.reason,
            other.top_p,
            other.slides,
        )
        assert other.logprobs == pytest.approx(exact.logprobs, abs=1e-4)


def double(folder: Path) -> GPT2:
    return load_model(str(folder))[0].double()


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_static_places_are_greedy_alike_in_any_batch(
    tiny: Path, static: StaticGPT2, bpe: BPE, batch: int
) -> None:
    prompts, wanted = bpe.encode_batch(TEXTS * 2), {"length": 40, "end": bpe.end_of_text, "seed": 1}
    exact = generate(load_model(str(tiny))[0], prompts, method("greedy"), **wanted)
    parts = [prompts[i : i + batch] for i in range(0, 8, batch)]
    assert [
        one for part in parts for one in generate(static, part, method("greedy"), **wanted)
    ] == exact


def test_static_places_speculate(tiny: Path, static: StaticGPT2, bpe: BPE) -> None:
    exact = load_model(str(tiny))[0]
    wanted = {"length": 50, "end": bpe.end_of_text, "seed": 3}
    one, two = (
        speculate(Pair(model, model), bpe.encode("The river"), method("top-k-40"), **wanted)
        for model in (exact, static)
    )
    assert one.generated.tokens == two.generated.tokens


@pytest.mark.parametrize("name", METHODS)
def test_no_tensor_is_left_to_the_default_device(
    static: StaticGPT2, bpe: BPE, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """With another default than the decoder's, a tensor made without a place would be there, and
    every use of it would fail.
    """
    monkeypatch.setattr(
        grouped_search, "LARGE", 64
    )  # the search in groups, which this vocabulary is too small for
    prompts, options = (
        bpe.encode_batch(TEXTS),
        Options(context="slide", logprobs=True, repetition_penalty=1.2),
    )
    with torch.device("meta"):
        found = generate(
            static, prompts, method(name), length=150, end=bpe.end_of_text, seed=2, options=options
        )
        speculate(
            Pair(static, static), prompts[0], method(name), length=20, end=bpe.end_of_text, seed=2
        )
    assert any(one.tokens for one in found)


@GPU
@pytest.mark.parametrize("name", METHODS)
def test_a_gpu_generates_what_the_processor_does(tiny: Path, bpe: BPE, name: str) -> None:
    found = []
    for device in ("cpu", "cuda"):
        model, _ = load_decoder(str(tiny), precision="fp32", device=device)
        wanted = {"length": 60, "end": bpe.end_of_text, "seed": 2}
        found.append(generate(model, bpe.encode_batch(TEXTS * 3), method(name), **wanted))
    assert [one.tokens for one in found[0]] == [one.tokens for one in found[1]]
