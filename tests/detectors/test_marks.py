"""A key's watermark as a detector: by name, with verdicts of its own, beside the others."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import staged
from staged.cli import app
from staged.detectors.catalog import open_detector
from staged.detectors.identity import detector_files, known_by
from staged.detectors.kinds.marks import MarkDetector
from staged.detectors.names import parse_name
from staged.errors import CheckpointError, PlanError, ProvenanceError
from staged.keys.ring import Key, new_key, open_key, record_use
from staged.model.bpe import BPE
from tests.conftest import prose
from tests.watermarks.rings import marked_text, of_key, used_key

RUNNER = CliRunner()


@pytest.fixture
def alpha(tiny: Path, bpe: BPE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Key:
    """A key that marked in two schemes."""
    monkeypatch.setenv("STAGED_KEYS", str(tmp_path / "ring"))
    return used_key("alpha", tiny, "gumbel", "kgw", vocabulary=bpe.n_vocab)


def test_a_mark_is_found_in_whichever_scheme_it_is(alpha: Key, bpe: BPE) -> None:
    texts = {
        scheme: marked_text(bpe, of_key(alpha, scheme), 1, 120) for scheme in ("gumbel", "kgw")
    }
    texts |= {"human": prose(1, 12), "short": prose(2, 1)}
    verdicts = {v.id: v for v in staged.detect(texts, detector="watermark@alpha")}
    for scheme in ("gumbel", "kgw"):
        verdict = verdicts[scheme]
        assert verdict.verdict == "machine"
        assert verdict.p_value is not None
        assert verdict.score == pytest.approx(-math.log10(verdict.p_value))
        assert verdict.p_value < 1e-3
        assert f"the {scheme} mark of key alpha" in verdict.opinions[0].reader
        assert verdict.reason.startswith("A text without a mark of key alpha shows so much of it")
    assert verdicts["human"].verdict == verdicts["short"].verdict == "not enough evidence"
    assert verdicts["human"].p_value is not None
    assert verdicts["human"].p_value > 0.01
    assert "may be anybody's" in verdicts["human"].reason
    assert (verdicts["short"].p_value, verdicts["short"].score) == (None, 0)
    assert "too few tokens" in verdicts["short"].reason


def test_never_human_like(alpha: Key) -> None:
    verdicts = staged.detect([prose(i, 10) for i in range(40)], detector="watermark@alpha")
    assert {verdict.verdict for verdict in verdicts} <= {"machine", "not enough evidence"}


def test_another_keys_mark_is_none(alpha: Key, bpe: BPE, tiny: Path) -> None:
    beta = used_key("beta", tiny, "gumbel", vocabulary=bpe.n_vocab)
    text = marked_text(bpe, of_key(beta, "gumbel"), 3, 120)
    (mine,), (its,) = (staged.detect([text], detector=f"watermark@{k}") for k in ("alpha", "beta"))
    assert its.verdict == "machine"
    assert mine.verdict == "not enough evidence"


def test_what_it_prints(alpha: Key, bpe: BPE, tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text(marked_text(bpe, of_key(alpha, "gumbel"), 1, 120))
    shown = RUNNER.invoke(app, ["detect", str(text), "--detector", "watermark@alpha"])
    assert shown.exit_code == 0, shown.output
    assert "machine" in shown.output
    assert "the gumbel mark of key alpha" in " ".join(shown.output.split())
    out = tmp_path / "verdicts.jsonl"
    (tmp_path / "b.txt").write_text(prose(4, 10))
    given = ["detect", str(text), str(tmp_path / "b.txt"), "--segments"]
    written = RUNNER.invoke(app, [*given, "--detector", "watermark@alpha", "--out", str(out)])
    assert written.exit_code == 0, written.output
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["verdict"] for row in rows] == ["machine", "not enough evidence"]
    assert secret_of(alpha) not in shown.output + out.read_text()


def secret_of(key: Key) -> str:
    return str(key.watermark_secret().secret)


def test_evaluated_and_attacked_like_any_detector(
    alpha: Key, bpe: BPE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    machine = [marked_text(bpe, of_key(alpha, "gumbel"), seed, 60) for seed in range(40)]
    human = [prose(600 + seed, 9) for seed in range(40)]
    with open("labelled.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("text", "label"))
        table.writerows([(text, "human") for text in human] + [(t, "machine") for t in machine])
    name = ["--detector", "watermark@alpha"]
    measured = RUNNER.invoke(app, ["evaluate", "labelled.csv", *name, "--json"])
    assert measured.exit_code == 0, measured.output
    cell = json.loads(measured.stdout)["cells"][0]
    assert cell["rates"][1]["fpr"] == 0.05
    assert cell["rates"][1]["tpr"]["value"] > 0.9
    for folder, texts in (("human", human), ("machine", machine)):
        Path(folder).mkdir()
        for number, text in enumerate(texts):
            Path(folder, f"{number}.txt").write_text(text)
    attacked = RUNNER.invoke(
        app,
        ["stress", "--human", "human", "--machine", "machine", "--attack", "synonym", *name],
    )
    assert attacked.exit_code == 0, attacked.output
    rows = {
        (row["written_by"], row["attack"], row["fpr"]): row
        for row in json.loads(Path("stress.json").read_text())["rows"]
        if row["domain"] == row["length"] == "all"
    }
    assert rows["machine", "none", 0.01]["rate"] > 0.9
    assert rows["human", "none", 0.05]["rate"] < 0.25
    assert rows["human", "none", 0.01]["n"] == 40


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("watermark", CheckpointError, "write watermark@KEY"),
        ("watermark@a,b", CheckpointError, "write watermark@KEY"),
        ("watermark@alpah", ProvenanceError, "did you mean 'alpha'"),
        (
            "watermark@unused",
            ProvenanceError,
            "has marked nothing here: .* staged sample MODEL .* --key unused",
        ),
    ],
)
def test_what_is_no_such_detector(alpha: Key, name: str, error: type[Exception], says: str) -> None:
    new_key("unused", purposes=("watermark",))
    with pytest.raises(error, match=says):
        open_detector(name)


def test_its_identity_is_what_its_key_has_marked_with(alpha: Key) -> None:
    name = parse_name("watermark@alpha")
    assert (name.kind, name.full) == ("watermark", "watermark@alpha")
    before = known_by(name)
    assert list(detector_files(name)) == ["alpha/key.json"]
    record_use(alpha, alpha.uses[0])
    assert known_by(name) == before
    record_use(open_key("alpha"), replace(alpha.uses[0], scheme="sbw"))
    assert known_by(name) != before


def test_a_rate_that_is_none(alpha: Key) -> None:
    with pytest.raises(PlanError, match="false-positive rate"):
        staged.detect(["A text."], detector="watermark@alpha", fpr=0.0)
    with pytest.raises(PlanError, match="knows no kinds"):
        staged.detect(["A text."], detector="watermark@alpha", kind="essay")


def test_models_of_one_tokenizer_are_looked_for_once(
    alpha: Key, tiny: Path, tmp_path: Path
) -> None:
    """Each candidate more would cost a part of every p-value."""
    copy = tmp_path / "copy"
    shutil.copytree(tiny, copy)
    record_use(alpha, replace(alpha.uses[0], model=str(copy)))
    detector = open_detector("watermark@alpha")
    assert isinstance(detector, MarkDetector)
    assert [mark.watermark.scheme for mark in detector.candidates] == ["gumbel", "kgw"]
    assert {mark.model for mark in detector.candidates} == {str(tiny)}


def test_no_p_value_is_printed_as_zero(alpha: Key, bpe: BPE, tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text(marked_text(bpe, of_key(alpha, "gumbel"), 1, 120))
    said = RUNNER.invoke(app, ["detect", str(text), "--detector", "watermark@alpha"]).output
    assert "p-value 0.0000" not in said
    assert re.search(r"p-value [1-9.]+e-\d\d", said)
