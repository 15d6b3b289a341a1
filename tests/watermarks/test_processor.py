"""Marks that a generator of another library puts into its texts."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from staged.errors import PlanError
from staged.model.bpe import BPE
from staged.watermarks.contract import Watermark
from staged.watermarks.kinds.gumbel import DualGumbel, Gumbel
from staged.watermarks.kinds.sbw import SBW
from staged.watermarks.processor import MarkingProcessor
from tests.model.llamas import write_llama
from tests.watermarks.writing import p_value

PROMPT = 7  # tokens
METHODS: list[dict[str, float]] = [{}, {"top_k": 20}, {"temperature": 0.8, "top_p": 0.9}]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory, bpe: BPE) -> PreTrainedModel:
    folder = write_llama(tmp_path_factory.mktemp("llama"), bpe)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.generation_config.eos_token_id = None
    return model


def texts(
    model: PreTrainedModel, watermark: Watermark | None, *, seed: int = 1, **method: float
) -> list[list[int]]:
    torch.manual_seed(seed)
    prompts = torch.arange(4 * PROMPT).view(4, PROMPT)
    processors = [] if watermark is None else [MarkingProcessor(watermark, **method)]  # type: ignore[arg-type]
    written = model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        do_sample=True,
        max_new_tokens=50,
        pad_token_id=0,
        logits_processor=processors,
        **({"top_k": 0} | method),
    )
    return [row[PROMPT:].tolist() for row in written]


@pytest.mark.parametrize("watermark", [Gumbel(42), DualGumbel(42), SBW(42)], ids=repr)
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_they_are_found(
    llama: PreTrainedModel, watermark: Watermark, method: dict[str, float]
) -> None:
    assert max(p_value(watermark, text) for text in texts(llama, watermark, **method)) < 1e-2


def test_text_without_is_not(llama: PreTrainedModel) -> None:
    assert min(p_value(Gumbel(42), text) for text in texts(llama, None)) > 1e-3


def test_the_key_alone_decides(llama: PreTrainedModel) -> None:
    first, second = (texts(llama, Gumbel(42), seed=seed, top_k=20) for seed in (1, 2))
    assert [text[:20] for text in first] == [text[:20] for text in second]
    assert first != texts(llama, Gumbel(43), top_k=20)


def test_what_the_method_drops_is_not_chosen() -> None:
    logits = torch.randn(8, 50, generator=torch.Generator().manual_seed(2))
    processor = MarkingProcessor(Gumbel(1), top_k=5)
    marked = processor(torch.zeros(8, 3, dtype=torch.long), logits)
    assert (marked > -torch.inf).sum(dim=1).tolist() == [1] * 8
    assert bool((logits.topk(5, dim=1).indices == marked.argmax(dim=1)[:, None]).any(dim=1).all())


def test_a_repeated_context_keeps_its_logits() -> None:
    logits = torch.randn(2, 50, generator=torch.Generator().manual_seed(2))
    processor = MarkingProcessor(Gumbel(1, width=1))
    tokens = torch.tensor([[9, 9], [9, 9]])
    processor(tokens, logits)
    for column in ([5, 6], [5, 7]):
        tokens = torch.cat([tokens, torch.tensor(column)[:, None]], dim=1)
        scores = processor(tokens, logits)
    assert torch.equal(scores[0], logits[0])
    assert int((scores[1] > -torch.inf).sum()) == 1


def test_one_serves_one_call() -> None:
    processor = MarkingProcessor(Gumbel(1))
    processor(torch.zeros(2, 3, dtype=torch.long), torch.zeros(2, 9))
    with pytest.raises(PlanError, match="one call of generate"):
        processor(torch.zeros(2, 3, dtype=torch.long), torch.zeros(2, 9))
