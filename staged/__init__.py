"""Release a language model the way GPT-2 1.5B was released: with its weights, its detector, its
evidence and its card.

The verbs are functions, one a command of the command line; what they take and give are the types
beside them. `docs/python.md` walks through them.

    a text in hand   detect, open_examiner, calibrate, calibrate_watermark, stress, evaluate_raid
    millions of them detect_files
    models           sample, train, tokenize, convert, evaluate_lm
    corpus           build_corpus, dedup_corpus
    studies          study, dry_run, bias, make_survey, tally_survey, write_report
    detectors        train_detector, transfer
    keys             new_key, list_keys, rotate_key, revoke_key
    provenance       sign, verify_texts, check_report
    release          card, release_status, advance_release, verify, make_keys

Importing this is instant: a model's library is loaded by the first verb that needs one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from staged.engines.choice import Engine
from staged.errors import StagedError
from staged.progress import NamedProgress, Progress
from staged.records import HUMAN, MACHINE, Document
from staged.verbs.corpus import build_corpus, dedup_corpus
from staged.verbs.detectors import train_detector, transfer
from staged.verbs.error_rates import calibrate, calibrate_watermark, evaluate_raid, stress
from staged.verbs.keys import list_keys, new_key, revoke_key, rotate_key
from staged.verbs.models import convert, evaluate_lm, sample, tokenize, train
from staged.verbs.provenance import sign
from staged.verbs.release import (
    WrittenCard,
    advance_release,
    card,
    make_keys,
    release_status,
    verify,
)
from staged.verbs.studies import (
    bias,
    dry_run,
    make_survey,
    study,
    study_stage,
    tally_bias,
    tally_survey,
    write_report,
)
from staged.verbs.texts import check_report, detect, detect_files, open_examiner, verify_texts

if TYPE_CHECKING:  # what a checker and an editor see at once; a program when it asks
    from staged.verbs.types import *  # noqa: F403

__version__ = "0.1.0"

__all__ = [
    "BPE",
    "FINE_TUNING",
    "GPT2",
    "HUMAN",
    "MACHINE",
    "Achieved",
    "Advance",
    "BiasResult",
    "BiasSettings",
    "Blank",
    "BuildCounts",
    "Calibration",
    "Cell",
    "Change",
    "CorpusSettings",
    "Decision",
    "Deduplicated",
    "Detector",
    "Document",
    "DryRun",
    "Engine",
    "Evaluation",
    "Examination",
    "Examiner",
    "FinishedStudy",
    "Fitted",
    "Key",
    "KeyRate",
    "KeyRates",
    "Method",
    "NamedProgress",
    "Normalized",
    "Opinion",
    "Outcome",
    "Override",
    "PackedTokens",
    "Problem",
    "Progress",
    "RaidResult",
    "RaidScores",
    "RaidSettings",
    "ReportVerdict",
    "Sample",
    "SampleSettings",
    "Scored",
    "Scorer",
    "Segment",
    "Share",
    "SignatureVerdict",
    "SignedFile",
    "Stage",
    "StagedError",
    "Standing",
    "StressReport",
    "StressSettings",
    "Stressed",
    "StudyProgress",
    "Survey",
    "SurveySettings",
    "Tally",
    "TokenRank",
    "TrainSettings",
    "TrainStep",
    "Trained",
    "TrainingRecord",
    "Transfer",
    "Use",
    "Verdict",
    "WatermarkFinding",
    "WordWeight",
    "WrittenCard",
    "advance_release",
    "bias",
    "build_corpus",
    "calibrate",
    "calibrate_watermark",
    "card",
    "check_report",
    "convert",
    "dedup_corpus",
    "detect",
    "detect_files",
    "dry_run",
    "evaluate_lm",
    "evaluate_raid",
    "fit_calibration",
    "list_keys",
    "load_calibration",
    "load_detector",
    "load_model",
    "make_keys",
    "make_survey",
    "method",
    "new_key",
    "normalize",
    "open_detector",
    "open_examiner",
    "raid_detector",
    "read_training_plan",
    "release_status",
    "revoke_key",
    "rotate_key",
    "sample",
    "sign",
    "stress",
    "study",
    "study_stage",
    "tally_bias",
    "tally_survey",
    "tokenize",
    "train",
    "train_detector",
    "transfer",
    "verify",
    "verify_texts",
    "write_report",
]


if not TYPE_CHECKING:  # for a checker the package is closed

    def __getattr__(name: str) -> Any:
        if name in __all__:
            return getattr(import_module("staged.verbs.types"), name)
        raise AttributeError(f"module 'staged' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
