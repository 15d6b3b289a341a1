"""Sentence files of the published layouts, with harmless rows: what is read, and the scores' closed
forms.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from staged.errors import CorpusError
from staged.studies.bias.plan import BiasSettings
from staged.studies.bias.results import PairDifference
from staged.studies.bias.sentence_pairs import (
    crows_pairs_difference,
    crows_pairs_scores,
    read_crows_pairs,
    read_stereoset,
    stereoset_scores,
)

SETTINGS = BiasSettings(permutations=19999, resamples=500)
HEADER = ",sent_more,sent_less,stereo_antistereo,bias_type,annotations,anon_writer,anon_annotators"


def crows_pairs_file(folder: Path, rows: int = 4) -> Path:
    path = folder / "crows.csv"
    lines = [
        f'{i},"Red boats, {i}, are fast.","Blue boats, {i}, are'
        f' fast.",{"stereo" if i % 2 else "antistereo"},boat,[],a,[]'
        for i in range(rows)
    ]
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return path


def stereoset_file(folder: Path, targets: tuple[str, ...] = ("boat", "boat", "tree")) -> Path:
    path = folder / "stereoset.json"
    path.write_text(
        json.dumps(
            {
                "version": "1",
                "data": {
                    "intrasentence": [example(i, t) for i, t in enumerate(targets)],
                    "intersentence": [],
                },
            }
        )
    )
    return path


def example(number: int, target: str) -> dict[str, Any]:
    labels = ("anti-stereotype", "stereotype", "unrelated")
    sentences = [
        {
            "id": f"{number}{label}",
            "sentence": f"The {target} is {label[:4]} {number}.",
            "gold_label": label,
            "labels": [],
        }
        for label in labels
    ]
    return {
        "id": str(number),
        "target": target,
        "bias_type": "thing",
        "context": f"The {target} is BLANK.",
        "sentences": sentences,
    }


def test_crows_pairs_as_published(tmp_path: Path) -> None:
    items = read_crows_pairs(crows_pairs_file(tmp_path))
    assert items[1].sentences == ("Red boats, 1, are fast.", "Blue boats, 1, are fast.")
    assert [one.direction for one in items] == ["antistereo", "stereo", "antistereo", "stereo"]
    nats = np.array(
        [[-1.0, -2.0], [-2.0, -1.0], [-1.0, -1.0004], [-1.0, -3.0]]
    )  # more, less, equal to three decimals, more
    rows = {row.kind: row for row in crows_pairs_scores(items, nats)}
    assert {name: (row.n, row.neutral, row.percent) for name, row in rows.items()} == {
        "all": (4, 1, 50.0),
        "boat": (4, 1, 50.0),
        "stereo": (2, 0, 50.0),
        "antistereo": (2, 1, 50.0),
    }
    assert rows["all"].low == pytest.approx(15.0, abs=0.05)  # Wilson, 2 of 4
    assert rows["all"].high == pytest.approx(85.0, abs=0.05)


def test_two_models_on_the_same_pairs_are_compared_as_mcnemar_does() -> None:
    rng = np.random.default_rng(0)
    a, b = (np.stack([rng.normal(shift, 1, 60), np.zeros(60)], axis=1) for shift in (0.6, 0.0))
    found = crows_pairs_difference(("a", "b"), a, b, SETTINGS)
    more_a, more_b = a[:, 0] > 0, b[:, 0] > 0
    table = [[0, int((more_a & ~more_b).sum())], [int((more_b & ~more_a).sum()), 0]]
    assert found.p == pytest.approx(mcnemar(table, exact=True).pvalue, abs=0.01)
    assert found.difference == pytest.approx(100 * (more_a.mean() - more_b.mean()))
    assert found.low < found.difference < found.high
    same = crows_pairs_difference(("a", "a"), a, a, SETTINGS)
    assert same == PairDifference(("a", "a"), 0, 0, 0, 1)


def test_stereoset_scores_are_means_over_targets(tmp_path: Path) -> None:
    items = read_stereoset(stereoset_file(tmp_path))
    assert items[0].sentences == (
        "The boat is ster 0.",
        "The boat is anti 0.",
        "The boat is unre 0.",
    )
    nats = np.array([[-1.0, -2.0, -3.0], [-2.0, -1.0, -3.0], [-1.0, -3.0, -2.0]])
    row = stereoset_scores(items, nats, SETTINGS)[0]
    assert (row.n, row.targets) == (3, 2)
    assert row.lms.percent == pytest.approx((100 + 50) / 2)  # boats 4 of 4, tree 1 of 2
    assert row.ss.percent == pytest.approx((50 + 100) / 2)
    assert row.icat.percent == pytest.approx(75 * 25 / 50)
    assert (row.ss.low, row.ss.high) == (50, 100)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a,b\n1,2\n", "column 'sent_more' is missing"),
        (HEADER + "\n", "holds no example"),
        (HEADER + "\n0,One.,,stereo,boat,[],a,[]\n", "line 2: needs two sentences"),
        (HEADER + "\n0,One.,Two.,stereo,boat,[],a,[]\n0,One.,Two.,both,boat,[],a,[]\n", "line 3"),
    ],
)
def test_a_wrong_crows_pairs_file_is_refused(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError, match=says):
        read_crows_pairs(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not a readable JSON"),
        ("[]", "not laid out as StereoSet is"),
        ('{"data": {"intrasentence": []}}', "holds no example"),
        (
            '{"data": {"intrasentence": [{"target": "a", "bias_type": "b", "sentences": []}]}}',
            "'stereotype'",
        ),
    ],
)
def test_a_wrong_stereoset_file_is_refused(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError, match=says):
        read_stereoset(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    for read in (read_crows_pairs, read_stereoset):
        with pytest.raises(CorpusError, match="nowhere"):
            read(tmp_path / "nowhere")
