"""Plans by name, by path, and by what they were called; and the commands that show them."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import PlanError
from staged.plans.shipped import find_plan, shipped_plans

SHIPPED = {
    *(
        "mini",
        "mini-full",
        "gpt2",
        "finetune",
        "minis",
        "pretrain-124m",
        "release",
        "release-card",
        "evidence",
        "provenance",
    ),
    "webtext",
    *("own-models", "own-study", "own-release", "own-card"),
    *("evidence-2026-11", "evidence-gemma-2026-11", "evidence-ensemble-2026-11"),
}
TAKE_A_PLAN = [
    ["study"],
    ["train"],
    ["train-detector"],
    ["transfer"],
    ["release", "status"],
    ["release", "advance", "--key", "release.key"],
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_shipped_plan_has_its_name() -> None:
    assert set(shipped_plans()) == SHIPPED
    for name in SHIPPED:
        assert find_plan(name) == find_plan(Path(name)) == shipped_plans()[name]
        assert find_plan(name).is_file()


def test_a_users_file_is_taken_as_given() -> None:
    for name in ("mine.toml", "mini", "plans/mini.toml"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("")
        assert find_plan(name) == Path(name)


def test_a_folder_or_a_pipe_called_like_a_plan_is_not_meant() -> None:
    Path("mini").mkdir()
    os.mkfifo("minis")
    for name in ("mini", "minis"):
        assert find_plan(name) == shipped_plans()[name]


def test_a_folder_or_a_pipe_of_another_name_is_its_readers_matter() -> None:
    Path("mine").mkdir()
    os.mkfifo("pipe")
    for name in ("mine", "pipe"):
        assert find_plan(name) == Path(name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_what_cannot_be_looked_at_is_its_readers_matter() -> None:
    Path("locked").mkdir(mode=0)
    assert find_plan("locked/mini.toml") == Path("locked/mini.toml")


@pytest.mark.parametrize(
    ("command", "plan", "said"),
    [
        (
            ["study"],
            "minis",
            "minis: is a plan for `staged train`; this command takes one of finetune",
        ),
        (["train"], "mini", "mini: is a plan for `staged study`; this command takes one of minis"),
        (["train-detector"], "release", "is a plan for `staged release`"),
        (["release", "status"], "evidence", "is a plan for `staged train-detector`"),
    ],
)
def test_a_plan_of_another_command_is_said(command: list[str], plan: str, said: str) -> None:
    error = CliRunner().invoke(app, [*command, plan]).exception
    assert isinstance(error, PlanError)
    assert said in str(error)


def test_what_it_was_called_goes_on_working(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "staged"):
        assert find_plan("plans/mini-full.toml") == shipped_plans()["mini-full"]
    assert "its name is mini-full" in caplog.text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mni", "did you mean 'mini'"),
        ("mini.toml", "did you mean 'mini'"),
        ("else/mini.toml", "did you mean 'mini'"),
        ("plans/mini-ful.toml", "did you mean 'mini-full'"),
        ("x", "known: evidence, "),
    ],
)
def test_a_name_of_nothing_is_refused_with_the_nearest(name: str, said: str) -> None:
    with pytest.raises(
        PlanError, match=f"^{name}: no such file.*{said}.*`staged study NAME --show`"
    ):
        find_plan(name)


@pytest.mark.parametrize("command", TAKE_A_PLAN, ids=lambda command: " ".join(command[:2]))
def test_every_command_that_takes_a_plan_knows_the_names(command: list[str]) -> None:
    done = CliRunner().invoke(app, [*command, "mni"])
    assert isinstance(done.exception, PlanError)
    assert "nor does a plan of this name ship" in str(done.exception)


def test_the_studies_are_listed() -> None:
    done = CliRunner().invoke(app, ["study", "--list"])
    names, titles = zip(*(line.split(maxsplit=1) for line in done.stdout.splitlines()), strict=True)
    assert names == ("finetune", "gpt2", "mini", "mini-full", "own-study", "provenance")
    assert titles[2] == "The minis: a release study in miniature"


@pytest.mark.parametrize("name", sorted(SHIPPED))
@pytest.mark.parametrize("command", [["study", "--show"], ["train", "--show"], ["release", "show"]])
def test_a_shown_plan_is_the_file(name: str, command: list[str]) -> None:
    done = CliRunner().invoke(app, [*command, name])
    assert done.stdout == shipped_plans()[name].read_text(encoding="utf-8")


def test_which_plan_to_show_is_asked() -> None:
    done = CliRunner().invoke(app, ["train", "--show", "--init", "mini-s"])
    assert isinstance(done.exception, PlanError)
    assert "--show prints a plan: name it" in str(done.exception)


def test_what_is_no_plan_is_not_shown() -> None:
    Path("mine.toml").write_bytes(b"\xff")
    done = CliRunner().invoke(app, ["study", "mine.toml", "--show"])
    assert isinstance(done.exception, PlanError)
    assert not done.stdout
    assert [one.name for one in Path().iterdir()] == ["mine.toml"]
