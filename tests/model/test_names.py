"""One thing has many names, and each name means one thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from staged.errors import CheckpointError
from staged.model.checkpoints import model_folder
from staged.model.config import RELEASED
from staged.model.names import RELEASES, aliases, is_repository, released


@pytest.mark.parametrize(
    ("names", "hub"),
    [
        (["124M", "117M", "small", "gpt2", "openai-community/gpt2", "GPT2", "124m"], "openai-community/gpt2"),
        (["355M", "345M", "medium", "gpt2-medium"], "openai-community/gpt2-medium"),
        (["774M", "762M", "large", "gpt2-large"], "openai-community/gpt2-large"),
        (["1558M", "1542M", "1.5B", "xl", "gpt2-xl", "openai-community/gpt2-xl"], "openai-community/gpt2-xl"),
    ],
)
def test_names_of_the_release(names: list[str], hub: str) -> None:
    found = {released(name) for name in names}
    assert [one.hub for one in found if one] == [hub]


def test_facts_of_the_four_sizes() -> None:
    parameters = [124_439_808, 354_823_168, 774_030_080, 1_557_611_200]
    assert [one.config.parameters for one in RELEASES] == parameters
    assert [round(count / 1e6) for count in parameters] == [int(one.size[:-1]) for one in RELEASES]
    assert [one.config for one in RELEASES] == list(RELEASED.values())
    assert len({name.lower() for name in aliases()}) == len(aliases())


def test_other_names() -> None:
    assert released("gpt3") is None
    assert is_repository("someone/gpt2-letters")
    assert not any(is_repository(name) for name in ("a/b/c", "../x", "/etc", "x", "a b/c"))


def test_any_case() -> None:
    assert model_folder("MINI-S") == model_folder("mini-s")


def test_a_path_is_not_an_alias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpt2").mkdir()
    monkeypatch.chdir(tmp_path)
    assert model_folder("./gpt2") == Path("gpt2")


@pytest.mark.parametrize(("name", "says"), [("gpt2-meduim", "did you mean 'gpt2-medium'"), ("openai:99M", "neither a shipped")])
def test_unknown_names_suggest_the_nearest(name: str, says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        model_folder(name)
