"""Any scheme from a key: the same for ever, with settings, and never showing its key."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staged.errors import PlanError
from staged.watermarks.contract import SCHEMES
from staged.watermarks.kinds.gumbel import DualGumbel, Gumbel
from staged.watermarks.kinds.kgw import KGW
from staged.watermarks.kinds.sbw import SBW
from staged.watermarks.kinds.synthid import SynthID
from staged.watermarks.schemes import KINDS, keys_of, make_watermark, settings_of

OTHERS: dict[str, dict[str, Any]] = {
    "gumbel": {"width": 2},
    "gumbel-dual": {"width": 3, "alpha": 0.25},
    "kgw": {"gamma": 0.5, "delta": 1, "seeding": "selfhash", "context_width": 2},
    "sbw": {"gamma": 0.25, "delta": 3.5, "seeding": "lefthash"},
    "synthid": {"ngram": 3, "table_size": 1024, "table_seed": 9, "skip_first": True},
}


def test_every_scheme_is_made_by_its_name() -> None:
    assert tuple(KINDS) == SCHEMES
    for scheme in SCHEMES:
        assert make_watermark(scheme, 42, 50257).scheme == scheme


def test_a_keys_marks_are_the_same_for_ever() -> None:
    """Numbers of the first release: changing them loses every text that was marked."""
    assert make_watermark("gumbel", 42, 50257) == Gumbel(42)
    assert make_watermark("gumbel-dual", 42, 50257) == DualGumbel(42)
    assert make_watermark("sbw", 42, 50257) == SBW(42)
    assert make_watermark("kgw", 42, 50257) == KGW(GOLDEN_KGW, 50257)
    synthid = make_watermark("synthid", 42, 50257)
    assert isinstance(synthid, SynthID)
    assert (len(synthid.keys), synthid.keys[0], synthid.keys[29]) == GOLDEN_SYNTHID


GOLDEN_KGW = 5488692071213337263
GOLDEN_SYNTHID = (30, 7115836316962600266, 2949615828521630066)


@pytest.mark.parametrize("scheme", SCHEMES)
@given(secret=st.integers(0, 2**64 - 1))
def test_settings_and_secret_make_it_again_and_settings_hold_no_key(
    scheme: str, secret: int
) -> None:
    for settings in ({}, OTHERS[scheme]):
        made = make_watermark(scheme, secret, 1000, settings)
        public = json.loads(json.dumps(settings_of(made)))
        assert public.items() >= settings.items()
        assert make_watermark(scheme, secret, 1000, public) == made
        assert not {"key", "keys", "vocabulary"} & public.keys()
        assert hash(made) == hash(make_watermark(scheme, secret, 1000, public))
        for key in keys_of(scheme, secret).values():
            for number in key if isinstance(key, list) else [key]:
                assert number < 10**4 or str(number) not in repr(made)


def test_keys_that_settings_have_come_first() -> None:
    assert make_watermark("kgw", 42, 1000, {"key": 7}) == KGW(7, 1000)
    assert make_watermark("kgw", None, 1000, {"key": 7}) == KGW(7, 1000)
    assert make_watermark("synthid", None, 1000, {"keys": [1, 2]}) == SynthID((1, 2))


@pytest.mark.parametrize(
    ("scheme", "secret", "settings", "sentence"),
    [
        ("gumball", 1, {}, "did you mean 'gumbel'"),
        ("kgw", 1, {"gama": 0.5}, "did you mean 'gamma'"),
        ("kgw", 1, {"gamma": "half"}, "of type float"),
        ("kgw", 1, {"delta": float("inf")}, "finite"),
        ("kgw", None, {}, "'key' is missing"),
        ("synthid", None, {}, "'keys' is missing"),
        ("gumbel", 2**64, {}, "a key must be"),
        ("kgw", 2**64, {}, "a key must be"),
        ("gumbel", None, {"key": "hunter2"}, "its key must be a whole number"),
        ("synthid", None, {"keys": [1, "hunter2"]}, "its keys must be a list of whole numbers"),
        ("synthid", None, {"keys": "hunter2"}, "its keys must be a list of whole numbers"),
        ("synthid", 1, {"ngram": 1}, "ngram must be 2 or more"),
    ],
)
def test_what_does_not_fit_is_one_sentence_without_the_key(
    scheme: str, secret: int | None, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(PlanError, match=sentence) as raised:
        make_watermark(scheme, secret, 1000, settings)
    assert "hunter2" not in str(raised.value)
