"""`staged train-detector`: from a plan to the folder of an `evidence` detector.

    human, samples ──► features (a block a file) ──► out-of-fold TF-IDF and encoder ──► weights ──► calibration ──► facts

A killed run continues. Everything is chosen on `train`, calibrated on `valid`; `test` and the held-out corpora are only reported.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from staged.artifacts import disk_errors, locked, replacing, write_json
from staged.detectors.achieved import achieved_rates
from staged.detectors.calibrate import Calibration, fit_calibration
from staged.detectors.evidence import EvidenceDetector, Matrix, Weights, plain, scored_features, standardised
from staged.detectors.features import FEATURES
from staged.detectors.roberta import RobertaDetector, RobertaSettings, train_roberta
from staged.detectors.tfidf import TfidfDetector, train_tfidf
from staged.model.causal import CausalLM, load_causal
from staged.records import HUMAN, MACHINE, Document
from staged.samples.decoders import best_dtype
from staged.study.evidence_data import EvidenceSettings, build_human, build_machine
from staged.study.metrics import auroc

BLOCK = 128  # texts whose features are one file
FOLDS = 2
RATES = (0.01, 0.05)
FEWEST = 10  # machine texts of a group that a figure is given for
STRENGTH = 0.003  # inverse of the penalty on the weights (docs/log.md)
RARER = 2.0  # nats: how much rarer the rough way is taken to be; it is the one that honest odd text also takes
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
    fold = np.asarray([int(_digest([one.source]), 16) % FOLDS for one in train.documents])
    trained = np.zeros((len(fold), 2))
    for part in range(FOLDS):
        inside = [one for one, where in zip(train.documents, fold, strict=True) if where != part]
        outside = [plain(one.text) for one, where in zip(train.documents, fold, strict=True) if where == part]
        tfidf, encoder = train_parts(inside, folder / f"encoder-{part}.pt", settings, progress=progress)
        trained[fold == part] = np.stack([tfidf.score(outside), encoder.score(outside)], axis=1)
    weights = fit_weights(np.hstack([train.features, trained]), train.documents, settings.smooth)
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
    groups = [corpus_of(one) if one.label != MACHINE else one.id.split(".")[0] for one in documents]
    counts = Counter(zip((one.label for one in documents), groups, strict=True))
    kinds = Counter(label for label, _ in counts)
    return np.asarray([1 / (kinds[one.label] * counts[one.label, group]) for one, group in zip(documents, groups, strict=True)])


def fit_weights(columns: Matrix, documents: Sequence[Document], smooth: Sequence[str], *, strength: float = STRENGTH) -> Weights:
    """Two logistic regressions on the standardised columns: human text against each of the two ways to differ from it.

    Args:
        columns: (texts, `COLUMNS`).
        smooth: the sampling methods whose texts are the smooth way; all others are the rough one.
        strength: inverse of the penalty on the weights.
    """
    human = np.asarray([one.label != MACHINE for one in documents])
    careful = np.asarray([one.label == MACHINE and method_of(one) in smooth for one in documents])
    mean, scale = columns[human].mean(axis=0), np.maximum(columns[human].std(axis=0), 1e-6)
    z, importance = standardised(columns, mean, scale), balance(documents)
    sides = []
    for machine in (careful, ~human & ~careful):
        rows = human | machine
        weight = np.where(machine, importance / importance[machine].sum(), importance / importance[human].sum())[rows]
        model = LogisticRegression(C=strength, max_iter=5000)
        model.fit(z[rows], machine[rows], sample_weight=weight * rows.sum() / 2)
        sides.append((model.coef_[0], float(model.intercept_[0])))
    (smooth_weights, a), (rough_weights, b) = sides
    return Weights(mean, scale, smooth_weights, rough_weights, (a, b - RARER))


def method_of(machine: Document) -> str:
    """The sampling method of a machine text of the plan, from its id `generator.method.words.number`."""
    generator, _, rest = machine.id.partition(".")
    return rest.rsplit(".", 2)[0] if generator else ""


def train_evidence(out: Path, settings: EvidenceSettings, *, progress: Progress = lambda what, done, total: None) -> dict[str, Any]:
    """Everything from the plan to `out/detector`: the detector, its calibration, and `facts.json`, which is returned.

    Raises:
        CorpusError, CheckpointError, SamplingError: a corpus or a model of the plan.
        ArtifactError: the place cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    with disk_errors(out), locked(out):
        scored = gather(out, settings, progress=progress)
        detector = fit(scored, load_causal(settings.scorer, dtype=best_dtype()), out, settings, progress=progress)
        place = out / "detector"
        for folder in (place, place / "tfidf", place / "encoder"):
            folder.mkdir(exist_ok=True)
        detector.save(place)
        scores = detector.log_odds(scored.features, [plain(one.text) for one in scored.documents])
        calibration = calibrated(scored.documents, scores)
        calibration.save(place / "calibration.json")
        facts = {"settings": asdict(settings)} | report(scored, scores, calibration)
        write_json(place / "facts.json", facts)
    return facts


def calibrated(documents: Sequence[Document], scores: Sequence[float]) -> Calibration:
    """Human and machine texts of `valid`, by their lengths."""
    found: dict[int, list[tuple[float, int]]] = {HUMAN: [], MACHINE: []}
    for one, score in zip(documents, scores, strict=True):
        if one.split == "valid":
            found[one.label].append((score, len(one.text.split())))
    domains = [corpus_of(one) for one in documents if one.split == "valid"]
    return fit_calibration("evidence", found[HUMAN], found[MACHINE], domains=domains)


def corpus_of(document: Document) -> str:
    """The corpus that a text is from, or that its first words are from."""
    return document.source.split(":")[0]


def report(scored: Scored, scores: Sequence[float], calibration: Calibration) -> dict[str, Any]:
    """What is measured on `test` and on the held-out corpora, JSON values; nothing there was trained or calibrated on.

    `auroc`: each generator's and method's machine texts against the human `test` texts of the calibrated corpora, by the
    detector and by each zero-shot feature, whose better side is taken on `train`. `achieved`: false-positive rates at a nominal
    1% and 5%, by corpus and length.
    """
    corpora = set(calibration.domains)
    test = [i for i, one in enumerate(scored.documents) if one.split == "test" and corpus_of(one) in corpora]
    human = [i for i in test if scored.documents[i].label == HUMAN]
    groups: dict[str, list[int]] = {"all": [i for i in test if scored.documents[i].label == MACHINE]}
    for i in groups["all"]:
        one = scored.documents[i]
        groups.setdefault(one.id.split(".")[0], []).append(i)
        groups.setdefault(method_of(one), []).append(i)
    columns = {"evidence": np.asarray(scores)} | _sided(scored)
    rows = [
        {"machine": name, "score": column, "n_human": len(human), "n_machine": len(rows)}
        | dict(zip(("auroc", "low", "high"), auroc(values[human].tolist(), values[rows].tolist()), strict=True))
        for name, rows in groups.items()
        if len(rows) >= FEWEST
        for column, values in columns.items()
    ]
    held = [i for i, one in enumerate(scored.documents) if one.split == "test" and one.label == HUMAN]
    triples = [(scores[i], len(scored.documents[i].text.split()), corpus_of(scored.documents[i])) for i in held]
    achieved = {f"{fpr:g}": [asdict(one) for one in achieved_rates(calibration, triples, fpr)] for fpr in RATES}
    return {"auroc": rows, "achieved": achieved, "calibrated_on": list(calibration.domains)}


def _sided(scored: Scored) -> dict[str, Matrix]:
    """Each feature, turned so that machine texts of `train` lie above human ones."""
    train = scored.where(lambda one: one.split == "train")
    machine = np.asarray([one.label == MACHINE for one in train.documents])
    signs = [auroc(column[~machine].tolist(), column[machine].tolist())[0] >= 0.5 for column in train.features.T]
    return {name: column if up else -column for name, column, up in zip(FEATURES, scored.features.T, signs, strict=True)}
