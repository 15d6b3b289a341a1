"""`staged train-detector`: from a plan to the folder of a detector of the kind of `evidence`, or of
an ensemble of such.

    human, attacked, samples ──► features (a block a file) ──► weights ──► calibration ──► facts

A killed run continues. Everything is chosen on `train`, calibrated on `valid`; `test` and the
held-out corpora are only reported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

from staged import __version__
from staged.corpus.learned import read_learned, write_learned
from staged.detectors.calibration.calibration import Calibration, fit_calibration
from staged.detectors.calibration.calibration_file import load_calibration
from staged.detectors.calibration.error_rates import achieved_rates
from staged.detectors.catalog import open_detector
from staged.detectors.coverage.reasons import comparable_words
from staged.detectors.identity import detector_files, known_by
from staged.detectors.kinds.ensemble import Ensemble, is_folder_name
from staged.detectors.kinds.evidence import EvidenceDetector, Matrix, one_line
from staged.detectors.kinds.features import FEATURES
from staged.detectors.names import parse_name
from staged.detectors.normal.normalize import normalize
from staged.errors import PlanError
from staged.model.causal import CausalLM, load_causal
from staged.model.checkpoints import model_folder
from staged.model.devices import chosen_device
from staged.plans.shipped import find_plan
from staged.progress import NamedProgress
from staged.records import HUMAN, MACHINE, Document
from staged.samples.sample_stage import own_weights
from staged.stats.metrics import auroc
from staged.storage.gate import check_stage, start_ledger
from staged.storage.json_files import read_json, write_json
from staged.storage.stage_folders import build, is_complete
from staged.storage.writing import disk_errors, locked, write_atomic
from staged.training.evidence.generated import build_machine, cells, generator_of, method_of
from staged.training.evidence.passages import attacked, build_human, corpus_of, is_clean
from staged.training.evidence.plan import EnsembleSettings, EvidenceSettings, read_evidence
from staged.training.evidence.weights import fit_weights
from staged.training.features import features_of

BLOCK = 128  # texts whose features are one file
RATES = (0.01, 0.05)
FEWEST = 10  # machine texts of a group that a figure is given for
Made = tuple[
    EvidenceDetector | Ensemble, Matrix, dict[str, Matrix]
]  # a detector, its scores of all texts, scores beside them


def gather(
    folder: Path, settings: EvidenceSettings, *, device: str, progress: NamedProgress
) -> list[Document]:
    """All texts of the plan, with the human ones under its attacks."""
    human = build_human(folder / "human", settings)
    machine = build_machine(
        folder / "samples",
        human,
        settings,
        device=device,
        progress=lambda done, total: progress("samples", done, total),
    )
    return human + attacked(human, settings) + machine


def read_features(
    folder: Path,
    documents: Sequence[Document],
    scorer: str,
    most_tokens: int,
    load: Callable[[], CausalLM],
    *,
    progress: NamedProgress,
) -> Matrix:
    """(documents, features) under a scorer, of the texts as a detector reads them."""
    texts = [one_line(normalize(document.text).text) for document in documents]
    batches = [texts[start : start + BLOCK] for start in range(0, len(texts), BLOCK)]
    return features_of(
        folder,
        batches,
        scorer,
        load,
        most_tokens=most_tokens,
        progress=partial(progress, "features"),
    )


def build_detector(
    out: Path,
    settings: EvidenceSettings | EnsembleSettings,
    *,
    device: str = "cpu",
    progress: NamedProgress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Everything from the plan to `out/detector`: the detector, its calibration, and `facts.json`,
    which is returned.

    `out/test` receives the texts that none of these were made of. Both are made again only where
    something they depend on changed.

    Args:
        device: where texts are generated and read: `cpu`, `cuda`, or `auto` for a GPU where there
            is one.

    Raises:
        CorpusError, CheckpointError, SamplingError: a corpus or a model of the plan.
        PlanError: the plan of an ensemble's texts; a member that cannot be one; `out` holds another
            detector.
        ArtifactError: the place cannot be written.
    """
    device = chosen_device(device)
    place = out / "detector"
    _check_place(place, settings.name)
    if isinstance(settings, EnsembleSettings):
        plan = read_evidence(find_plan(settings.texts))
        joined: Ensemble | None = _joined(settings, plan, device)
    else:
        plan, joined = settings, None
    _check_models(out, plan, scorer=not joined)
    out.mkdir(parents=True, exist_ok=True)
    with disk_errors(out), locked(out):
        start_ledger(out, "detector's training")
        for name in ("human", "test", "detector"):
            check_stage(out / name)
        documents = gather(out, plan, device=device, progress=progress)

        members = (
            {name: detector_files(parse_name(name)) for name in settings.members}
            if isinstance(settings, EnsembleSettings)
            else {}
        )

        def write(folder: Path) -> None:
            reading = partial(read_features, out / "features", documents, progress=progress)
            detector, scores, columns = (
                _pooled(joined, reading) if joined else _trained(plan, documents, reading, device)
            )
            detector.save(folder)
            taught = [one for one in documents if one.split == "train" and is_clean(one)]
            write_learned(
                folder,
                taught,
                {out / "human": ""},
                also=map(read_learned, (parse_name(name).place for name in members)),
            )
            known = known_by(parse_name(str(folder)))
            calibration = calibrated(
                documents, scores.tolist(), plan, name=settings.name, known_by=known
            )
            calibration.save(folder / "calibration.json")
            write_json(
                folder / "facts.json",
                {"settings": asdict(settings)} | report(documents, scores, columns, calibration),
            )

        wanted = asdict(settings) | {
            "texts of": asdict(plan),
            "files of": members,
            "features": FEATURES,
            "staged": __version__,
        }
        inputs = {"human": out / "human"} | {
            one.name: out / "samples" / f"{one.name}.jsonl" for one in cells(plan)
        }
        build(out / "test", partial(keep_test, documents=documents), settings=wanted, inputs=inputs)
        build(
            place,
            write,
            settings=wanted,
            inputs=inputs if joined else inputs | own_weights(plan.scorer),
        )
    return dict(read_json(place / "facts.json"))


def _check_models(out: Path, plan: EvidenceSettings, *, scorer: bool) -> None:
    """Say which model is missing before hours of work; one whose work is done is not asked for."""
    wanted = {
        one.model for one in cells(plan) if not (out / "samples" / f"{one.name}.jsonl").is_file()
    }
    for model in sorted(
        wanted | ({plan.scorer} if scorer and not is_complete(out / "detector") else set())
    ):
        model_folder(model)


def _check_place(place: Path, name: str) -> None:
    file = place / "calibration.json"
    if file.is_file() and (there := load_calibration(file).detector) != name:
        raise PlanError(
            f"{place}: holds the detector {there!r}, and this plan makes {name!r}; choose another"
            " --out"
        )


def _trained(
    plan: EvidenceSettings,
    documents: Sequence[Document],
    reading: Callable[..., Matrix],
    device: str,
) -> Made:
    """Weights from the plan's `train` texts; beside the detector's scores each feature's."""
    load = cache(partial(load_causal, plan.scorer, device=device))
    features = reading(plan.scorer, plan.most_tokens, load)
    train = [i for i, one in enumerate(documents) if one.split == "train"]
    weights = fit_weights(features[train], [documents[i] for i in train], plan)
    detector = EvidenceDetector(load(), weights, name=plan.name, most_tokens=plan.most_tokens)
    return detector, weights.log_odds(features), _sided(documents, features)


def _pooled(detector: Ensemble, reading: Callable[..., Matrix]) -> Made:
    """Beside the ensemble's scores each member's."""
    columns = {
        one.name: one.weights.log_odds(
            reading(one.scorer.name, one.most_tokens, lambda one=one: one.scorer)
        )
        for one in detector.members
    }
    return detector, detector.pooled(list(columns.values())), columns


def _check_texts(member: str, texts: EvidenceSettings) -> None:
    """Refuse a member that learned from texts which are to calibrate or test: one of another seed,
    or of other roles.
    """
    file = parse_name(member).place / "facts.json"
    made = read_json(file)["settings"] if file.is_file() else {}
    used, taught = ({Path(one).name for one in corpora} for corpora in (texts.corpora, texts.human))
    for corpus in (Path(one).name for one in made.get("human", ())):
        if corpus in used and (corpus not in taught or made["seed"] != texts.seed):
            raise PlanError(
                f"ensemble: member {member!r} learned from texts of {corpus!r} that this plan's"
                " texts calibrate or test with; give texts of the same seed and the same `human`"
                " corpora"
            )


def _joined(plan: EnsembleSettings, texts: EvidenceSettings, device: str) -> Ensemble:
    members: dict[str, EvidenceDetector] = {}
    for name in plan.members:
        one = open_detector(name, device=device)
        if not isinstance(one, EvidenceDetector):
            raise PlanError(
                f"ensemble: {name!r} is not of the kind of `evidence`; members are such, by name or"
                " folder"
            )
        if one.name in (*members, plan.name) or not is_folder_name(one.name):
            raise PlanError(
                f"ensemble: member {name!r} is called {one.name!r}; members' names and its own must"
                " differ, and name a folder"
            )
        _check_texts(name, texts)
        members[one.name] = one
    return Ensemble(list(members.values()), list(plan.members.values()), name=plan.name)


def keep_test(folder: Path, documents: Sequence[Document]) -> None:
    """The texts that neither trained nor calibrated, as corpora: `human/CORPUS.jsonl`,
    `machine/GENERATOR.jsonl`.
    """
    files: dict[Path, list[str]] = {}
    for one in documents:
        if one.split == "test" and (one.label == MACHINE or is_clean(one)):
            name = (
                Path("machine", generator_of(one))
                if one.label == MACHINE
                else Path("human", corpus_of(one))
            )
            row = json.dumps(
                {"text": one.text, "source": one.source, "label": one.label}, ensure_ascii=False
            )
            files.setdefault(folder / f"{name}.jsonl", []).append(row + "\n")
    for path, rows in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, "".join(rows).encode())


def calibrated(
    documents: Sequence[Document],
    scores: Sequence[float],
    settings: EvidenceSettings,
    *,
    name: str,
    known_by: Sequence[str] = (),
) -> Calibration:
    """Human and machine texts of `valid`, by their lengths."""
    found: dict[int, list[tuple[float, int]]] = {HUMAN: [], MACHINE: []}
    for one, score in zip(documents, scores, strict=True):
        if one.split == "valid":
            found[one.label].append((score, comparable_words(one.text)))
    domains = [corpus_of(one) for one in documents if one.split == "valid"]
    edges = settings.edges_words
    return fit_calibration(
        name, found[HUMAN], found[MACHINE], domains=domains, edges_words=edges, known_by=known_by
    )


def report(
    documents: Sequence[Document],
    scores: Matrix,
    columns: Mapping[str, Matrix],
    calibration: Calibration,
) -> dict[str, Any]:
    """What is measured on `test` and on the held-out corpora, JSON values; nothing there was
    trained or calibrated on.

    `auroc`: each generator's and method's machine texts against the human `test` texts of the
    corpora that they begin like, by the detector and by each of `columns`. `achieved`:
    false-positive rates at a nominal 1% and 5%, by corpus and length; `attacked` the same of human
    texts under the plan's attacks.
    """
    corpora = {corpus_of(one) for one in documents if one.label == MACHINE}
    test = [
        i for i, one in enumerate(documents) if one.split == "test" and corpus_of(one) in corpora
    ]
    human = [i for i in test if documents[i].label == HUMAN]
    groups: dict[str, list[int]] = {"all": [i for i in test if documents[i].label == MACHINE]}
    for i in groups["all"]:
        groups.setdefault(generator_of(documents[i]), []).append(i)
        groups.setdefault(method_of(documents[i]), []).append(i)
    rows = [
        {"machine": name, "score": column, "n_human": len(human), "n_machine": len(rows)}
        | dict(
            zip(
                ("auroc", "low", "high"),
                auroc(values[human].tolist(), values[rows].tolist()),
                strict=True,
            )
        )
        for name, rows in groups.items()
        if len(rows) >= FEWEST
        for column, values in {calibration.detector: scores, **columns}.items()
    ]
    held: dict[bool, list[tuple[float, int, str]]] = {True: [], False: []}
    for one, score in zip(documents, scores.tolist(), strict=True):
        if one.split == "test" and one.label == HUMAN:
            held[is_clean(one)].append((score, comparable_words(one.text), corpus_of(one)))
    clean, changed = (
        {
            f"{fpr:g}": [asdict(row) for row in achieved_rates(calibration, those, fpr)]
            for fpr in RATES
        }
        for those in held.values()
    )
    return {
        "auroc": rows,
        "achieved": clean,
        "attacked": changed,
        "calibrated_on": list(calibration.domains),
    }


def _sided(documents: Sequence[Document], features: Matrix) -> dict[str, Matrix]:
    """Each feature, turned so that machine texts of `train` lie above clean human ones."""
    machine = [
        i for i, one in enumerate(documents) if one.split == "train" and one.label == MACHINE
    ]
    clean = [i for i, one in enumerate(documents) if one.split == "train" and is_clean(one)]
    signs = [
        auroc(column[clean].tolist(), column[machine].tolist())[0] >= 0.5 for column in features.T
    ]
    return {
        name: column if up else -column
        for name, column, up in zip(FEATURES, features.T, signs, strict=True)
    }
