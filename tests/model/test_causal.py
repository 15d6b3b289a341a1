"""Models of other families read and write what transformers says they do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM

from staged.errors import CheckpointError, SamplingError
from staged.model.bpe import BPE
from staged.model.causal import (
    count_parameters,
    load_causal,
    load_shape,
    load_tokenizer,
    same_tokenizer,
)
from staged.model.checkpoints import save_model
from staged.model.gpt2.config import END_OF_TEXT, GPT2Config
from staged.model.gpt2.model import GPT2, initialise
from staged.model.outside_tokenizer import OutsideTokenizer
from staged.model.transformers_lm import Outside
from staged.samples.decoders import load_decoder
from staged.samples.engine import generate
from staged.samples.methods import method
from tests.conftest import prose
from tests.model.llamas import SPECIAL, write_llama


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory, bpe: BPE) -> Path:
    return write_llama(tmp_path_factory.mktemp("llama"), bpe, spare_rows=16)


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory, bpe: BPE) -> Path:
    """With special tokens of its own."""
    return write_llama(tmp_path_factory.mktemp("chatty"), bpe, specials=SPECIAL)


def decoder(folder: Path) -> Outside:
    found, _ = load_decoder(str(folder), precision="fp32")
    assert isinstance(found, Outside)
    return found


@torch.inference_mode()
def test_logits_are_those_of_transformers(llama: Path, bpe: BPE) -> None:
    model = load_causal(str(llama))
    ids_BT = torch.tensor([bpe.encode(prose(seed, 9))[:80] for seed in range(3)])
    theirs = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32)(ids_BT).logits
    assert theirs.size(2) == bpe.n_vocab + 16
    ours = F.linear(model.hidden(ids_BT), model.head)
    assert torch.allclose(ours, theirs[..., : bpe.n_vocab], atol=1e-5)
    assert (model.n_ctx, model.tokenizer.n_vocab) == (96, bpe.n_vocab)


@torch.inference_mode()
def test_our_own_kind_through_the_same_door(tiny: Path, bpe: BPE) -> None:
    model = load_causal(str(tiny))
    ids_BT = torch.tensor([bpe.encode(prose(1, 9))[:80]])
    theirs = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)(ids_BT).logits
    assert torch.allclose(F.linear(model.hidden(ids_BT), model.head), theirs, atol=1e-4)


def test_greedy_generation_token_by_token(llama: Path, bpe: BPE) -> None:
    prompts = [bpe.encode(prose(seed, 1)) for seed in range(3)]
    found = generate(
        decoder(llama), prompts, method("greedy"), length=30, end=bpe.end_of_text, seed=1
    )
    theirs = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32)
    spare = list(range(bpe.n_vocab, bpe.n_vocab + 16))  # rows without a token
    for prompt, one in zip(prompts, found, strict=True):
        ids = torch.tensor([prompt])
        options = {
            "do_sample": False,
            "max_new_tokens": 30,
            "suppress_tokens": spare,
            "attention_mask": torch.ones_like(ids),
        }
        expected = theirs.generate(ids, pad_token_id=bpe.end_of_text, **options)[
            0, len(prompt) :
        ].tolist()
        assert one.tokens == [token for token in expected if token != bpe.end_of_text]


@torch.inference_mode()
def test_cache_set_back_and_rows_dropped(llama: Path) -> None:
    model = decoder(llama)
    ids_BT = torch.randint(300, (4, 20), generator=torch.Generator().manual_seed(1))
    cache = model.new_cache(4)
    model(ids_BT[:, :12], cache)
    cache.length = 7
    assert cache.length == 7
    rows = torch.tensor([True, False, False, True])
    cache.keep(rows)
    after = model(ids_BT[rows, 7:], cache)
    assert cache.length == 20
    assert torch.allclose(after, model(ids_BT[rows], model.new_cache(2))[:, 7:], atol=1e-5)


@torch.inference_mode()
def test_every_special_token_is_the_end(chatty: Path, bpe: BPE) -> None:
    model, end = decoder(chatty), bpe.end_of_text
    specials = [end, *range(bpe.n_vocab, bpe.n_vocab + len(SPECIAL))]
    assert model.tokenizer.specials == specials
    ids_BT = torch.tensor([bpe.encode(prose(1, 2))])
    raw = model.model(ids_BT).logits[:, -1].softmax(1)[0]
    ours = model.next_logits(ids_BT, model.new_cache(1)).softmax(1)[0]
    assert ours[end] == pytest.approx(float(raw[specials].sum()), abs=1e-6)
    assert ours[specials[1:]].tolist() == [0, 0]
    ordinary = [i for i in range(bpe.n_vocab) if i != end]
    assert torch.allclose(ours[ordinary], raw[ordinary], atol=1e-6)


def test_special_tokens_end_texts_and_never_appear(chatty: Path, bpe: BPE) -> None:
    model, end = decoder(chatty), bpe.end_of_text
    found = generate(model, [[end]] * 40, method("temperature-1"), length=60, end=end, seed=3)
    assert {one.reason for one in found} == {"end", "length"}
    assert max(max(one.tokens, default=0) for one in found) < end


def test_special_tokens_written_in_a_text_are_characters(chatty: Path) -> None:
    tokenizer = load_causal(str(chatty)).tokenizer
    text = f"say {SPECIAL[0]} and {END_OF_TEXT} 🎈"
    ids = tokenizer.encode(text)
    assert max(ids) < tokenizer.end_of_text
    assert tokenizer.decode(ids) == text
    assert tokenizer.encode_batch([text, "a"])[0] == ids
    assert tokenizer.before == []


def test_sample_command(llama: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from staged.cli import app

    asked = [
        "sample",
        str(llama),
        "--prompt",
        "The river",
        "--length",
        "12",
        "-n",
        "2",
        "--out",
        str(tmp_path / "s.jsonl"),
    ]
    shown = CliRunner().invoke(app, asked)
    assert shown.exit_code == 0, shown.output
    rows = [
        json.loads(line) for line in (tmp_path / "s.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert len(rows) == 2
    assert "through transformers" in shown.output
    refused = CliRunner().invoke(app, [*asked[:6], "--precision", "int8"])
    assert isinstance(
        refused.exception, SamplingError
    )  # which `main` makes one sentence and exit code 2


def test_int8_is_refused(llama: Path) -> None:
    with pytest.raises(SamplingError, match="int8 is for GPT-2"):
        load_decoder(str(llama), precision="int8")


def edit(folder: Path, name: str, **changes: object) -> None:
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    (folder / name).write_text(json.dumps(content | changes), encoding="utf-8")


def test_a_decoder_that_cuts_the_first_space_off_does_so_once_a_text_not_once_a_token(
    tmp_path: Path,
) -> None:
    """As SentencePiece's models are written for `tokenizers`: Llama 2, Mistral."""
    words = {word: i for i, word in enumerate(["<s>", "▁a", "▁river", "▁runs", "s"])}
    tokenizer = Tokenizer(models.BPE(words, [], unk_token="<s>"))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    found = OutsideTokenizer(tmp_path, 0)
    assert found.decode([2, 3]) == " river runs"
    assert "".join(found.decode([one]) for one in (2, 4, 3)) == " rivers runs"
    assert found.decode([]) == ""


class TestRefused:
    def test_a_model_that_fills_gaps(self) -> None:
        with pytest.raises(
            CheckpointError, match="RobertaForMaskedLM fills gaps and continues no text"
        ):
            load_causal("roberta-mini")

    def test_an_architecture_that_nobody_knows(self, bpe: BPE, tmp_path: Path) -> None:
        edit(write_llama(tmp_path, bpe), "config.json", model_type="lama")
        with pytest.raises(
            CheckpointError, match="transformers cannot load it as a causal language model"
        ):
            load_causal(str(tmp_path))

    def test_a_family_without_a_longest_text(self, bpe: BPE, tmp_path: Path) -> None:
        from transformers import BloomConfig, BloomForCausalLM

        write_llama(tmp_path, bpe)
        config = BloomConfig(
            vocab_size=bpe.n_vocab,
            hidden_size=16,
            n_layer=1,
            n_head=2,
            eos_token_id=bpe.end_of_text,
        )
        BloomForCausalLM(config).save_pretrained(tmp_path)
        with pytest.raises(
            CheckpointError, match=r"its config\.json lacks 'max_position_embeddings'"
        ):
            load_causal(str(tmp_path))

    def test_weights_cut_off(self, bpe: BPE, tmp_path: Path) -> None:
        weights = write_llama(tmp_path, bpe) / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:2000])
        with pytest.raises(CheckpointError, match="transformers cannot load it"):
            load_causal(str(tmp_path))

    def test_damaged_tokenizer(self, bpe: BPE, tmp_path: Path) -> None:
        (write_llama(tmp_path, bpe) / "tokenizer.json").write_text("<html>")
        with pytest.raises(CheckpointError, match=r"tokenizer\.json: not a readable tokenizer"):
            load_causal(str(tmp_path))

    def test_no_end_of_text(self, bpe: BPE, tmp_path: Path) -> None:
        folder = write_llama(tmp_path, bpe)
        (folder / "tokenizer.json").write_text(
            (folder / "tokenizer.json").read_text().replace(END_OF_TEXT, "<|other|>")
        )
        edit(folder, "config.json", eos_token_id=9999)
        with pytest.raises(CheckpointError, match="no eos_token_id that it knows"):
            load_causal(str(folder))

    def test_logits_that_are_more_than_a_head(self, bpe: BPE, tmp_path: Path) -> None:
        """Granite divides its logits by a number."""
        from transformers import GraniteConfig, GraniteForCausalLM

        bpe.save(tmp_path)
        shape = {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
        }
        config = GraniteConfig(
            vocab_size=384, num_key_value_heads=2, eos_token_id=383, logits_scaling=8.0, **shape
        )
        GraniteForCausalLM(config).save_pretrained(tmp_path)
        with pytest.raises(CheckpointError, match="not the head's product"):
            load_causal(str(tmp_path))


def test_one_vocabulary_or_a_clear_error(
    tiny: Path, llama: Path, chatty: Path, bpe: BPE, tmp_path: Path
) -> None:
    same_tokenizer(load_causal(str(tiny)), load_causal(str(llama)))
    with pytest.raises(
        CheckpointError, match=r"tokenizers differ \(384 and 386 entries\).*one family"
    ):
        same_tokenizer(load_causal(str(tiny)), load_causal(str(chatty)))


def test_dtype_is_the_one_asked_for(llama: Path, bpe: BPE, tmp_path: Path) -> None:
    model = GPT2(GPT2Config(n_vocab=bpe.n_vocab, n_ctx=16, n_embd=16, n_head=2, n_layer=1))
    initialise(model, torch.Generator().manual_seed(1))
    save_model(tmp_path, model, bpe)
    for folder in (llama, tmp_path):
        assert load_causal(str(folder), dtype=torch.bfloat16).head.dtype == torch.bfloat16


def test_texts_are_counted_and_cut_in_a_familys_own_tokens(chatty: Path) -> None:
    tokenizer = load_tokenizer(str(chatty))
    texts = [prose(1, 3), "", "naïve 東京 🎈"]
    counts = tokenizer.count(texts)
    assert counts == [len(ids) - len(tokenizer.before) for ids in tokenizer.encode_batch(texts)]
    for tokens in range(counts[2] + 2):
        (cut,) = tokenizer.truncate(texts[2:], tokens)
        assert texts[2].startswith(cut)
        assert tokenizer.count([cut])[0] <= tokens or cut == ""
    assert tokenizer.truncate(texts, counts[0]) == texts


def test_shape_and_weights_without_reading_them(llama: Path, tiny: Path) -> None:
    for folder in (llama, tiny):
        theirs = AutoModelForCausalLM.from_pretrained(folder)
        assert count_parameters(str(folder)) == theirs.num_parameters()
        shape = load_shape(str(folder))
        assert shape.n_layer == theirs.config.num_hidden_layers
        assert shape.n_vocab == load_tokenizer(str(folder)).n_vocab
