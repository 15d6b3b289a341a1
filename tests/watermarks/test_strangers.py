"""Configurations of other libraries: written by transformers itself, or as vLLM documents them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import GenerationConfig, SynthIDTextWatermarkingConfig, WatermarkingConfig

from staged.errors import PlanError
from staged.watermarks.kinds.gumbel import DualGumbel, Gumbel
from staged.watermarks.kinds.kgw import KGW
from staged.watermarks.kinds.sbw import SBW
from staged.watermarks.kinds.synthid import SynthID
from staged.watermarks.schemes import make_watermark
from staged.watermarks.strangers import read_configuration, scheme_and_settings

GREEN = WatermarkingConfig(
    greenlist_ratio=0.5, bias=1.5, hashing_key=99, seeding_scheme="selfhash", context_width=3
)
TOURNAMENT = SynthIDTextWatermarkingConfig(
    ngram_len=4, keys=[3, -1, 2**63 - 1], sampling_table_seed=5, sampling_table_size=512
)
OURS = {
    "kgw": KGW(99, 700, 0.5, 1.5, "selfhash", 3),
    "synthid": SynthID((3, -1, 2**63 - 1), 4, 512, 5),
}


@pytest.mark.parametrize("theirs", [GREEN, TOURNAMENT], ids=["kgw", "synthid"])
def test_what_transformers_writes_is_read(theirs: Any, tmp_path: Path) -> None:
    theirs.to_json_file(tmp_path / "mark.json")
    scheme, settings = read_configuration(tmp_path / "mark.json")
    assert make_watermark(scheme, None, 700, settings) == OURS[scheme]
    GenerationConfig(do_sample=True, watermarking_config=theirs).save_pretrained(tmp_path)
    assert read_configuration(tmp_path / "generation_config.json") == (scheme, settings)
    assert json.loads(json.dumps(settings)) == settings


def test_defaults_are_those_of_transformers() -> None:
    scheme, settings = scheme_and_settings({"bias": 2.0}, where="x")
    assert settings == scheme_and_settings(WatermarkingConfig().to_dict(), where="x")[1]
    assert make_watermark(scheme, None, 900, settings) == KGW(15485863, 900, context_width=1)
    theirs = SynthIDTextWatermarkingConfig(ngram_len=5, keys=[1, 2])
    both = [{"ngram_len": 5, "keys": [1, 2]}, theirs.to_dict()]
    assert scheme_and_settings(both[0], where="x") == scheme_and_settings(both[1], where="x")
    assert make_watermark(*_with(both[0])) == SynthID((1, 2))


def _with(table: dict[str, Any]) -> tuple[str, None, int, dict[str, Any]]:
    scheme, settings = scheme_and_settings(table, where="x")
    return scheme, None, 700, settings


@pytest.mark.parametrize(
    ("table", "ours"),
    [
        ({"algorithm": "gumbel", "key": 42}, Gumbel(42)),
        ({"key": 42}, Gumbel(42)),
        ({"key": 42, "context_width": 2, "deduplicate_contexts": "all"}, Gumbel(42, 2)),
        ({"key": 7, "algorithm": "dual_key_gumbel", "alpha": 0.2}, DualGumbel(7, 0.2)),
        ({"key": 7, "algorithm": "sbw"}, SBW(7)),
        ({"key": 7, "algorithm": "sbw", "context_width": 4, "prf": "philox"}, SBW(7)),
        (
            {
                "key": 7,
                "algorithm": "sbw",
                "sbw_scheme": "lefthash",
                "sbw_gamma": 0.25,
                "sbw_delta": 1,
                "deduplicate_contexts_max_history": None,
                "allow_target_only_watermarking": True,
            },
            SBW(7, 0.25, 1.0, "lefthash"),
        ),
    ],
)
def test_what_vllm_documents_is_read(table: dict[str, Any], ours: object) -> None:
    assert make_watermark(*_with(table)) == ours


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ([], "no configuration of a watermark"),
        ({}, "no configuration of a watermark"),
        ({"do_sample": True, "watermarking_config": None}, "it marks nothing"),
        ({"watermarking_config": {"bias": 2, "haste": 1}}, "watermarking_config: unknown key"),
        ({"bias": 2, "contextwidth": 1}, "did you mean 'context_width'"),
        ({"bias": 2, "seeding_scheme": "righthash"}, "seeding 'righthash'"),
        ({"bias": 2, "context_width": 0}, "context_width must be 1 or more"),
        ({"greenlist_ratio": 1.0}, "gamma must lie between 0 and 1"),
        ({"hashing_key": "hunter2"}, "hashing_key must be a whole number"),
        ({"keys": [1]}, "'ngram_len' is missing"),
        ({"ngram_len": 5, "keys": [1], "debug_mode": True}, "debug_mode"),
        ({"ngram_len": 5, "keys": ["hunter2"]}, "keys must be a list of whole numbers"),
        ({"ngram_len": 5, "keys": "hunter2"}, "keys must be a list of whole numbers"),
        ({"ngram_len": 5, "keys": [1], "num_candidates": 1024}, "unknown key 'num_candidates'"),
        ({"key": 1, "algorithm": "gumbel_dual_key"}, "known: dual_key_gumbel, gumbel, sbw"),
        ({"key": 1, "algorithm": "synthid"}, "algorithm 'synthid'"),
        ({"key": 1, "prf": "hmac_sha256"}, "prf 'hmac_sha256'"),
        ({"key": 1, "deduplicate_contexts": "some"}, "deduplicate_contexts 'some'"),
        ({"key": 1, "algorithm": "sbw", "context_width": 3}, "is known with context_width 4"),
        ({"key": 1, "context_width": 0}, "watermark"),
        ({"key": 2**64}, "a key must be"),
        ({"key": "hunter2"}, "key must be a whole number"),
        ({"algorithm": "gumbel"}, "'key' is missing"),
        ({"key": 1, "context_window": 4}, "unknown key 'context_window'"),
    ],
)
def test_what_is_not_known_is_refused_in_a_sentence_without_the_key(
    table: Any, sentence: str
) -> None:
    with pytest.raises(PlanError, match=sentence) as raised:
        scheme_and_settings(table, where="mark.json")
    assert "hunter2" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_files_that_cannot_be_read_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read"):
        read_configuration(tmp_path / "none.json")
    (tmp_path / "mark.json").write_text("key: hunter2")
    with pytest.raises(PlanError, match="no JSON") as raised:
        read_configuration(tmp_path / "mark.json")
    assert "hunter2" not in str(raised.value)
