"""What each release has marked is found for ever, with the p-value that it had then."""

from __future__ import annotations

from pathlib import Path

import pytest

from staged.storage.json_files import read_json
from tests.signed_by.make_marked import examined

FILES = sorted((Path(__file__).parents[1] / "signed_by").glob("*/marked.json"))
CASES = [(file.parent.name, variant) for file in FILES for variant in read_json(file)]


@pytest.mark.parametrize(("release", "variant"), CASES)
def test_a_text_of_that_release_is_found(release: str, variant: str) -> None:
    [file] = [file for file in FILES if file.parent.name == release]
    then = read_json(file)[variant]
    now = examined(then["text"], variant)
    assert (now.tokens, now.score) == (then["tokens"], pytest.approx(then["score"], rel=1e-12))
    assert now.p_value == pytest.approx(then["p_value"], rel=1e-9)
    assert now.p_value < 1e-4


def test_every_release_is_here() -> None:
    assert [file.parent.name for file in FILES] == ["0.1.0"]
