"""The hook in decoding: what it marks, what it leaves alone, and that nothing but the key counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from staged.errors import SamplingError
from staged.model.bpe import BPE
from staged.model.checkpoints import load_model
from staged.model.gpt2.model import GPT2
from staged.model.transformers_lm import load_outside
from staged.samples.drawing.marking import Marker
from staged.samples.drawing.next_token import distribution, draw, kept
from staged.samples.engine import Decoder, generate
from staged.samples.methods import method
from staged.samples.rows import Generated, Options
from staged.watermarks.contract import Watermark
from staged.watermarks.kinds.gumbel import DualGumbel, Gumbel
from staged.watermarks.kinds.sbw import SBW
from tests.model.llamas import write_llama
from tests.watermarks.writing import Fixed, p_value, write

PROMPTS = ("The river", "The captain keeps", "A", "Before noon the old garden engine")
SCHEMES = [Gumbel(42), DualGumbel(42), SBW(42), SBW(42, seeding="lefthash")]
METHODS = ["temperature-1", "top-k-40", "temperature-0.8+top-p-0.9", "nucleus+released"]


@pytest.fixture(scope="module")
def loaded(tiny: Path) -> tuple[GPT2, BPE]:
    return load_model(str(tiny))


def run(
    model: Decoder, bpe: BPE, watermark: Watermark | None, name: str = "top-k-40", **changes: object
) -> list[Generated]:
    prompts = [bpe.encode(text) for text in PROMPTS]
    settings: dict[str, object] = {"length": 60, "end": -1, "seed": 4, "prompts": prompts}
    settings |= {"options": Options(watermark=watermark)}
    return generate(model, chosen=method(name), **(settings | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("watermark", SCHEMES, ids=repr)
@pytest.mark.parametrize("name", METHODS)
def test_marks_are_found(loaded: tuple[GPT2, BPE], watermark: Watermark, name: str) -> None:
    texts = [row.tokens for row in run(*loaded, watermark, name)]
    unmarked = [row.tokens for row in run(*loaded, None, name)]
    assert max(p_value(watermark, text) for text in texts) < 1e-2
    assert min(p_value(watermark, text) for text in unmarked) > 1e-3


def test_so_are_those_of_another_family(bpe: BPE, tmp_path: Path) -> None:
    model = load_outside(write_llama(tmp_path, bpe), dtype=torch.float32)
    texts = [row.tokens for row in run(model, bpe, Gumbel(42))]
    assert max(p_value(Gumbel(42), text) for text in texts) < 1e-6


def test_the_key_alone_decides(loaded: tuple[GPT2, BPE]) -> None:
    """Not the seed, the batch, the other rows, or the prompt's tokens."""
    together = [row.tokens for row in run(*loaded, Gumbel(42), length=25)]
    reseeded = [row.tokens for row in run(*loaded, Gumbel(42), length=25, seed=9, first=3)]
    alone = [
        row.tokens
        for text in PROMPTS
        for row in run(*loaded, Gumbel(42), length=25, prompts=[loaded[1].encode(text)])
    ]
    other = [row.tokens for row in run(*loaded, Gumbel(43), length=25)]
    repeats = [len(set(zip(*(text[i:] for i in range(4)), strict=False))) for text in together]
    assert repeats == [22] * 4  # no context comes twice, so that nothing is left to the seed
    assert together == reseeded == alone
    assert all(a != b for a, b in zip(together, other, strict=True))


class Replay:
    """A decoder whose logits depend on how many tokens a row has generated, and on nothing else."""

    device = torch.device("cpu")

    def __init__(self, logits_LV: torch.Tensor, prompts: list[list[int]]) -> None:
        self.logits_LV, self.lengths = logits_LV, torch.tensor([len(prompt) for prompt in prompts])
        self.position = int(self.lengths.min()) - 1
        self.config = SimpleNamespace(n_ctx=64)

    def new_cache(self, batch: int, positions: int | None = None) -> Replay:
        return self

    def keep(self, kept_B: torch.Tensor) -> None:
        self.lengths = self.lengths[kept_B]

    def next_logits(self, tokens_BT: torch.Tensor, cache: object) -> torch.Tensor:
        self.position += 1
        return self.logits_LV[(self.position - self.lengths).clamp(0, len(self.logits_LV) - 1)]


def test_only_generated_tokens_are_context() -> None:
    prompts = [[1], [2, 3, 4, 5, 6], [7, 8, 9]]
    model = Replay(Fixed(1, 12, 50).logits_LBV[:, 0], prompts)
    rows = generate(
        model,  # type: ignore[arg-type]
        prompts,
        method("temperature-1"),
        length=12,
        end=-1,
        seed=1,
        options=Options(watermark=Gumbel(42)),
    )
    assert rows[0].tokens == rows[1].tokens == rows[2].tokens
    assert p_value(Gumbel(42), rows[0].tokens) < 1e-3


@pytest.mark.parametrize("watermark", SCHEMES, ids=repr)
@pytest.mark.parametrize("name", METHODS)
def test_a_repeated_context_is_drawn_as_without_a_mark(watermark: Watermark, name: str) -> None:
    """Of three tokens' text, where most contexts come again: token by token, against the rule."""
    source, chosen = Fixed(3, 50, 3, spread=0.7), method(name)
    texts = write(watermark, source, chosen)
    top_p = torch.full((1,), chosen.top_p[0])
    repeated = 0
    for row in range(3):
        seen: set[tuple[int, ...]] = set()
        tokens = [-1] * watermark.width
        for place, token in enumerate(texts[row].tolist()):
            context = tuple(tokens[-watermark.width :])
            logits = source.logits_LBV[place, row : row + 1]
            u = source.u_LB[place, row : row + 1]
            if context in seen or (-1 in context and not watermark.takes_short_contexts):
                expected = int(draw(logits, u, chosen, top_p))
                repeated += 1
            else:
                mass, ids = kept(logits, chosen, top_p)
                at = int(watermark.choose(mass, ids, torch.tensor([context]), u))
                expected = int(ids[0, at])
                assert mass[0, at] > 0
            assert token == expected
            seen.add(context)
            tokens.append(token)
    assert repeated > 20


def test_rows_that_leave_take_their_contexts_along(loaded: tuple[GPT2, BPE]) -> None:
    """With an end of text that is drawn often, the batch shrinks while others go on."""
    mark = DualGumbel(42)
    prompts = [loaded[1].encode(text) for text in PROMPTS * 2]
    endless = run(*loaded, mark, prompts=prompts, length=40)
    often = Counter(token for row in endless for token in set(row.tokens)).most_common(1)[0][0]
    together = run(*loaded, mark, prompts=prompts, end=often, length=40)
    alone = [
        run(*loaded, mark, prompts=[prompt], end=often, length=40, first=i)[0]
        for i, prompt in enumerate(prompts)
    ]
    assert len({len(row.tokens) for row in together}) > 2
    assert [row.tokens for row in together] == [row.tokens for row in alone]


def test_a_window_that_slides_keeps_the_marks(loaded: tuple[GPT2, BPE]) -> None:
    options = Options(context="slide", watermark=Gumbel(42))
    [slid] = run(*loaded, None, length=300, prompts=[loaded[1].encode("A")], options=options)
    assert slid.slides > 0
    assert p_value(Gumbel(42), slid.tokens[-150:]) < 1e-9


def test_greedy_is_refused(loaded: tuple[GPT2, BPE]) -> None:
    with pytest.raises(SamplingError, match="needs chance"):
        run(*loaded, Gumbel(42), "greedy")


def test_what_is_kept_is_what_can_be_drawn() -> None:
    logits = torch.randn(5, 70, generator=torch.Generator().manual_seed(8))
    top_p = torch.full((5,), 0.7)
    for name in METHODS:
        mass, ids = kept(logits, method(name), top_p)
        assert mass.shape == ids.shape
        possible = torch.zeros(5, 70).scatter_add_(1, ids, mass) > 0
        drawn = torch.zeros(5, 70)
        for u in torch.linspace(0, 1 - 1e-9, 500, dtype=torch.float64):
            drawn[range(5), draw(logits, u.expand(5), method(name), top_p)] = 1
        assert not bool((drawn > 0)[~possible].any())
        assert int(drawn.sum()) > 0.8 * int(possible.sum())


@pytest.mark.parametrize(
    "name", ["top-p-0.5", "top-p-0.97", "nucleus+released", "top-k-9+top-p-0.8"]
)
@pytest.mark.parametrize("spread", [0.3, 2.0, 5.0])
def test_a_nucleus_is_the_one_that_is_drawn_from(name: str, spread: float) -> None:
    """Flat rows and steep ones side by side, ties, and p's that differ."""
    generator = torch.Generator().manual_seed(9)
    logits = spread * torch.randn(12, 9000, generator=generator).mul(4).round() / 4
    logits[::2] *= 3
    top_p = torch.linspace(*((0.8, 1.0) if name.startswith("nucleus") else (0.9, 0.9)), 12)
    mass, ids = kept(logits, method(name), top_p)
    possible = torch.zeros_like(logits).scatter_add_(1, ids, mass)
    torch.testing.assert_close(
        possible / possible.sum(dim=1, keepdim=True), distribution(logits, method(name), top_p)
    )
    assert torch.equal(possible > 0, distribution(logits, method(name), top_p) > 0)
    alone = kept(logits[3:4], method(name), top_p[3:4])
    assert torch.equal(ids[3:4, : alone[1].size(1)], alone[1])


def test_the_marker_grows() -> None:
    marker = Marker(Gumbel(1), 2, 3, torch.device("cpu"))
    for token in range(20):
        marker.append(torch.tensor([token, token + 1]), torch.tensor([True, token > 4]))
    assert marker.contexts.last().tolist() == [[16, 17, 18, 19], [17, 18, 19, 20]]
    assert marker.contexts.tokens_BT[1, 4:10].tolist() == [-1, -1, -1, -1, -1, 6]
