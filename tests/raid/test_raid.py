"""RAID's evaluation against a small one of our own, in plain Python; and what goes wrong with
files, scores and runs.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import random
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import staged
from staged.cli import app
from staged.detectors import catalog
from staged.engines.choice import Engine
from staged.errors import (
    ArtifactError,
    CheckpointError,
    CorpusError,
    PlanError,
    ShardDone,
    StagedError,
)
from staged.progress import silent
from staged.raid import evaluate
from staged.raid import scores as raid_scores
from staged.raid.cells import calibration_side, choose_cuts, eligible_rows
from staged.raid.leaderboard import exact_threshold, raid_results
from staged.raid.results import (
    LeaderboardResults,
    Prediction,
    RaidResult,
    RaidScores,
    ReportedSide,
)
from staged.raid.rows import GROUPS, read_rows, texts_in_blocks
from staged.raid.scores import collect
from staged.raid.scoring import BLOCK_TEXTS, RaidScoring
from staged.raid.settings import RaidSettings
from staged.storage.json_files import read_json
from staged.storage.records import read_record, to_json, write_record
from tests.conftest import plug, prose, put_json
from tests.raid.raid_files import Stub, raid_rows, score_of, write_csv
from tests.test_detector_contract import documents


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    one = Stub()
    monkeypatch.setattr(catalog, "open_detector", lambda name, **_: one)
    return one


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "raid.csv", raid_rows())


def evaluate_raid(path: Path, settings: RaidSettings, **options: Any) -> dict[str, Any]:
    """The result as `--json` prints it, whose keys docs/raid.md lists."""
    table: dict[str, Any] = to_json(evaluate.evaluate_raid(path, settings, **options))
    return table


def cell(result: dict[str, Any], by: str, value: str) -> dict[str, Any]:
    (cell,) = [cell for cell in result["cells"] if (cell["by"], cell["value"]) == (by, value)]
    return dict(cell)


class TestAgainstPlainPython:
    """Every figure of every cell, counted again row by row from what the result says of its
    thresholds.
    """

    def test_all_cells(self, stub: Stub, file: Path) -> None:
        settings = RaidSettings(fprs=(0.05, 0.1), minimum=5)
        result = evaluate_raid(file, settings, detector="stub")
        rows = [row | {"score": score_of(row["generation"])} for row in raid_rows()]
        thresholds = {
            (t["thresholds"], t["fpr"], t["domain"]): t["threshold"]
            for t in result["calibration"]["thresholds"]
        }
        held = self.reported(rows, result)
        assert {one["by"] for one in result["cells"]} == {
            *("overall", "domain", "model", "decoding", "repetition_penalty", "attack")
        }
        assert len(result["cells"]) == 1 + 2 + 2 + 2 + 2 + 2
        for one in result["cells"]:
            mine = [
                r
                for r in held
                if r["model"] != "human"
                and (one["by"] == "overall" or r[one["by"]] == one["value"])
            ]
            domains = {r["domain"] for r in mine}
            human = [r for r in held if r["model"] == "human" and r["domain"] in domains]
            clean = [r for r in human if r["attack"] == "none"]
            beside = (
                [r for r in human if r["attack"] == one["value"]]
                if one["by"] == "attack"
                else clean
            )
            for rates in one["rates"]:
                for name, group in (("tpr", mine), ("fpr_achieved", beside)):
                    hits = 0
                    for r in group:
                        place = r["domain"] if rates["thresholds"] == "per_domain" else "all"
                        hits += r["score"] > thresholds[rates["thresholds"], rates["fpr"], place]
                    assert (rates[name]["hits"], rates[name]["n"]) == (hits, len(group))
                    assert rates[name]["value"] == pytest.approx(hits / len(group))
                    assert rates[name]["low"] <= rates[name]["value"] <= rates[name]["high"]
            wins = [
                (m["score"] > h["score"]) + (m["score"] == h["score"]) / 2
                for m in mine
                for h in clean
            ]
            assert one["auroc"]["value"] == pytest.approx(sum(wins) / len(wins))
            assert (one["auroc"]["n_human"], one["auroc"]["n_machine"]) == (len(clean), len(mine))

    def reported(self, rows: list[dict[str, Any]], result: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows of the other side: found by the thresholds' own definition on each candidate
        split of 30 + 30 sources.
        """
        read = read_rows(Path(self.path(rows)))
        side = calibration_side(read, eligible_rows(read, {}), share=0.5, seed=1)
        calibrating = [
            r
            for r, one in zip(rows, side, strict=True)
            if one and r["model"] == "human" and r["attack"] == "none"
        ]
        for t in result["calibration"]["thresholds"]:
            scores = sorted(
                (r["score"] for r in calibrating if t["domain"] in ("all", r["domain"])),
                reverse=True,
            )
            assert t["n_human"] == len(scores) == (60 if t["domain"] == "all" else 30)
            certified = [
                s
                for s in scores
                if (1 + sum(x > s for x in scores)) / (len(scores) + 1) <= t["fpr"]
            ]
            assert t["threshold"] == min(certified)  # the lowest one that so few scores are above
        by_source = defaultdict(set)
        for r, one in zip(rows, side, strict=True):
            by_source[r["source_id"]].add(bool(one))
        assert all(len(sides) == 1 for sides in by_source.values())
        return [r for r, one in zip(rows, side, strict=True) if not one]

    @pytest.fixture(autouse=True)
    def _path(self, file: Path) -> None:
        self.path = lambda rows: file

    def test_split_follows_the_seed_and_not_the_order(
        self, stub: Stub, file: Path, tmp_path: Path
    ) -> None:
        rows = raid_rows()
        random.Random(3).shuffle(rows)
        shuffled = write_csv(tmp_path / "shuffled.csv", rows)
        a, b = (evaluate_raid(path, RaidSettings(), detector="stub") for path in (file, shuffled))
        assert a["calibration"] == b["calibration"]
        tprs = [
            [
                (rates["tpr"]["hits"], rates["tpr"]["n"])
                for c in one["cells"]
                for rates in c["rates"]
            ]
            for one in (a, b)
        ]
        assert tprs[0] == tprs[1]
        assert (
            a["calibration"]
            != evaluate_raid(file, RaidSettings(seed=2), detector="stub")["calibration"]
        )


class TestHeldOut:
    def test_achieved_rate_is_the_nominal_one_on_average(self, stub: Stub, tmp_path: Path) -> None:
        """Over splits of continuous scores the mean achieved FPR is k / (n + 1), by
        exchangeability.
        """
        rows = [
            row
            for row in raid_rows(99)
            if (row["model"] == "human" and row["attack"] == "none") or row["model"] == "gpt2"
        ]
        stream = random.Random(5)
        for row in rows:
            row["generation"] = f"x {stream.random()}"
        path = write_csv(tmp_path / "uniform.csv", rows)
        read = read_rows(path)
        scores = collect([score_of(row["generation"]) for row in rows])
        eligible, achieved = eligible_rows(read, {}), []
        for seed in range(200):
            side = calibration_side(read, eligible, share=0.5, seed=seed)
            cut = choose_cuts(read, scores, eligible & side, (0.1,))[0]
            news = read.columns["domain"].is_in(["news"])
            achieved.append((scores.values[eligible & ~side & news] > cut.thresholds[0]).mean())
        mean = np.mean(achieved)
        assert mean == pytest.approx(
            5 / 51, abs=0.01
        )  # 50 calibration texts: 5 of the 51 places lie above the 5th highest score

    def test_calibrate_on(self, stub: Stub, file: Path) -> None:
        result = evaluate_raid(
            file, RaidSettings(fprs=(0.1,), calibrate_on={"domain": ["news"]}), detector="stub"
        )
        assert result["calibration"]["sources"] == 30
        poetry, news = cell(result, "domain", "poetry"), cell(result, "domain", "news")
        assert poetry["rates"][0]["tpr"]["value"] is None  # no threshold of its own
        assert poetry["rates"][1]["thresholds"] == "pooled"
        assert (
            poetry["rates"][1]["fpr_achieved"]["value"]
            > 3 * news["rates"][1]["fpr_achieved"]["value"]
        )
        assert cell(result, "overall", "all")["rates"][0]["tpr"]["value"] is None
        assert poetry["rates"][1]["fpr_achieved"]["n"] == 60  # all of its sources are reported

    def test_too_few_texts_are_blank_and_never_0(self, stub: Stub, file: Path) -> None:
        result = evaluate_raid(file, RaidSettings(fprs=(0.01, 0.05)), detector="stub")
        rates = cell(result, "model", "gpt2")["rates"]
        assert [r["tpr"]["value"] is None for r in rates] == [
            True,
            False,
            True,
            False,
        ]  # 30 and 60 texts do not certify 1%
        assert {
            t["threshold"] for t in result["calibration"]["thresholds"] if t["fpr"] == 0.01
        } == {None}
        few = evaluate_raid(file, RaidSettings(fprs=(0.1,), minimum=100), detector="stub")
        one = cell(few, "domain", "news")
        assert one["rates"][0]["fpr_achieved"] == {
            "value": None,
            "low": None,
            "high": None,
            "hits": None,
            "n": 30,
            "sources": 30,
        }
        assert one["rates"][0]["tpr"]["value"] is not None
        assert one["auroc"]["value"] is None
        assert one["auroc"]["n_human"] == 30


class TestUnscored:
    def test_counted_and_never_detected(self, file: Path, tmp_path: Path) -> None:
        rows = raid_rows()
        listed: list[dict[str, Any]] = [
            {"id": r["id"], "score": score_of(r["generation"])} for r in rows
        ]
        whole = self.measure(file, tmp_path, listed)
        broken = [
            i for i, r in enumerate(rows) if r["model"] == "mpt" and r["decoding"] == "greedy"
        ]
        spoiled: list[dict[str, Any]] = [dict(row) for row in listed]
        for i, value in zip(broken, [math.nan, math.inf, -math.inf, None] * 100, strict=False):
            spoiled[i]["score"] = value
        gone = {rows[i]["id"] for i in broken[-20:]}
        spoiled = [row for row in spoiled if row["id"] not in gone] + [
            {"id": "nobody", "score": 1.0}
        ]
        result = self.measure(file, tmp_path, spoiled)
        assert (result["counts"]["extra"], result["counts"]["extra_first"]) == (1, ["nobody"])
        n = len(broken) - 20
        counts = {k: result["counts"][k] for k in ("nan", "infinite", "missing", "scored")}
        assert counts == {
            "nan": n // 4,
            "infinite": n // 2,
            "missing": n // 4 + 20,
            "scored": len(rows) - len(broken),
        }
        mpt, before = (cell(one, "model", "mpt") for one in (result, whole))
        assert mpt["machine"]["rows"] - mpt["machine"]["scored"] == 120
        new, old = (one["rates"][0] for one in (mpt, before))
        assert new["tpr"]["n"] == old["tpr"]["n"] == 240
        assert new["tpr_scored"]["n"] == 120
        assert new["tpr"]["hits"] == new["tpr_scored"]["hits"] < old["tpr"]["hits"]
        assert old["tpr"] == old["tpr_scored"]
        assert cell(result, "model", "gpt2") == cell(whole, "model", "gpt2")

    def measure(self, file: Path, tmp_path: Path, listed: list[dict[str, Any]]) -> dict[str, Any]:
        path = tmp_path / "predictions.json"
        path.write_text(json.dumps(listed))
        return evaluate_raid(file, RaidSettings(fprs=(0.1,)), predicted=path)

    def test_unscored_human_texts_choose_no_threshold(self, file: Path, tmp_path: Path) -> None:
        rows = raid_rows()
        listed = [
            {"id": r["id"], "score": score_of(r["generation"])}
            for r in rows
            if r["domain"] == "news" or r["model"] != "human"
        ]
        result = self.measure(file, tmp_path, listed)
        assert result["calibration"]["human"] == {
            "rows": 60,
            "scored": 30,
            "missing": 30,
            "nan": 0,
            "infinite": 0,
        }
        poetry = cell(result, "domain", "poetry")
        assert poetry["rates"][0]["tpr"]["value"] is None
        assert poetry["auroc"]["value"] is None
        assert poetry["rates"][1]["fpr_scored"]["n"] == 0

    @pytest.mark.parametrize(
        ("listed", "said"),
        [
            (
                '[{"id": "a", "score": 1}, {"id": "a", "score": 2}]',
                "entry 2: id 'a' is there twice",
            ),
            ('[{"id": "a", "score": "high"}]', "must be a number or null, not 'high'"),
            ('[{"id": "a", "score": true}]', "must be a number or null"),
            ('[{"id": "a"}]', 'with "id" and "score"'),
            ('{"a": 1}', "must be a JSON list"),
            ("[", "not readable JSON"),
        ],
    )
    def test_wrong_predictions(self, file: Path, tmp_path: Path, listed: str, said: str) -> None:
        (tmp_path / "p.json").write_text(listed)
        with pytest.raises(CorpusError, match=said):
            evaluate_raid(file, RaidSettings(), predicted=tmp_path / "p.json")


class TestFiles:
    def test_all_kinds_hold_the_same(self, stub: Stub, file: Path, tmp_path: Path) -> None:
        rows = raid_rows()
        (tmp_path / "raid.csv.gz").write_bytes(gzip.compress(file.read_bytes()))
        (tmp_path / "raid.jsonl").write_text(
            "\n".join(json.dumps(row) for row in rows), encoding="utf-8"
        )
        pq.write_table(
            pa.Table.from_pylist([{k: v or None for k, v in row.items()} for row in rows]),
            tmp_path / "raid.parquet",
        )
        expected = evaluate_raid(file, RaidSettings(), detector="stub")["cells"]
        for name in ("raid.csv.gz", "raid.jsonl", "raid.parquet"):
            assert (
                evaluate_raid(tmp_path / name, RaidSettings(), detector="stub")["cells"] == expected
            )

    @pytest.mark.parametrize(
        "name",
        [
            "id",
            "generation",
            "source_id",
            "model",
            "decoding",
            "repetition_penalty",
            "attack",
            "domain",
        ],
    )
    def test_missing_column_is_named(self, stub: Stub, tmp_path: Path, name: str) -> None:
        path = write_csv(tmp_path / "raid.csv", raid_rows(2), leave_out=[name])
        with pytest.raises(CorpusError, match=f"column '{name}' is missing"):
            evaluate_raid(path, RaidSettings(), detector="stub")

    def test_ids(self, stub: Stub, tmp_path: Path) -> None:
        rows = raid_rows(2)
        rows[7]["id"] = rows[3]["id"]
        with pytest.raises(
            CorpusError, match=r"'news-0-gpt2-greedy-homoglyph' is there more than once \(1 such"
        ):
            evaluate_raid(write_csv(tmp_path / "twice.csv", rows), RaidSettings(), detector="stub")
        rows[7]["id"] = ""
        with pytest.raises(CorpusError, match="row 8: the id is empty"):
            evaluate_raid(write_csv(tmp_path / "empty.csv", rows), RaidSettings(), detector="stub")

    @pytest.mark.parametrize(
        ("name", "data", "said"),
        [
            ("no.csv", None, "no such file"),
            ("raid.txt", b"x", "unknown kind of file"),
            ("empty.csv", b"", "cannot be read"),
            ("head.csv", b"id,generation\n", "holds no rows"),
            ("short.csv", b"id,generation\na,b\nc\n", "cannot be read"),
            ("latin.jsonl", b'{"id": "a", "generation": "\xe9"}\n', "save it as UTF-8"),
            ("deep.jsonl", b'{"id": "a", "generation": ' + b"[" * 100_000, "line 1: not JSON"),
            ("latin.csv", b"id,generation\na,\xe9\n", "save it as UTF-8"),
            (
                "cut.csv.gz",
                gzip.compress(b"id,generation\na,b\n" * 99, mtime=0)[:-12],
                "cannot be read",
            ),
            ("damaged.parquet", b"PAR1", "cannot be read"),
            ("damaged.jsonl", b'{"id": "a", "generation": "b"}\n{', "line 2: not JSON"),
            (
                "uneven.jsonl",
                b'{"id": "a", "generation": "b"}\n{"id": "c"}',
                "row 2: column 'generation' is missing",
            ),
        ],
    )
    def test_damage_is_one_sentence(
        self, stub: Stub, tmp_path: Path, name: str, data: bytes | None, said: str
    ) -> None:
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(CorpusError, match=said) as caught:
            evaluate_raid(tmp_path / name, RaidSettings(), detector="stub")
        assert "\n" not in str(caught.value)

    def test_half_a_surrogate_pair_is_a_sign_like_another(self, stub: Stub, tmp_path: Path) -> None:
        path = tmp_path / "raid.jsonl"
        path.write_text('{"id": "a", "generation": "cut \\ud83d 7"}\n', encoding="utf-8")
        (scored,) = evaluate_raid(path, RaidSettings(), detector="stub")["scores"]
        assert scored["id"] == "a"

    def test_no_human_row(self, stub: Stub, tmp_path: Path) -> None:
        path = write_csv(
            tmp_path / "raid.csv", [row for row in raid_rows(2) if row["model"] != "human"]
        )
        with pytest.raises(CorpusError, match=r"no human row .* with attack = none"):
            evaluate_raid(path, RaidSettings(), detector="stub")
        assert stub.calls == 0

    def test_without_labels_only_scores(self, stub: Stub, tmp_path: Path) -> None:
        rows = raid_rows(2)
        path = tmp_path / "test.jsonl"
        path.write_text(
            "\n".join(json.dumps({"id": r["id"], "generation": r["generation"]}) for r in rows),
            encoding="utf-8",
        )
        result = evaluate_raid(path, RaidSettings(), detector="stub", out=tmp_path / "out")
        assert "no labels" in result["note"]
        assert "cells" not in result
        expected = [{"id": r["id"], "score": score_of(r["generation"])} for r in rows]
        assert (
            json.loads((tmp_path / "out" / "predictions.json").read_text(encoding="utf-8"))
            == expected
        )
        assert evaluate_raid(path, RaidSettings(), detector="stub")["scores"] == expected
        with pytest.raises(PlanError, match="has no labels"):
            evaluate_raid(path, RaidSettings(), predicted=tmp_path / "out" / "predictions.json")


class TestTyped:
    """What is handed on is typed, and its files are read as the same values."""

    settings = RaidSettings(fprs=(0.05, 0.1), calibrate_on={"domain": ("news",)}, minimum=5)

    def test_files_are_read_as_what_was_given(self, stub: Stub, file: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        result = evaluate.evaluate_raid(file, self.settings, detector="stub", out=out)
        assert isinstance(result, RaidResult)
        assert result.cells[0].rates[0].tpr.value is None  # blanks are read too
        assert read_record(out / "evaluation.json", RaidResult) == result
        rows = raid_rows()
        scores = collect([score_of(row["generation"]) for row in rows])
        ours = read_record(out / "raid_results.json", LeaderboardResults)
        assert ours == raid_results(read_rows(file), scores, self.settings.fprs)
        predictions = read_record(out / "predictions.json", tuple[Prediction, ...])
        assert predictions[0] == Prediction(rows[0]["id"], score_of(rows[0]["generation"]))
        assert len(predictions) == len(rows)
        for name, value in (("evaluation.json", result), ("raid_results.json", ours)):
            write_record(tmp_path / name, value)
            assert (tmp_path / name).read_bytes() == (out / name).read_bytes()

    def test_a_file_without_labels_gives_scores(self, stub: Stub, tmp_path: Path) -> None:
        path = write_json(tmp_path / "mine.jsonl", [{"text": "one 1.5"}, {"text": ""}])
        result = evaluate.evaluate_raid(path, RaidSettings(), detector="stub")
        assert isinstance(result, RaidScores)
        assert not result.labelled
        assert result.scores == (Prediction("1", 1.5), Prediction("2", None))
        table = to_json(result)
        assert list(table) == [
            *("file", "detector", "predictions", "labelled", "note", "counts", "scores")
        ]

    def test_keys_stand_in_the_order_of_always(self, stub: Stub, file: Path) -> None:
        table = evaluate_raid(file, RaidSettings(fprs=(0.1,)), detector="stub")
        assert list(table) == [
            *("file", "detector", "predictions", "labelled", "counts", "settings", "calibration"),
            *("reported", "cells"),
        ]
        assert list(table["counts"]) == [
            *("rows", "scored", "missing", "nan", "infinite", "extra", "extra_first")
        ]
        assert list(table["settings"]) == ["fprs", "calibrate_on", "share", "minimum", "seed"]
        assert list(table["calibration"]["thresholds"][0]) == [
            *("thresholds", "fpr", "domain", "threshold", "n_human")
        ]
        first = table["cells"][0]
        assert list(first) == ["by", "value", "machine", "human", "auroc", "rates"]
        assert list(first["auroc"]) == ["value", "low", "high", "n_human", "n_machine"]
        assert list(first["rates"][0]) == [
            *("thresholds", "fpr", "tpr", "tpr_scored", "fpr_achieved", "fpr_scored")
        ]
        assert list(first["rates"][0]["tpr"]) == ["value", "low", "high", "hits", "n", "sources"]

    def test_the_verb_gives_it(self, stub: Stub, file: Path) -> None:
        result = staged.evaluate_raid(file, detector="stub")
        assert isinstance(result, staged.RaidResult)
        assert result.reported == ReportedSide(human=120, machine=480)
        assert result.settings == staged.RaidSettings()


def labelled(rows: list[dict[str, str]], **spelled: object) -> list[dict[str, Any]]:
    """The unattacked rows of one domain as a user has them: a text and who wrote it."""
    human, machine = spelled.get("human", "human"), spelled.get("machine", "machine")
    kept = [row for row in rows if row["attack"] == "none" and row["domain"] == "news"]
    return [
        {"text": row["generation"], "label": human if row["model"] == "human" else machine}
        for row in kept
    ]


def write_json(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


class TestLabelledTexts:
    """Rows of {text, label} give what the same rows give in RAID's form."""

    settings = RaidSettings(fprs=(0.05,), minimum=5)

    @pytest.fixture
    def expected(self, stub: Stub, tmp_path: Path) -> dict[str, Any]:
        blank = {"decoding": "", "repetition_penalty": "", "attack": "none", "domain": "all"}
        rows = [
            {
                "id": str(i),
                "source_id": f"row {i}",
                "model": row["label"],
                "generation": row["text"],
            }
            | blank
            for i, row in enumerate(labelled(raid_rows()), start=1)
        ]
        return self.cells(write_json(tmp_path / "as-raid.jsonl", rows))

    def cells(self, path: Path) -> dict[str, Any]:
        result = evaluate_raid(path, self.settings, detector="stub")
        return {name: result[name] for name in ("cells", "calibration", "counts", "reported")}

    @pytest.mark.parametrize(
        ("human", "machine"),
        [
            ("human", "machine"),
            (0, 1),
            ("0", "1"),
            (False, True),
            ("Human ", "MACHINE"),
            (0.0, 1.0),
            ("real", "fake"),
            ("false", "true"),
            ("human", "ai"),
            ("Human_written", "AI generated"),
            ("human", "LLM"),
        ],
    )
    def test_however_a_label_is_written(
        self, expected: dict[str, Any], stub: Stub, tmp_path: Path, human: object, machine: object
    ) -> None:
        rows = labelled(raid_rows(), human=human, machine=machine)
        assert self.cells(write_json(tmp_path / "mine.jsonl", rows)) == expected
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "mine.parquet")
        assert self.cells(tmp_path / "mine.parquet") == expected
        assert expected["reported"] == {
            "human": 30,
            "machine": 240,
        }  # a row is its own source: only human ones calibrate

    def test_as_a_table(self, expected: dict[str, Any], stub: Stub, tmp_path: Path) -> None:
        rows = labelled(raid_rows())
        for name, columns in (
            ("a.csv", ("text", "label")),
            ("b.csv", ("label", "generation")),
            ("c.csv", ("Text", " Label")),
        ):
            with open(tmp_path / name, "w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(columns)
                writer.writerows(
                    [row["label"] if "abel" in column else row["text"] for column in columns]
                    for row in rows
                )
            assert self.cells(tmp_path / name) == expected
        (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
        assert self.cells(tmp_path / "a.csv.gz") == expected

    def test_what_else_a_row_says_is_used(self, stub: Stub, tmp_path: Path) -> None:
        """With RAID's labels beside it a label adds nothing; a source keeps its rows on one
        side.
        """
        rows = [row for row in raid_rows() if row["attack"] == "none"]
        own = [
            {
                "text": row["generation"],
                "label": "human" if row["model"] == "human" else "machine",
                "source": row["source_id"],
            }
            | {"model": row["model"], "domain": row["domain"], "id": row["id"]}
            for row in rows
        ]
        found = read_rows(write_json(tmp_path / "mine.jsonl", own))
        wanted = read_rows(write_csv(tmp_path / "raid.csv", rows))
        for name in ("source_id", "model", "domain", "attack"):
            mine, raids = found.columns[name], wanted.columns[name]
            assert [mine.values[i] for i in mine.codes] == [raids.values[i] for i in raids.codes]
        assert found.ids == wanted.ids
        settings = RaidSettings(fprs=(0.05,), minimum=5, calibrate_on={"domain": ["news"]})
        assert (
            evaluate_raid(tmp_path / "mine.jsonl", settings, detector="stub")["reported"]["human"]
            == 60 + 30
        )

    def test_rows_without_a_source_or_a_model_have_their_own(self, tmp_path: Path) -> None:
        rows = [
            {"text": "a", "label": 0, "source": "x", "model": ""},
            {"text": "b", "label": 1, "source": "x", "model": "gpt2"},
        ]
        rows += [
            {"text": "c", "label": 1, "source": "", "model": ""},
            {"text": "d", "label": 1, "source": None, "model": None},
        ]
        found = read_rows(write_json(tmp_path / "mine.jsonl", rows))
        said = {
            name: [column.values[i] for i in column.codes] for name, column in found.columns.items()
        }
        assert said["source_id"] == ["x", "x", "row 3", "row 4"]
        assert said["model"] == ["human", "gpt2", "machine", "machine"]
        assert found.ids.to_pylist() == ["1", "2", "3", "4"]

    def test_row_numbers_go_on_from_block_to_block(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("staged.raid.rows.BLOCK_ROWS", 3)
        rows = [{"text": "a", "label": i % 2} for i in range(10)]
        assert read_rows(write_json(tmp_path / "mine.jsonl", rows)).ids.to_pylist() == [
            str(i) for i in range(1, 11)
        ]
        rows[7]["label"] = "maybe"
        with pytest.raises(
            CorpusError, match="row 8: label 'maybe' says neither human nor machine"
        ):
            read_rows(write_json(tmp_path / "mine.jsonl", rows))

    @pytest.mark.parametrize(
        ("row", "says"),
        [
            (
                {"text": "a", "label": "gpt2"},
                "row 1: label 'gpt2' says neither human nor machine; write human or 0",
            ),
            ({"text": "a", "label": None}, "row 1: label '' says neither"),
            ({"text": "a", "label": 2}, "row 1: label '2' says neither"),
            (
                {"text": "a", "label": 1, "model": "human"},
                "row 1: label '1' but model 'human'; make them agree",
            ),
            (
                {"text": "a", "label": 0, "model": "gpt2"},
                "row 1: label '0' but model 'gpt2'; make them agree",
            ),
            (
                {"prompt": "a", "label": 0},
                "column 'text' is missing; its columns are 'prompt', 'label'",
            ),
            (
                {"prompt": "a", "completion": 0},
                (
                    "column 'text' is missing; its columns are 'prompt', 'completion'; looked for"
                    " 'text' (or 'generation') and 'label' (human or machine) for texts of your own"
                ),
            ),
            (
                {"text": "a", "model": "human"},
                "column 'label' is missing; its columns are 'text', 'model'; looked for 'text'",
            ),
            (
                {"content": "a", "is_ai": 0},
                "; if 'content' is it, call it 'text', and if 'is_ai' is it, call it 'label'",
            ),
            ({"generated_text": "a", "label": 0}, "if 'generated_text' is it, call it 'text'"),
            (
                {"text": "a", "generation": "b", "label": 0},
                "'text' and 'generation' may both hold the text; leave out",
            ),
            (
                {"text": "a", "label": 0, "Label": 1},
                "'label' and 'Label' may both hold the label; leave out",
            ),
            ({"text": "a", "label": "AI"}, "attack = none, and its labels are 'AI'; thresholds"),
            ({"text": "a", "label": -1}, "human is also human-written, 0, 0.0, false, real;"),
        ],
    )
    def test_what_cannot_be_measured_is_one_sentence(
        self, stub: Stub, tmp_path: Path, row: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(CorpusError) as error:
            evaluate_raid(
                write_json(tmp_path / "mine.jsonl", [row]), RaidSettings(), detector="stub"
            )
        assert says in str(error.value)
        assert "\n" not in str(error.value)
        assert stub.calls == 0

    def test_only_human_rows_measure_nothing(self, stub: Stub, tmp_path: Path) -> None:
        rows = [{"text": f"one {i}", "label": 0} for i in range(9)]
        with pytest.raises(CorpusError, match="every row is human, as its labels are '0'; give"):
            evaluate_raid(write_json(tmp_path / "m.jsonl", rows), RaidSettings(), detector="stub")
        assert stub.calls == 0

    @pytest.mark.parametrize(
        ("name", "text"),
        [("mine.csv", "text\tlabel"), ("mine.tsv", "text;label"), ("mine.tsv", "text,label")],
    )
    def test_columns_that_are_parted_otherwise(
        self, stub: Stub, tmp_path: Path, name: str, text: str
    ) -> None:
        (tmp_path / name).write_text(f"{text}\n{text}\n")
        with pytest.raises(CorpusError, match=r"to be parted by commas \(\.csv\) or tabs"):
            evaluate_raid(tmp_path / name, RaidSettings(), detector="stub")

    def test_tables_as_programs_save_them(
        self, expected: dict[str, Any], stub: Stub, tmp_path: Path
    ) -> None:
        """A mark at the beginning, tabs, quoted line breaks (which the texts hold), windows' line
        ends.
        """
        rows = labelled(raid_rows())
        assert all("\n" in row["text"] for row in rows)
        for name, delimiter in (("a.csv", ","), ("b.tsv", "\t")):
            with open(tmp_path / name, "w", encoding="utf-8-sig", newline="") as file:
                writer = csv.writer(file, delimiter=delimiter, lineterminator="\r\n")
                writer.writerow(rows[0])
                writer.writerows(row.values() for row in rows)
            assert self.cells(tmp_path / name) == expected
        (tmp_path / "c.tsv.gz").write_bytes(gzip.compress((tmp_path / "b.tsv").read_bytes()))
        assert self.cells(tmp_path / "c.tsv.gz") == expected
        assert self.cells(write_json(tmp_path / "d.ndjson", rows)) == expected

    def test_what_labels_were_taken_as(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plug(monkeypatch, "evidence", lambda: Stub())
        rows = labelled(raid_rows(), machine="AI")
        rows[1]["label"], rows[2]["label"] = "generated", 1
        path = write_json(tmp_path / "mine.jsonl", rows)
        shown = CliRunner().invoke(app, ["evaluate", str(path)])
        assert shown.exit_code == 0, shown.output
        assert (
            "texts from column 'text', labels from column 'label' taken as human: 'human' (60 rows);"
            " machine: 'generated' (1 rows), '1' (1 rows), 'AI' (238 rows)"
        ) in shown.output
        assert "now; both names work" not in shown.output
        table = json.loads(CliRunner().invoke(app, ["evaluate", str(path), "--json"]).stdout)
        assert table["taken"] == {
            "text": "text",
            "label": "label",
            "human": {"human": 60},
            "machine": {"generated": 1, "1": 1, "AI": 238},
        }
        assert table["detector"] == "evidence"

    def test_a_column_that_may_be_the_label_is_pointed_out(self, tmp_path: Path) -> None:
        path = write_json(tmp_path / "mine.jsonl", [{"text": "a", "class": 1}])
        error = str(CliRunner().invoke(app, ["evaluate", str(path)]).exception)
        assert "no column 'label' (human or machine)" in error
        assert "its columns are 'text', 'class'" in error
        assert "if 'class' is it, call it 'label'" in error

    def test_a_column_to_calibrate_on_that_is_not_there(self, stub: Stub, tmp_path: Path) -> None:
        path = write_json(tmp_path / "mine.jsonl", labelled(raid_rows()))
        with pytest.raises(
            CorpusError, match="no column 'domian' to calibrate on; did you mean 'domain'"
        ):
            evaluate_raid(path, RaidSettings(calibrate_on={"domian": ["all"]}), detector="stub")
        assert (
            evaluate_raid(path, RaidSettings(calibrate_on={"domain": ["all"]}), detector="stub")[
                "calibration"
            ]["sources"]
            == 30
        )

    def test_the_command(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """With a real detector, from a file to a table; predictions go by the row's number."""
        rows = [{"text": prose(i, 30), "label": "human"} for i in range(60)]
        rows += [
            {"text": " ".join(prose(i, 30).split()[::-1]), "label": "machine"}
            for i in range(60, 120)
        ]
        path, options = (
            str(write_json(tmp_path / "mine.jsonl", rows)),
            ["--detector", "likelihood@mini-s", "--fpr", "0.05"],
        )
        result = CliRunner().invoke(app, ["raid", path, *options, "--out", str(tmp_path / "out")])
        assert result.exit_code == 0, result.output
        assert "machine" in result.output
        scores = json.loads((tmp_path / "out" / "predictions.json").read_text())
        assert [one["id"] for one in scores] == [str(i) for i in range(1, 121)]
        evaluation = json.loads((tmp_path / "out" / "evaluation.json").read_text())
        assert evaluation["reported"] == {"human": 30, "machine": 60}
        assert (
            evaluation["cells"][0]["auroc"]["value"] == 0
        )  # a likelihood: what is out of order is less likely
        again = CliRunner().invoke(
            app,
            [
                "evaluate",
                path,
                "--predictions",
                str(tmp_path / "out" / "predictions.json"),
                "--json",
            ],
        )
        assert json.loads(again.output)["cells"] != []

    def test_a_text_without_a_label_is_only_scored(self, stub: Stub, tmp_path: Path) -> None:
        path = write_json(tmp_path / "mine.jsonl", [{"text": "one 1.5"}, {"text": "two 2.5"}])
        assert evaluate_raid(path, RaidSettings(), detector="stub")["scores"] == [
            {"id": "1", "score": 1.5},
            {"id": "2", "score": 2.5},
        ]
        result = CliRunner().invoke(app, ["raid", str(path), "--detector", "stub"])
        assert "no column 'label' (human or machine), nor RAID's" in str(result.exception)


class TestResume:
    @pytest.fixture(autouse=True)
    def _blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("staged.raid.scoring.BLOCK_TEXTS", 64)

    def test_killed_run_goes_on(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole, killed, second = Stub(), Stub(fail_at=5), Stub()
        detectors: Iterator[Stub] = iter([whole, killed, second])
        monkeypatch.setattr(catalog, "open_detector", lambda name, **_: next(detectors))
        evaluate_raid(file, RaidSettings(), detector="stub", out=tmp_path / "whole")
        again = tmp_path / "again"
        with pytest.raises(KeyboardInterrupt):
            evaluate_raid(file, RaidSettings(), detector="stub", out=again)
        names = [".staged.json", "scores.json", "scores.jsonl.blocks"]
        assert sorted(path.name for path in again.iterdir()) == names
        evaluate_raid(file, RaidSettings(), detector="stub", out=again)
        assert (killed.seen, second.seen) == (5 * 64, 1200 - 5 * 64)
        for name in ("evaluation.json", "predictions.json", "raid_results.json", "scores.jsonl"):
            assert (again / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
        # opens no detector: no text is left
        evaluate_raid(file, RaidSettings(seed=2), detector="stub", out=again)

    def test_a_block_that_is_gone_is_scored_with_the_texts_it_was_scored_with(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In bfloat16 a score's last bits depend on the texts beside it."""
        whole, killed, second = Stub(), Stub(fail_at=5), Stub()
        detectors: Iterator[Stub] = iter([whole, killed, second])
        monkeypatch.setattr(catalog, "open_detector", lambda name, **_: next(detectors))
        evaluate_raid(file, RaidSettings(), detector="stub", out=tmp_path / "whole")
        with pytest.raises(KeyboardInterrupt):
            evaluate_raid(file, RaidSettings(), detector="stub", out=tmp_path / "out")
        (tmp_path / "out" / "scores.jsonl.blocks" / f"{64:09d}.json").unlink()
        evaluate_raid(file, RaidSettings(), detector="stub", out=tmp_path / "out")
        assert second.seen == 1200 - 4 * 64
        scores = (tmp_path / "out" / "scores.jsonl").read_bytes()
        assert scores == (tmp_path / "whole" / "scores.jsonl").read_bytes()

    def test_another_detectors_half_made_scores_stay(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        detectors: Iterator[Stub] = iter([Stub(fail_at=5), Stub()])
        monkeypatch.setattr(catalog, "open_detector", lambda name, **_: next(detectors))
        with pytest.raises(KeyboardInterrupt):
            evaluate_raid(file, RaidSettings(), detector="stub", out=tmp_path / "out")
        blocks = tmp_path / "out" / "scores.jsonl.blocks"
        made = sorted(path.name for path in blocks.iterdir())
        with pytest.raises(ArtifactError, match="holds scores of the detector 'stub'"):
            evaluate_raid(file, RaidSettings(), detector="other", out=tmp_path / "out")
        assert sorted(path.name for path in blocks.iterdir()) == made

    def test_a_damaged_block_is_said(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        detectors: Iterator[Stub] = iter([Stub(fail_at=5), Stub()])
        monkeypatch.setattr(catalog, "open_detector", lambda name, **_: next(detectors))
        with pytest.raises(KeyboardInterrupt):
            evaluate_raid(file, RaidSettings(), detector="stub", out=tmp_path / "out")
        block = tmp_path / "out" / "scores.jsonl.blocks" / f"{64:09d}.json"
        block.write_text("[1.0, 2.")
        with pytest.raises(ArtifactError, match=r"000000064\.json: damaged: .*; delete it"):
            evaluate_raid(file, RaidSettings(), detector="stub", out=tmp_path / "out")

    def test_scores_that_an_earlier_version_left_half_are_made_anew(
        self, stub: Stub, file: Path, tmp_path: Path
    ) -> None:
        """It appended to `scores.jsonl`."""
        evaluate_raid(file, RaidSettings(), detector="stub", out=tmp_path / "out")
        scores = tmp_path / "out" / "scores.jsonl"
        whole = scores.read_bytes()
        scores.write_bytes(b"".join(whole.splitlines(keepends=True)[:300]))
        ledger = read_json(tmp_path / "out" / ".staged.json")
        del ledger["files"]["scores.jsonl"]  # an appended file stood in none
        put_json(tmp_path / "out" / ".staged.json", ledger)
        evaluate_raid(file, RaidSettings(), detector="stub", out=tmp_path / "out")
        assert stub.seen == 2400
        assert scores.read_bytes() == whole

    def test_another_detectors_scores_stay(self, stub: Stub, file: Path, tmp_path: Path) -> None:
        evaluate_raid(file, RaidSettings(), detector="stub", out=tmp_path / "out")
        kept = (tmp_path / "out" / "scores.jsonl").read_bytes()
        with pytest.raises(
            ArtifactError, match="holds scores of the detector 'stub'; choose another --out"
        ):
            evaluate_raid(file, RaidSettings(), detector="other", out=tmp_path / "out")
        assert (tmp_path / "out" / "scores.jsonl").read_bytes() == kept

    def test_other_file_begins_anew(self, stub: Stub, file: Path, tmp_path: Path) -> None:
        evaluate_raid(file, RaidSettings(), detector="stub", out=tmp_path / "out")
        write_csv(file, raid_rows(seed=2))
        evaluate_raid(file, RaidSettings(), detector="stub", out=tmp_path / "out")
        assert stub.seen == 2400

    def test_a_nan_is_kept_as_one(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stub: Stub
    ) -> None:
        monkeypatch.setattr(
            stub, "score", lambda texts: [math.nan, math.inf, *([0.5] * (len(texts) - 2))]
        )
        first = evaluate_raid(file, RaidSettings(), detector="stub", out=tmp_path / "out")
        assert (first["counts"]["nan"], first["counts"]["infinite"]) == (19, 19)
        assert evaluate_raid(file, RaidSettings(), detector="stub", out=tmp_path / "out") == first
        assert (
            json.loads((tmp_path / "out" / "predictions.json").read_text(encoding="utf-8"))[0][
                "score"
            ]
            is None
        )

    def test_a_detector_that_miscounts(
        self, file: Path, monkeypatch: pytest.MonkeyPatch, stub: Stub
    ) -> None:
        monkeypatch.setattr(stub, "score", lambda texts: [0.0])
        with pytest.raises(CheckpointError, match="gave 1 scores for 64 texts"):
            evaluate_raid(file, RaidSettings(), detector="stub")


class TestRaidsOwnShape:
    @given(st.lists(st.integers(-3, 3), min_size=1, max_size=60), st.floats(0.001, 0.999))
    def test_exact_threshold(self, scores: list[int], fpr: float) -> None:
        t = exact_threshold(np.sort(np.array(scores, dtype=float)), fpr)
        reached = [
            sum(s >= cut for s in scores) / len(scores) for cut in (t, np.nextafter(t, -math.inf))
        ]
        assert reached[0] <= fpr + 1e-9 < reached[1] + (1e-9 if reached[1] > fpr else 2)

    def test_against_nested_loops(self, file: Path) -> None:
        rows = raid_rows()
        scores = collect([score_of(row["generation"]) for row in rows])
        result = raid_results(read_rows(file), scores, (0.1,))
        columns = ("domain", "attack", "model", "decoding", "repetition_penalty")
        assert (
            len(result.scores) == 3**3 * 7
        )  # decoding and penalty go together: 7 of their 9 combinations are there
        for record in result.scores:
            mine = [
                r
                for r in rows
                if r["model"] != "human"
                and all(getattr(record, c) in ("all", r[c]) for c in columns)
            ]
            human = [
                score_of(r["generation"])
                for r in rows
                if r["model"] == "human" and record.domain in ("all", r["domain"])
            ]
            tp = sum(
                score_of(r["generation"]) >= result.thresholds["0.1"][r["domain"]] for r in mine
            )
            assert to_json(record.accuracy["0.1"]) == {
                "tp": tp,
                "fn": len(mine) - tp,
                "accuracy": tp / len(mine),
            }
            machine = np.array([score_of(r["generation"]) for r in mine])[:, None]
            assert record.auroc == pytest.approx(
                float(((machine > human) + (machine == human) / 2).mean())
            )
        assert all(0 < fpr <= 0.1 for fpr in result.fpr["0.1"].values())

    def test_incomplete_combinations_are_left_out(self, file: Path) -> None:
        rows = raid_rows()
        scores = collect([None if r["model"] == "mpt" else score_of(r["generation"]) for r in rows])
        result = raid_results(read_rows(file), scores, (0.1,))
        assert {record.model for record in result.scores} == {"gpt2"}


class TestPlugIn:
    @pytest.fixture(scope="class")
    @classmethod
    def tfidf(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        from staged.detectors.kinds.tfidf import train_tfidf

        folder = tmp_path_factory.mktemp("tfidf")
        train_tfidf(documents("train", 60, 0), documents("valid", 20, 2000)).save(folder)
        return folder

    def test_is_what_raid_calls(self, tfidf: Path) -> None:
        f = staged.raid_detector(str(tfidf))
        texts = [prose(1, 5), "", prose(2, 5)]
        assert f(texts) == catalog.load_detector(tfidf).score(texts)
        assert f([texts[0], math.nan, texts[2]]) == f(texts)  # type: ignore[list-item]  # pandas reads an empty text as NaN
        assert all(type(score) is float for score in f(texts))
        with pytest.raises(CheckpointError):
            staged.raid_detector(str(tfidf / "nothing"))

    def test_command_line_with_a_real_detector(self, tfidf: Path, tmp_path: Path) -> None:
        texts = {
            label: [d.text for d in documents("test", 60, 5000) if d.label == label]
            for label in (0, 1)
        }
        rows = raid_rows(20, text=lambda model, i: texts[model != "human"][i % 60])
        path, out = write_csv(tmp_path / "raid.csv", rows), tmp_path / "out"
        given = [
            "evaluate",
            str(path),
            "--detector",
            str(tfidf),
            "--fpr",
            "0.1",
            "--minimum-n",
            "10",
            "--out",
            str(out),
        ]
        told = CliRunner().invoke(app, [*given, "--json"])
        assert told.exit_code == 0
        result = json.loads(told.stdout)
        assert result == json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
        assert result["settings"]["fprs"] == [0.1]
        assert cell(result, "overall", "all")["auroc"]["value"] > 0.8
        shown = CliRunner().invoke(app, given, env={"COLUMNS": "200"})
        assert shown.exit_code == 0
        assert "nominal FPR 10%" in shown.stdout
        again = CliRunner().invoke(
            app,
            [
                "evaluate",
                str(path),
                "--predictions",
                str(out / "predictions.json"),
                "--fpr",
                "0.1",
                "--json",
            ],
        )
        assert (
            json.loads(again.stdout)["calibration"]["thresholds"]
            == result["calibration"]["thresholds"]
        )

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ([], "give --detector NAME"),
            (["--detector", "x", "--predictions", "y"], "give --detector NAME"),
            (["--detector", "x", "--fpr", "1"], "lie between 0 and 1"),
            (["--detector", "x", "--fpr", "nan"], "lie between 0 and 1"),
            (["--detector", "x", "--fpr", "0.1", "--fpr", "0.1"], "each false-positive rate once"),
            (["--detector", "x", "--calibrate-on", "news"], "must be column=value"),
            (["--detector", "x", "--calibrate-on", "domian=news"], "did you mean 'domain'"),
            (["--detector", "x", "--calibrate-on", "domain=sports"], "no human row"),
            (["--detector", "x", "--calibration-share", "0"], "calibration share"),
            (["--detector", "x", "--calibration-share", "1"], "none is left to measure on"),
            (["--detector", "x", "--minimum-n", "1"], "at least 2"),
            (["--detector", "nothing-there"], "nothing-there"),
        ],
    )
    def test_wrong_options(self, file: Path, options: list[str], said: str) -> None:
        caught = CliRunner().invoke(app, ["raid", str(file), *options]).exception
        assert isinstance(caught, StagedError)
        assert said in str(caught)


def test_what_is_read_is_not_replaced(file: Path, tmp_path: Path) -> None:
    rows, given = tmp_path / "scores.jsonl", tmp_path / "predictions.json"
    shutil.copy(file, rows)
    given.write_text("[]")
    for path, options in ((rows, {"detector": "lrr@mini-s"}), (file, {"predicted": given})):
        with pytest.raises(PlanError, match="is read here and would be replaced"):
            evaluate_raid(path, RaidSettings(), out=tmp_path, **options)
    assert rows.read_bytes() == file.read_bytes()
    assert given.read_text() == "[]"


def test_scores_of_others_are_kept(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "scores.jsonl").write_text("mine")
    with pytest.raises(ArtifactError, match=r"out: holds scores\.jsonl, and nothing here was made"):
        evaluate_raid(file, RaidSettings(), out=out, detector="lrr@mini-s")
    assert (out / "scores.jsonl").read_text() == "mine"


def test_an_empty_text_has_no_score(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be the most machine-like of all to a likelihood, and could choose a threshold."""
    with open(file, encoding="utf-8", newline="") as given:
        rows = list(csv.DictReader(given))
    rows[3]["generation"] = " \u200b"
    write_csv(tmp_path / "e.csv", rows)
    plug(monkeypatch, "stub", lambda: Stub())
    found = evaluate_raid(tmp_path / "e.csv", RaidSettings(), detector="stub", out=tmp_path / "out")
    assert (found["counts"]["missing"], found["counts"]["scored"]) == (1, len(rows) - 1)
    assert json.loads((tmp_path / "out" / "predictions.json").read_text())[3]["score"] is None


def test_a_file_without_labels_is_not_scored_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = Stub()
    plug(monkeypatch, "stub", lambda: stub)
    (tmp_path / "t.csv").write_text("id,generation\na,some text 1\n")
    result = CliRunner().invoke(app, ["raid", str(tmp_path / "t.csv"), "--detector", "stub"])
    assert "give --out FOLDER or --json to have the scores" in str(result.exception)
    assert stub.seen == 0
    assert "is no file; give a file of labelled texts (.csv" in str(
        CliRunner().invoke(app, ["raid", str(tmp_path)]).exception
    )


def test_few_texts_a_domain_show_one_threshold_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug(monkeypatch, "stub", lambda: Stub())
    write_csv(tmp_path / "f.csv", raid_rows(sources=24))
    shown = {}
    for fpr in ("0.05", "0.2"):
        options = [
            "--detector",
            "stub",
            "--fpr",
            fpr,
            "--minimum-n",
            "2",
            "--calibrate-on",
            "attack=none",
        ]
        shown[fpr] = CliRunner().invoke(app, ["raid", str(tmp_path / "f.csv"), *options]).stdout
    assert "one threshold for all domains, as no domain has enough texts" in shown["0.05"]
    assert "a threshold for each domain" in shown["0.2"]


def test_a_single_string_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, "stub", lambda: Stub())
    with pytest.raises(PlanError, match="not one string"):
        staged.raid_detector("stub")("a text")


def test_a_domain_of_attacked_people_alone_is_left_out(file: Path, tmp_path: Path) -> None:
    with open(file, encoding="utf-8", newline="") as given:
        rows = list(csv.DictReader(given))
    domains = sorted({row["domain"] for row in rows})
    rows = [
        row
        for row in rows
        if (row["domain"], row["model"], row["attack"]) != (domains[0], "human", "none")
    ]
    write_csv(tmp_path / "f.csv", rows)
    read = read_rows(tmp_path / "f.csv")
    result = raid_results(read, collect([float(i) for i in range(len(read))]), (0.1,))
    assert {record.domain for record in result.scores} == {*domains[1:], "all"}


def test_strings_that_are_not_utf_8(tmp_path: Path) -> None:
    columns = {name: pa.array(["x", "y"]) for name in ("source_id", *GROUPS)}
    offsets, data = (
        pa.py_buffer(np.array([0, 1, 2], dtype=np.int32).tobytes()),
        pa.py_buffer(b"\xffa"),
    )
    columns |= {
        "id": pa.array(["a", "b"]),
        "generation": pa.StringArray.from_buffers(2, offsets, data),
    }
    pq.write_table(pa.table(columns), tmp_path / "f.parquet")
    with pytest.raises(CorpusError, match="cannot be read as labelled texts"):
        list(texts_in_blocks(tmp_path / "f.parquet", first=0, size=9))


def test_blocks_in_ascending_order_take_one_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a worker is given them, which has some of a file's blocks and not others."""
    texts = [f"text {number}" for number in range(6 * BLOCK_TEXTS + 3)]
    table = pa.table({"id": [str(number) for number in range(len(texts))], "generation": texts})
    pq.write_table(table, tmp_path / "f.parquet")
    readings: list[int] = []

    def counted(path: Path, *, first: int, size: int) -> Iterator[list[str]]:
        readings.append(first)
        return texts_in_blocks(path, first=first, size=size)

    monkeypatch.setattr("staged.raid.scoring.texts_in_blocks", counted)
    job = RaidScoring(tmp_path / "f.parquet", len(texts), Lengths)
    with job.opened() as make:
        for number in (1, 2, 5, 6):
            first = number * BLOCK_TEXTS
            assert make(number) == list(range(first, min(first + BLOCK_TEXTS, len(texts))))
        assert readings == [BLOCK_TEXTS]
        assert make(0) == list(range(BLOCK_TEXTS))
    assert readings == [BLOCK_TEXTS, 0]


def test_shards_that_begin_at_the_same_moment_say_once_what_they_score(tmp_path: Path) -> None:
    table = pa.table({"id": ["a"], "generation": ["text 1"]})
    pq.write_table(table, tmp_path / "f.parquet")
    rows = read_rows(tmp_path / "f.parquet")
    gate, faults = threading.Barrier(6), list[Exception]()

    def begin(folder: Path) -> None:
        gate.wait()
        try:
            raid_scores.score_into(
                folder, rows, Lengths, {"detector": "numbers"}, engine=NOTHING, progress=silent
            )
        except ShardDone:
            pass
        except Exception as error:
            faults.append(error)

    for turn in range(5):
        folder = tmp_path / f"{turn}"
        folder.mkdir()
        threads = [threading.Thread(target=begin, args=(folder,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        assert read_json(folder / "scores.json")["detector"] == "numbers"


NOTHING = Engine(shard=(1, 2))  # of one block


class Lengths:
    """A detector that finds a text's number."""

    name = "numbers"

    def score(self, texts: Sequence[str]) -> list[float]:
        return [float(text.split()[1]) for text in texts]
