"""Token by token: ranks, probabilities and alternatives against a plain softmax; spans that cover
the text.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from staged.detectors.contract import TokenRank
from staged.detectors.token_ranks import ALTERNATIVES, token_ranks
from staged.model.bpe import BPE
from staged.model.causal import load_causal
from tests.conftest import prose
from tests.model.llamas import write_llama

TEXT = prose(1, 5) + " 🎈 naïve\u200b \t\n end"


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def folder(
    request: pytest.FixtureRequest, tiny: Path, bpe: BPE, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return (
        tiny
        if request.param == "gpt2"
        else write_llama(tmp_path_factory.mktemp("llama"), bpe, spare_rows=8)
    )


def read(folder: Path, text: str, most_tokens: int = 1000) -> list[TokenRank]:
    return token_ranks(load_causal(str(folder)), text, most_tokens=most_tokens)


@torch.inference_mode()
def test_against_a_plain_softmax(folder: Path, bpe: BPE, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staged.detectors.token_ranks.ROWS", 7)
    text = prose(1, 3)
    ids = bpe.encode(text)
    assert 20 < len(ids) < 96
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    p_TV = model(torch.tensor([ids])).logits[0, :, : bpe.n_vocab].softmax(1)
    first, *found = read(folder, text)
    assert (first.rank, first.probability, first.alternatives) == (None, None, ())
    assert len(found) == len(ids) - 1
    for one, p_V, token in zip(found, p_TV, ids[1:], strict=False):
        assert one.probability == pytest.approx(float(p_V[token]), rel=1e-3, abs=1e-7)
        assert one.rank == 1 + int((p_V > p_V[token]).sum())
        best = p_V.sort(descending=True)
        assert [text for text, _ in one.alternatives] == [
            bpe.decode([i]) for i in best.indices[:ALTERNATIVES].tolist()
        ]
        assert [p for _, p in one.alternatives] == pytest.approx(
            best.values[:ALTERNATIVES].tolist(), rel=1e-3, abs=1e-7
        )


def test_spans_cover_the_text(tiny: Path) -> None:
    text = TEXT[-120:]
    found = read(tiny, text)
    assert sorted({i for one in found for i in range(one.start, one.end)}) == list(range(len(text)))
    assert [one.start for one in found] == sorted(one.start for one in found)


def test_alternatives_are_sorted_and_probabilities(folder: Path) -> None:
    for one in read(folder, TEXT)[1:]:
        chances = [p for _, p in one.alternatives]
        assert chances == sorted(chances, reverse=True)
        assert 0 < sum(chances) <= 1 + 1e-6
        assert one.rank is not None
        if one.rank <= ALTERNATIVES:
            assert min(abs(p - (one.probability or 0)) for p in chances) < 1e-6


def test_only_as_much_as_asked_for_or_fits(folder: Path) -> None:
    assert len(read(folder, TEXT * 9, 10)) == 10
    context = load_causal(str(folder)).n_ctx
    assert len(read(folder, TEXT * 9)) == context


def test_nothing_to_say(folder: Path) -> None:
    assert read(folder, "") == []
    assert [one.rank for one in read(folder, "a")] == [None]
