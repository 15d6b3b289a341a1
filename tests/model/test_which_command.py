"""docs/models.md says which command takes which kind of model; each of its cells is tried."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from staged.cli import app
from staged.detectors.catalog import open_detector
from staged.errors import StagedError
from staged.model.bpe import BPE
from tests.conftest import prose
from tests.families import write_family
from tests.studies.bias.made import terms_file

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
KINDS = ("GPT-2", "another family", "behind a server")
SERVED = "openai:tiny@http://127.0.0.1:9/v1"  # where nobody listens
ELSEWHERE = ("study", "survey make")  # these take minutes: tests/studies, tests/survey


def table() -> dict[str, dict[str, str]]:
    """Command → kind of model → what the page says."""
    head, *rows = re.findall(r"^\| (.*) \|$", PAGE.split("## Which command")[1], re.MULTILINE)
    assert head.split(" | ") == ["command", *KINDS]
    cells = [row.split(" | ") for row in rows if not row.startswith("-")]
    return {row[0].replace("`", ""): dict(zip(KINDS, row[1:], strict=True)) for row in cells}


TABLE = table()


def run(*arguments: object) -> None:
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def sampled(model: str, place: Path) -> None:
    run("sample", model, "-n", 1, "--length", 3, "--out", place / "samples.jsonl")


def drafted(model: str, place: Path) -> None:
    run("sample", model, "--draft", model, "--length", 3, "--out", place / "samples.jsonl")


def probed(model: str, place: Path) -> None:
    few = ("-n", 2, "--length", 3, "--permutations", 99)
    run("bias", model, "--out", place / "bias", "--terms", terms_file(place), *few)


def evaluated(model: str, place: Path) -> None:
    (place / "text.txt").write_text(prose(1, 3), encoding="utf-8")
    run("evaluate-lm", model, place / "text.txt")


def scored(model: str, place: Path) -> None:
    open_detector(f"likelihood@{model}", device="cpu").score([prose(1, 2)])


def trained(model: str, place: Path) -> None:
    (place / "texts").mkdir()
    for number in range(8):
        (place / "texts" / f"{number}.txt").write_text(prose(number, 12), encoding="utf-8")
    sizes = ("--budget-tokens", 40, "--minimum-tokens", 10, "--batch", 2, "--micro-batch", 2)
    flags = (*sizes, "--steps", 1, "--warmup-steps", 1, "--out", place / "tuned")
    run("train", "--init", model, "--corpus", place / "texts", *flags)


def converted(model: str, place: Path) -> None:
    run("convert", model, place / "copy")


TRIED: dict[str, Callable[[str, Path], None]] = {
    "sample": sampled,
    "sample --draft": drafted,
    "bias": probed,
    "evaluate-lm, the harness": evaluated,
    "detect, calibrate, … with a zero-shot score": scored,
    "train --init": trained,
    "convert": converted,
}


@pytest.fixture(scope="module")
def models(tiny: Path, bpe: BPE, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    other = write_family(tmp_path_factory.mktemp("other"), bpe, "llama")
    return {"GPT-2": str(tiny), "another family": str(other), "behind a server": SERVED}


def test_every_row_is_tried() -> None:
    assert sorted(TABLE) == sorted((*TRIED, *ELSEWHERE))


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize("row", TRIED)
def test_what_the_page_says_of_models_with_weights_is_so(
    models: dict[str, str], row: str, kind: str, tmp_path: Path
) -> None:
    if TABLE[row][kind].startswith("yes"):
        TRIED[row](models[kind], tmp_path)
        return
    assert TABLE[row][kind].startswith("no")
    with pytest.raises(StagedError, match=re.escape(models[kind])) as refused:
        TRIED[row](models[kind], tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("row", [row for row in TRIED if TABLE[row][KINDS[2]].startswith("no")])
def test_what_needs_weights_refuses_a_server(row: str, tmp_path: Path) -> None:
    with pytest.raises(StagedError):
        TRIED[row](SERVED, tmp_path)


def test_convert_says_what_works_instead(models: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(
        StagedError, match=r"already in the hub's layout, .*; convert writes GPT-2s"
    ):
        converted(models["another family"], tmp_path)
    assert not list(tmp_path.iterdir())
