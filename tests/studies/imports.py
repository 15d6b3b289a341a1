"""What studies import, slowly: the process from which tests fork a study's workers imports it once.
There a server that gave no answer is asked again at once, too.
"""

from __future__ import annotations

import pytest
import sklearn.feature_extraction.text
import sklearn.linear_model
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    LlamaForCausalLM,
    RobertaForSequenceClassification,
)

import staged.studies.detection.study
import staged.studies.finetune.study
import staged.studies.provenance.study
from tests.samples.completions_server import ask_again_at_once

__all__ = [
    "AutoModelForCausalLM",
    "AutoModelForSequenceClassification",
    "AutoTokenizer",
    "LlamaForCausalLM",
    "RobertaForSequenceClassification",
    "sklearn",
    "staged",
]

ask_again_at_once(pytest.MonkeyPatch())
