"""What the public verbs take and give, in one place; the package hands these out when asked."""

from __future__ import annotations

from staged.attacks.stress import Stressed, StressReport, StressSettings
from staged.cells import Cell
from staged.corpus.build import CorpusSettings
from staged.corpus.building.results import BuildCounts
from staged.corpus.repeats.dedup import Deduplicated
from staged.detectors.calibration.calibration import Calibration, fit_calibration
from staged.detectors.calibration.calibration_file import load_calibration
from staged.detectors.calibration.error_rates import Achieved
from staged.detectors.calibration.fit import Fitted
from staged.detectors.calibration.key_rates import KeyRate, KeyRates
from staged.detectors.catalog import load_detector, open_detector
from staged.detectors.contract import (
    Change,
    Detector,
    Opinion,
    Scored,
    Segment,
    TokenRank,
    Trained,
    Verdict,
)
from staged.detectors.examiner import Examiner
from staged.detectors.kinds.readers.sentences import Share, WordWeight
from staged.detectors.normal.normalize import Normalized, normalize
from staged.detectors.scorer import Scorer
from staged.keys.ring import Key, Use
from staged.model.bpe import BPE
from staged.model.checkpoints import load_model
from staged.model.gpt2.model import GPT2
from staged.model.reading.evaluate import Evaluation
from staged.model.training.plan import FINE_TUNING, TrainSettings
from staged.model.training.plan import read_training_plan as read_training_plan
from staged.model.training.record import TrainingRecord
from staged.model.training.rows.packed import PackedTokens
from staged.model.training.run import TrainStep
from staged.pipeline.stage import Stage
from staged.pipeline.study_folder import StudyProgress
from staged.provenance.examination import Examination, WatermarkFinding
from staged.provenance.manifest.facts import SignatureVerdict
from staged.provenance.report import ReportVerdict
from staged.provenance.signed_files import SignedFile
from staged.raid.evaluate import raid_detector
from staged.raid.results import RaidResult, RaidScores
from staged.raid.settings import RaidSettings
from staged.release.advance import Advance, Standing
from staged.release.card.contents import Blank
from staged.release.outcomes import Decision, Outcome, Override
from staged.release.package.verify import Problem
from staged.samples.columns import Sample
from staged.samples.dataset import SampleSettings
from staged.samples.methods import Method, method
from staged.studies.bias.plan import BiasSettings
from staged.studies.bias.results import BiasResult, Tally
from staged.studies.costs.dry_run import DryRun
from staged.studies.finished import FinishedStudy
from staged.survey.plan import SurveySettings
from staged.survey.results import Survey
from staged.training.transfer import Transfer

__all__ = [
    "BPE",
    "FINE_TUNING",
    "GPT2",
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
    "DryRun",
    "Evaluation",
    "Examination",
    "Examiner",
    "FinishedStudy",
    "Fitted",
    "Key",
    "KeyRate",
    "KeyRates",
    "Method",
    "Normalized",
    "Opinion",
    "Outcome",
    "Override",
    "PackedTokens",
    "Problem",
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
    "fit_calibration",
    "load_calibration",
    "load_detector",
    "load_model",
    "method",
    "normalize",
    "open_detector",
    "raid_detector",
    "read_training_plan",
]
