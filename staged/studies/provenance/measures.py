"""From the stages' rows to the rows of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from scipy.stats import kstest

from staged.pipeline.stage import Inputs
from staged.pipeline.tables import TableRow, read_table
from staged.stats.comparing import interval, rate, resampled_means, stream
from staged.stats.judging import holm
from staged.stats.metrics import clustered_rate
from staged.studies.provenance import tested
from staged.studies.provenance.costs import Costs
from staged.studies.provenance.marked import UNMARKED
from staged.studies.provenance.results import Cost, HumanRates, Power
from staged.studies.provenance.tested import CROPPED, HumanTests, MarkTests

Interval = tuple[float | None, float | None, float | None]
RATES = (0.01, 0.001)
RESAMPLES = 2000
UNIFORM = 0.01  # the level at which a key's p-values are called not uniform


def human_rates(inputs: Inputs, stage: HumanTests) -> HumanRates:
    """How often one scheme's test calls human text marked."""
    rows = read_table(inputs[stage.name] / tested.FILE)
    numbers = {
        source: number for number, source in enumerate(sorted({row["source"] for row in rows}))
    }
    sources = [numbers[row["source"]] for row in rows]
    flagged = [[row["p"] <= level for row in rows] for level in RATES]
    of_key = [[row for row in rows if row["key"] == key] for key in range(stage.n_keys)]
    shares = [float(np.mean([row["p"] <= RATES[0] for row in part])) for part in of_key]
    tests = [kstest([row["p_random"] for row in part], "uniform") for part in of_key]
    corrected = holm([float(test.pvalue) for test in tests])
    return HumanRates(
        stage.scheme,
        len(of_key[0]),
        stage.n_keys,
        len(rows),
        float(np.mean([row["tokens"] for row in rows])),
        *clustered_rate(flagged[0], sources),
        *clustered_rate(flagged[1], sources),
        min(shares),
        max(shares),
        float(kstest([row["p_random"] for row in rows], "uniform").statistic),
        min(corrected),
        sum(p <= UNIFORM for p in corrected),
    )


def power(inputs: Inputs, stage: MarkTests) -> Iterator[Power]:
    """How often the texts of one stage are found, form by form."""
    rows = read_table(inputs[stage.name] / tested.FILE)
    lengths = {row["id"]: len(row["tokens"]) for row in stage.texts.texts(inputs)}
    by_form = groupby(rows, key=lambda row: (row["form"], row["length"]))
    for (form, length), group in by_form:
        needed = 0 if form == CROPPED else length
        part = [row for row in group if lengths[row["id"]] >= needed]
        if part:
            yield _power(stage, form, length, part)


def _power(stage: MarkTests, form: str, length: int, rows: Sequence[TableRow]) -> Power:
    n, texts = len(rows), stage.texts
    found = [rate(sum(row["p"] <= level for row in rows), n) for level in RATES]
    return Power(
        texts.model,
        texts.method,
        texts.scheme,
        form,
        length,
        n,
        float(np.mean([row["tokens"] for row in rows])),
        *found[0],
        *found[1],
        float(np.median([row["p"] for row in rows])),
        float(np.mean([row["same"] for row in rows])),
    )


def cost(inputs: Inputs, stage: Costs, plain: Costs, *, seed: int) -> Cost:
    """What one scheme's texts cost, beside the same model's unmarked ones."""
    rows, beside = (read_table(inputs[part.name] / tested.FILE) for part in (stage, plain))
    texts = stage.texts
    names = (texts.model, texts.method, texts.scheme)
    nats, other = (np.array([_nats(row) for row in part]) for part in (rows, beside))
    more: Interval = (None, None, None)
    if texts.scheme != UNMARKED:
        more = _mean(nats - other, seed, *names, "more")
    whole = rate(sum(row["reason"] == "length" for row in rows), len(rows))
    repeats = np.array([row["repeated"] for row in rows])
    return Cost(
        *names,
        len(rows),
        *_mean(nats, seed, *names, "nats"),
        *more,
        *whole,
        *_mean(repeats, seed, *names, "repeated"),
    )


def _nats(row: TableRow) -> float:
    """Nats a token; of a text without a token of its own 0, as it costs nothing."""
    return float(row["nats"] / row["judged"]) if row["judged"] else 0.0


def _mean(values: np.ndarray, seed: int, *names: str) -> tuple[float, float, float]:
    resampled = resampled_means(values, RESAMPLES, stream(seed, *names))
    return (float(values.mean()), *interval(resampled))
