"""A stage's package: weights, tokenizer, card, evidence, detector, decision, SBOM, signature and
sums in one folder.

    README.md card.html card.json card.toml     the card: as the hub shows it, as a page, as data,
                                                its hand-written words
    config.json model.safetensors tokenizer…    the model, in the hub's layout
    detector/                                   the detector of its output and its own card, unless
                                                none goes out
    study/NAME/  bias/  survey/  quality/       what was measured
    DECISION.md decision.json LICENSE
    sbom.cdx.json manifest.json release.pub model.sig SHA256SUMS .gitattributes

It is built under another name, signed, checked like a stranger's, and only then given its own.
"""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from staged.errors import ReleaseError
from staged.model.checkpoints import model_folder
from staged.release.calibrated import human_texts, write_calibration
from staged.release.card.card import card_of
from staged.release.card.contents import Card
from staged.release.card.detector import detector_card
from staged.release.card.paragraphs import WORDS, read_words
from staged.release.card.read_language import TRAINING, read_training
from staged.release.card.render import card_html, card_markdown, detector_markdown
from staged.release.decision import DECISION, RECORD, decision_markdown
from staged.release.licences import contradiction
from staged.release.origin import detector_name
from staged.release.outcomes import Decision
from staged.release.package.layout import files_of, package_evidence, sums_text
from staged.release.package.members import members
from staged.release.package.outgoing import check_leaks, check_said, without_places
from staged.release.package.signing import ATTRIBUTES, PUBLIC, SIGNATURE, SUMS, public_half, sign
from staged.release.package.verify import NOT_IN_SBOM, verify
from staged.release.plan import Release, ReleaseStage
from staged.storage.digests import sha256_file
from staged.storage.gate import is_work
from staged.storage.marks import MARK, temporary_of
from staged.storage.records import to_json, write_record
from staged.storage.stage_folders import build
from staged.storage.writing import disk_errors, replacing, write_atomic

__all__ = ["build_package", "write_card"]

CARD_JSON, CARD_MD, CARD_HTML = "card.json", "README.md", "card.html"
# git must not change a line end, as it does on Windows; without the second line the hub adds a file
# of its own, which nobody signed
HUB_ATTRIBUTES = b"* -text\n*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
UNSIGNED = ".building"  # folder beside the packages, of the one under construction


def build_package(
    root: Path, release: Release, stage: ReleaseStage, decision: Decision, *, private: Path
) -> Path:
    """Build, sign, check and name one stage's package; interrupted, the next call continues.

    Returns:
        The package's folder, `root/STAGE`.

    Raises:
        StagedError: a part is missing or damaged, the key cannot be used, the disk is full, or the
            package does not verify.
    """
    public = public_half(private)
    parts, detector = members(release, stage), stage.detector_folder
    changed = without_places(parts)
    _check(release, stage, decision, parts, changed)
    learned = {
        f"calibration/{place.parent.name}/{place.name}": place
        for place in (human_texts(detector) if detector else ())
    }
    origin = detector_name(release, detector) if detector else ""
    folder, work = root / stage.name, root / UNSIGNED / stage.name
    settings = {
        "release": release.title,
        "version": release.version,
        "stage": stage.name,
        "decision": to_json(decision),
        "key": public.decode(),
        "members": sorted(parts),
    }

    def write(partial: Path) -> None:
        _copy(parts, changed, partial)
        if detector:
            write_calibration(detector, partial / "detector")
        _write_cards(partial, stage, decision, origin)
        _write_generated(partial, release, stage, decision, public)

    _unseal(work)
    build(work, write, settings=settings, inputs=parts | learned)
    with disk_errors(work):
        _seal(work, private)
        work.replace(folder)
    with suppress(OSError):  # something else of another run may lie there
        work.parent.rmdir()
    return folder


def _check(
    release: Release,
    stage: ReleaseStage,
    decision: Decision,
    parts: Mapping[str, Path],
    changed: Mapping[str, bytes],
) -> None:
    """Refuse what must not be signed, before anything is written.

    Raises:
        ReleaseError: a secret or a path of this machine; a card that names another licence than the
            text beside it.
    """
    check_said(json.dumps(to_json(decision.override), ensure_ascii=False), "--override and --by")
    check_said(stage.no_detector, f"{release.path}: no_detector")
    fault = contradiction(read_words(release.words).license, release.licence)
    if fault:
        raise ReleaseError(f"{release.words}: {fault}")
    detector = [stage.detector_folder] if stage.detector_folder else []
    evidence = (place.parent if place.is_file() else place for place in release.evidence)
    folders = (release.path.parent, model_folder(stage.model), *detector, *evidence)
    check_leaks(parts, changed, folders)


def write_card(folder: Path, card: Card) -> None:
    """The card in its three forms."""
    write_record(folder / CARD_JSON, card)
    write_atomic(folder / CARD_MD, card_markdown(card).encode())
    write_atomic(folder / CARD_HTML, card_html(card).encode())


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS over every other file, in the form that `sha256sum -c` reads; last, so its
    existence means sealed.
    """
    write_atomic(
        folder / SUMS,
        sums_text(
            {name: sha256_file(folder / name) for name in files_of(folder) if name != SUMS}
        ).encode(),
    )


def _unseal(work: Path) -> None:
    """Take off what a run added that was killed before the package had its name: it is no part of
    what was built.
    """
    if is_work(work):
        for added in (
            work / SIGNATURE,
            work / SUMS,
            temporary_of(work / SIGNATURE),
            temporary_of(work / SUMS),
        ):
            added.unlink(missing_ok=True)


def _seal(work: Path, private: Path) -> None:
    """Sign what was built, and check it like a stranger's."""
    sign(work, private)
    write_sums(work)
    problems = verify(work, work / PUBLIC)
    if problems:
        raise ReleaseError(
            f"{work}: the package does not verify: {problems[0].file}: {problems[0].what};"
            " delete it and advance again"
        )


def _copy(parts: Mapping[str, Path], changed: Mapping[str, bytes], folder: Path) -> None:
    for name, source in parts.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name in changed:
            write_atomic(target, changed[name])
            continue
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def _write_cards(folder: Path, stage: ReleaseStage, decision: Decision, detector: str) -> None:
    """The model's card, and the detector's unless its folder brought one.

    Args:
        detector: as its study calls it; empty where none of the studies trained it.
    """
    words, evidence = (
        replace(read_words(folder / WORDS), title=stage.name),
        package_evidence(folder),
    )
    record = folder / TRAINING
    training = read_training(record, stage.name) if record.is_file() else None
    evidence = replace(evidence, trainings=(training,) if training else ())
    write_card(folder, card_of(evidence, words, models=[stage.name], decision=decision))
    own = folder / "detector" / CARD_MD
    if stage.detector and not own.is_file():
        card = detector_card(evidence, words, model=stage.name, detector=detector)
        write_atomic(own, detector_markdown(card).encode())


def _write_generated(
    folder: Path, release: Release, stage: ReleaseStage, decision: Decision, public: bytes
) -> None:
    from staged.release.package.sbom import write_sbom

    write_record(folder / DECISION, decision)
    write_atomic(folder / RECORD, decision_markdown(decision).encode())
    write_atomic(folder / PUBLIC, public)
    write_atomic(folder / ATTRIBUTES, HUB_ATTRIBUTES)
    files = {
        name: sha256_file(folder / name)
        for name in files_of(folder)
        if name not in {*NOT_IN_SBOM, MARK}
    }
    date = datetime.date.fromisoformat(decision.date)
    write_sbom(
        folder,
        files,
        name=stage.name,
        version=release.version,
        licence=read_words(folder / WORDS).license,
        date=date,
    )
