"""Models of other families than GPT-2 go from a plan, and from their folders, to a verified package
that loads; one without weights is refused in a sentence.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import PlanError
from staged.model.bpe import BPE
from staged.model.causal import load_causal
from staged.release.advance import advance, status
from staged.release.package.layout import files_of
from staged.release.package.verify import verify
from staged.release.plan import read_release
from staged.storage.json_files import read_json
from tests.conftest import prose, put_json
from tests.families import FAMILIES, write_family
from tests.model.llamas import SPECIAL, write_llama
from tests.release.conftest import DATE, WRITTEN, lay_out, write_plan
from tests.studies.commands import run

STUDY = """
models = {models}
methods = ["top-k-40"]
detectors = ["tfidf"]
n_train = 24
n_valid = 20
n_test = 16
length_tokens = 24
lengths = [24]
batch = 32
[corpus]
source = "{human}"
budget_tokens = 60
minimum_tokens = 20
shares = {{ train = 0.4, valid = 0.25, test = 0.35 }}
"""
RELEASE = """
title = "A family"
licence = "LICENSE"
words = "card.toml"
evidence = ["study", "llama.json", "gpt_neox.json", "qwen2.json"]

[[gates]]
kind = "detection"
cell = "tfidf/{stage}/mix/{stage}/top-k-40/24"
field = "auroc"
at_least = 0.5

[[gates]]
kind = "card"
may_be_blank = ["bias", "survey"]

[[gates]]
kind = "signature"
"""
STAGE = """
[[stages]]
name = "{family}"
model = "models/{family}"
detector = "study/detectors/tfidf/{family}/mix"
"""
BESIDE = {
    "generation_config.json": '{"do_sample": true}',
    "tokenizer_config.json": '{"eos_token": "<|endoftext|>", "tokenizer_class": "TokenizersBackend"}',
    "special_tokens_map.json": '{"eos_token": "<|endoftext|>"}',
    "chat_template.jinja": "{% for message in messages %}{{ message.content }}{% endfor %}",
    "additional_chat_templates/tool_use.jinja": "{{ messages[0].content }}",
}


@pytest.fixture
def llama(tmp_path: Path, bpe: BPE) -> Path:
    """A Llama in shards, with all that lies beside such models, in a plan's place."""
    lay_out(tmp_path, write_llama(tmp_path / "made", bpe, specials=SPECIAL))
    folder = tmp_path / "weights"
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    for name, text in BESIDE.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_llama_goes_from_status_to_a_package_that_loads(
    llama: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    plan, out = write_plan(tmp_path), tmp_path / "out"
    waiting = status(read_release(plan), out)
    assert {gate.state for stage in waiting for gate in stage.outcomes} == {"met", "at advance"}
    package = advance(read_release(plan), out, private=keys[0], date=DATE).package
    assert package == out / "small"
    assert verify(package, keys[1]) == []
    own = {path.relative_to(llama).as_posix() for path in llama.rglob("*") if path.is_file()}
    assert own <= set(files_of(package))
    listed = {
        part["name"]
        for part in read_json(package / "sbom.cdx.json")["components"]
        if part["type"] == "file"
    }
    assert own <= listed
    ids = torch.tensor([[5, 9, 70, 3]])
    ours = load_causal(str(package))
    theirs = [
        AutoModelForCausalLM.from_pretrained(folder)(ids).logits for folder in (package, llama)
    ]
    assert torch.equal(*theirs)
    assert ours.tokenizer.encode("a text") == load_causal(str(llama)).tokenizer.encode("a text")


def test_a_llama_that_was_changed_since_it_was_studied_is_refused(
    llama: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    from staged.model.formats.layouts import model_files
    from staged.storage.digests import sha256_file

    facts = read_json(tmp_path / "study" / "study.json")
    files = {name: sha256_file(path) for name, path in model_files(llama).items()}
    put_json(
        tmp_path / "study" / "study.json",
        facts | {"models": [model | {"files": files} for model in facts["models"]]},
    )
    command = ["release", "advance", str(write_plan(tmp_path)), "--key", str(keys[0])]
    whole = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "whole")])
    assert whole.exit_code == 0, whole.output
    config = read_json(llama / "config.json")
    (llama / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.1}))
    changed = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "changed")])
    assert "is not the one that was measured" in str(changed.exception)
    assert "has another config.json" in str(changed.exception)


@pytest.mark.parametrize("command", ["status", "advance"])
def test_a_model_behind_a_server_has_no_weights_to_package(
    plan: Callable[..., Path], tmp_path: Path, keys: tuple[Path, Path], command: str
) -> None:
    path = plan()
    text = path.read_text(encoding="utf-8")
    served = "openai:llama@http://127.0.0.1:8000/v1"
    path.write_text(text.replace('model = "weights"', f'model = "{served}"'), encoding="utf-8")
    options = ["--key", str(keys[0])] if command == "advance" else []
    given = ["release", command, str(path), "--out", str(tmp_path / "out"), *options]
    error = CliRunner().invoke(app, given).exception
    assert isinstance(error, PlanError)
    assert f"the model of 'small' is behind a server, {served}" in str(error)
    assert "\n" not in str(error)


def test_status_says_what_would_stop_a_package(
    plan: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = plan()
    assert len(status(read_release(path), tmp_path / "out")) == 2
    assert caplog.messages == []
    weights = tmp_path / "weights" / "model.safetensors"
    weights.rename(tmp_path / "weights" / "adapter_model.safetensors")
    status(read_release(path), tmp_path / "out")
    first, _ = caplog.messages
    assert "stage 'small' cannot be packaged: " in first
    assert "a LoRA adapter alone" in first
    shutil.rmtree(tmp_path / "weights")
    assert len(status(read_release(path), tmp_path / "out")) == 2


def called(*arguments: object) -> str:
    """What a command prints that does its work."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output + str(result.exception)
    return result.output


def lay_out_families(place: Path, bpe: BPE, human: Path) -> None:
    """Three models of three families in folders, and all that a person writes."""
    folders = [str(write_family(place / "models" / name, bpe, name)) for name in FAMILIES]
    plan = STUDY.format(models=json.dumps(folders), human=human)
    (place / "study.toml").write_text(plan)
    stages = "".join(STAGE.format(family=family) for family in FAMILIES)
    (place / "release.toml").write_text(RELEASE + stages)
    (place / "LICENSE").write_text("Free for all.\n")
    words = WRITTEN | {"license": "other", "license_name": "free", "license_link": "LICENSE"}
    (place / "card.toml").write_text("".join(f'{key} = "{words[key]}"\n' for key in words))
    (place / "text.txt").write_text(prose(77, 200))


def test_llama_neox_and_qwen_go_from_folders_to_verified_packages(
    bpe: BPE, human_folder: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    lay_out_families(tmp_path, bpe, human_folder)
    run(tmp_path / "study.toml", tmp_path / "study", "--workers", "2")
    results = [tmp_path / f"{family}.json" for family in FAMILIES]
    for result in results:
        model = tmp_path / "models" / result.stem
        called("evaluate-lm", model, tmp_path / "text.txt", "--out", result)
    card = called("card", tmp_path / "study", *results, "--out", tmp_path / "README.md")
    assert [line.split(" of ")[0] for line in card.splitlines() if line.startswith("blank")] == [
        "blank: bias probes",
        "blank: human credibility",
    ]
    release = tmp_path / "release.toml", "--out", tmp_path / "out"
    status = called("release", "status", *release)
    assert status.count("waiting; 2 of 3 gates met") == len(FAMILIES)
    for family in FAMILIES:
        called("release", "advance", *release, "--key", keys[0])
        package = tmp_path / "out" / family
        assert "whole" in called("release", "verify", package, "--key", keys[1])
        assert read_json(package / "config.json")["model_type"] == family
        assert load_causal(str(package)).tokenizer.encode("a text")
