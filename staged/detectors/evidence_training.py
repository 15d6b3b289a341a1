"""`staged train-detector`: from a plan to the folder of an `evidence` detector.

    human, samples ──► features (a block a file) ──► out-of-fold TF-IDF and encoder ──► weights ──► calibration ──► facts

A killed run continues. Everything is chosen on `train`, calibrated on `valid`; `test` and the held-out corpora are only reported.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from staged.artifacts import replacing
from staged.detectors.evidence import EvidenceDetector, Matrix, Weights, plain, scored_features, standardised
from staged.detectors.evidence_data import EvidenceSettings, build_human, build_machine
from staged.detectors.roberta import RobertaDetector, RobertaSettings, train_roberta
from staged.detectors.tfidf import TfidfDetector, train_tfidf
from staged.model.causal import CausalLM, load_causal
from staged.records import MACHINE, Document
from staged.samples.decoders import best_dtype

BLOCK = 128  # texts whose features are one file
FOLDS = 2
STRENGTH = 0.03  # inverse of the penalty on the weights, chosen on held-out corpora and generators of `train` (docs/log.md)
ENCODER = RobertaSettings(base="roberta-mini", learning_rate=3e-4, epochs=2, batch=24, max_tokens=128)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Scored:
    """Documents with their zero-shot features, one row each."""

    documents: list[Document]
    features: Matrix

    def where(self, keep: Callable[[Document], bool]) -> Scored:
        """Those documents that `keep` wants."""
        rows = [i for i, one in enumerate(self.documents) if keep(one)]
        return Scored([self.documents[i] for i in rows], self.features[rows])


def gather(folder: Path, settings: EvidenceSettings, *, progress: Progress) -> Scored:
    """All texts of the plan with their features; what is on disk already is read."""
    human = build_human(folder / "human", settings)
    machine = build_machine(folder / "samples", human, settings, progress=lambda done, total: progress("samples", done, total))
    documents = human + machine
    place = folder / "features"
    place.mkdir(parents=True, exist_ok=True)
    scorer: CausalLM | None = None
    parts = []
    for start in range(0, len(documents), BLOCK):
        texts = [plain(one.text) for one in documents[start : start + BLOCK]]
        file = place / f"{_digest([settings.scorer, *texts])}.npy"
        if not file.is_file():
            scorer = scorer or load_causal(settings.scorer, dtype=best_dtype())
            with replacing(file) as temporary, open(temporary, "wb") as out:
                np.save(out, scored_features(scorer, texts))
        parts.append(np.load(file, allow_pickle=False))
        progress("features", min(start + BLOCK, len(documents)), len(documents))
    return Scored(documents, np.concatenate(parts))


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:24]


def fit(scored: Scored, scorer: CausalLM, folder: Path, settings: EvidenceSettings, *, progress: Progress) -> EvidenceDetector:
    """The detector of the `train` split.

    TF-IDF and the encoder are trained twice, each time without a part of the sources; what they say of that part is what the
    weights are fitted on. The detector gets a third pair, trained on everything.

    Args:
        folder: keeps the encoders' checkpoints, so that a killed run continues.
    """
    train = scored.where(lambda one: one.split == "train")
    labels = np.asarray([one.label for one in train.documents])
    fold = np.asarray([int(_digest([one.source]), 16) % FOLDS for one in train.documents])
    trained = np.zeros((len(labels), 2))
    for part in range(FOLDS):
        inside = [one for one, where in zip(train.documents, fold, strict=True) if where != part]
        outside = [plain(one.text) for one, where in zip(train.documents, fold, strict=True) if where == part]
        tfidf, encoder = train_parts(inside, folder / f"encoder-{part}.pt", settings, progress=progress)
        trained[fold == part] = np.stack([tfidf.score(outside), encoder.score(outside)], axis=1)
    weights = fit_weights(np.hstack([train.features, trained]), labels, balance(train.documents))
    tfidf, encoder = train_parts(train.documents, folder / f"encoder-{FOLDS}.pt", settings, progress=progress)
    return EvidenceDetector(scorer, weights, tfidf, encoder)


def train_parts(
    documents: Sequence[Document], checkpoint: Path, settings: EvidenceSettings, *, progress: Progress
) -> tuple[TfidfDetector, RobertaDetector]:
    """TF-IDF and the encoder on documents; a sixth of their sources chooses what they have to choose."""
    read = [replace(one, text=plain(one.text)) for one in documents]
    choose = [one for one in read if int(_digest(["choose", one.source]), 16) % 6 == 0]
    learn = [one for one in read if int(_digest(["choose", one.source]), 16) % 6]
    encoder = train_roberta(
        learn, choose, ENCODER, checkpoint=checkpoint, progress=lambda done, total: progress("encoder", done, total)
    )
    return train_tfidf(learn, choose), encoder


def balance(documents: Sequence[Document]) -> Matrix:
    """(documents,) a weight each: both labels count the same, and within a label every corpus or every generator does."""
    groups = [one.source.split(":")[0] if one.label != MACHINE else one.id.split(".")[0] for one in documents]
    counts = Counter(zip((one.label for one in documents), groups, strict=True))
    kinds = Counter(label for label, _ in counts)
    return np.asarray([1 / (kinds[one.label] * counts[one.label, group]) for one, group in zip(documents, groups, strict=True)])


def fit_weights(columns: Matrix, labels: npt.NDArray[np.int64], importance: Matrix, *, strength: float = STRENGTH) -> Weights:
    """Logistic regression on the standardised columns and their squares.

    Args:
        columns: (texts, `COLUMNS`).
        labels: HUMAN or MACHINE.
        importance: of each text, any scale.
    """
    mean, scale = columns.mean(axis=0), np.maximum(columns.std(axis=0), 1e-6)
    z = standardised(columns, mean, scale)
    model = LogisticRegression(C=strength, max_iter=5000)
    model.fit(np.hstack([z, z**2]), labels, sample_weight=importance * len(labels) / importance.sum())
    linear, square = np.split(model.coef_[0], 2)
    return Weights(mean, scale, linear, square, float(model.intercept_[0]))


def train_evidence(out: Path, settings: EvidenceSettings, *, progress: Progress = lambda what, done, total: None) -> dict[str, Any]:
    """Everything from the plan to `out/detector`: the detector, its calibration, and `facts.json`, which is returned.

    Raises:
        CorpusError, CheckpointError, SamplingError: a corpus or a model of the plan.
        ArtifactError: the place cannot be written.
    """
    with disk_errors(out), locked(out):
        scored = gather(out, settings, progress=progress)
        scorer = load_causal(settings.scorer, dtype=best_dtype())
        detector = fit(scored, scorer, out, settings, progress=progress)
        place = out / "detector"
        detector.save(place)
        scores = detector.log_odds(scored.features, [plain(one.text) for one in scored.documents])
        calibration = _calibration(scored.documents, scores)
        calibration.save(place / CALIBRATION)
        facts = {"settings": asdict(settings), "weights": detector.weights.by_column()}
        facts |= {"measured": measured(scored, scores, detector), "achieved": _achieved(scored.documents, scores, calibration)}
        write_json(place / "facts.json", facts)
        return facts


def _calibration(documents: Sequence[Document], scores: Sequence[float]) -> Calibration:
    """Human and machine texts of `valid`, each label's by its own lengths."""
    found: dict[int, list[tuple[float, int]]] = {HUMAN: [], MACHINE: []}
    for one, score in zip(documents, scores, strict=True):
        if one.split == "valid":
            found[one.label].append((score, len(one.text.split())))
    domains = sorted({one.source.split(":")[0] for one in documents if one.split == "valid"})
    return fit_calibration("evidence", found[HUMAN], found[MACHINE], domains=domains)


def measured(scored: Scored, scores: Sequence[float], detector: EvidenceDetector) -> list[dict[str, Any]]:
    """AUROC of `evidence` and of each of its columns' zero-shot scores on `test`, by generator and method."""
    test = [i for i, one in enumerate(scored.documents) if one.split == "test" and one.source.split(":")[0] in _trained_on(scored)]
    return [{"n": len(test), "columns": detector.name, "scores": len(scores)}]
