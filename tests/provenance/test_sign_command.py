"""`staged sign`: what it writes, where, and what it refuses in one sentence."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import staged
from staged.cli import app
from staged.errors import PlanError, StagedError
from staged.keys.ring import open_key
from staged.provenance import model_facts, signed_files
from staged.provenance.manifest.facts import SignatureVerdict
from staged.provenance.reading import own_trust, signature_of_file
from staged.samples.columns import SCHEMA
from tests.provenance.authority import Authority
from tests.provenance.signing import encypher, made

ROW = {
    "ended": True,
    "length": 3,
    "model": "out/tiny",
    "method": "top-k-40",
    "prompt": "a secret prompt",
    "seed": 1,
    "temperature": 1.0,
    "top_k": 40,
    "top_p": 1.0,
    "semantics": "standard",
    "repetition_penalty": 1.0,
    "reason": "end",
    "stopped": None,
    "slides": 0,
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STAGED_KEYS", str(tmp_path / "keys"))
    monkeypatch.chdir(tmp_path)
    staged.new_key("alpha", name="Example Press")
    Path("a.txt").write_bytes(made("txt", 1))
    return tmp_path


def call(*arguments: object, given: bytes = b"") -> str:
    """What a command says, in a refusal too."""
    result = CliRunner().invoke(app, ["sign", *map(str, arguments)], input=given)
    if isinstance(result.exception, StagedError):
        return f"refused: {result.exception}"
    assert result.exception is None, result.exception
    return result.output


def read(name: str) -> SignatureVerdict:
    verdict = signature_of_file(name, trust=own_trust())
    assert (verdict.state, verdict.signer) == ("valid", "Example Press")
    return verdict


def test_a_manifest_beside_the_file_by_default() -> None:
    before = Path("a.txt").read_bytes()
    assert "signed with key alpha (time self-asserted): a.txt.c2pa" in call(
        "a.txt", "--key", "alpha", "--model", "mini-s", "--title", "A story"
    )
    assert Path("a.txt").read_bytes() == before
    facts = read("a.txt").facts
    assert facts
    assert (facts.model, len(facts.weights or "")) == ("mini-s", 64)
    again = call("a.txt", "--key", "alpha")
    assert "the manifest that a.txt had is kept, and cited" in again
    assert read("a.txt").ingredients == ("a.txt",)


def test_verify_tells_what_the_signer_says_where_the_signature_holds() -> None:
    call("a.txt", "--key", "alpha", "--model", "acme-7", "--detector", "https://acme.example/")
    arguments = ["verify", "a.txt", "--no-content"]
    said = CliRunner().invoke(app, arguments, catch_exceptions=False).output
    assert "the manifest says: signer Example Press · time 20" in said
    assert "by the signer’s own clock · model acme-7 · detector https://acme.example/\n" in said
    Path("a.txt.c2pa").write_bytes(Path("a.txt.c2pa").read_bytes().replace(b"acme-7", b"acme-8"))
    assert "the manifest says" not in CliRunner().invoke(app, arguments).output


def test_a_signed_copy_and_its_manifest() -> None:
    call("a.txt", "--key", "alpha", "--out", "new/b.txt")
    assert Path("new/b.txt").read_bytes() == Path("a.txt").read_bytes()
    assert read("new/b.txt").ingredients == ()
    call("a.txt", "--key", "alpha", "--out", "c.c2pa")
    assert not Path("c").exists()
    assert signature_of_file("a.txt", "c.c2pa", trust=own_trust()).state == "valid"


def test_embedded_in_place_of_what_stood_beside() -> None:
    call("a.txt", "--key", "alpha", "--out", "b.txt")
    call("a.txt", "--key", "alpha", "--out", "b.txt", "--embed")
    assert not Path("b.txt.c2pa").exists()
    assert read("b.txt")
    anchors = open_key("alpha").certificates()
    assert encypher(Path("b.txt").read_bytes(), "txt", anchors) == "Trusted"


@pytest.mark.parametrize("kind", ["html", "docx", "pdf"])
def test_containers_carry_theirs_without_being_asked(kind: str) -> None:
    Path(f"a.{kind}").write_bytes(made(kind, 1))
    said = call(f"a.{kind}", "--key", "alpha", "--out", f"b.{kind}")
    assert f"(time self-asserted): b.{kind}\n" in said
    assert not Path(f"b.{kind}.c2pa").exists()
    assert (
        encypher(Path(f"b.{kind}").read_bytes(), kind, open_key("alpha").certificates())
        == "Trusted"
    )
    call(f"a.{kind}", "--key", "alpha", "--out", f"c.{kind}", "--sidecar")
    assert Path(f"c.{kind}").read_bytes() == Path(f"a.{kind}").read_bytes()
    assert read(f"c.{kind}")


def test_what_cannot_carry_it_says_so() -> None:
    Path("a.html").write_bytes(b"<p>no head")
    said = call("a.html", "--key", "alpha", "--out", "b.html")
    assert "the manifest stands beside the file: the page has no <head>" in said
    assert Path("b.html").read_bytes() == b"<p>no head"
    assert read("b.html")


def test_standard_input() -> None:
    assert "b.txt" in call("-", "--key", "alpha", "--out", "b.txt", "--embed", given=b"Hello.")
    assert Path("b.txt").read_text(encoding="utf-8").startswith("Hello.")
    assert read("b.txt")
    assert "name one with --out" in call("-", "--key", "alpha", given=b"Hello.")


def test_the_time_of_an_authority() -> None:
    with Authority() as authority:
        said = call("a.txt", "--key", "alpha", "--tsa", authority.url)
        assert f"time by {authority.url}" in said
        verdict = signature_of_file("a.txt", trust=own_trust(), authorities=[authority.root])
    assert verdict.stamped_by == authority.name


def write_samples(name: str, rows: list[dict[str, object]]) -> None:
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), name)
    else:
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        Path(name).write_text(lines, encoding="utf-8")


@pytest.mark.parametrize("name", ["s.jsonl", "s.parquet"])
def test_a_file_of_samples_tells_how_it_was_made(name: str) -> None:
    rows: list[dict[str, object]] = [ROW | {"id": n, "text": f"Text {n}."} for n in range(3)]
    rows[2]["method"] = "nucleus"
    write_samples(name, rows)
    call(name, "--key", "alpha")
    facts = read(name).facts
    assert facts
    alike = {name: ROW[name] for name in model_facts.SAMPLING if name != "method"}
    assert (facts.model, facts.sampling) == ("out/tiny", alike)  # on the method they do not agree
    call(name, "--key", "alpha", "--row", 2, "--out", "two.txt", "--embed")
    facts = read("two.txt").facts
    assert facts
    assert facts.sampling["method"] == "nucleus"
    assert Path("two.txt").read_text(encoding="utf-8").startswith("Text 2.")
    assert b"secret" not in Path("two.txt").read_bytes() + Path(f"{name}.c2pa").read_bytes()
    assert "holds samples 0 to 2" in call(name, "--key", "alpha", "--row", 7, "--out", "b.txt")
    assert "name the file for it with --out" in call(name, "--key", "alpha", "--row", 1)


def test_a_row_of_a_marked_sample() -> None:
    rows = [ROW | {"id": 0, "text": "A text.", "watermark": "gumbel", "key": "beta"}]
    told = model_facts.agreed(rows)
    assert (told["watermark"], told["key"]) == ("gumbel", "beta")
    facts = model_facts.facts(**told)
    assert (facts.watermark, facts.key) == ("gumbel", "beta")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.txt", "--key", "alpha"], "cannot be read"),
        ([".", "--key", "alpha"], "cannot be read"),
        (["a.txt", "--key", "beta"], "no key 'beta'"),
        (["a.txt", "--key", "alpha", "--out", "a.txt"], "is read here"),
        (["a.txt", "--key", "alpha", "--embed"], "name it with --out"),
        (["a.txt", "--key", "alpha", "--embed", "--out", "b.c2pa"], "name it with --out"),
        (["a.txt", "--key", "alpha", "--embed", "--sidecar"], "into the file"),
        (["a.txt", "--key", "alpha", "--out", "b.pdf"], "a.txt is plain text"),
        (["a.txt", "--key", "alpha", "--watermark", "kgw"], "belong together"),
        (["a.txt", "--key", "alpha", "--watermark-key", "x"], "belong together"),
        (["a.txt", "--key", "alpha", "--watermark", "x", "--watermark-key", "y"], "choose among"),
        (["a.txt", "--key", "alpha", "--row", "1", "--out", "b.txt"], "no file that staged sample"),
        (["-", "--key", "alpha", "--row", "1", "--out", "b.txt"], "give the file"),
        (["a.txt", "--key", "alpha", "--tsa", "example"], "http or https"),
        (["a.txt", "--key", ""], "an empty name"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    arguments: list[str], sentence: str, folder: Path
) -> None:
    before = sorted(folder.iterdir())
    said = call(*arguments)
    assert said.startswith("refused: ")
    assert sentence in said
    assert sorted(folder.iterdir()) == before


def test_keys_that_sign_nothing_new() -> None:
    staged.rotate_key("alpha")
    assert "take its successor, 'alpha-2'" in call("a.txt", "--key", "alpha")
    staged.new_key("marks", purpose="watermark")
    assert "not made for signing" in call("a.txt", "--key", "marks")


def test_a_revoked_key_of_ours_counts_no_more() -> None:
    call("a.txt", "--key", "alpha")
    staged.revoke_key("alpha", reason="it was on a stolen laptop")
    verdict = signature_of_file("a.txt", trust=own_trust())
    assert verdict.state == "revoked"
    assert "stolen laptop" in verdict.sentence


@pytest.mark.parametrize("out", ["b.txt", "b.txt.c2pa"])
def test_never_over_what_staged_did_not_sign(out: str) -> None:
    Path(out).write_bytes(b"my own words")
    assert "was not written by staged" in call("a.txt", "--key", "alpha", "--out", "b.txt")
    assert Path(out).read_bytes() == b"my own words"
    Path(out).unlink()
    call("a.txt", "--key", "alpha", "--out", "b.txt", "--embed")
    Path("b.txt").write_bytes(b"X" + Path("b.txt").read_bytes())
    assert "changed since" in call("a.txt", "--key", "alpha", "--out", "b.txt", "--embed")


def test_killed_between_a_file_and_its_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is there, and its manifest is not: the same command goes on."""
    write = signed_files.write_atomic

    def dying(path: Path, *arguments: object, **named: object) -> None:
        if path.suffix == ".c2pa":
            raise KeyboardInterrupt
        write(path, *arguments, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(signed_files, "write_atomic", dying)
        with pytest.raises(KeyboardInterrupt):
            staged.sign("a.txt", "alpha", out="b.txt")
    assert not Path("b.txt.c2pa").exists()
    staged.sign("a.txt", "alpha", out="b.txt")
    assert read("b.txt")


def test_a_model_is_named_as_strangers_may_read_it(tiny: Path, folder: Path) -> None:
    facts = model_facts.facts(str(tiny))
    assert facts.model == tiny.name
    [weights] = [path for path in tiny.iterdir() if path.suffix == ".safetensors"]
    assert facts.weights == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert model_facts.told_name("openai:gpt@http://127.0.0.1/v1").startswith("openai:")
    assert model_facts.weights_digest("nobody/has-this") is None
    (folder / "empty").mkdir()
    assert model_facts.weights_digest("empty") is None
    with pytest.raises(PlanError, match="belong together"):
        model_facts.facts("mini-s", watermark="gumbel")


def test_bytes_of_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    signed = staged.sign("a.txt", "alpha", data=b"From a program.", out="b.txt", embed=True)
    assert (signed.place, signed.sidecar, signed.cited) == (Path("b.txt"), None, ())
    assert read("b.txt")
