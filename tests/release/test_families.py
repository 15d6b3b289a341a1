"""Models of other families than GPT-2 go from a plan to a verified package that loads; one without
weights is refused in a sentence.
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
from tests.conftest import put_json
from tests.model.llamas import SPECIAL, write_llama
from tests.release.conftest import DATE, lay_out, write_plan

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
