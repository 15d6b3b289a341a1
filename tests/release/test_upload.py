"""verify, keygen and upload from the command line; the hub is a stub that keeps what it is told."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import PlanError, ReleaseError
from staged.release.advance import advance
from staged.release.package.layout import files_of, parse_sums
from staged.release.package.package import write_sums
from staged.release.package.signing import sign
from staged.release.package.upload import plan_upload, upload
from staged.release.package.verify import verify
from staged.release.plan import read_release
from tests.release.conftest import DATE


class StubHub:
    """What an upload asks of huggingface_hub.HfApi."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def create_repo(self, repo_id: str, **options: Any) -> None:
        self.calls.append(("create", {"repo_id": repo_id, **options}))

    def upload_folder(self, **options: Any) -> SimpleNamespace:
        self.calls.append(("upload", options))
        return SimpleNamespace(commit_url="https://stub/commit/1")


@pytest.fixture
def package(plan: Callable[..., Path], tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    done = advance(read_release(plan()), tmp_path / "out", private=keys[0], date=DATE)
    assert done.package is not None
    return done.package


def run(*words: object) -> Any:
    return CliRunner().invoke(app, ["release", *map(str, words)])


def test_verify_exits_0_when_whole_and_1_with_the_files_name(
    package: Path, keys: tuple[Path, Path]
) -> None:
    whole = run("verify", package, "--key", keys[1])
    assert (whole.exit_code, "whole, signed under" in whole.output) == (0, True)
    assert "who signed is not shown" in run("verify", package).output
    (package / "tokenizer.json").unlink()
    broken = run("verify", package)
    assert broken.exit_code == 1
    assert "tokenizer.json: missing" in broken.output
    assert isinstance(run("verify", package / "nowhere").exception, PlanError)


def test_a_folder_that_is_no_package_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Bread, milk.")
    found = run("verify", tmp_path).exception
    assert isinstance(found, ReleaseError)
    assert "not a package: no SHA256SUMS" in str(found)


def test_keygen_keeps_the_private_half_to_its_owner_and_overwrites_nothing(tmp_path: Path) -> None:
    assert run("keygen", tmp_path / "keys").exit_code == 0
    assert (tmp_path / "keys" / "release.key").stat().st_mode & 0o777 == 0o600
    assert isinstance(run("keygen", tmp_path / "keys").exception, ReleaseError)


def test_upload_is_a_dry_run_unless_asked(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = StubHub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    dry = run("upload", package, "--repo", "owner/name")
    assert (dry.exit_code, hub.calls) == (0, [])
    assert "nothing was sent" in dry.output
    real = run("upload", package, "--repo", "owner/name", "--publish", "--private")
    assert real.exit_code == 0, real.output
    (_, created), (_, sent) = hub.calls
    assert created == {
        "repo_id": "owner/name",
        "repo_type": "model",
        "private": True,
        "exist_ok": True,
    }
    assert sent["folder_path"] == package
    assert sorted(sent["allow_patterns"]) == files_of(package)
    assert "https://stub/commit/1" in real.output


def test_what_is_not_whole_is_not_uploaded(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = StubHub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    shutil.copy(package / "LICENSE", package / "LICENSE.bak")
    refused = run("upload", package, "--repo", "owner/name", "--publish")
    assert (refused.exit_code, hub.calls) == (1, [])
    assert "LICENSE.bak: added" in refused.output
    with pytest.raises(ReleaseError, match="not whole"):
        upload(plan_upload(package, "owner/name"), api=lambda: hub)


def test_the_hubs_refusal_is_one_sentence(package: Path) -> None:
    class UnreachableError(Exception):
        """As an HTTP library has them, below no exception of Python's own."""

    class Refusing(StubHub):
        def create_repo(self, repo_id: str, **options: Any) -> None:
            raise errors.pop()

    errors = [UnreachableError("Name or service\nnot known"), OSError("403\nforbidden")]
    for says in (
        "not uploaded: 403 forbidden; check",
        "not uploaded: Name or service not known; check the network, HF_TOKEN",
    ):
        with pytest.raises(ReleaseError, match=says):
            upload(plan_upload(package, "owner/name"), api=Refusing)


@pytest.mark.parametrize("name", ["name", "a/b/c", ""])
def test_a_wrong_repository_name_is_refused(package: Path, name: str) -> None:
    with pytest.raises(PlanError, match="owner/name"):
        plan_upload(package, name)


def test_only_what_the_sums_list_is_sent_by_its_whole_name(package: Path) -> None:
    hub = StubHub()
    (package / "model.safetensors.bak").write_bytes(b"of before")
    planned = plan_upload(package, "owner/name")
    assert {one.file for one in planned.problems} == {"model.safetensors.bak", "model.sig"}
    assert "model.safetensors.bak" not in [name for name, _ in planned.files]
    (package / "model.safetensors.bak").unlink()
    whole = plan_upload(package, "owner/name")
    (package / "a[b]*.txt").write_bytes(b"while it was sent")
    upload(replace(whole, files=(*whole.files, ("x[1].json", 1))), api=lambda: hub)
    sent = hub.calls[-1][1]["allow_patterns"]
    assert set(listed_in(package)) | {"SHA256SUMS", "x[[]1].json"} == set(sent)


def test_a_secret_in_a_package_of_an_older_version_is_not_uploaded(
    package: Path, keys: tuple[Path, Path]
) -> None:
    token = "hf_" + "b" * 34
    (package / "training_params.json").write_text(f'{{"hub_token":\n "{token}"}}', encoding="utf-8")
    for name in ("model.sig", "SHA256SUMS"):
        (package / name).unlink()
    sign(package, keys[0])
    write_sums(package)
    said = [one for one in plan_upload(package, "owner/name").problems if one.kind == "secret"]
    assert [(one.file, one.what) for one in said if "Hugging" in one.what] == [
        ("training_params.json", "line 2 holds a Hugging Face token")
    ]
    assert token not in str(said)


def listed_in(package: Path) -> list[str]:
    return list(parse_sums((package / "SHA256SUMS").read_text(encoding="utf-8")))


def git(*words: object, where: Path) -> str:
    """Without the settings of who runs the tests."""
    options = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "init.defaultBranch=main"]
    env = {"PATH": os.environ["PATH"], "HOME": str(where), "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *options, *map(str, words)],
        cwd=where,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def in_git(package: Path, where: Path, *, attributes: str | None = None) -> Path:
    """The package as a repository that the hub would serve, its own attributes or others."""
    repository = Path(shutil.copytree(package, where / "repository"))
    if attributes is not None:
        (repository / ".gitattributes").write_text(attributes, encoding="utf-8")
    git("init", where=repository)
    git("add", "--all", where=repository)
    git("commit", "--quiet", "--message", "a release", where=repository)
    return repository


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("line_ends", ["true", "input", "false"])
def test_a_clone_on_windows_is_whole_once_gits_folder_is_gone(
    package: Path, tmp_path: Path, keys: tuple[Path, Path], line_ends: str
) -> None:
    repository = in_git(package, tmp_path)
    git(
        "-c",
        f"core.autocrlf={line_ends}",
        "-c",
        "core.eol=crlf",
        "clone",
        "--quiet",
        repository,
        "clone",
        where=tmp_path,
    )
    clone = tmp_path / "clone"
    (one,) = verify(clone, keys[1])
    assert (one.file, one.kind) == (".git", "added")
    assert "remove it, or verify a copy without it" in one.what
    shutil.rmtree(clone / ".git")
    assert verify(clone, keys[1]) == []


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_line_ends_that_git_changed_are_said_to_be_that(package: Path, tmp_path: Path) -> None:
    """A package of before it told git to leave line ends alone."""
    repository = in_git(
        package, tmp_path, attributes="*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
    )
    git("-c", "core.autocrlf=true", "clone", "--quiet", repository, "clone", where=tmp_path)
    shutil.rmtree(tmp_path / "clone" / ".git")
    said = {one.file: one.what for one in verify(tmp_path / "clone") if one.kind == "changed"}
    for name in ("README.md", "config.json", "LICENSE"):
        assert said[name].startswith("only its line ends were changed, as git does on Windows")


def test_a_pointer_in_the_weights_place_is_said(package: Path) -> None:
    (package / "model.safetensors").write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 99999999\n"
    )
    said = {one.what for one in verify(package) if one.file == "model.safetensors"}
    assert any("run `git lfs pull`" in one for one in said)


def test_a_downloads_cache_is_one_thing_to_remove(package: Path, keys: tuple[Path, Path]) -> None:
    (package / ".cache" / "huggingface" / "download").mkdir(parents=True)
    (package / ".cache" / "huggingface" / "download" / "README.md.metadata").write_text(
        "x", encoding="utf-8"
    )
    assert [(one.file, one.kind) for one in verify(package, keys[1])] == [(".cache", "added")]
