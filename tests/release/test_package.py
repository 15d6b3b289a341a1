"""A package: what is in it, and that no file of it can be removed, swapped, cut, changed or added
unseen.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st
from model_signing import verifying

from staged.errors import ReleaseError
from staged.release.advance import advance
from staged.release.card.contents import Card
from staged.release.package.layout import files_of, parse_sums, sums_text
from staged.release.package.members import members
from staged.release.package.package import write_card, write_sums
from staged.release.package.signing import make_keys, sign
from staged.release.package.verify import Problem, verify
from staged.release.plan import read_release
from staged.storage.digests import sha256_file
from staged.storage.json_files import read_json
from staged.storage.records import from_json
from tests.conftest import put_json
from tests.release.conftest import DATE, lay_out, write_plan

MUTATIONS = 50


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, tiny: Path, keys: tuple[Path, Path]) -> Path:
    place = tmp_path_factory.mktemp("release")
    lay_out(place, tiny)
    done = advance(read_release(write_plan(place)), place / "out", private=keys[0], date=DATE)
    assert done.package is not None
    return done.package


@pytest.fixture
def package(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "package")


def kinds(folder: Path, public: Path, file: str) -> set[str]:
    return {one.kind for one in verify(folder, public) if one.file == file}


def test_a_package_is_whole_wherever_it_lies(package: Path, keys: tuple[Path, Path]) -> None:
    assert verify(package, keys[1]) == []
    assert verify(package) == []
    assert {
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "LICENSE",
        "detector/detector.json",
    } <= set(files_of(package))
    assert {
        "study/study/cells.json",
        "DECISION.md",
        "sbom.cdx.json",
        "model.sig",
        "SHA256SUMS",
    } <= set(files_of(package))


def test_others_tools_agree(package: Path, keys: tuple[Path, Path]) -> None:
    """coreutils, model-signing as its own program calls it, CycloneDX's schema."""
    subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=package, check=True
    )
    verifying.Config().use_elliptic_key_verifier(public_key=keys[1]).verify(
        package, package / "model.sig"
    )
    assert (
        JsonStrictValidator(SchemaVersion.V1_6).validate_str(
            (package / "sbom.cdx.json").read_text(encoding="utf-8")
        )
        is None
    )


def test_the_sbom_lists_model_files_and_libraries(package: Path) -> None:
    bom = read_json(package / "sbom.cdx.json")
    assert bom["metadata"]["component"]["type"] == "machine-learning-model"
    assert bom["metadata"]["component"]["licenses"] == [{"license": {"id": "MIT"}}]
    files = {
        one["name"]: one["hashes"][0]["content"]
        for one in bom["components"]
        if one["type"] == "file"
    }
    assert files["model.safetensors"] == sha256_file(package / "model.safetensors")
    assert {"torch", "transformers"} <= {
        one["name"] for one in bom["components"] if one["type"] == "library"
    }


def every_file(package: Path) -> list[str]:
    return files_of(package)


def test_removing_any_file_is_named(built: Path, package: Path, keys: tuple[Path, Path]) -> None:
    for name in every_file(built):
        kept = (package / name).read_bytes()
        (package / name).unlink()
        assert kinds(package, keys[1], name) & {"missing", "sbom"}, name
        (package / name).write_bytes(kept)
    assert verify(package, keys[1]) == []


def mutate(package: Path, stream: random.Random) -> tuple[set[str], str]:
    """One random act of tampering; the files of which one has to be named, and what was done."""
    names = every_file(package)
    name, other = stream.sample(names, 2)
    path, data = package / name, (package / name).read_bytes()
    act = stream.choice(
        ["remove", "truncate", "flip", "append", "swap", "add", "replace", "rename"]
    )
    if act == "remove":
        path.unlink()
    elif act == "truncate":
        path.write_bytes(data[: stream.randrange(len(data))])
    elif act == "flip":
        at = stream.randrange(len(data))
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << stream.randrange(8)]) + data[at + 1 :])
    elif act == "append":
        path.write_bytes(data + stream.choice([b"\n", b" ", b"\0", b"more"]))
    elif act == "swap":
        path.write_bytes((package / other).read_bytes())
        (package / other).write_bytes(data)
        return {name, other}, f"swap {name} {other}"
    elif act == "replace":
        path.write_bytes((package / other).read_bytes())
    elif act == "rename":
        path.rename(package / f"{name}.bak")
    else:
        name = stream.choice(["", "study/", "detector/", "new/"]) + stream.choice(
            ["x.bin", ".hidden", ".gitignore", "README.md.orig"]
        )
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_bytes(b"added")
    return {name}, f"{act} {name}"


@pytest.mark.parametrize("seed", range(MUTATIONS))
def test_random_tampering_is_named(package: Path, keys: tuple[Path, Path], seed: int) -> None:
    touched, done = mutate(package, random.Random(seed))
    assert touched <= {one.file for one in verify(package, keys[1])}, done


def test_each_kind_is_called_by_its_name(package: Path, keys: tuple[Path, Path]) -> None:
    public = keys[1]
    (package / "extra.txt").write_text("x", encoding="utf-8")
    assert "added" in kinds(package, public, "extra.txt")
    (package / "extra.txt").unlink()
    weights = package / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    assert Problem("model.safetensors", "truncated", f"100 of {len(whole):,} bytes") in verify(
        package, public
    )
    weights.write_bytes(whole[:-1] + b"\1")
    assert "changed" in kinds(package, public, "model.safetensors")
    weights.write_bytes((package / "config.json").read_bytes())
    assert Problem("model.safetensors", "swapped", "holds the bytes of config.json") in verify(
        package, public
    )
    weights.unlink()
    weights.symlink_to("config.json")
    assert "not a file" in kinds(package, public, "model.safetensors")
    weights.unlink()
    weights.write_bytes(whole)
    (package / "empty").mkdir()
    assert "not a file" in kinds(package, public, "empty")


def test_changed_sums_are_blamed_not_the_file_that_the_signature_vouches_for(
    package: Path, keys: tuple[Path, Path]
) -> None:
    sums = package / "SHA256SUMS"
    text = sums.read_text(encoding="utf-8")
    digest = sha256_file(package / "config.json")
    sums.write_text(text.replace(digest, digest[::-1]), encoding="utf-8")
    assert {one.file for one in verify(package, keys[1])} == {"SHA256SUMS"}
    sums.write_text("\n".join(reversed(text.splitlines())) + "\n", encoding="utf-8")
    assert {one.file for one in verify(package, keys[1])} == {"SHA256SUMS"}


def test_a_forger_who_redoes_the_sums_fails_the_signature(
    package: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    (package / "detector" / "detector.json").write_text('{"terms": 4}\n', encoding="utf-8")
    (package / "SHA256SUMS").unlink()
    write_sums(package)
    assert "signature" in kinds(package, keys[1], "model.sig")
    forged, forged_public = make_keys(tmp_path / "forger")
    shutil.copy(forged_public, package / "release.pub")
    (package / "model.sig").unlink()
    sign(package, forged)
    (package / "SHA256SUMS").unlink()
    write_sums(package)
    assert "signature" in kinds(
        package, keys[1], "model.sig"
    )  # the releaser's key, got from elsewhere


def test_the_one_file_that_is_not_signed_is_held_by_the_signed_sbom(
    package: Path, keys: tuple[Path, Path]
) -> None:
    (package / ".gitattributes").write_text("* text\n", encoding="utf-8")
    (package / "SHA256SUMS").unlink()
    write_sums(package)
    assert kinds(package, keys[1], ".gitattributes") == {"sbom"}


def test_a_card_that_is_not_of_its_cells_is_named_even_when_all_is_signed(
    package: Path, keys: tuple[Path, Path]
) -> None:
    for name, old, new in (("README.md", "[", "[9"), ("card.html", "[", "[9")):
        text = (package / name).read_text(encoding="utf-8")
        table = text.index("tfidf")
        (package / name).write_text(
            text[:table] + text[table:].replace(old, new, 1), encoding="utf-8"
        )
    card = read_json(package / "card.json")
    card["analyses"][0]["cells"][0]["accuracy"] += 0.001
    put_json(package / "card.json", card)
    (package / "model.sig").unlink()
    sign(package, keys[0])
    (package / "SHA256SUMS").unlink()
    write_sums(package)
    found = {(one.file, one.kind) for one in verify(package, keys[1])}
    assert {("card.html", "card"), ("card.json", "card")} <= found


def test_changed_cells_are_named_even_when_all_is_signed(
    package: Path, keys: tuple[Path, Path]
) -> None:
    rows = read_json(package / "study" / "study" / "cells.json")
    for row in rows:
        row["accuracy"] = 0.99
    put_json(package / "study" / "study" / "cells.json", rows)
    (package / "model.sig").unlink()
    sign(package, keys[0])
    (package / "SHA256SUMS").unlink()
    write_sums(package)
    said = [one for one in verify(package, keys[1]) if one.kind == "card"]
    assert {one.file for one in said} == {"README.md", "card.html", "card.json"}
    assert any("shows accuracy" in one.what and "has 99.0" in one.what for one in said)


def test_a_private_key_never_gets_in(
    package: Path, plan: Callable[..., Path], keys: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copy(keys[0], package / "detector" / "key.pem")
    assert "private key" in kinds(package, keys[1], "detector/key.pem")
    release = read_release(plan())
    shutil.copy(keys[0], tmp_path / "detector" / "notes.txt")
    with pytest.raises(ReleaseError, match="private key"):
        members(release, release.stages[0])


def test_a_wrong_or_missing_key_is_said(package: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="not a public key"):
        verify(package, package / "config.json")
    other = make_keys(tmp_path / "other")[1]
    assert {one.file for one in verify(package, other)} == {"model.sig"}


def test_the_card_can_be_written_again_to_the_same_bytes(package: Path) -> None:
    before = {
        name: (package / name).read_bytes() for name in ("README.md", "card.html", "card.json")
    }
    for name in before:
        (package / name).unlink()
    write_card(package, from_json(Card, json.loads(before["card.json"]), where="card.json"))
    assert {name: (package / name).read_bytes() for name in before} == before


NAMES = st.text(
    st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), min_size=1, max_size=20
)


@given(st.dictionaries(NAMES, st.text("0123456789abcdef", min_size=64, max_size=64), max_size=5))
def test_sums_come_back(sums: dict[str, str]) -> None:
    assert parse_sums(sums_text(sums)) == sums


def test_a_detector_of_another_run_than_the_evidence_is_refused(
    plan: Callable[..., Path], tmp_path: Path
) -> None:
    release = read_release(plan())
    (tmp_path / "detector" / "manifest.json").write_text('{"made": "here"}\n', encoding="utf-8")
    trained = {"detectors/tfidf/small/mix": sha256_file(tmp_path / "detector" / "manifest.json")}
    put_json(tmp_path / "study" / "manifest.json", {"inputs": trained})
    assert "detector/manifest.json" in members(release, release.stages[0])
    put_json(tmp_path / "study" / "manifest.json", {"inputs": dict.fromkeys(trained, "0" * 64)})
    with pytest.raises(ReleaseError, match="is of another run than the studies in evidence"):
        members(release, release.stages[0])


def test_the_evidence_of_every_folder_gets_in(tmp_path: Path, tiny: Path) -> None:
    """Whatever the order: a folder without a file of some kind used to take the place of one that
    has it.
    """
    lay_out(tmp_path, tiny)
    for folder, name in (
        ("b1", "bias.json"),
        ("s1", "survey.json"),
        ("b2", "bias.json"),
        ("f1", "finetune.json"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(f'"{folder}"', encoding="utf-8")
    for order in (["study", "b1", "s1", "b2", "f1"], ["f1", "s1", "b1", "study", "b2"]):
        release = read_release(write_plan(tmp_path, evidence=json.dumps(order)))
        found = members(release, release.stages[0])
        kept = {
            place: path.parent.name
            for place, path in found.items()
            if place.startswith(("bias/", "survey/", "finetune/"))
        }
        assert kept == {
            "bias/bias.json": "b1",
            "bias/b2/bias.json": "b2",
            "survey/survey.json": "s1",
            "finetune/finetune.json": "f1",
        }
        assert any(place.startswith("study/") for place in found)
