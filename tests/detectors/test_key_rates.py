"""A key's own false-positive rate: counted over sources, and said where it is too high."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import staged
from staged.cli import app
from staged.detectors.calibration import key_rates as module
from staged.detectors.calibration.key_rates import PASSAGES, WHOLE, key_rates
from staged.errors import CorpusError, PlanError, ProvenanceError
from staged.keys.ring import Key
from staged.model.bpe import BPE
from staged.records import HUMAN, Document
from staged.stats.comparing import rate
from staged.watermarks import evidence
from staged.watermarks.evidence import Candidate
from tests.conftest import prose
from tests.watermarks.plain import Exponential, Listed
from tests.watermarks.rings import used_key

RUNNER = CliRunner()


def documents(count: int, sentences: int = 12, *, a_source: int = 1) -> list[Document]:
    return [
        Document(str(i), prose(9_000 + i, sentences), HUMAN, f"source {i // a_source}")
        for i in range(count)
    ]


@pytest.fixture
def alpha(tiny: Path, bpe: BPE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Key:
    monkeypatch.setenv("STAGED_KEYS", str(tmp_path / "ring"))
    return used_key("alpha", tiny, "gumbel", "kgw", vocabulary=bpe.n_vocab)


def test_every_text_is_counted(bpe: BPE, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENOUGH_DOCUMENTS", 10)
    candidate = Candidate("key", Exponential(1), bpe, "tiny")
    texts = documents(60)
    rates = key_rates("key", [candidate], [*texts, texts[0]], levels=(0.2, 0.05))
    assert [(row.texts, row.level) for row in rates.rates] == [(WHOLE, 0.2), (WHOLE, 0.05)]
    p_values = [evidence.test_text(text.text, [candidate]).p_value for text in texts]
    for row in rates.rates:
        assert (row.n, row.sources, rates.documents) == (60, 60, 60)
        assert row.flagged == sum(p <= row.level for p in p_values)
        assert (row.rate, row.low, row.high) == rate(row.flagged, 60)


def test_few_documents_are_measured_in_passages_too(bpe: BPE) -> None:
    candidate = Candidate("key", Exponential(1), bpe, "tiny")
    rates = key_rates("key", [candidate], documents(12, 60, a_source=4))
    rows = {row.texts: row for row in rates.rates if row.level == 0.01}
    assert rows[WHOLE].n == 12
    assert rows[PASSAGES].n > 60
    assert rows[WHOLE].sources == rows[PASSAGES].sources == 3


def test_several_marks_and_all_of_them_together(bpe: BPE) -> None:
    candidates = [
        Candidate("key", mark, bpe, name)
        for mark, name in ((Exponential(1), "one"), (Exponential(2), "two"), (Listed(3), "two"))
    ]
    rates = key_rates("key", candidates, documents(80), levels=(0.1,))
    rows = {(row.scheme, row.tokenizer): row for row in rates.rates if row.texts == WHOLE}
    assert list(rows) == [("gumbel", "one"), ("gumbel", "two"), ("kgw", "two"), ("all", "all")]
    texts = [evidence.test_text(document.text, candidates).p_value for document in documents(80)]
    assert rows["all", "all"].flagged == sum(p <= 0.1 for p in texts)


class Lopsided(Exponential):
    """A key to which common tokens have been lucky draws."""

    def values(self, contexts_NW: torch.Tensor, tokens_N: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.full(len(tokens_N), 1.5))


def test_a_key_that_accuses_too_often_is_said(bpe: BPE) -> None:
    candidate = Candidate("key", Lopsided(1), bpe, "tiny")
    rates = key_rates("key", [candidate], documents(40, a_source=2))
    assert rates.is_above
    assert all(row.is_above for row in rates.rates if row.texts == WHOLE)
    one_source = key_rates("key", [candidate], documents(40, a_source=40))
    row = one_source.rates[0]
    assert (row.rate, row.sources) == (1.0, 1)
    assert row.low is not None
    assert row.low < 0.3  # forty texts of one source are one


def test_nothing_long_enough(bpe: BPE) -> None:
    candidate = Candidate("key", Exponential(1), bpe, "tiny")
    with pytest.raises(CorpusError, match="enough tokens"):
        key_rates("key", [candidate], [Document("a", "Two words.", HUMAN, "a")])


def test_the_command(alpha: Key, tmp_path: Path) -> None:
    human_folder = tmp_path / "human"
    human_folder.mkdir()
    for i in range(8):
        (human_folder / f"{i}.txt").write_text(prose(i, 16))
    out = tmp_path / "rates.json"
    given = ["calibrate", "--watermark", "alpha", "--human", str(human_folder), "--fpr", "0.05"]
    shown = RUNNER.invoke(app, [*given, "--out", str(out)])
    assert shown.exit_code == 0, shown.output
    said = " ".join(shown.output.split())
    assert "key alpha on 8 human texts" in said
    facts = json.loads(out.read_text())
    assert facts["key"] == "alpha"
    assert {row["level"] for row in facts["rates"]} == {0.05, 0.01, 0.001}
    assert {row["scheme"] for row in facts["rates"]} == {"gumbel", "kgw", "all"}
    assert {row["tokenizer"] for row in facts["rates"]} == {alpha.uses[0].model, "all"}
    assert str(alpha.watermark_secret().secret) not in shown.output + out.read_text()
    above = any(row["is_above"] for row in facts["rates"])
    assert ("staged keys rotate alpha" in said) == above
    printed = RUNNER.invoke(app, [*given, "--json"])
    assert json.loads(printed.stdout) == facts
    foreign = tmp_path / "mine.json"
    foreign.write_text("{}")
    refused = RUNNER.invoke(app, [*given, "--out", str(foreign)])
    assert refused.exit_code != 0
    assert foreign.read_text() == "{}"


def test_what_it_refuses(alpha: Key, human_folder: Path) -> None:
    with pytest.raises(ProvenanceError, match="did you mean 'alpha'"):
        staged.calibrate_watermark("alpah", human_folder)
    with pytest.raises(PlanError, match="false-positive rate"):
        staged.calibrate_watermark("alpha", human_folder, fpr=1.0)
    shown = RUNNER.invoke(
        app,
        ["calibrate", "--watermark", "alpha", "--human", str(human_folder), "--machine", "a.txt"],
    )
    assert isinstance(shown.exception, PlanError)
    assert "--human alone" in str(shown.exception)
