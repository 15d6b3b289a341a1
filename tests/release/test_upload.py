"""verify, keygen and upload from the command line; the hub is a stub that keeps what it is told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import PlanError, ReleaseError
from staged.release.contents import files_of
from staged.release.plan import read_release
from staged.release.stages import advance
from staged.release.upload import plan_upload, upload
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


def test_verify_exits_0_when_whole_and_1_with_the_files_name(package: Path, keys: tuple[Path, Path]) -> None:
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
    assert created == {"repo_id": "owner/name", "repo_type": "model", "private": True, "exist_ok": True}
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
    for says in ("not uploaded: 403 forbidden; check", "not uploaded: Name or service not known; check the network, HF_TOKEN"):
        with pytest.raises(ReleaseError, match=says):
            upload(plan_upload(package, "owner/name"), api=Refusing)


@pytest.mark.parametrize("name", ["name", "a/b/c", ""])
def test_a_wrong_repository_name_is_refused(package: Path, name: str) -> None:
    with pytest.raises(PlanError, match="owner/name"):
        plan_upload(package, name)
