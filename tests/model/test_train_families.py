"""Training of other families: learns, resumes from any kill with the same bytes, and leaves a folder
that transformers and we load.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer, GraniteConfig, GraniteForCausalLM
from typer.testing import CliRunner

import staged
from staged.cli import app
from staged.corpus.build import CorpusSettings
from staged.errors import CheckpointError, PlanError
from staged.model.bpe import BPE
from staged.model.causal import load_causal, load_tokenizer
from staged.model.formats.layouts import BESIDE
from staged.model.training import data, objectives
from staged.model.training.plan import TrainSettings, read_training_plan
from staged.model.training.run import TrainStep
from staged.model.training.train import train
from staged.model.training.trainable.outside import pretrained_outside
from tests.conftest import prose
from tests.families import FAMILIES, write_family
from tests.model.llamas import write_llama

WORDS = "The river keeps the harbour."
WRITTEN = ("model.safetensors", "loss.jsonl", "training.json", "manifest.json")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, bpe: BPE) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("families")
    return {family: write_family(root / family, bpe, family) for family in FAMILIES}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen texts of made-up prose: steps take the time, not the corpus."""
    folder = tmp_path_factory.mktemp("texts")
    for seed in range(12):
        (folder / f"{seed}.txt").write_text(prose(500 + seed, 40), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def settings(texts: Path) -> TrainSettings:
    """Of fine-tuning; the shape is for what starts from scratch."""
    return TrainSettings(
        corpus=CorpusSettings(source=str(texts), budget_tokens=60, minimum_tokens=20),
        n_vocab=384,
        n_ctx=64,
        n_embd=32,
        n_head=2,
        n_layer=2,
        steps=8,
        batch=8,
        micro_batch=4,
        warmup_steps=2,
        learning_rate=5e-3,
        valid_every=4,
        valid_rows=20,
        checkpoint_every=3,
        precision="fp32",
        saved_precision="fp32",
    )


def curve(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "loss.jsonl").read_text().splitlines()]


class KilledError(Exception):
    pass


def train_with_kills(folder: Path, settings: TrainSettings, steps: tuple[int, ...]) -> None:
    """Killed after these steps, each time anew."""
    for step in steps:

        def report(progress: TrainStep, step: int = step) -> None:
            if progress.step == step:
                raise KilledError

        with pytest.raises(KilledError):
            train(folder, settings, report=report)
        assert not folder.exists()
    assert train(folder, settings)


@pytest.mark.parametrize("family", FAMILIES)
class TestEachFamily:
    def test_learns_and_killed_ends_with_the_same_bytes(
        self, family: str, folders: dict[str, Path], settings: TrainSettings, tmp_path: Path
    ) -> None:
        tuning = replace(settings, init=str(folders[family]), precision="bf16")
        assert train(tmp_path / "whole", tuning)
        losses = curve(tmp_path / "whole")
        assert losses[-1]["valid"] < losses[3]["valid"] < losses[0]["train"]
        assert train(tmp_path / "whole", tuning) is False
        train_with_kills(tmp_path / "killed", tuning, (1, 7))
        for name in WRITTEN:
            whole, killed = (tmp_path / run / name for run in ("whole", "killed"))
            assert whole.read_bytes() == killed.read_bytes(), name

    def test_the_loss_is_the_one_of_transformers(
        self, family: str, folders: dict[str, Path], settings: TrainSettings
    ) -> None:
        trained = pretrained_outside(folders[family])
        task = objectives.CausalTask(settings, trained)
        trained.module.eval()
        inputs, targets = task.batch(task.rows([prose(1, 3), prose(2, 1)]), (1,))
        attended = (targets != data.IGNORED).long()
        logits = trained.outside.model(inputs, attention_mask=attended).logits
        theirs = torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), targets, reduction="sum", ignore_index=data.IGNORED
        )
        torch.testing.assert_close(task.loss(inputs, targets), theirs, rtol=1e-5, atol=1e-3)

    def test_checkpointing_changes_no_byte(
        self,
        family: str,
        folders: dict[str, Path],
        settings: TrainSettings,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        tuning = replace(settings, init=str(folders[family]), steps=3)
        train(tmp_path / "plain", tuning)
        calls = []
        monkeypatch.setattr(
            objectives,
            "checkpoint",
            lambda *args, **options: (calls.append(1), checkpoint(*args, **options))[1],
        )
        train(tmp_path / "frugal", replace(tuning, checkpointing=True))
        assert len(calls) >= 3 * 2 * 2  # steps, micro-batches, layers
        for name in ("model.safetensors", "loss.jsonl"):
            assert (tmp_path / "plain" / name).read_bytes() == (
                tmp_path / "frugal" / name
            ).read_bytes()

    def test_saved_as_transformers_and_we_load_it(
        self, family: str, folders: dict[str, Path], settings: TrainSettings, tmp_path: Path
    ) -> None:
        folder = tmp_path / "tuned"
        train(folder, replace(settings, init=str(folders[family]), steps=2))
        theirs = AutoModelForCausalLM.from_pretrained(folder)
        assert theirs.dtype == torch.float32
        assert type(theirs) is type(AutoModelForCausalLM.from_pretrained(folders[family]))
        ours = load_causal(str(folder))
        ids_BT = torch.tensor([ours.tokenizer.encode(prose(1, 1))])
        with torch.inference_mode():
            logits = torch.nn.functional.linear(ours.hidden(ids_BT), ours.head)
            torch.testing.assert_close(logits, theirs(ids_BT).logits)
        assert AutoTokenizer.from_pretrained(folder)(WORDS)["input_ids"] == ours.tokenizer.encode(
            WORDS
        )
        before, after = (load_file(at / "model.safetensors") for at in (folders[family], folder))
        assert before.keys() == after.keys()  # a tied head is not written
        assert not any(torch.equal(before[name], after[name]) for name in before)

    def test_lora_trains_the_layers_alone_and_saves_a_plain_model(
        self, family: str, folders: dict[str, Path], settings: TrainSettings, tmp_path: Path
    ) -> None:
        tuning = replace(
            settings, init=str(folders[family]), lora_rank=2, learning_rate=2e-2, steps=5
        )
        train(tmp_path / "whole", tuning)
        train_with_kills(tmp_path / "killed", tuning, (4,))
        for name in WRITTEN:
            whole, killed = (tmp_path / run / name for run in ("whole", "killed"))
            assert whole.read_bytes() == killed.read_bytes(), name
        assert curve(tmp_path / "whole")[-1]["valid"] < curve(tmp_path / "whole")[0]["train"]
        before, after = (
            load_file(at / "model.safetensors") for at in (folders[family], tmp_path / "whole")
        )
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert changed == {
            name for name in before if ".layers." in name and before[name].dim() == 2
        }
        facts = json.loads((tmp_path / "whole" / "training.json").read_text())
        model = AutoModelForCausalLM.from_pretrained(folders[family])
        assert facts["parameters"] == model.num_parameters()

    def test_from_scratch(self, family: str, settings: TrainSettings, tmp_path: Path) -> None:
        fresh = replace(settings, architecture=family, saved_precision="bf16")
        train(tmp_path / "whole", fresh)
        train_with_kills(tmp_path / "killed", fresh, (5,))
        for name in (*WRITTEN, "config.json", "tokenizer.json"):
            whole, killed = (tmp_path / run / name for run in ("whole", "killed"))
            assert whole.read_bytes() == killed.read_bytes(), name
        losses = curve(tmp_path / "whole")
        assert losses[0]["train"] == pytest.approx(5.95, abs=0.3)  # log 384
        assert losses[-1]["valid"] < losses[0]["train"] - 0.3
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "whole")
        config = model.config
        assert (config.model_type, model.dtype) == (family, torch.bfloat16)
        assert (config.vocab_size, config.max_position_embeddings) == (384, 64)
        assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (
            32,
            2,
            2,
        )
        facts = json.loads((tmp_path / "whole" / "training.json").read_text())
        assert facts["settings"]["architecture"] == family
        ids = load_tokenizer(str(tmp_path / "whole")).encode(WORDS)
        assert AutoTokenizer.from_pretrained(tmp_path / "whole")(WORDS)["input_ids"] == ids
        train(tmp_path / "other", replace(fresh, seed=2, steps=1))
        assert curve(tmp_path / "other")[0]["train"] != losses[0]["train"]


def test_a_row_begins_as_sampling_does(folders: dict[str, Path]) -> None:
    for folder in folders.values():
        tokenizer = load_tokenizer(str(folder))
        end, prompt = tokenizer.end_of_text, tokenizer.encode("")
        row = data.causal_rows(["The river"], tokenizer, 96)[0]
        start = prompt or [end]  # as staged.samples.dataset builds an unconditional prompt
        assert row[:1] == start
        assert tokenizer.decode(row[1:-1]) == "The river"
        assert row[-1] == end
        assert end not in row[1:-1]
    assert load_tokenizer(str(folders["llama"])).before
    assert not load_tokenizer(str(folders["qwen2"])).before


def test_what_stands_beside_the_weights_is_kept_and_counts(
    bpe: BPE, settings: TrainSettings, tmp_path: Path
) -> None:
    init = write_family(tmp_path / "init", bpe, "qwen2")
    beside = {name: f'{{"made up": "{name}"}}'.encode() for name in BESIDE[1:5]}
    beside["chat_template.jinja"] = "{{ messages[0].content }} ·".encode()
    # transformers refuses to save what asks for a temperature without sampling
    beside["generation_config.json"] = b'{"temperature": 0.6, "do_sample": false, "top_p": 0.9}\n'
    for name, content in beside.items():
        (init / name).write_bytes(content)
    tuning = replace(settings, init=str(init), steps=1)
    train(tmp_path / "tuned", tuning)
    for name in ("tokenizer.json", "tokenizer_config.json", *beside):
        assert (tmp_path / "tuned" / name).read_bytes() == (init / name).read_bytes(), name
    assert train(tmp_path / "tuned", tuning) is False
    (init / "chat_template.jinja").write_text("{{ messages[1].content }}")
    assert train(tmp_path / "tuned", tuning)
    assert (tmp_path / "tuned" / "chat_template.jinja").read_text().startswith("{{ messages[1]")


def test_a_tied_head_stays_tied(
    folders: dict[str, Path], settings: TrainSettings, tmp_path: Path
) -> None:
    trained = pretrained_outside(folders["qwen2"])
    assert trained.head is trained.outside.model.get_input_embeddings().weight
    train(tmp_path / "tuned", replace(settings, init=str(folders["qwen2"]), steps=2))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "tuned")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_a_padded_head_is_trained_whole(bpe: BPE, settings: TrainSettings, tmp_path: Path) -> None:
    """Spare rows without a token grow unlikely, also for programs that would draw them."""
    init = write_llama(tmp_path / "init", bpe, spare_rows=16)
    train(tmp_path / "tuned", replace(settings, init=str(init), learning_rate=3e-2))
    ids_BT = torch.tensor([bpe.encode(prose(1, 2))])
    shares = [
        float(
            AutoModelForCausalLM.from_pretrained(folder)(ids_BT)
            .logits.softmax(-1)[..., bpe.n_vocab :]
            .sum(-1)
            .mean()
            .detach()
        )
        for folder in (init, tmp_path / "tuned")
    ]
    assert shares[1] < shares[0] / 2


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)]
)
def test_saved_precision(
    folders: dict[str, Path],
    settings: TrainSettings,
    tmp_path: Path,
    precision: str,
    dtype: torch.dtype,
) -> None:
    tuning = replace(settings, init=str(folders["gpt_neox"]), steps=1, saved_precision=precision)
    train(tmp_path / "m", tuning)
    assert {x.dtype for x in load_file(tmp_path / "m" / "model.safetensors").values()} == {dtype}
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["dtype"] == str(dtype).removeprefix("torch.")


def test_tuned_by_the_command_sampled_and_tuned_again(
    folders: dict[str, Path], texts: Path, tmp_path: Path
) -> None:
    corpus = ["--corpus", str(texts), "--budget-tokens", "40", "--minimum-tokens", "10"]
    for init, out in ((folders["llama"], "one"), (tmp_path / "one", "two")):
        command = ["train", "--init", str(init), *corpus, "--steps", "2"]
        done = CliRunner().invoke(app, [*command, "--out", str(tmp_path / out)])
        assert done.exit_code == 0, done.output
    learned = [
        json.loads((tmp_path / name / "training.json").read_text())["sources"]
        for name in ("one", "two")
    ]
    assert learned[0] == learned[1] != []
    samples = staged.sample(str(tmp_path / "two"), number=2, length=5, method="greedy")
    assert len(samples) == 2


def test_a_family_whose_words_transformers_cuts_itself_is_noted(
    settings: TrainSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for family in ("llama", "qwen2"):
        train(tmp_path / family, replace(settings, architecture=family, steps=1))
    assert len(caplog.messages) == 1
    assert "AutoTokenizer cuts words for any qwen2 in that family's own way" in caplog.messages[0]


def test_the_same_settings_as_before_there_was_a_choice(
    folders: dict[str, Path], settings: TrainSettings, tmp_path: Path
) -> None:
    train(tmp_path / "m", replace(settings, steps=1))
    for name in ("training.json", "manifest.json"):
        assert "architecture" not in (tmp_path / "m" / name).read_text()


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            (
                {"architecture": "llama"},
                "architecture 'llama': .*gpt_neox, given as init, is a gpt_neox; leave",
            ),
            ({"dropout": 0.1}, r"dropout 0\.1 is for a GPT-2; .* what its config\.json says"),
            ({"lora_rank": 33}, "lora_rank 33 is more than the model's width, 32"),
            (
                {"corpus": CorpusSettings(budget_tokens=97)},
                "budget_tokens 97 is more than the model's context of 96 tokens",
            ),
        ],
    )
    def test_settings_that_do_not_fit_the_model(
        self,
        folders: dict[str, Path],
        settings: TrainSettings,
        tmp_path: Path,
        changes: dict[str, object],
        says: str,
    ) -> None:
        if isinstance(corpus := changes.get("corpus"), CorpusSettings):
            changes["corpus"] = replace(corpus, source=settings.corpus.source)
        changes = {"init": str(folders["gpt_neox"])} | changes
        with pytest.raises(PlanError, match=says):
            train(tmp_path / "m", replace(settings, **changes))
        assert list(tmp_path.iterdir()) == []

    def test_another_architecture_than_a_gpt2_given_as_init(
        self, tiny: Path, settings: TrainSettings, tmp_path: Path
    ) -> None:
        with pytest.raises(PlanError, match="is a gpt2; leave architecture out"):
            train(tmp_path / "m", replace(settings, init=str(tiny), architecture="qwen2"))

    def test_a_head_that_is_not_all(
        self, bpe: BPE, settings: TrainSettings, tmp_path: Path
    ) -> None:
        init = tmp_path / "granite"
        init.mkdir()
        bpe.save(init)
        config = GraniteConfig(
            vocab_size=384,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            eos_token_id=383,
            logits_scaling=8.0,
        )
        GraniteForCausalLM(config).save_pretrained(init)
        with pytest.raises(CheckpointError, match="not the head's product"):
            train(tmp_path / "m", replace(settings, init=str(init)))
        assert not (tmp_path / "m").exists()

    @pytest.mark.parametrize(
        ("architecture", "error", "says"),
        [
            ("lama", PlanError, "'lama' is no family of .*; did you mean 'llama'"),
            ("vit", PlanError, "'vit' is no family of causal language models"),
            ("phi", CheckpointError, "architecture 'phi': a head with a bias"),
            ("deepseek_v3", PlanError, "architecture 'deepseek_v3': cannot have this shape: "),
        ],
    )
    def test_architectures_that_cannot_be_made(
        self,
        settings: TrainSettings,
        tmp_path: Path,
        architecture: str,
        error: type[Exception],
        says: str,
    ) -> None:
        with pytest.raises(error, match=says):
            train(tmp_path / "m", replace(settings, architecture=architecture))
        assert not (tmp_path / "m").exists()

    def test_heads_that_do_not_divide_the_width(
        self, settings: TrainSettings, tmp_path: Path
    ) -> None:
        with pytest.raises(PlanError, match="n_embd 32 is not a multiple of n_head 5"):
            train(tmp_path / "m", replace(settings, architecture="qwen2", n_head=5))

    @pytest.mark.parametrize("also", ["objective = 'masked'", "dropout = 0.1"])
    def test_plans(self, tmp_path: Path, also: str) -> None:
        (tmp_path / "plan.toml").write_text(f"[a]\narchitecture = 'llama'\n{also}")
        with pytest.raises(PlanError, match="'llama' goes with a causal objective and without"):
            read_training_plan(tmp_path / "plan.toml")
