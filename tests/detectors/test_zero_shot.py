"""Zero-shot scores against their definitions: float64, numpy, full logits by transformers, one text
and one token at a time.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM

from staged.detectors.calibration.calibration import fit_calibration
from staged.detectors.catalog import open_detector
from staged.detectors.identity import detector_files, known_by
from staged.detectors.kinds.zero_shot import SCORES, ZeroShotDetector, gltr_shares, load_zero_shot
from staged.detectors.names import parse_name
from staged.detectors.opening import open_examiner
from staged.errors import CheckpointError
from staged.model.bpe import BPE, train_bpe
from staged.model.causal import CausalLM, load_causal
from staged.model.reading import token_statistics as module
from staged.model.reading.token_statistics import TokenStatistics, token_statistics
from tests.conftest import prose
from tests.model.llamas import write_llama

TEXTS = [
    prose(1, 6),
    "🎈 A balloon 👩‍🚀🇫🇮\u200b, then\u00a0\u2003odd\t\t white \r\n\n space \ufeff",
    "The",
    prose(2, 30),  # longer than both contexts, by several windows
    "ab",
    prose(3, 2) + "\n" * 9,
]
Float64 = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory, bpe: BPE) -> Path:
    """Of the same vocabulary as `tiny`, with a shorter context and a head of 16 rows too many."""
    return write_llama(tmp_path_factory.mktemp("llama"), bpe, spare_rows=16)


class Reference:
    """FACTS: lₜ, μₜ, σ²ₜ, rₜ straight from the definition."""

    def __init__(self, folder: Path, n_vocab: int) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
        self.n_vocab, self.n_ctx = n_vocab, self.model.config.max_position_embeddings

    @torch.no_grad()
    def log_p(self, ids: list[int], n_ctx: int) -> Float64:
        """(N, V): row t − 1 is of token t, read from the first window of n_ctx, half a window
        apart, that ends at t or later.

        The last row, of the token that would follow, is left out where the last token's window has
        no room for it.
        """
        half, rows = -(-n_ctx // 2), []
        logits: dict[int, Float64] = {}
        for t in range(1, len(ids) + 1):
            start = max(0, math.ceil((min(t, len(ids) - 1) - n_ctx) / half)) * half
            if start not in logits:
                logits[start] = (
                    self.model(torch.tensor([ids[start : start + n_ctx]]))
                    .logits[0, :, : self.n_vocab]
                    .numpy()
                )
            if t - start <= n_ctx:
                rows.append(logits[start][t - 1 - start])
        return log_softmax(np.array(rows), axis=1)


def by_definition(ids: list[int], scorer: Reference, other: Reference | None) -> dict[str, float]:
    """The table of scores, line by line."""
    if len(ids) < 2:
        return dict.fromkeys(SCORES, 0.0)
    n_ctx = min(scorer.n_ctx, other.n_ctx) if other else scorer.n_ctx
    score_NV = scorer.log_p(ids, n_ctx)
    p_NV = np.exp(other.log_p(ids, n_ctx) if other else score_NV)
    y, rows = np.array(ids[1:]), np.arange(len(ids) - 1)
    likelihood = score_NV[rows, y]
    ranks = 1 + (score_NV[rows] > likelihood[:, None]).sum(axis=1)
    mean = (p_NV * score_NV).sum(axis=1)
    variance = (p_NV * score_NV**2).sum(axis=1) - mean**2
    return {
        "likelihood": likelihood.mean(),
        "rank": -ranks.mean(),
        "log-rank": -np.log(ranks).mean(),
        "entropy": -mean[rows].mean(),
        "lrr": -likelihood.mean() / np.log(ranks).mean(),
        "fast-detectgpt": (likelihood.sum() - mean[rows].sum()) / np.sqrt(variance[rows].sum()),
        "binoculars": -(-likelihood.mean() / -mean.mean()),
        "gltr": (ranks <= 10).mean(),
    }


@pytest.mark.parametrize("pair", [False, True], ids=["one model", "two models"])
def test_every_score_equals_its_definition(pair: bool, tiny: Path, llama: Path, bpe: BPE) -> None:
    reader, other = Reference(tiny, bpe.n_vocab), Reference(llama, bpe.n_vocab) if pair else None
    scorer, reference = load_causal(str(tiny)), load_causal(str(llama)) if pair else None
    for name in ("fast-detectgpt", "binoculars") if pair else SCORES:
        before = [bpe.end_of_text] if name == "gltr" else []
        expected = [
            by_definition([*before, *ids], reader, other)[name] for ids in bpe.encode_batch(TEXTS)
        ]
        assert ZeroShotDetector(name, scorer, reference).score(TEXTS) == pytest.approx(
            expected, abs=1e-4, rel=1e-6
        ), name


def test_the_longest_text_spans_windows_and_one_has_no_room_after_it(tiny: Path, bpe: BPE) -> None:
    """What the parity test rests on."""
    scorer = load_causal(str(tiny))
    ids = bpe.encode(prose(2, 30))
    assert len(ids) > 3 * scorer.n_ctx
    lengths = (2, scorer.n_ctx, scorer.n_ctx + 1, scorer.n_ctx + 2)
    after = [one.after for one in token_statistics(scorer, [ids[:n] for n in lengths])]
    assert np.isfinite(after).tolist() == [True, True, False, True]


@pytest.mark.parametrize("pair", [False, True], ids=["one model", "two models"])
def test_tiles_make_no_difference(
    pair: bool, tiny: Path, llama: Path, bpe: BPE, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, reference, ids = (
        load_causal(str(tiny)),
        load_causal(str(llama)) if pair else None,
        bpe.encode_batch(TEXTS),
    )
    whole = token_statistics(model, ids, reference=reference)
    monkeypatch.setitem(module.TILE, "cpu", (7, 100))  # 384 entries: three and a rest
    for one, other in zip(whole, token_statistics(model, ids, reference=reference), strict=True):
        assert one.rank.tolist() == other.rank.tolist()
        for name in ("logprob", "mean", "variance"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-5), name


@pytest.mark.parametrize("length", [127, 128, 129, 130, 192, 193, 194, 257])
def test_every_token_around_the_edge_of_a_window(tiny: Path, bpe: BPE, length: int) -> None:
    ids = bpe.encode(prose(4, 60))[:length]
    found = token_statistics(load_causal(str(tiny)), [ids])[0]
    log_p = Reference(tiny, bpe.n_vocab).log_p(ids, 128)
    assert found.logprob == pytest.approx(log_p[np.arange(length - 1), ids[1:]], abs=1e-4)
    mean = (np.exp(log_p) * log_p).sum(axis=1)
    assert found.mean == pytest.approx(mean[: length - 1], abs=1e-4)
    assert (
        np.isnan(found.after)
        if len(log_p) == length - 1
        else found.after == pytest.approx(mean[-1], abs=1e-4)
    )


def test_texts_without_evidence(tiny: Path) -> None:
    model = load_causal(str(tiny))
    for name in SCORES:
        empty, one = ZeroShotDetector(name, model).score(["", "a"])
        assert empty == 0
        assert one == 0 or name == "gltr"  # the only one that puts a token before a text
    nothing = token_statistics(model, [[], [5]])
    assert [len(s.rank) for s in nothing] == [0, 0]
    assert token_statistics(model, []) == []


def test_batch_and_order_make_no_difference(tiny: Path, bpe: BPE) -> None:
    model, ids = load_causal(str(tiny)), bpe.encode_batch(TEXTS)
    wide, narrow = (
        token_statistics(model, ids),
        token_statistics(model, ids[::-1], batch_tokens=1)[::-1],
    )
    for one, other in zip(wide, narrow, strict=True):
        assert one.ids.tolist() == other.ids.tolist()
        assert one.rank.tolist() == other.rank.tolist()
        for column in ("logprob", "mean", "variance"):
            assert getattr(one, column) == pytest.approx(getattr(other, column), abs=1e-4)


def test_progress_reaches_the_whole(tiny: Path, bpe: BPE) -> None:
    seen: list[tuple[int, int]] = []
    ids = bpe.encode_batch(TEXTS)
    token_statistics(
        load_causal(str(tiny)),
        ids,
        batch_tokens=1,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert len(seen) > len(TEXTS)
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


class Watch(TorchDispatchMode):
    """The largest tensor, in numbers, that any operation returned with the vocabulary or a tile's
    share of it as its last axis; the head itself apart.
    """

    def __init__(self, head_VC: torch.Tensor, wide: int) -> None:
        super().__init__()
        self.head_VC, self.widths, self.largest = head_VC, (len(head_VC), wide), 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for one in out if isinstance(out, (tuple, list)) else [out]:
            if (
                isinstance(one, torch.Tensor)
                and one.dim() > 1
                and one.size(-1) in self.widths
                and not self.is_head(one)
            ):
                self.largest = max(self.largest, one.numel())
        return out

    def is_head(self, one: torch.Tensor) -> bool:
        return one.untyped_storage().data_ptr() == self.head_VC.untyped_storage().data_ptr()


@pytest.mark.parametrize("tile", [(1, 384), (7, 90), (1000, 90)])
def test_batch_by_length_by_vocabulary_is_never_held(
    tiny: Path, bpe: BPE, tile: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module.TILE, "cpu", tile)
    ids = [bpe.encode(prose(seed, 9))[:100] for seed in range(16)]
    model = load_causal(str(tiny))
    with Watch(model.head, tile[1]) as watch:
        token_statistics(model, ids, reference=model)
    assert watch.largest == tile[0] * tile[1] < 16 * 100 * bpe.n_vocab


def test_equal_tokens_share_the_first_rank(bpe: BPE) -> None:
    """A model that knows nothing: every rank is 1, and log p is −ln V."""
    model = CausalLM(
        "flat", bpe, 16, lambda ids_BT: torch.ones(*ids_BT.shape, 4), torch.zeros(bpe.n_vocab, 4)
    )
    found = token_statistics(model, [[1, 2, 3]])[0]
    assert found.rank.tolist() == [1, 1]
    assert found.logprob == pytest.approx([-math.log(bpe.n_vocab)] * 2)
    assert found.mean == pytest.approx(found.logprob)
    assert found.variance == pytest.approx([0, 0])
    scores = {name: SCORES[name](found) for name in SCORES}
    assert all(map(math.isfinite, scores.values()))


def made_up(ranks: list[int]) -> TokenStatistics:
    nothing = np.zeros(len(ranks))
    return TokenStatistics(
        np.zeros(len(ranks) + 1, dtype=np.int64),
        nothing,
        nothing,
        nothing,
        np.array(ranks),
        math.nan,
    )


def test_buckets_of_gltr() -> None:
    assert gltr_shares(made_up([1, 10, 11, 100, 101, 1000, 1001, 50257])) == (
        0.25,
        0.25,
        0.25,
        0.25,
    )


@given(st.lists(st.integers(1, 60_000), min_size=1, max_size=50))
def test_buckets_add_up_to_one(ranks: list[int]) -> None:
    assert sum(gltr_shares(made_up(ranks))) == pytest.approx(1)


class TestNames:
    def test_reference_then_scorer(self, tiny: Path, llama: Path) -> None:
        found = load_zero_shot(parse_name(f"fast-detectgpt@{llama},{tiny}"))
        assert found.reference is not None
        assert (found.scorer.name, found.reference.name) == (str(tiny), str(llama))

    def test_observer_then_performer(self, tiny: Path, llama: Path) -> None:
        found = load_zero_shot(parse_name(f"binoculars@{llama},{tiny}"), dtype=torch.float32)
        expected = ZeroShotDetector("binoculars", load_causal(str(tiny)), load_causal(str(llama)))
        assert found.score(TEXTS) == expected.score(TEXTS)

    def test_one_model_by_itself(self, tiny: Path) -> None:
        found = open_detector(f"lrr@{tiny}")
        assert isinstance(found, ZeroShotDetector)
        assert found.reference is None

    def test_shipped_pair_of_binoculars(self) -> None:
        found = load_zero_shot(parse_name("binoculars"))
        assert found.reference is not None
        assert (found.reference.name, found.scorer.name) == ("mini-l", "mini-xl")

    @pytest.mark.parametrize(
        "name",
        ["binoculars@{}", "likelihood@{},{}", "fast-detectgpt@{},{},{}", "gltr@,", "perplexity@{}"],
    )
    def test_wrong_number_of_models_or_no_such_score(self, name: str, tiny: Path) -> None:
        with pytest.raises(CheckpointError, match=r"binoculars@OBSERVER,PERFORMER"):
            load_zero_shot(parse_name(name.replace("{}", str(tiny))))

    def test_a_calibration_is_of_one_score_under_one_model(
        self, tiny: Path, llama: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "calibration.json"
        fit_calibration(f"lrr@{llama}", [(i / 10, 60) for i in range(200)], []).save(file)
        assert open_examiner(f"lrr@{llama}", calibration=file).calibration is not None
        fit_calibration("x", [(1.0, 60)], known_by=known_by(parse_name(f"lrr@{llama}"))).save(
            tmp_path / "known.json"
        )
        shutil.copytree(llama, tmp_path / "copy")
        assert (
            open_examiner(
                f"lrr@{tmp_path / 'copy'}", calibration=tmp_path / "known.json"
            ).calibration
            is not None
        )
        both = [
            known_by(parse_name(f"binoculars@{a},{b}"))
            for a in (tiny, llama)
            for b in (tiny, llama, "gpt2", "gpt2-medium")
        ]
        assert len(set(both)) == len(both)
        for other in (f"likelihood@{llama}", f"lrr@{tiny}"):
            with pytest.raises(CheckpointError, match="as it is now"):
                open_examiner(other, calibration=tmp_path / "known.json")
        with pytest.raises(CheckpointError, match=r"calibrates the detector 'lrr@.*', not 'lrr@"):
            open_examiner(f"lrr@{tiny}", calibration=file)

    def test_one_detector_has_one_full_name(self) -> None:
        assert parse_name("lrr").full == parse_name("lrr@smollm2-135m").full == "lrr@smollm2-135m"
        assert parse_name("binoculars").full == "binoculars@mini-l,mini-xl"
        assert parse_name("out/det/").full == parse_name("out/det").full == "out/det"
        assert parse_name("evidence").full == "evidence"

    def test_weights_in_a_folder_are_part_of_what_a_score_depends_on(self, tiny: Path) -> None:
        assert list(detector_files(parse_name(f"lrr@{tiny}"))) == [str(tiny / "model.safetensors")]
        assert not detector_files(parse_name("lrr"))

    def test_no_such_model(self) -> None:
        with pytest.raises(CheckpointError, match="did you mean 'mini-s'"):
            load_zero_shot(parse_name("lrr@mini-ss"))

    def test_tokenizers_that_differ(self, tiny: Path, tmp_path: Path) -> None:
        other = write_llama(tmp_path, train_bpe([prose(90, 400)], 300))
        with pytest.raises(
            CheckpointError,
            match=(
                r"tokenizers differ \(300 and 384 entries\)|tokenizers differ \(384 and 300"
                r" entries\)"
            ),
        ):
            load_zero_shot(parse_name(f"fast-detectgpt@{tiny},{other}"))

    def test_head_smaller_than_the_vocabulary(self, bpe: BPE, tmp_path: Path) -> None:
        with pytest.raises(
            CheckpointError, match="tokenizer has 384 entries but the output head 380"
        ):
            load_zero_shot(parse_name(f"likelihood@{write_llama(tmp_path, bpe, spare_rows=-4)}"))
