"""`staged bias` on a model behind a server: what it writes is measured, what it would need to read
is left out, and said to be.
"""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from staged.cli import app
from staged.errors import SamplingError
from staged.storage.records import read_record
from staged.studies.bias.results import BiasResult
from tests.samples.completions_server import CompletionsServer
from tests.studies.bias.made import terms_file
from tests.studies.bias.test_sentence_pairs import crows_pairs_file

FEW = ("-n", "4", "--length", "6", "--permutations", "99", "--precision", "fp32")


def test_beside_a_model_that_is_here(
    tiny: Path, completions_server: CompletionsServer, tmp_path: Path
) -> None:
    served, here, out = completions_server.model, str(tiny), tmp_path / "out"
    files = ("--terms", str(terms_file(tmp_path)), "--crows-pairs", str(crows_pairs_file(tmp_path)))
    rest = [here, *FEW, *files, "--out", str(out)]
    completions_server.dies_after = 30
    broken = CliRunner().invoke(app, ["bias", served, *rest])
    assert isinstance(broken.exception, SamplingError)
    assert not (out / "bias.json").exists()
    served = completions_server.move().model
    done = CliRunner().invoke(app, ["bias", served, *rest])
    assert done.exit_code == 0, done.output
    assert set(completions_server.answered.values()) == {1}
    result = read_record(out / "bias.json", BiasResult)
    assert result.without_likelihoods == (served,)
    preferences = {row.models for row in result.between_groups if row.measure == "preference"}
    assert preferences == {(here,)}
    assert {row.models for row in result.between_groups} == {(here,), (served,)}
    assert {row.measure for row in result.between_models} == {
        row.measure for row in result.between_groups if row.models == (served,)
    }
    assert result.sentence_pairs.crows_pairs is not None
    assert set(result.sentence_pairs.crows_pairs.models) == {here}
    left_out = f"Left out of {served}, as a server gives no likelihoods: preferences"
    assert left_out in done.stdout
    assert left_out in (out / "bias.md").read_text(encoding="utf-8")
    folders = [path.parent.parent.name for path in out.glob("likelihood/*/*/nats.json")]
    assert len(set(folders)) == 1
    assert not any("openai" in name for name in folders)
    manifests = [path.read_text() for path in out.glob("samples/openai*/*/manifest.json")]
    assert len(manifests) == 2
    assert {json.loads(text)["settings"]["computed_in"] for text in manifests} == {
        "openai completions, model tiny"
    }
    assert not any("127.0.0.1" in text for text in manifests)


def test_alone(completions_server: CompletionsServer, tmp_path: Path) -> None:
    asked = ["bias", completions_server.model, *FEW, "--terms", str(terms_file(tmp_path))]
    done = CliRunner().invoke(app, [*asked, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "preference: not measured: a server gives no likelihoods" in done.stdout
