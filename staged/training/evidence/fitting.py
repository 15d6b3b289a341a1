"""From features to a detector: weights of its own under one scorer, or the mean of several
detectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from staged.detectors.catalog import open_detector
from staged.detectors.kinds.ensemble import Ensemble, is_folder_name
from staged.detectors.kinds.evidence import EvidenceDetector, Matrix
from staged.detectors.kinds.features import FEATURES
from staged.detectors.names import parse_name
from staged.errors import PlanError
from staged.model.causal import load_causal
from staged.records import MACHINE, Document
from staged.stats.metrics import auroc
from staged.storage.json_files import read_json
from staged.training.evidence.passages import is_clean
from staged.training.evidence.plan import EnsembleSettings, EvidenceSettings
from staged.training.evidence.weights import fit_weights


@dataclass(frozen=True)
class Fitted:
    """A detector and what it says of the texts of its plan.

    Attributes:
        scores: (documents,) the detector's.
        columns: (documents,) scores beside them, by name: each feature's, or each member's.
    """

    detector: EvidenceDetector | Ensemble
    scores: Matrix
    columns: dict[str, Matrix]


def trained(
    plan: EvidenceSettings,
    documents: Sequence[Document],
    reading: Callable[..., Matrix],
    device: str,
) -> Fitted:
    """Weights from the plan's `train` texts; beside the detector's scores each feature's."""
    load = cache(partial(load_causal, plan.scorer, device=device))
    features = reading(plan.scorer, plan.most_tokens, load)
    train = [i for i, document in enumerate(documents) if document.split == "train"]
    weights = fit_weights(features[train], [documents[i] for i in train], plan)
    detector = EvidenceDetector(load(), weights, name=plan.name, most_tokens=plan.most_tokens)
    return Fitted(detector, weights.log_odds(features), _sided(documents, features))


def _sided(documents: Sequence[Document], features: Matrix) -> dict[str, Matrix]:
    """Each feature, turned so that machine texts of `train` lie above clean human ones."""
    machine = [
        i
        for i, document in enumerate(documents)
        if document.split == "train" and document.label == MACHINE
    ]
    clean = [
        i
        for i, document in enumerate(documents)
        if document.split == "train" and is_clean(document)
    ]
    signs = [
        auroc(column[clean].tolist(), column[machine].tolist())[0] >= 0.5 for column in features.T
    ]
    return {
        name: column if up else -column
        for name, column, up in zip(FEATURES, features.T, signs, strict=True)
    }


def pooled(detector: Ensemble, reading: Callable[..., Matrix]) -> Fitted:
    """Beside the ensemble's scores each member's."""
    columns = {
        member.name: member.weights.log_odds(
            reading(member.scorer.name, member.most_tokens, lambda member=member: member.scorer)
        )
        for member in detector.members
    }
    return Fitted(detector, detector.pooled(list(columns.values())), columns)


def joined(plan: EnsembleSettings, texts: EvidenceSettings, device: str) -> Ensemble:
    """The detectors that a plan names, opened, as one.

    Raises:
        PlanError: one that cannot be a member, or that learned from what calibrates or tests.
        CheckpointError: one that is not there.
    """
    members: dict[str, EvidenceDetector] = {}
    for name in plan.members:
        member = open_detector(name, device=device)
        if not isinstance(member, EvidenceDetector):
            raise PlanError(
                f"ensemble: {name!r} is not of the kind of `evidence`; members are such, by name or"
                " folder"
            )
        if member.name in (*members, plan.name) or not is_folder_name(member.name):
            raise PlanError(
                f"ensemble: member {name!r} is called {member.name!r}; members' names and its own"
                " must differ, and name a folder"
            )
        _check_texts(name, texts)
        members[member.name] = member
    return Ensemble(list(members.values()), list(plan.members.values()), name=plan.name)


def _check_texts(member: str, texts: EvidenceSettings) -> None:
    """Refuse a member that learned from texts which are to calibrate or test: one of another seed,
    or of other roles.
    """
    file = parse_name(member).place / "facts.json"
    settings = read_json(file)["settings"] if file.is_file() else {}
    used = {Path(path).name for path in texts.corpora}
    taught = {Path(path).name for path in texts.human}
    for corpus in (Path(path).name for path in settings.get("human", ())):
        if corpus in used and (corpus not in taught or settings["seed"] != texts.seed):
            raise PlanError(
                f"ensemble: member {member!r} learned from texts of {corpus!r} that this plan's"
                " texts calibrate or test with; give texts of the same seed and the same `human`"
                " corpora"
            )
