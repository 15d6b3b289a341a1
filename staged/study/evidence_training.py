"""`staged train-detector`: from a plan to the folder of an `evidence` detector.

    human, attacked, samples ──► features (a block a file) ──► weights ──► calibration ──► facts

A killed run continues. Everything is chosen on `train`, calibrated on `valid`; `test` and the held-out corpora are only reported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from staged.artifacts import digest, disk_errors, locked, replacing, write_atomic, write_json
from staged.detectors.achieved import achieved_rates
from staged.detectors.calibrate import Calibration, fit_calibration
from staged.detectors.evidence import EvidenceDetector, Matrix, plain, scored_features
from staged.detectors.features import FEATURES
from staged.model.causal import CausalLM, load_causal
from staged.records import HUMAN, MACHINE, Document
from staged.samples.decoders import chosen_device
from staged.study.evidence_data import (
    attacked,
    build_human,
    build_machine,
    corpus_of,
    generator_of,
    is_clean,
    method_of,
)
from staged.study.evidence_plan import EvidenceSettings
from staged.study.evidence_weights import fit_weights
from staged.study.metrics import auroc

BLOCK = 128  # texts whose features are one file
RATES = (0.01, 0.05)
FEWEST = 10  # machine texts of a group that a figure is given for
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


def gather(folder: Path, settings: EvidenceSettings, *, device: str, progress: Progress) -> Scored:
    """All texts of the plan with their features; what is on disk already is read."""
    human = build_human(folder / "human", settings)
    machine = build_machine(
        folder / "samples", human, settings, device=device, progress=lambda done, total: progress("samples", done, total)
    )
    documents = human + attacked(human, settings) + machine
    place = folder / "features"
    place.mkdir(parents=True, exist_ok=True)
    scorer: CausalLM | None = None
    parts = []
    for start in range(0, len(documents), BLOCK):
        texts = [plain(one.text) for one in documents[start : start + BLOCK]]
        file = place / f"{digest([settings.scorer, str(settings.most_tokens), *FEATURES, *texts])}.npy"
        if not file.is_file():
            scorer = scorer or load_causal(settings.scorer, device=device)
            with replacing(file) as temporary, open(temporary, "wb") as out:
                np.save(out, scored_features(scorer, texts, most_tokens=settings.most_tokens))
        parts.append(np.load(file, allow_pickle=False))
        progress("features", min(start + BLOCK, len(documents)), len(documents))
    return Scored(documents, np.concatenate(parts))


def train_evidence(
    out: Path,
    settings: EvidenceSettings,
    *,
    device: str = "cpu",
    progress: Progress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Everything from the plan to `out/detector`: the detector, its calibration, and `facts.json`, which is returned.

    `out/test` receives the texts that none of these were made of.

    Args:
        device: where texts are generated and read: `cpu`, `cuda`, or `auto` for a GPU where there is one.

    Raises:
        CorpusError, CheckpointError, SamplingError: a corpus or a model of the plan.
        ArtifactError: the place cannot be written.
    """
    device = chosen_device(device)
    out.mkdir(parents=True, exist_ok=True)
    with disk_errors(out), locked(out):
        scored = gather(out, settings, device=device, progress=progress)
        train = scored.where(lambda one: one.split == "train")
        weights = fit_weights(train.features, train.documents, settings)
        place = out / "detector"
        place.mkdir(exist_ok=True)
        scorer = load_causal(settings.scorer)
        EvidenceDetector(scorer, weights, name=settings.name, most_tokens=settings.most_tokens).save(place)
        keep_test(out / "test", scored.documents)
        scores = [float(one) for one in weights.log_odds(scored.features)]
        calibration = calibrated(scored.documents, scores, settings)
        calibration.save(place / "calibration.json")
        facts = {"settings": asdict(settings)} | report(scored, scores, calibration)
        write_json(place / "facts.json", facts)
    return facts


def keep_test(folder: Path, documents: Sequence[Document]) -> None:
    """The texts that neither trained nor calibrated, as corpora: `human/CORPUS.jsonl`, `machine/GENERATOR.jsonl`."""
    files: dict[Path, list[str]] = {}
    for one in documents:
        if one.split == "test" and (one.label == MACHINE or is_clean(one)):
            name = Path("machine", generator_of(one)) if one.label == MACHINE else Path("human", corpus_of(one))
            row = json.dumps({"text": one.text, "source": one.source, "label": one.label}, ensure_ascii=False)
            files.setdefault(folder / f"{name}.jsonl", []).append(row + "\n")
    for path, rows in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, "".join(rows).encode())


def calibrated(documents: Sequence[Document], scores: Sequence[float], settings: EvidenceSettings) -> Calibration:
    """Human and machine texts of `valid`, by their lengths."""
    found: dict[int, list[tuple[float, int]]] = {HUMAN: [], MACHINE: []}
    for one, score in zip(documents, scores, strict=True):
        if one.split == "valid":
            found[one.label].append((score, len(one.text.split())))
    domains = [corpus_of(one) for one in documents if one.split == "valid"]
    return fit_calibration(settings.name, found[HUMAN], found[MACHINE], domains=domains, edges_words=settings.edges_words)


def report(scored: Scored, scores: Sequence[float], calibration: Calibration) -> dict[str, Any]:
    """What is measured on `test` and on the held-out corpora, JSON values; nothing there was trained or calibrated on.

    `auroc`: each generator's and method's machine texts against the human `test` texts of the corpora that they begin like, by the
    detector and by each zero-shot feature, whose better side is taken on `train`. `achieved`: false-positive rates at a nominal
    1% and 5%, by corpus and length; `attacked` the same of human texts under the plan's attacks.
    """
    corpora = {corpus_of(one) for one in scored.documents if one.label == MACHINE}
    test = [i for i, one in enumerate(scored.documents) if one.split == "test" and corpus_of(one) in corpora]
    human = [i for i in test if scored.documents[i].label == HUMAN]
    groups: dict[str, list[int]] = {"all": [i for i in test if scored.documents[i].label == MACHINE]}
    for i in groups["all"]:
        one = scored.documents[i]
        groups.setdefault(generator_of(one), []).append(i)
        groups.setdefault(method_of(one), []).append(i)
    columns = {"evidence": np.asarray(scores)} | _sided(scored)
    rows = [
        {"machine": name, "score": column, "n_human": len(human), "n_machine": len(rows)}
        | dict(zip(("auroc", "low", "high"), auroc(values[human].tolist(), values[rows].tolist()), strict=True))
        for name, rows in groups.items()
        if len(rows) >= FEWEST
        for column, values in columns.items()
    ]
    held: dict[bool, list[tuple[float, int, str]]] = {True: [], False: []}
    for one, score in zip(scored.documents, scores, strict=True):
        if one.split == "test" and one.label == HUMAN:
            held[is_clean(one)].append((score, len(one.text.split()), corpus_of(one)))
    clean, changed = (
        {f"{fpr:g}": [asdict(row) for row in achieved_rates(calibration, those, fpr)] for fpr in RATES} for those in held.values()
    )
    return {"auroc": rows, "achieved": clean, "attacked": changed, "calibrated_on": list(calibration.domains)}


def _sided(scored: Scored) -> dict[str, Matrix]:
    """Each feature, turned so that machine texts of `train` lie above human ones."""
    train = scored.where(lambda one: one.split == "train")
    machine = np.asarray([one.label == MACHINE for one in train.documents])
    clean = np.asarray([is_clean(one) for one in train.documents])
    signs = [auroc(column[clean].tolist(), column[machine].tolist())[0] >= 0.5 for column in train.features.T]
    return {name: column if up else -column for name, column, up in zip(FEATURES, scored.features.T, signs, strict=True)}
