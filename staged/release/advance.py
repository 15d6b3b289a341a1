"""A release goes out one size at a time: which stage stands where, and the decision whether the
next may go out.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from staged.errors import CheckpointError, ReleaseError
from staged.model.checkpoints import own_folder
from staged.notes import note
from staged.release.card.measured import Evidence
from staged.release.card.paragraphs import read_words
from staged.release.card.read_measured import read_evidence
from staged.release.decision import DECISION, REFUSED, decide, decision_markdown
from staged.release.gates import judge
from staged.release.outcomes import AT_ADVANCE, MET, NOT_MET, Decision, Outcome
from staged.release.package.members import published_weights
from staged.release.package.package import build_package
from staged.release.package.signing import PUBLIC, SIGNATURE, SUMS, public_half
from staged.release.package.verify import Problem, verify
from staged.release.plan import Release, ReleaseStage
from staged.storage.gate import check_ledger, start_ledger
from staged.storage.records import read_record, write_record
from staged.storage.writing import disk_errors, locked, write_atomic

__all__ = ["DECISIONS", "Advance", "Standing", "advance", "status"]

KIND = "release"  # what the folder of packages is called
DECISIONS = "decisions"  # folder beside the packages: every decision, refusals too


@dataclass(frozen=True)
class Standing:
    """Where a stage stands: released with its decision, or waiting with its gates as of now.

    Attributes:
        no_detector: why no detector goes out with it; empty where one does.
    """

    stage: str
    released: bool
    decision: Decision | None
    outcomes: tuple[Outcome, ...]
    no_detector: str = ""


@dataclass(frozen=True)
class Advance:
    """What came of one step: the decision, and the package unless it was refused; both None when
    every stage is out.
    """

    decision: Decision | None
    package: Path | None


def status(release: Release, root: Path, *, public: Path | None = None) -> list[Standing]:
    """Every stage with its gates; a released one with the gates as its decision recorded them.

    Args:
        root: folder of the packages.
        public: the releaser's public key, for the earlier packages; else each one's own.

    Raises:
        StagedError: the evidence or a decision is damaged.
    """
    evidence = read_evidence(release.evidence)
    standings = []
    for number, stage in enumerate(release.stages):
        folder = root / stage.name
        if _is_out(folder):
            decision = _decided(folder)
            recorded = _recorded(decision, verify(folder, public))
            why = decision.no_detector or ""
            standings.append(Standing(stage.name, True, decision, recorded, why))
        else:
            _note_unpackable(release, stage)
            outcomes = _judged(release, number, root, evidence, public)
            standings.append(Standing(stage.name, False, None, outcomes, stage.no_detector))
    return standings


def advance(
    release: Release,
    root: Path,
    *,
    private: Path,
    date: datetime.date,
    reason: str = "",
    by: str = "",
) -> Advance:
    """Decide on the next stage and, unless its gates refuse, build its package; the decision is
    written either way.

    Interrupted, the same call continues: the package under construction is kept, a finished one is
    not built again.

    Args:
        private: the key that signs, a PEM file; the same for every stage.
        date: of the decision, as it is printed.
        reason, by: an override by a person: why the open gates don't hold this stage back, and who
            says so.

    Raises:
        StagedError: the plan, the evidence, the key or the disk.
    """
    # a key that cannot sign is said now, and not at the first stage whose gates are met
    public = public_half(private)
    with disk_errors(root), locked(root):
        _same_key(release, root, public, private)
        check_ledger(root, KIND)
        _write_records(release, root)
        number = next(
            (i for i, stage in enumerate(release.stages) if not _is_out(root / stage.name)), None
        )
        if number is None:
            return Advance(None, None)
        stage = release.stages[number]
        outcomes = _judged(release, number, root, read_evidence(release.evidence))
        decision = decide(
            stage.name,
            outcomes,
            release=release.title,
            date=date,
            reason=reason,
            by=by,
            no_detector=stage.no_detector,
        )
        if _broken(release, number, root):
            # no reason makes a damaged package whole
            decision = replace(decision, verdict=REFUSED, override=None)
        if decision.verdict == REFUSED:
            _write_record(root, f"{stage.name}.refused", decision)
            return Advance(decision, None)
        package = build_package(root, release, stage, decision, private=private)
        _write_record(root, stage.name, decision)
        return Advance(decision, package)


def _note_unpackable(release: Release, stage: ReleaseStage) -> None:
    """Say of a model's folder here what would stop its package, whatever its gates say."""
    folder = own_folder(stage.model)
    if folder is None:
        return
    try:
        published_weights(folder)
    except CheckpointError as error:
        note(f"{release.path}: stage {stage.name!r} cannot be packaged: {error}")


def _is_out(folder: Path) -> bool:
    """Whether a stage's package stands in its place, whole or not.

    Raises:
        ReleaseError: something else does.
    """
    if folder.exists() and not any(
        (folder / name).is_file() for name in (DECISION, SIGNATURE, SUMS)
    ):
        raise ReleaseError(
            f"{folder}: is no package of a release; move it elsewhere, or choose another --out"
        )
    return folder.is_dir()


def _same_key(release: Release, root: Path, public: bytes, private: Path) -> None:
    """Refuse a key that did not sign the stages that are out: a public half checks them all."""
    for stage in release.stages:
        signed_by = root / stage.name / PUBLIC
        another = signed_by.is_file() and signed_by.read_bytes() != public
        # a damaged package is another matter, and refused later
        if another and not verify(signed_by.parent):
            raise ReleaseError(
                f"{private}: did not sign the stage {stage.name}, whose public key is {signed_by};"
                " a release has one key: give it, or start again in another folder"
            )


def _judged(
    release: Release, number: int, root: Path, evidence: Evidence, public: Path | None = None
) -> tuple[Outcome, ...]:
    stage, last = release.stages[number], release.stages[number - 1] if number else None
    words = read_words(release.words)
    broken = _broken(release, number, root, public)
    return tuple(judge(gate, stage, last, evidence, words, broken) for gate in stage.gates)


def _broken(release: Release, number: int, root: Path, public: Path | None = None) -> list[str]:
    """Earlier stages whose packages are not whole; those that are not released yet are left out."""
    earlier = [stage.name for stage in release.stages[:number] if _is_out(root / stage.name)]
    return [name for name in earlier if verify(root / name, public)]


def _decided(folder: Path) -> Decision:
    """The decision that a package holds."""
    again = f"run `staged release verify {folder}`"
    return read_record(folder / DECISION, Decision, again=again)


def _recorded(decision: Decision, problems: Sequence[Problem]) -> tuple[Outcome, ...]:
    """The gates as they were when it was decided; what was left to the building is answered by the
    package as it is now.
    """
    now = (
        (MET, "the package is whole")
        if not problems
        else (NOT_MET, f"{problems[0].file}: {problems[0].what}")
    )
    return tuple(
        replace(outcome, state=now[0], numbers=now[1]) if outcome.state == AT_ADVANCE else outcome
        for outcome in decision.gates
    )


def _write_records(release: Release, root: Path) -> None:
    """Records of released stages whose writing was interrupted, from their packages."""
    for stage in release.stages:
        package, record = root / stage.name / DECISION, root / DECISIONS / f"{stage.name}.json"
        if package.is_file() and not record.is_file():
            _write_record(root, stage.name, _decided(package.parent))


def _write_record(root: Path, name: str, decision: Decision) -> None:
    (root / DECISIONS).mkdir(parents=True, exist_ok=True)
    start_ledger(root, KIND)
    write_atomic(root / DECISIONS / f"{name}.md", decision_markdown(decision).encode())
    write_record(root / DECISIONS / f"{name}.json", decision)
