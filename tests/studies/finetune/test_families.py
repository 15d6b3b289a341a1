"""A fine-tuning study of a model that is not a GPT-2."""

from __future__ import annotations

from pathlib import Path

import staged
from staged.model.bpe import BPE
from staged.storage.json_files import read_json
from tests.families import write_family
from tests.studies.finetune.test_finetune import CAKE, PLAN, SOUP, write_style


def test_a_llama(bpe: BPE, tiny_encoder: Path, human_folder: Path, tmp_path: Path) -> None:
    model = write_family(tmp_path / "llama", bpe, "llama")
    styles = {
        "soup": write_style(tmp_path / "soup", SOUP),
        "cake": write_style(tmp_path / "cake", CAKE),
    }
    plan = tmp_path / "plan.toml"
    text = PLAN.format(model=model, human=human_folder, encoder=tiny_encoder, **styles)
    plan.write_text(text.replace("[styles]", 'detectors = ["tfidf"]\n[styles]'))
    finished = staged.study(plan, tmp_path / "study", engine=staged.Engine(workers=1))
    assert finished.is_finetune
    found = read_json(tmp_path / "study" / "finetune.json")
    assert found["model"]["family"] == "llama"
    assert {row["trained_on"] for row in found["cells"]} == {"llama", "fine-tuned"}
    tuned = tmp_path / "study" / "soup" / "tuned" / "model"
    assert read_json(tuned / "config.json")["model_type"] == "llama"
    assert "llama" in finished.report.read_text()
