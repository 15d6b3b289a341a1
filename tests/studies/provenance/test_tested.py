"""P-values of human text in a study of watermarks: uniform for schemes that count, too."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from staged.studies.provenance.marked import secret_of, watermark_of
from staged.studies.provenance.plan import VARIANTS
from staged.studies.provenance.tested import p_above
from staged.watermarks.scan import null_values

COUNT = 80  # values of a text


@pytest.mark.parametrize("variant", VARIANTS)
def test_spread_within_their_steps_p_values_are_uniform(variant: str) -> None:
    mark, stream = watermark_of(variant, secret_of(1, 0), 1_000), np.random.default_rng(3)
    totals = null_values(mark).draw(stream, (2_000, COUNT)).sum(axis=1)
    p = np.array([mark.p_value(total, COUNT) for total in totals])
    steps = zip(totals, p, strict=True)
    above = np.array([p_above(mark, total, COUNT, p_value) for total, p_value in steps])
    spread = above + (p - above) * stream.random(len(p))
    assert kstest(spread, "uniform").pvalue > 0.01
    if variant.startswith(("kgw", "sbw")):  # without that they would not be
        assert kstest(p, "uniform").pvalue < 1e-6
