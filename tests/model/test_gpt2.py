"""Our GPT-2 against transformers' GPT2LMHeadModel, and against the facts of the release."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, GPT2LMHeadModel

from staged.errors import CheckpointError
from staged.model.bpe import BPE
from staged.model.checkpoints import MINIS, load_model, model_folder, save_model
from staged.model.gpt2.config import GPT2_SIZES, GPT2Config
from staged.model.gpt2.model import GPT2, Cache, Dropout, causal_mask, initialise
from staged.samples.engine import generate
from staged.samples.methods import method

TEXTS = [
    "Fellow-citizens, the river keeps the bridge.",
    "  odd \t white\u00a0space\r\n\n",
    "emoji 🎈👩‍🚀 and ñ",
    "<|endoftext|>",
]
CAUSAL_MINIS = [name for name in MINIS if name != "roberta-mini"]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("gpt2", 124_439_808),
        ("gpt2-medium", 354_823_168),
        ("gpt2-large", 774_030_080),
        ("gpt2-xl", 1_557_611_200),
    ],
)
def test_parameter_counts_of_the_release(name: str, parameters: int) -> None:
    config = GPT2_SIZES[name]
    assert config.parameters == parameters
    with torch.device("meta"):
        assert sum(weight.numel() for weight in GPT2(config).parameters()) == parameters


def assert_same_as_transformers(folder: Path) -> None:
    ours, bpe = load_model(str(folder))
    theirs = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        ids = bpe.encode(text)
        assert tokenizer(text, split_special_tokens=True)["input_ids"] == ids
        with torch.no_grad():
            expected = theirs(torch.tensor([ids])).logits
        torch.testing.assert_close(ours(torch.tensor([ids])), expected, atol=1e-4, rtol=0)
    prompt = bpe.encode(TEXTS[0])
    expected = theirs.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt)),
        max_new_tokens=40,
        do_sample=False,
        pad_token_id=0,
    )[0, len(prompt) :].tolist()
    got = generate(ours, [prompt], method("greedy"), length=40, end=bpe.end_of_text, seed=1)[0]
    assert got.tokens == expected[: len(got.tokens)]
    assert len(got.tokens) == 40 or expected[len(got.tokens)] == bpe.end_of_text


def test_tiny_random_model_equals_transformers(tiny: Path) -> None:
    assert_same_as_transformers(tiny)


@pytest.mark.parametrize("name", CAUSAL_MINIS)
def test_minis_equal_transformers(name: str) -> None:
    assert_same_as_transformers(model_folder(name))


def test_what_transformers_saves_we_load(tiny: Path, tmp_path: Path, bpe: BPE) -> None:
    theirs = GPT2LMHeadModel.from_pretrained(tiny, dtype=torch.float32)
    theirs.save_pretrained(tmp_path)  # keys carry the prefix `transformer.`
    bpe.save(tmp_path)
    tokens = torch.tensor([bpe.encode(TEXTS[0])])
    torch.testing.assert_close(
        load_model(str(tmp_path))[0](tokens), load_model(str(tiny))[0](tokens), atol=1e-6, rtol=0
    )


def test_bf16_round_trip_keeps_every_bit(tiny: Path, tmp_path: Path) -> None:
    model, bpe = load_model(str(tiny), dtype=torch.bfloat16)
    save_model(tmp_path / "copy", model, bpe)
    again, _ = load_model(str(tmp_path / "copy"), dtype=torch.bfloat16)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name


def test_cache_in_uneven_pieces_equals_one_pass(tiny: Path, bpe: BPE) -> None:
    model, _ = load_model(str(tiny))
    ids = torch.tensor([bpe.encode(TEXTS[0] * 2)[:30], bpe.encode(TEXTS[2] * 3)[:30]])
    cache = Cache(model.config, 2, 30, dtype=torch.float32, device=torch.device("cpu"))
    pieces = torch.cat(
        [model(ids[:, a:b], cache) for a, b in ((0, 7), (7, 8), (8, 20), (20, 30))], dim=1
    )
    torch.testing.assert_close(pieces, model(ids), atol=1e-5, rtol=0)


def test_later_tokens_do_not_change_earlier_logits(tiny: Path) -> None:
    model, _ = load_model(str(tiny))
    a = torch.arange(20)[None]
    b = a.clone()
    b[0, 12:] = 5
    torch.testing.assert_close(model(a)[:, :12], model(b)[:, :12])
    assert not torch.allclose(model(a)[:, 13], model(b)[:, 13])
    assert causal_mask(2, 3, a.device).tolist() == [[True] * 4 + [False], [True] * 5]


def test_fresh_weights_predict_uniformly() -> None:
    config = GPT2Config(n_vocab=4096, n_ctx=64, n_embd=64, n_head=1, n_layer=3)
    model = GPT2(config)
    initialise(model, torch.Generator().manual_seed(0))
    tokens = torch.randint(0, 4096, (4, 64), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(
            model(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()
        )
    assert float(loss) == pytest.approx(8.318, abs=0.1)  # ln 4096
    assert model.h[0].mlp.c_proj.weight.std().item() == pytest.approx(0.02 / 6**0.5, rel=0.05)
    assert model.wpe.weight.std().item() == pytest.approx(0.01, rel=0.05)


def test_dropout_rate_and_scale() -> None:
    torch.manual_seed(0)
    layer = Dropout(0.25).train()
    x = torch.ones(999, 33)
    y = layer(x)
    assert y.unique().tolist() == pytest.approx([0, 4 / 3])
    assert float((y == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "bert"}, "model_type is 'bert'"),
        ({"activation_function": "relu"}, "activation_function is 'relu'"),
        ({"n_embd": 33}, "not a multiple"),
        ({"n_layer": 0}, r"^config\.json: a GPT-2's n_layer must be a positive integer"),
        ({"n_layer": 10**9}, "n_layer can be at most 1000"),
    ],
)
def test_foreign_configs_are_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        GPT2Config.from_hub(GPT2Config(300, 64, 32, 2, 2).to_hub() | change, where="config.json")


def test_a_wrong_hparams_is_named() -> None:
    numbers = {"n_vocab": 300, "n_ctx": 64, "n_embd": 32, "n_head": 2, "n_layer": 0}
    with pytest.raises(
        CheckpointError, match=r"^hparams\.json: a GPT-2's n_layer must be a positive integer"
    ):
        GPT2Config.from_hparams(numbers, where="hparams.json")


def test_missing_config_key() -> None:
    config = GPT2Config().to_hub()
    del config["n_layer"]
    with pytest.raises(CheckpointError, match="'n_layer' is missing"):
        GPT2Config.from_hub(config, where="config.json")
