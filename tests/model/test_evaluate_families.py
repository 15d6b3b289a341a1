"""`evaluate-lm` of other families than GPT-2 against transformers in a plain float64 loop; where a
document starts, and how many bytes each token is.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers, processors
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import CorpusError
from staged.model.bpe import BPE
from staged.model.causal import load_causal, load_tokenizer
from staged.model.gpt2.config import END_OF_TEXT
from staged.model.reading import likelihood
from staged.model.reading.encoding import encode_documents, span_bytes, start_of_text
from staged.model.reading.evaluate import evaluate
from staged.model.reading.likelihood import batches, sliding_windows, token_nats
from tests.conftest import prose
from tests.families import BEGIN, FAMILIES, write_family

N_CTX = 96  # of the families
ODD = "Zürich 東京 🎈👩‍🚀 \u00a0 naïve \t\n\n  end"
STARTS = {"llama": BEGIN, "gpt_neox": END_OF_TEXT, "qwen2": END_OF_TEXT}


@pytest.fixture(scope="module", params=FAMILIES)
def family(
    request: pytest.FixtureRequest, bpe: BPE, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("family")
    return request.param, write_family(folder, bpe, request.param, spread=0.3)


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "text.txt").write_text(prose(5, 40) + "\n\n" + ODD, encoding="utf-8")
    return str(tmp_path / "text.txt")


def edited(folder: Path, change: Callable[[Tokenizer], None]) -> str:
    """The folder, its tokenizer changed."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    change(tokenizer)
    tokenizer.save(str(folder / "tokenizer.json"))
    return str(folder)


def plain_nats(folder: Path, ids: list[int], *, before: int = 1, stride: int) -> float:
    """transformers' model in float64, one window at a time."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    total, done = 0.0, before
    for start in range(0, len(ids) - 1, stride):
        end = min(start + N_CTX, len(ids) - 1)
        with torch.no_grad():
            logprobs = model(torch.tensor([ids[start:end]])).logits[0].log_softmax(1)
        for position in range(done, end + 1):
            total -= float(logprobs[position - 1 - start, ids[position]])
        done = max(done, end + 1)
    return total


class TestFigures:
    @pytest.mark.parametrize("stride", [20, 48, N_CTX])
    def test_equal_a_plain_loop(self, family: tuple[str, Path], file: str, stride: int) -> None:
        kind, folder = family
        text = Path(file).read_text(encoding="utf-8")
        tokens = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokens.encode_special_tokens = True
        ids = [tokens.token_to_id(STARTS[kind])]
        ids += tokens.encode(text, add_special_tokens=False).ids
        got = evaluate(str(folder), file, stride=stride, batch=3)
        assert got.nats == pytest.approx(plain_nats(folder, ids, stride=stride), rel=1e-5)
        assert (got.tokens, got.bytes) == (len(ids) - 1, len(text.encode()))
        assert (got.n_ctx, got.words) == (N_CTX, len(text.split()))

    def test_documents_are_scored_separately_and_the_start_is_told(
        self, family: tuple[str, Path], tmp_path: Path
    ) -> None:
        kind, folder = family
        texts = [prose(1, 8), prose(2, 2), ODD]
        rows = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (tmp_path / "all.jsonl").write_text(rows, encoding="utf-8")
        alone = []
        for number, text in enumerate(texts):
            (tmp_path / f"{number}.txt").write_text(text, encoding="utf-8")
            alone.append(evaluate(str(folder), str(tmp_path / f"{number}.txt")).nats)
        together = evaluate(str(folder), str(tmp_path / "all.jsonl"))
        assert together.nats == pytest.approx(sum(alone), rel=1e-5)
        assert together.start == STARTS[kind]
        assert together.to_json().get("start", END_OF_TEXT) == STARTS[kind]
        shown = CliRunner().invoke(app, ["evaluate-lm", str(folder), str(tmp_path / "all.jsonl")])
        assert f"each scored by itself after {STARTS[kind]};" in shown.stdout

    def test_several_tokens_before_a_text_are_not_scored(self, bpe: BPE, tmp_path: Path) -> None:
        """As GLM's `[gMASK]<sop>`."""

        def two(tokenizer: Tokenizer) -> None:
            names = ["[gMASK]", BEGIN]
            tokenizer.add_special_tokens(names[:1])
            tokenizer.post_processor = processors.TemplateProcessing(
                single="[gMASK] <s> $A",
                special_tokens=[(name, tokenizer.token_to_id(name)) for name in names],
            )

        def bigger(folder: Path) -> None:
            model = AutoModelForCausalLM.from_pretrained(folder)
            model.resize_token_embeddings(bpe.n_vocab + 2)
            model.save_pretrained(folder)

        folder = write_family(tmp_path / "two", bpe, "llama", spread=0.3)
        bigger(folder)
        lm = load_causal(edited(folder, two))
        assert start_of_text(lm.tokenizer) == [bpe.n_vocab + 1, bpe.n_vocab]
        (tmp_path / "x.txt").write_text(prose(4, 30), encoding="utf-8")
        got = evaluate(str(folder), str(tmp_path / "x.txt"), stride=40)
        ids = [bpe.n_vocab + 1, bpe.n_vocab, *bpe.encode(prose(4, 30))]
        assert got.tokens == len(ids) - 2
        assert got.nats == pytest.approx(plain_nats(folder, ids, before=2, stride=40), rel=1e-5)
        assert got.to_json()["start"] == f"[gMASK]{BEGIN}"

    def test_a_wide_context_is_not_read_eight_at_a_time(
        self, family: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lm = load_causal(str(family[1]))
        sequences = [np.arange(70, dtype=np.int32) for _ in range(6)]
        expected = token_nats(lm, sequences, stride=48, batch=8)
        asked: list[int] = []
        monkeypatch.setattr(likelihood, "WIDE", 20)
        monkeypatch.setattr(
            likelihood, "batches", lambda w, budget: asked.append(budget) or batches(w, budget)
        )
        got = token_nats(lm, sequences, stride=48, batch=8)
        assert asked == [160]
        np.testing.assert_allclose(got, expected, atol=1e-4)

    def test_bf16_is_close(self, family: tuple[str, Path], file: str) -> None:
        whole, half = (evaluate(str(family[1]), file, precision=one) for one in ("fp32", "bf16"))
        assert whole.nats != half.nats == pytest.approx(whole.nats, rel=0.03)


@given(length=st.integers(0, 90), n_ctx=st.integers(4, 30), before=st.integers(1, 3), d=st.data())
def test_windows_score_each_token_behind_the_context_once(
    length: int, n_ctx: int, before: int, d: st.DataObject
) -> None:
    stride = d.draw(st.integers(1, n_ctx))
    windows = list(sliding_windows(0, before + length, n_ctx=n_ctx, stride=stride, before=before))
    scored = [t for w in windows for t in range(w.first, w.end + 1)]
    assert scored == list(range(before, before + length))
    assert all(w.start < w.first <= w.end for w in windows)


class TestBytes:
    @given(text=st.text(max_size=60))
    def test_of_tokens_add_up(self, family: tuple[str, Path], text: str) -> None:
        tokenizer = load_tokenizer(str(family[1]))
        spans = tokenizer.encode_spans([text])[0][1][len(tokenizer.before) :]
        assert int(span_bytes(text, spans).sum()) == len(text.encode())
        assert len(spans) == tokenizer.count([text])[0]

    @pytest.mark.parametrize(
        ("text", "spans", "sizes"),
        [
            ("ab é", [(0, 1), (1, 4)], [1, 4]),
            ("🎈!", [(0, 1), (0, 1), (0, 1), (1, 2)], [4, 0, 0, 1]),  # a character in three tokens
            ("a b", [(0, 1), (2, 3)], [1, 2]),  # a space that no token covers
            (" a\n", [(1, 2)], [3]),  # neither the first nor the last
            ("", [], []),
        ],
    )
    def test_of_spans(self, text: str, spans: list[tuple[int, int]], sizes: list[int]) -> None:
        assert span_bytes(text, spans).tolist() == sizes

    def test_are_a_gpt2s_but_for_characters_in_several_tokens(self, tiny: Path, bpe: BPE) -> None:
        """Its own are exact; the spans of the same tokens agree where a token ends a character."""
        (exact,) = encode_documents(load_causal(str(tiny)), [ODD], "x")
        ids, spans = bpe.encode_spans([ODD])[0]
        assert exact.ids[1:].tolist() == ids
        ours, theirs = exact.sizes.cumsum(), span_bytes(ODD, spans).cumsum()
        assert ours[-1] == theirs[-1] == len(ODD.encode())
        assert (theirs >= ours).all()
        assert (theirs == ours).mean() > 0.5


class TestChangedTexts:
    def test_a_normal_form_is_said_and_the_bytes_stay_the_texts(
        self, bpe: BPE, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        def composed(tokenizer: Tokenizer) -> None:
            tokenizer.normalizer = normalizers.NFC()

        folder = edited(write_family(tmp_path / "m", bpe, "qwen2", spread=0.3), composed)
        text = "cafe\u0301 " * 30
        (tmp_path / "a.txt").write_text(text, encoding="utf-8")
        (tmp_path / "b.txt").write_text(unicodedata.normalize("NFC", text), encoding="utf-8")
        with caplog.at_level(logging.WARNING, "staged"):
            changed = evaluate(folder, str(tmp_path / "a.txt"))
        assert f"the tokenizer of {folder} changes 1 of 1 documents" in caplog.text
        caplog.clear()
        asis = evaluate(folder, str(tmp_path / "b.txt"))
        assert not caplog.text
        assert changed.nats == pytest.approx(asis.nats, rel=1e-6)
        assert (changed.bytes, asis.bytes) == (len(text.encode()), len(text.encode()) - 30)

    def test_a_space_before_a_text_is_no_change(
        self, bpe: BPE, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        def spaced(tokenizer: Tokenizer) -> None:
            tokenizer.normalizer = normalizers.Prepend(" ")

        folder = edited(write_family(tmp_path, bpe, "llama"), spaced)
        (tmp_path / "a.txt").write_text("The river", encoding="utf-8")
        evaluate(folder, str(tmp_path / "a.txt"))
        assert not caplog.text

    def test_a_text_without_a_token_is_refused(self, bpe: BPE, tmp_path: Path) -> None:
        def only_letters(tokenizer: Tokenizer) -> None:
            tokenizer.normalizer = normalizers.Replace("river", "")

        folder = edited(write_family(tmp_path / "m", bpe, "qwen2"), only_letters)
        (tmp_path / "a.txt").write_text("river", encoding="utf-8")
        with pytest.raises(CorpusError, match="has no token for any of it"):
            evaluate(folder, str(tmp_path / "a.txt"))
        (tmp_path / "b.jsonl").write_text('{"text": "river"}\n{"text": "bridge"}\n')
        got = evaluate(folder, str(tmp_path / "b.jsonl"))
        assert (got.documents, got.bytes) == (2, len("riverbridge"))


class TestResuming:
    def stop_after(self, pieces: int) -> Callable[[int, int], None]:
        left = [pieces]

        def progress(done: int, total: int) -> None:
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt

        return progress

    def test_a_stopped_run_continues_to_the_same_bytes(
        self, family: tuple[str, Path], file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = str(family[1])
        whole, again = tmp_path / "whole.json", tmp_path / "again.json"
        evaluate(model, file, batch=1, out=whole)
        with pytest.raises(KeyboardInterrupt):
            evaluate(model, file, batch=1, out=again, progress=self.stop_after(3))
        seen: list[int] = []
        real = likelihood.score_batch
        monkeypatch.setattr(likelihood, "score_batch", lambda *a: seen.append(1) or real(*a))
        evaluate(model, file, batch=1, out=again)
        first = len(seen)
        evaluate(model, file, batch=1, out=tmp_path / "third.json")
        assert len(seen) - first == first + 3
        assert again.read_bytes() == whole.read_bytes()

    def wanted(self, model: str, file: str, out: Path) -> dict[str, object]:
        with pytest.raises(KeyboardInterrupt):
            evaluate(model, file, out=out, progress=self.stop_after(1))
        record = json.loads((out.with_name(f"{out.name}.blocks") / "fingerprint.json").read_text())
        return dict(record["wanted"])

    def test_a_gpt2s_blocks_are_those_of_earlier_versions(
        self, tiny: Path, bpe: BPE, file: str, tmp_path: Path
    ) -> None:
        """Which had these keys, and this digest of `<|endoftext|>` and the tokens."""
        ids = np.array(
            [bpe.end_of_text, *bpe.encode(Path(file).read_text(encoding="utf-8"))], dtype=np.int32
        )
        weights = hashlib.sha256((tiny / "model.safetensors").read_bytes()).hexdigest()
        assert self.wanted(str(tiny), file, tmp_path / "x.json") == {
            "batch": 8,
            "device": "cpu",
            "precision": "fp32",
            "stride": 64,
            "tokens": hashlib.sha256(len(ids).to_bytes(8, "big") + ids.tobytes()).hexdigest(),
            "weights": [weights],
        }
        assert "start" not in evaluate(str(tiny), file).to_json()

    def test_another_configuration_is_another_model(
        self, bpe: BPE, file: str, tmp_path: Path
    ) -> None:
        """Of two Llamas of the same weights one may turn its positions faster."""
        folder = write_family(tmp_path / "m", bpe, "llama")
        first = self.wanted(str(folder), file, tmp_path / "x.json")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.1}))
        second = self.wanted(str(folder), file, tmp_path / "y.json")
        assert {name for name in first if first[name] != second[name]} == {"config"}


def test_the_interval_comes_from_the_texts_own_bytes(
    family: tuple[str, Path], tmp_path: Path
) -> None:
    for number in range(12):
        (tmp_path / f"{number:02d}.txt").write_text(prose(number, 6) + " é🎈", encoding="utf-8")
    got = evaluate(str(family[1]), str(tmp_path))
    bits = got.nats / got.bytes / math.log(2)
    assert got.interval is not None
    assert got.interval.unit == "documents"
    assert got.interval.low < bits < got.interval.high
    assert (got.interval.low + got.interval.high) / 2 == pytest.approx(bits, rel=1e-6)
