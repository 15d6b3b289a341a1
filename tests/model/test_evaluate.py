"""`evaluate-lm` against a plain float64 loop, closed forms, and its own promises."""

from __future__ import annotations

import io
import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2LMHeadModel
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import CorpusError, PlanError
from staged.model.bpe import BPE
from staged.model.causal import load_causal
from staged.model.reading import likelihood
from staged.model.reading.bits_interval import bits_per_byte_interval
from staged.model.reading.encoding import encode_document, token_bytes
from staged.model.reading.evaluate import Evaluation, evaluate
from staged.model.reading.likelihood import sliding_windows, token_nats
from tests.conftest import prose

N_CTX = 128  # of the tiny model
ODD = "Zürich 東京 🎈👩‍🚀 e\u0301 \u00a0 naïve <|endoftext|> \t\n\n  end"


@pytest.fixture(scope="module")
def text() -> str:
    return prose(5, 60) + "\n\n" + ODD


@pytest.fixture
def file(tmp_path: Path, text: str) -> str:
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    return str(tmp_path / "text.txt")


def plain_nats(folder: Path, ids: list[int], stride: int) -> list[float]:
    """transformers' model in float64, one window at a time, one token at a time."""
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float64).eval()
    found: list[float] = []
    start = 0
    while len(found) < len(ids) - 1:
        with torch.no_grad():
            logits = model(torch.tensor([ids[start : start + N_CTX]])).logits[0]
        for position in range(start, min(start + N_CTX, len(ids) - 1)):
            if position == len(found):  # not scored by an earlier window
                found.append(
                    -float(torch.log_softmax(logits[position - start], 0)[ids[position + 1]])
                )
        start += stride
    return found


@pytest.mark.parametrize("stride", [1, 37, 64, 127, N_CTX])
def test_equals_a_plain_float64_loop(tiny: Path, bpe: BPE, text: str, stride: int) -> None:
    text = text[-900:] if stride == 1 else text
    ids = encode_document(bpe, text)
    assert len(ids) > 2 * N_CTX
    expected = plain_nats(tiny, ids.tolist(), stride)
    got = token_nats(load_causal(str(tiny)), [ids], stride=stride, batch=3)[0]
    assert got.sum(dtype=np.float64) == pytest.approx(sum(expected), rel=1e-6)
    np.testing.assert_allclose(got, expected, atol=1e-4, rtol=0)


def test_stride_of_the_context_is_disjoint_chunks(tiny: Path, bpe: BPE, text: str) -> None:
    model = load_causal(str(tiny))
    ids = torch.from_numpy(encode_document(bpe, text)).long()
    total = 0.0
    for start in range(0, len(ids) - 1, N_CTX):
        chunk = ids[start : start + N_CTX + 1]
        total += float(
            torch.nn.functional.cross_entropy(
                (model.hidden(chunk[None, :-1])[0] @ model.head.T).double(),
                chunk[1:],
                reduction="sum",
            )
        )
    assert float(
        token_nats(model, [ids.numpy()], stride=N_CTX, batch=4)[0].sum(dtype=np.float64)
    ) == pytest.approx(total, rel=1e-6)


def test_stride_one_gives_every_token_all_the_context_there_is(
    tiny: Path, bpe: BPE, text: str
) -> None:
    model = load_causal(str(tiny))
    ids = torch.from_numpy(encode_document(bpe, text[:700])).long()
    expected = []
    for t in range(1, len(ids)):
        logits = (model.hidden(ids[None, max(0, t - N_CTX) : t])[0, -1] @ model.head.T).double()
        expected.append(-float(torch.log_softmax(logits, 0)[ids[t]]))
    got = token_nats(model, [ids.numpy()], stride=1, batch=8)[0]
    assert got.sum(dtype=np.float64) == pytest.approx(sum(expected), rel=1e-6)


@given(length=st.integers(0, 200), n_ctx=st.integers(1, 40), data=st.data())
def test_windows_score_each_token_once_with_enough_context(
    length: int, n_ctx: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, n_ctx))
    windows = list(sliding_windows(3, length, n_ctx=n_ctx, stride=stride))
    scored = [t for w in windows for t in range(w.first, w.end + 1)]
    assert scored == list(range(1, length))
    for w in windows:
        assert w.sequence == 3
        assert w.start < w.first <= w.end
        assert w.end - w.start <= n_ctx
        assert w.start == 0 or w.first - w.start >= n_ctx - stride + 1


@pytest.mark.parametrize("batch", [1, 2, 7, 64])
def test_batch_size_does_not_matter(tiny: Path, tmp_path: Path, batch: int) -> None:
    for i in range(12):
        (tmp_path / f"{i:02d}.txt").write_text(prose(i, 1 + 3 * i), encoding="utf-8")
    expected, got = (
        evaluate(str(tiny), str(tmp_path), stride=50, batch=size) for size in (5, batch)
    )
    assert got.nats == pytest.approx(expected.nats, rel=1e-6)
    assert (got.tokens, got.bytes, got.words, got.documents) == (
        expected.tokens,
        expected.bytes,
        expected.words,
        12,
    )


def test_chunked_logits_are_the_same(
    tiny: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate(str(tiny), file)
    seen: list[int] = []
    real = torch.nn.functional.cross_entropy
    monkeypatch.setattr(likelihood, "LOGITS_AT_ONCE", 384 * 10)
    monkeypatch.setattr(
        "torch.nn.functional.cross_entropy",
        lambda x, *a, **k: seen.append(x.numel()) or real(x, *a, **k),
    )
    assert evaluate(str(tiny), file).nats == pytest.approx(whole.nats, rel=1e-6)
    assert max(seen) == 384 * 10


def test_documents_are_scored_separately(tiny: Path, tmp_path: Path) -> None:
    texts = [prose(1, 20), prose(2, 4), ODD]
    (tmp_path / "all.jsonl").write_text(
        "".join(json.dumps({"text": one}) + "\n" for one in texts), encoding="utf-8"
    )
    alone = []
    for i, one in enumerate(texts):
        (tmp_path / f"{i}.txt").write_text(one, encoding="utf-8")
        alone.append(evaluate(str(tiny), str(tmp_path / f"{i}.txt")))
    together = evaluate(str(tiny), str(tmp_path / "all.jsonl"))
    assert together.nats == pytest.approx(sum(one.nats for one in alone), rel=1e-6)
    for count in ("tokens", "bytes", "words", "documents"):
        assert getattr(together, count) == sum(getattr(one, count) for one in alone)


def test_counts_and_units_of_many_byte_text(tiny: Path, tmp_path: Path, bpe: BPE) -> None:
    (tmp_path / "odd.txt").write_text(ODD, encoding="utf-8")
    got = evaluate(str(tiny), str(tmp_path / "odd.txt"), literal=True)
    assert got.bytes == len(ODD.encode()) == (tmp_path / "odd.txt").stat().st_size > len(ODD)
    assert got.words == len(ODD.split())
    assert got.tokens == len(bpe.encode(ODD))
    record = got.to_json()
    assert record["nats_per_byte"] == pytest.approx(got.nats / got.bytes)
    assert record["bits_per_byte"] == pytest.approx(got.nats / got.bytes / math.log(2))
    assert record["perplexity_per_word"] == pytest.approx(math.exp(got.nats / got.words))
    assert record["bits_per_token"] * got.tokens == pytest.approx(
        record["bits_per_byte"] * got.bytes
    )


@given(text=st.text(max_size=60))
def test_bytes_of_tokens_add_up(bpe: BPE, text: str) -> None:
    assert int(token_bytes(bpe)[encode_document(bpe, text)].sum()) == len(text.encode())


@settings(max_examples=300)
@given(
    text=st.text(alphabet="ab Z.'s\n\t\r 1é東\u00a0\u2028", max_size=80), piece=st.integers(1, 12)
)
def test_text_encoded_in_pieces_has_the_tokens_of_the_whole(
    bpe: BPE, text: str, piece: int
) -> None:
    assert encode_document(bpe, text, piece=piece).tolist() == [bpe.end_of_text, *bpe.encode(text)]


def test_uniform_model_costs_the_log_of_the_vocabulary(tiny: Path, bpe: BPE) -> None:
    model = load_causal(str(tiny))
    model.head.zero_()  # the head is tied: all logits are 0
    nats = token_nats(model, [encode_document(bpe, ODD)], stride=64, batch=2)[0]
    np.testing.assert_allclose(nats, math.log(bpe.n_vocab), rtol=1e-6)


def test_interval_is_the_ratio_estimators_over_equal_documents() -> None:
    stream = np.random.default_rng(0)
    nats = [stream.gamma(2, 1, 50).astype(np.float32) for _ in range(40)]
    sizes = [np.full(50, 4) for _ in range(40)]
    got = bits_per_byte_interval(nats, sizes)
    means = np.array([one.mean(dtype=np.float64) for one in nats]) / 4 / math.log(2)
    spread = 2.0227 * means.std(ddof=1) / math.sqrt(40)  # Student's t with 39 degrees of freedom
    assert got is not None
    assert (got.unit, got.units) == ("documents", 40)
    assert got.low == pytest.approx(means.mean() - spread, rel=1e-4)
    assert got.high == pytest.approx(means.mean() + spread, rel=1e-4)


@pytest.mark.parametrize(
    ("lengths", "unit", "units"),
    [
        ([100] * 10, "documents", 10),
        ([100] * 9, None, 0),
        ([2560], "blocks", 10),
        ([2559], None, 0),
        ([100_000] + [50] * 100, "blocks", 30),
    ],
)
def test_units_of_the_interval(lengths: list[int], unit: str | None, units: int) -> None:
    stream = np.random.default_rng(1)
    nats = [stream.gamma(2, 1, n).astype(np.float32) for n in lengths]
    got = bits_per_byte_interval(nats, [np.full(n, 4) for n in lengths])
    assert (got and got.unit, got.units if got else 0) == (unit, units)


def documents(stream: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Documents of unequal length whose tokens share a document's level; on average 1.5 nats a
    byte.
    """
    nats, sizes = [], []
    for length in stream.integers(20, 200, 40):
        size = stream.integers(1, 8, length)
        nats.append(
            (size * stream.gamma(20, 1.5 / 20) * stream.gamma(2, 0.5, length)).astype(np.float32)
        )
        sizes.append(size)
    return nats, sizes


def one_long_text(stream: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """One document whose level wanders from token to token (autocorrelation 0.9); on average 1.5
    nats a byte.
    """
    noise = stream.normal(0, 1, 20_000)
    level = np.zeros(20_000)
    for t in range(1, 20_000):
        level[t] = 0.9 * level[t - 1] + noise[t]
    size = stream.integers(1, 8, 20_000)
    return [(size * (1.5 + 0.1 * level)).astype(np.float32)], [size]


@pytest.mark.parametrize(("draw", "unit"), [(documents, "documents"), (one_long_text, "blocks")])
def test_interval_covers_the_truth_as_often_as_it_says(
    draw: Callable[[np.random.Generator], tuple[list[np.ndarray], list[np.ndarray]]], unit: str
) -> None:
    truth, runs, hits = 1.5 / math.log(2), 200, 0
    for seed in range(runs):
        got = bits_per_byte_interval(*draw(np.random.default_rng(seed)))
        assert got is not None
        assert got.unit == unit
        hits += got.low <= truth <= got.high
    assert 0.90 <= hits / runs <= 0.985  # binomial(200, 0.95): within about 3 standard errors


def test_perplexity_beyond_a_float_is_said_not_infinite() -> None:
    one = Evaluation(
        "m", "f", "fp32", 8, 4, 1, 0, tokens=900, bytes=900, words=1, nats=9000.0, interval=None
    )
    assert one.rates()["word"]["perplexity"] is None
    json.dumps(one.to_json(), allow_nan=False)


def test_documents_the_model_learned_from_are_counted(
    tiny: Path, tmp_path: Path, human_folder: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for item in tiny.iterdir():
        (model / item.name).write_bytes(item.read_bytes())
    record = {
        "settings": {"corpus": {"source": str(human_folder)}},
        "sources": ["03.txt", "11.txt", "elsewhere.txt"],
    }
    (model / "training.json").write_text(json.dumps(record), encoding="utf-8")
    assert evaluate(str(model), str(human_folder)).documents_learned_from == 2
    assert (
        evaluate(str(model), str(human_folder / "03.txt")).documents_learned_from == 0
    )  # another corpus, as far as we know


def test_progress_counts_every_token(tiny: Path, file: str) -> None:
    seen: list[tuple[int, int]] = []
    result = evaluate(
        str(tiny), file, batch=1, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (result.tokens, result.tokens)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_bf16_is_close(tiny: Path, file: str) -> None:
    whole, half = (evaluate(str(tiny), file, precision=one) for one in ("fp32", "bf16"))
    assert whole.nats != half.nats == pytest.approx(whole.nats, rel=0.02)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no text"),
        (b" \n\t ", "holds no text"),
        (b"good \xff bad", "byte 5 is not UTF-8"),
    ],
)
@pytest.mark.parametrize("way", ["file", "stdin"])
def test_bad_text_is_refused(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, says: str, way: str
) -> None:
    (tmp_path / "x.txt").write_bytes(content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    with pytest.raises(CorpusError, match=says):
        evaluate(str(tiny), str(tmp_path / "x.txt") if way == "file" else "-")


@pytest.mark.parametrize("way", ["one file", "standard input"])
def test_texts_between_ends_of_text_are_scored_as_if_they_were_files(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    parts = [prose(1, 20), prose(2, 4), "end"]
    whole = f"{parts[0]}<|endoftext|>{parts[1]}\n<|endoftext|>\n{parts[2]}<|endoftext|>\n"
    for number, part in enumerate(parts):
        (tmp_path / "apart" / f"{number}.txt").parent.mkdir(exist_ok=True)
        (tmp_path / "apart" / f"{number}.txt").write_text(part, encoding="utf-8")
    (tmp_path / "whole.txt").write_text(whole, encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(whole.encode())))
    apart = evaluate(str(tiny), str(tmp_path / "apart"))
    together = evaluate(str(tiny), str(tmp_path / "whole.txt") if way == "one file" else "-")
    assert (together.nats, together.documents, together.bytes) == (apart.nats, 3, apart.bytes)


def test_half_a_surrogate_pair_is_refused(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(
        '{"text": "fine"}\n{"text": "ab\\ud800c"}\n', encoding="utf-8"
    )
    with pytest.raises(CorpusError, match=r"x\.jsonl, row 2: character 2 is half a surrogate pair"):
        evaluate(str(tiny), str(tmp_path / "x.jsonl"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"stride": 0}, "stride must be 1 … 128"),
        ({"stride": 129}, "not 129"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"precision": "fp8"}, "known: fp32, bf16"),
    ],
)
def test_bad_options_are_refused(
    tiny: Path, file: str, options: dict[str, object], says: str
) -> None:
    with pytest.raises(PlanError, match=says):
        evaluate(str(tiny), file, **options)  # type: ignore[arg-type]


def test_command_line_prints_one_json_object(tiny: Path, file: str, text: str) -> None:
    for source, given_text in ((file, None), ("-", text.encode())):
        answer = CliRunner().invoke(
            app,
            [
                "evaluate-lm",
                str(tiny),
                source,
                "--json",
                "--stride",
                "100",
                "--literal-end-of-text",
            ],
            input=given_text,
        )
        record = json.loads(answer.stdout)
        assert record["file"] == source
        assert (record["stride"], record["n_ctx"], record["bytes"]) == (
            100,
            N_CTX,
            len(text.encode()),
        )
        assert record["published"]["WikiText2, perplexity per word"] == {
            "124M": 29.41,
            "355M": 22.76,
            "774M": 19.93,
            "1558M": 18.34,
        }


def test_command_line_names_the_stride_and_the_interval(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text(prose(3, 500), encoding="utf-8")
    answer = CliRunner().invoke(app, ["evaluate-lm", str(tiny), str(tmp_path / "long.txt")])
    asked = CliRunner().invoke(
        app,
        ["evaluate-lm", str(tiny), str(tmp_path / "long.txt"), "--out", str(tmp_path / "long.txt")],
    )
    assert "is read here and would be replaced" in str(asked.exception)
    assert "sliding window of 128 tokens, stride 64" in answer.stdout
    assert "blocks of consecutive tokens" in answer.stdout
    assert "44.575" in answer.stdout
    short = CliRunner().invoke(app, ["evaluate-lm", str(tiny), "-"], input="too short")
    assert "too short for one" in short.stdout


class TestResuming:
    KILLED = """
import os, signal, sys
from pathlib import Path
from staged.model.reading.evaluate import evaluate
count = 0
def progress(done, total):
    global count
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)
evaluate(sys.argv[1], sys.argv[2], batch=1, out=Path(sys.argv[3]), progress=progress)
"""

    def test_killed_it_continues_to_the_same_bytes(
        self, tiny: Path, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole, again = tmp_path / "whole.json", tmp_path / "again.json"
        batches = self.scored(monkeypatch)
        evaluate(str(tiny), file, batch=1, out=whole)
        all_batches = len(batches)
        killed = subprocess.run(
            [sys.executable, "-c", self.KILLED, str(tiny), file, str(again)], check=False
        )
        assert killed.returncode == -signal.SIGKILL
        assert not again.exists()
        assert len(list((tmp_path / "again.json.blocks").glob("*.npy"))) == 3
        batches.clear()
        evaluate(str(tiny), file, batch=1, out=again)
        assert len(batches) == all_batches - 3
        assert again.read_bytes() == whole.read_bytes()
        assert not (tmp_path / "again.json.blocks").exists()

    def test_blocks_of_another_question_are_not_used(
        self, tiny: Path, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stop(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            evaluate(str(tiny), file, batch=1, stride=50, out=tmp_path / "x.json", progress=stop)
        Path(file).write_text(Path(file).read_text() + " And then?")
        evaluate(str(tiny), file, batch=1, stride=50, out=tmp_path / "x.json")
        expected = evaluate(str(tiny), file, batch=1, stride=50)
        assert json.loads((tmp_path / "x.json").read_text()) == expected.to_json()

    def test_on_the_command_line(self, tiny: Path, file: str, tmp_path: Path) -> None:
        done = CliRunner().invoke(
            app, ["evaluate-lm", str(tiny), file, "--json", "--out", str(tmp_path / "x.json")]
        )
        assert json.loads(done.stdout) == json.loads((tmp_path / "x.json").read_text())
        refused = CliRunner().invoke(
            app, ["evaluate-lm", str(tiny), file, "--out", str(tmp_path / "x.txt")]
        )
        assert "is written into a .json file" in str(refused.exception)

    @staticmethod
    def scored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """A list that grows with every batch computed."""
        seen: list[int] = []
        real = likelihood.score_batch
        monkeypatch.setattr(
            "staged.model.reading.likelihood.score_batch", lambda *a: seen.append(1) or real(*a)
        )
        return seen
