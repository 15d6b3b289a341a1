"""A stage's package: weights, tokenizer, card, evidence, detector, decision, SBOM, signature and sums in one folder.

    README.md card.html card.json card.toml     the card: as the hub shows it, as a page, as data, its hand-written words
    config.json model.safetensors tokenizer…    the model, in the hub's layout
    detector/                                   the detector of its output
    study/NAME/  bias/  survey/                 what was measured
    DECISION.md decision.json LICENSE
    sbom.cdx.json manifest.json release.pub model.sig SHA256SUMS .gitattributes

It is built under another name, signed, checked like a stranger's, and only then given its own.
"""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from staged.artifacts import build, disk_errors, read_json, replacing, sha256_file, write_atomic, write_json
from staged.errors import ArtifactError, CheckpointError, ReleaseError
from staged.gate import MANIFEST, MARK, is_work, temporary_of
from staged.model.checkpoints import model_folder
from staged.release.card import card_of
from staged.release.contents import files_of, package_evidence, sums_text
from staged.release.decision import DECISION, RECORD, decision_markdown
from staged.release.evidence import BIAS, CELLS, FINETUNE, SURVEY
from staged.release.plan import Release, Stage
from staged.release.render import card_html, card_markdown
from staged.release.signing import ATTRIBUTES, PUBLIC, SIGNATURE, SUMS, is_private_key, public_half, sign
from staged.release.verify import NOT_IN_SBOM, verify
from staged.release.words import WORDS, read_words

__all__ = ["build_package", "members", "write_card"]

CARD_JSON, CARD_MD, CARD_HTML = "card.json", "README.md", "card.html"
STUDY_FILES = (CELLS, "cells.csv", "lengths.json", "findings.json", "study.json", "attacks.json", "report.html", MANIFEST)
HUB_ATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"  # else the hub adds a file of its own, which nobody signed
UNSIGNED = ".building"  # folder beside the packages, of the one under construction


def build_package(root: Path, release: Release, stage: Stage, decision: Mapping[str, Any], *, private: Path) -> Path:
    """Build, sign, check and name one stage's package; interrupted, the next call continues.

    Returns:
        The package's folder, `root/STAGE`.

    Raises:
        StagedError: a part is missing or damaged, the key cannot be used, the disk is full, or the package does not verify.
    """
    public = public_half(private)
    parts = members(release, stage)
    folder, work = root / stage.name, root / UNSIGNED / stage.name
    settings = {
        "release": release.title,
        "version": release.version,
        "stage": stage.name,
        "decision": dict(decision),
        "key": public.decode(),
        "members": sorted(parts),
    }

    def write(partial: Path) -> None:
        _copy(parts, partial)
        _write_generated(partial, release, stage, decision, public)

    _unseal(work)
    build(work, write, settings=settings, inputs=parts)
    with disk_errors(work):
        _seal(work, private)
        problems = verify(work, work / PUBLIC)
        if problems:
            raise ReleaseError(
                f"{work}: the package does not verify: {problems[0].file}: {problems[0].what}; delete it and advance again"
            )
        work.replace(folder)
    with suppress(OSError):  # something else of another run may lie there
        work.parent.rmdir()
    return folder


def members(release: Release, stage: Stage) -> dict[str, Path]:
    """Path in the package → the file it is copied from.

    Raises:
        StagedError: the model, detector, licence or an evidence folder is missing.
    """
    found = {path.name: path for path in _plain_files(model_folder(stage.model)) if path.name not in (CARD_MD, MANIFEST)}
    detector = Path(stage.detector)
    if not detector.is_dir():
        raise CheckpointError(
            f"{release.path}: stage {stage.name!r}: no detector folder at {detector}; run the study that trains it"
        )
    _check_origin(release, stage, detector)
    found |= {f"detector/{path.name}": path for path in _plain_files(detector)}
    for folder in release.evidence:
        found |= {f"study/{folder.resolve().name}/{name}": folder / name for name in STUDY_FILES if (folder / CELLS).is_file()}
        for kind, name in (("bias", BIAS), ("survey", SURVEY), ("finetune", FINETUNE)):
            if (folder / name).is_file():  # a second one of its kind in a folder of its own
                place = f"{kind}/{name}" if f"{kind}/{name}" not in found else f"{kind}/{folder.resolve().name}/{name}"
                found[place] = folder / name
    found |= {"LICENSE": release.licence, WORDS: release.words}
    optional = {name for name in found if name.startswith("study/")}
    found = {name: path for name, path in found.items() if name not in optional or path.is_file()}
    for name, path in found.items():
        if not path.is_file():
            raise ArtifactError(f"{release.path}: no file at {path}, which is to be the package's {name}")
        if is_private_key(path):
            raise ReleaseError(f"{path}: is a private key, which must not get into a package; move it elsewhere")
    return found


def _check_origin(release: Release, stage: Stage, detector: Path) -> None:
    """Refuse a detector that another run trained than the one whose cells the card shows: even equal plans differ by machine."""
    studies = [folder / MANIFEST for folder in release.evidence if (folder / CELLS).is_file() and (folder / MANIFEST).is_file()]
    trained = {digest for path in studies for name, digest in read_json(path)["inputs"].items() if name.startswith("detectors/")}
    if trained and (detector / MANIFEST).is_file() and sha256_file(detector / MANIFEST) not in trained:
        raise ReleaseError(
            f"{release.path}: stage {stage.name!r}: the detector at {detector} is of another run than the studies in evidence; "
            "release the evidence of the run that trained it"
        )


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """The card in its three forms."""
    write_json(folder / CARD_JSON, card)
    write_atomic(folder / CARD_MD, card_markdown(card).encode())
    write_atomic(folder / CARD_HTML, card_html(card).encode())


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS over every other file, in the form that `sha256sum -c` reads; last, so its existence means sealed."""
    write_atomic(folder / SUMS, sums_text({name: sha256_file(folder / name) for name in files_of(folder) if name != SUMS}).encode())


def _unseal(work: Path) -> None:
    """Take off what a run added that was killed before the package had its name: it is no part of what was built."""
    if is_work(work):
        for added in (work / SIGNATURE, work / SUMS, temporary_of(work / SIGNATURE), temporary_of(work / SUMS)):
            added.unlink(missing_ok=True)


def _seal(work: Path, private: Path) -> None:
    sign(work, private)
    write_sums(work)


def _plain_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _copy(parts: Mapping[str, Path], folder: Path) -> None:
    for name, source in parts.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def _write_generated(folder: Path, release: Release, stage: Stage, decision: Mapping[str, Any], public: bytes) -> None:
    from staged.release.sbom import write_sbom

    words = read_words(folder / WORDS)
    evidence = package_evidence(folder)
    write_card(folder, card_of(evidence, replace(words, title=stage.name), models=[stage.name], decision=decision))
    write_json(folder / DECISION, decision)
    write_atomic(folder / RECORD, decision_markdown(decision).encode())
    write_atomic(folder / PUBLIC, public)
    write_atomic(folder / ATTRIBUTES, HUB_ATTRIBUTES)
    files = {name: sha256_file(folder / name) for name in files_of(folder) if name not in {*NOT_IN_SBOM, MARK}}
    date = datetime.date.fromisoformat(decision["date"])
    write_sbom(folder, files, name=stage.name, version=release.version, licence=words.license, date=date)
