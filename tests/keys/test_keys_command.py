"""staged keys: what it makes and says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import GenerationConfig, WatermarkingConfig
from typer.testing import CliRunner

import staged
from staged.cli import app
from staged.errors import PlanError, ProvenanceError, StagedError
from staged.keys.ring import Use, open_key, record_use
from staged.model.causal import load_shape
from staged.watermarks.candidates import candidates_of
from staged.watermarks.kinds.gumbel import Gumbel
from staged.watermarks.kinds.kgw import KGW
from staged.watermarks.schemes import make_watermark
from tests.keys.chains import chain


def keys_say(*arguments: object) -> str:
    """What the command prints."""
    result = CliRunner().invoke(app, ["keys", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def listed() -> dict[str, Any]:
    shown = json.loads(keys_say("list", "--json"))
    return {key["id"]: key for key in shown["keys"]}


def test_a_keys_life(keys: Path) -> None:
    assert f"no keys in {keys}" in keys_say("list")
    made = keys_say("new", "alpha", "--name", "Example Press", "--days", 20)
    assert "key alpha: for watermark and signing" in made
    assert "Example Press, Ed25519, self-signed, until" in made
    assert str(keys / "alpha" / "certificate.pem") in made
    assert "key key-1: for signing" in keys_say("new", "--for", "signing")
    assert "certificate" not in keys_say("new", "beta", "--for", "watermark")
    record_use(open_key("alpha"), Use("gumbel", "mini-s", 5000))
    shown = keys_say("list")
    assert "gumbel mini-s" in shown
    assert "ends soon; make its successor: staged keys rotate alpha" in shown
    rotated = keys_say("rotate", "alpha")
    assert "key alpha: retired; its successor is alpha-2" in rotated
    assert "Example Press" in rotated
    assert "revoked" in keys_say("revoke", "alpha", "--reason", "laptop lost")
    assert "staged keys rotate beta" in keys_say("revoke", "beta")
    shown = keys_say("list")
    assert "alpha: revoked: laptop lost" in shown
    assert "alpha: its successor is alpha-2" in shown
    assert "make its successor" not in shown  # alpha's certificate signs nothing any more
    states = {name: key["state"] for name, key in listed().items()}
    assert states == {"alpha": "revoked", "alpha-2": "active", "beta": "revoked", "key-1": "active"}


def test_json_has_what_a_program_needs_and_no_secret() -> None:
    keys_say("new", "alpha", "--days", 20)
    record_use(open_key("alpha"), Use("kgw", "mini-s", 5000, {"gamma": 0.25}))
    key = listed()["alpha"]
    assert key["uses"] == [
        {"scheme": "kgw", "model": "mini-s", "vocabulary": 5000, "settings": {"gamma": 0.25}}
    ]
    assert key["certificate"]["standing"] == "ends soon"
    assert key["certificate"]["subject"] == "staged key alpha"
    text = json.dumps(key) + keys_say("list")
    assert str(open_key("alpha").watermark_secret().secret) not in text
    assert "PRIVATE" not in text


def test_a_chain_of_its_owners(tmp_path: Path) -> None:
    private, certificates = chain("PS256")
    (tmp_path / "key.pem").write_bytes(private)
    (tmp_path / "chain.pem").write_bytes(b"".join(certificates))
    brought = ("--certificate", tmp_path / "chain.pem", "--private-key", tmp_path / "key.pem")
    assert "Example Press, PS256, issued by Middle" in keys_say("new", "press", *brought)
    assert "key press: retired" in keys_say("rotate", "press", "press-new", *brought)
    with pytest.raises(ProvenanceError, match=r"no.pem: cannot be read"):
        keys_say("new", "--certificate", tmp_path / "no.pem", "--private-key", tmp_path / "key.pem")
    with pytest.raises(ProvenanceError, match="give both, or neither"):
        keys_say("new", "--certificate", tmp_path / "chain.pem")


VLLM = {"algorithm": "gumbel", "key": 42424242, "context_width": 4}
GREEN = {"greenlist_ratio": 0.5, "bias": 2.5, "hashing_key": 42424242}


def test_a_strangers_mark_is_imported(tmp_path: Path, tiny: Path) -> None:
    for name, table in (("vllm", VLLM), ("green", {"watermarking_config": GREEN})):
        (tmp_path / f"{name}.json").write_text(json.dumps(table))
        made = keys_say("new", name, "--import", tmp_path / f"{name}.json", "--model", tiny)
        assert f"key {name}: for watermark," in made
        assert "42424242" not in made + keys_say("list") + keys_say("list", "--json")
    keys = listed()
    assert [use["scheme"] for use in keys["vllm"]["uses"]] == ["gumbel"]
    assert keys["green"]["uses"][0]["settings"]["gamma"] == 0.5
    assert keys["green"]["uses"][0]["vocabulary"] == load_shape(str(tiny)).n_vocab
    assert "42424242" not in (open_key("green").place / "key.json").read_text()
    marks = {each.key: each.watermark for each in candidates_of(["vllm", "green"])}
    assert marks["vllm"] == Gumbel(42424242, 4)
    assert marks["green"].scheme == "kgw"
    secret = open_key("vllm").watermark_secret()
    assert (secret.scheme, secret.settings) == ("gumbel", {"key": 42424242, "width": 4})
    assert "for watermark and signing" in keys_say(
        "new", "--for", "both", "--import", tmp_path / "vllm.json"
    )


def test_what_cannot_be_imported_makes_no_key(tmp_path: Path, keys: Path) -> None:
    (tmp_path / "wrong.json").write_text(json.dumps({"algorithm": "gumble", "key": 42424242}))
    (tmp_path / "right.json").write_text(json.dumps(VLLM))
    for arguments, fault in (
        (("--import", tmp_path / "wrong.json"), "did you mean 'gumbel'"),
        (("--import", tmp_path / "no.json"), "cannot be read"),
        (("--model", "mini-s"), "give --import too"),
        (("--import", tmp_path / "right.json", "--for", "signing"), "leave out `--for signing`"),
        (("--import", tmp_path / "right.json", "--model", tmp_path / "no"), "no"),
    ):
        with pytest.raises(StagedError, match=fault) as refusal:
            keys_say("new", "alpha", *arguments)
        assert "42424242" not in str(refusal.value)
    assert listed() == {}


def test_what_is_given_wrongly_is_one_sentence() -> None:
    with pytest.raises(PlanError, match="'sign' is nothing that a key is for"):
        keys_say("new", "--for", "sign")
    with pytest.raises(ProvenanceError, match="no key 'nobody'"):
        keys_say("rotate", "nobody")
    with pytest.raises(ProvenanceError, match="no key 'nobody'"):
        keys_say("revoke", "nobody")


def test_keys_in_python() -> None:
    key = staged.new_key("alpha", name="Example Press")
    assert [each.id for each in staged.list_keys()] == ["alpha"]
    old, new = staged.rotate_key("alpha", "beta")
    assert (old.id, old.successor, new.id) == (key.id, "beta", "beta")
    assert staged.revoke_key("alpha", reason="lost").reason == "lost"


def test_another_librarys_marks_are_imported_and_their_key_is_not_shown(tmp_path: Path) -> None:
    theirs = GenerationConfig(
        watermarking_config=WatermarkingConfig(hashing_key=8_600_093_475_061, greenlist_ratio=0.5)
    )
    theirs.save_pretrained(tmp_path)
    said = keys_say("new", "theirs", "--import", tmp_path / "generation_config.json")
    secret = open_key("theirs").watermark_secret()
    made = make_watermark(str(secret.scheme), None, 500, secret.settings)
    assert made == KGW(8_600_093_475_061, 500, gamma=0.5, context_width=1)
    assert "8600093475061" not in said + keys_say("list") + keys_say("list", "--json")
    assert "8600093475061" not in repr(open_key("theirs")) + repr(secret)
    (tmp_path / "none.json").write_text('{"watermarking_config": null}')
    with pytest.raises(PlanError, match="it marks nothing"):
        keys_say("new", "none", "--import", tmp_path / "none.json")
    with pytest.raises(ProvenanceError, match="leave out `--for signing`"):
        keys_say("new", "x", "--for", "signing", "--import", tmp_path / "generation_config.json")
    assert [*listed()] == ["theirs"]
