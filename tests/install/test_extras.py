"""Without an optional package: one sentence that says what to type."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
from cyclonedx.exception import MissingOptionalDependencyException
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import CheckpointError, ReleaseError, StagedError
from staged.model.sources import packaged
from staged.release.package import sbom
from staged.studies.bias.measures import all_measures
from tests.conftest import prose
from tests.release.conftest import write_study

PACKAGE = Path(__file__).parents[2] / "docs" / "results" / "release" / "1.0" / "mini-s"


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Importing one of these fails, and what of ours has imported one is imported anew."""
    for name in list(sys.modules):
        if name.split(".")[0] in packages:
            monkeypatch.setitem(sys.modules, name, None)
    for name in packages:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("staged.release.package.sbom", "staged.samples.harness"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize(
    ("package", "command", "extra"),
    [
        *((name, ["serve"], "serve") for name in ("fastapi", "uvicorn", "python_multipart")),
        ("cryptography", ["release", "keygen", "keys"], "release"),
        ("cyclonedx", ["release", "verify", str(PACKAGE)], "release"),
        ("cyclonedx", ["release", "upload", str(PACKAGE), "--repo", "owner/name"], "release"),
        ("gguf", ["convert", "mini-s", "mini-s.gguf"], "gguf"),
        *(
            ("openai", [*verb, "openai:x@http://127.0.0.1:1/v1"], "openai")
            for verb in (["sample"], ["survey", "make"], ["bias"])
        ),
        ("codespell_lib", ["stress", "--human", "human.txt"], "attacks"),
        ("codespell_lib", ["study", "mini", "--attacks"], "attacks"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else value,
)
def test_a_command_says_what_to_type(
    package: str,
    command: list[str],
    extra: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("human.txt").write_text(prose(1, 40), encoding="utf-8")
    hide(monkeypatch, package)
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, StagedError), done.output
    said = str(done.exception)
    assert said.endswith(f"pip install 'staged[{extra}]'")
    assert "\n" not in said
    assert [one.name for one in tmp_path.iterdir()] == ["human.txt"]


def test_a_key_cannot_be_made_without_the_library_that_signs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from staged.release.package import leaks, signing

    hide(monkeypatch, "model_signing", "detect_secrets")
    with pytest.raises(ReleaseError, match=r"pip install 'staged\[release\]'"):
        signing._model_signing("hashing")
    with pytest.raises(ReleaseError, match=r"pip install 'staged\[release\]'"):
        leaks._by_plugin("aws", "AWSKeyDetector")


def test_a_bill_of_materials_takes_the_schemas_library_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Without:
        def __init__(self, version: object) -> None: ...

        def validate_str(self, text: str) -> None:
            raise MissingOptionalDependencyException("install it\n")

    monkeypatch.setattr(sbom, "JsonStrictValidator", Without)
    (tmp_path / sbom.SBOM).write_text("{}")
    with pytest.raises(ReleaseError, match=r"pip install 'staged\[release\]'"):
        sbom.check_sbom(tmp_path, {})


@pytest.mark.parametrize("missing", ["accelerate", "gguf"])
def test_a_model_in_a_package_takes_what_unpacks_it(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(packaged, "installed_file", lambda *_, **__: tmp_path / "model.gguf")
    hide(monkeypatch, missing)
    for name, package in packaged.PACKAGES.items():
        with pytest.raises(CheckpointError, match=f"unpacking it takes {missing}; run") as error:
            packaged.packaged_folder(name)
        assert str(error.value).endswith(f"`{package.install}`")
        assert not packaged.is_installed(name)


def test_what_is_not_measured_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "vaderSentiment")
    assert "not measured: needs pip install 'staged[bias]'" in {one.blank for one in all_measures()}


@pytest.mark.parametrize("name", ["__main__", "staged.samples.harness"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_harness_as_a_program_and_as_a_module(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hide(monkeypatch, "lm_eval")
    with pytest.raises((SystemExit, ImportError)) as error:
        runpy.run_module("staged.samples.harness", run_name=name)
    sentence = "staged.samples.harness needs EleutherAI's harness: pip install 'staged[lm-eval]'"
    if name == "__main__":
        assert error.value.args == (2,)
        assert capsys.readouterr().err == f"staged: {sentence}\n"
    else:
        assert str(error.value) == sentence


def test_a_card_takes_no_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "cyclonedx", "cryptography", "model_signing", "detect_secrets")
    study = write_study(tmp_path / "study")
    done = CliRunner().invoke(app, ["card", str(study), "--out", str(tmp_path / "README.md")])
    assert done.exit_code == 0, done.output
