"""Numbers as people read them."""

from __future__ import annotations

import pytest

from staged.pages.figures import estimate, figure, percent, signed


def test_a_number_with_its_interval() -> None:
    assert figure(0.5, 0.25, 0.75) == "+0.500 [+0.250, +0.750]"
    assert figure(1234.5, 1000, 2000, form=",.0f") == "1,234 [1,000, 2,000]"
    assert figure(6, None, None, form=".2f") == "6.00"
    assert figure(None, None, None) == "–"


def test_a_fraction_in_percent() -> None:
    row = {"tpr": 0.1234, "tpr_low": 0.1, "tpr_high": 0.15}
    assert percent(*estimate(row, "tpr")) == "12.3 [10.0, 15.0]"
    assert percent(*estimate(row, "tpr"), digits=2, unit="%") == "12.34% [10.00, 15.00]"
    assert percent(None, None, None, unit="%") == "–"


@pytest.mark.parametrize(
    ("value", "said"), [(0.1234, "+0.12"), (-2.0, "−2.00"), (0.001, "0.00"), (-0.001, "0.00")]
)
def test_a_number_with_its_sign(value: float, said: str) -> None:
    assert signed(value, 2) == said
