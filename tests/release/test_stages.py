"""Stage by stage: refused with reasons, overridden in writing, nothing lost when interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import PlanError, ReleaseError
from staged.release.advance import advance, status
from staged.release.package import package as packaging
from staged.release.package.signing import make_keys
from staged.release.package.verify import verify
from staged.release.plan import read_release
from staged.storage.json_files import read_json
from tests.release.conftest import DATE, GATES

STRICT = (
    GATES.replace("at_least = 0.5", "at_least = 0.99") + '[[gates]]\nkind = "bias"\nat_most = 0.2\n'
)


def states(path: Path, root: Path) -> list[list[str]]:
    return [
        [one.state for one in standing.outcomes] for standing in status(read_release(path), root)
    ]


def test_stages_go_out_one_by_one(
    plan: Callable[..., Path], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    path, root = plan(), tmp_path / "out"
    assert states(path, root) == [["met", "met", "at advance"]] * 2
    for name in ("small", "large"):
        done = advance(read_release(path), root, private=keys[0], date=DATE)
        assert done.package == root / name
        assert done.decision is not None
        assert done.decision.verdict == "released"
        record = (root / "decisions" / f"{name}.md").read_text(encoding="utf-8")
        assert f"`tfidf/{name}/mix/{name}/nucleus/64`" in record
        assert record == (root / name / "DECISION.md").read_text(encoding="utf-8")
    assert advance(read_release(path), root, private=keys[0], date=DATE).decision is None
    assert states(path, root) == [["met", "met", "met"]] * 2
    assert sorted(one.name for one in root.iterdir()) == [
        ".staged.json",
        "decisions",
        "large",
        "small",
    ]


def test_open_gates_refuse_with_reasons_and_a_person_may_override(
    plan: Callable[..., Path], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    path, root = plan(STRICT), tmp_path / "out"
    command = [
        "release",
        "advance",
        str(path),
        "--out",
        str(root),
        "--key",
        str(keys[0]),
        "--date",
        "2026-11-24",
    ]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 1
    assert "not met: tpr_at_fpr_1 ≥ 0.99" in refused.output
    assert "not measured: no bias effect worse" in refused.output
    assert not (root / "small").exists()
    assert "**not measured**" in (root / "decisions" / "small.refused.md").read_text(
        encoding="utf-8"
    )
    reason = "The weights are public already.\nProbes follow | later."
    released = CliRunner().invoke(app, [*command, "--override", reason, "--by", "A. Person"])
    assert released.exit_code == 0, released.output
    decision = read_json(root / "small" / "decision.json")
    assert decision["verdict"] == "released by override"
    assert len(decision["override"]["gates"]) == 2
    assert verify(root / "small", keys[1]) == []
    for name in ("README.md", "card.html", "DECISION.md"):
        text = (root / "small" / name).read_text(encoding="utf-8")
        assert "The weights are public already. Probes follow | later." in text
        assert "A. Person" in text
    assert CliRunner().invoke(app, command).exit_code == 1  # an override holds for one stage


def test_a_key_that_cannot_sign_is_said_before_anything_is_decided(
    plan: Callable[..., Path], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    strict, root = read_release(plan(STRICT)), tmp_path / "out"
    for key, says in (
        (tmp_path / "nowhere.key", "cannot be read: No such file or directory; make a key"),
        (keys[1], "not an unencrypted"),
    ):
        with pytest.raises(ReleaseError, match=says):
            advance(strict, root, private=key, date=DATE)
    assert not root.exists()


def test_half_an_override_is_refused(
    plan: Callable[..., Path], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    strict, root = read_release(plan(STRICT)), tmp_path / "out"
    for words in ({"reason": "because"}, {"by": "somebody"}, {"reason": " ", "by": "somebody"}):
        with pytest.raises(PlanError, match="a person's"):
            advance(strict, root, private=keys[0], date=DATE, **words)
    with pytest.raises(PlanError, match="nothing to override"):
        advance(
            read_release(plan()), root, private=keys[0], date=DATE, reason="because", by="somebody"
        )


def test_a_damaged_earlier_package_holds_the_next_back_and_cannot_be_overridden(
    plan: Callable[..., Path], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    release, root = read_release(plan()), tmp_path / "out"
    advance(release, root, private=keys[0], date=DATE)
    (root / "small" / "config.json").write_text("{}", encoding="utf-8")
    assert [one.outcomes[-1].state for one in status(release, root)] == ["not met", "not met"]
    done = advance(release, root, private=keys[0], date=DATE, reason="never mind", by="somebody")
    assert (done.package, done.decision and done.decision.verdict) == (None, "refused")


@pytest.mark.parametrize("where", ["_copy", "_write_generated", "sign", "write_sums", "verify"])
def test_interrupted_anywhere_the_next_call_finishes(
    plan: Callable[..., Path],
    tmp_path: Path,
    keys: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    release, root = read_release(plan()), tmp_path / "out"

    def killed(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(packaging, where, killed)
        with pytest.raises(KeyboardInterrupt):
            advance(release, root, private=keys[0], date=DATE)
    assert not (root / "small").exists()
    for leftover in (root / ".building").glob("small"):
        (leftover / ".SHA256SUMS.staged-tmp").write_text("half a", encoding="utf-8")
    done = advance(release, root, private=keys[0], date=DATE)
    assert done.package == root / "small"
    assert verify(root / "small", keys[1]) == []


def test_a_record_that_was_not_written_is_written_by_the_next_call(
    plan: Callable[..., Path], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    release, root = read_release(plan()), tmp_path / "out"
    advance(release, root, private=keys[0], date=DATE)
    for record in (root / "decisions").iterdir():
        record.unlink()
    advance(release, root, private=keys[0], date=DATE)
    assert sorted(one.name for one in (root / "decisions").iterdir()) == [
        "large.json",
        "large.md",
        "small.json",
        "small.md",
    ]


def test_a_release_has_one_key(
    plan: Callable[..., Path], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    """Else no public half would check all of its stages."""
    release, root = read_release(plan()), tmp_path / "out"
    advance(release, root, private=keys[0], date=DATE)
    other, _ = make_keys(tmp_path / "other")
    with pytest.raises(
        ReleaseError,
        match=r"release.key: did not sign the stage small, whose public key is .*release.pub",
    ):
        advance(release, root, private=other, date=DATE)
    assert sorted(one.name for one in (root / "decisions").iterdir()) == ["small.json", "small.md"]
    damaged = root / "small" / "release.pub"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-9])
    assert (
        advance(release, root, private=keys[0], date=DATE).package is None
    )  # refused in a record, not blamed on the key
    damaged.write_bytes(whole)
    assert advance(release, root, private=keys[0], date=DATE).package == root / "large"


def test_status_shows_stages_by_gates(plan: Callable[..., Path], tmp_path: Path) -> None:
    path = plan(STRICT)
    shown = CliRunner().invoke(
        app, ["release", "status", str(path), "--out", str(tmp_path / "out")]
    )
    assert shown.exit_code == 0
    assert "‹tfidf/large/mix/large/nucleus/64›" in shown.output
    assert "large: waiting; 1 of 4 gates met" in shown.output
    for stage in read_release(path).stages:
        for gate, state in zip(
            stage.gates, ("not met", "met", "at advance", "not measured"), strict=True
        ):
            rows = [
                line for line in shown.output.splitlines() if f"│ {gate.title(stage.name)} " in line
            ]
            assert rows
            assert all(f" │ {state} " in row for row in rows)
    rows = json.loads(
        CliRunner()
        .invoke(app, ["release", "status", str(path), "--out", str(tmp_path / "out"), "--json"])
        .stdout
    )
    assert [row["stage"] for row in rows] == ["small", "large"]
    assert rows[0]["outcomes"][0]["cells"] == ["tfidf/small/mix/small/nucleus/64"]


WHY = "It would teach how to evade the next one."


def without_detector(plan: Callable[..., Path], reason: str = WHY) -> Path:
    path = plan()
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace('detector = "detector"', f'no_detector = "{reason}"', 1), encoding="utf-8"
    )
    return path


def test_a_stage_goes_out_without_a_detector_for_a_reason(
    plan: Callable[..., Path], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    path, root = without_detector(plan), tmp_path / "out"
    line = f"no detector goes out with it: {WHY}"
    place = [str(path), "--out", str(root)]
    waiting = CliRunner().invoke(app, ["release", "status", *place])
    assert waiting.output.count(line) == 1  # the second stage has a detector
    done = CliRunner().invoke(app, ["release", "advance", *place, "--key", str(keys[0])])
    assert done.exit_code == 0, done.output
    assert line in done.output
    package = root / "small"
    assert not (package / "detector").exists()
    assert read_json(package / "decision.json")["no_detector"] == WHY
    for name in ("DECISION.md", "README.md", "card.html"):
        assert WHY in (package / name).read_text(encoding="utf-8"), name
    whole = CliRunner().invoke(app, ["release", "verify", str(package)])
    assert whole.exit_code == 0, whole.output
    assert line in " ".join(whole.output.split())
    assert line in CliRunner().invoke(app, ["release", "status", *place]).output
    with_one = advance(read_release(path), root, private=keys[0], date=DATE).package
    assert with_one == root / "large"
    assert (with_one / "detector").is_dir()
    assert "no_detector" not in read_json(with_one / "decision.json")
    assert "No detector" not in (with_one / "README.md").read_text(encoding="utf-8")


def test_gates_on_detection_hold_without_a_detector_too(
    plan: Callable[..., Path], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    plan(STRICT)
    path = without_detector(lambda: plan(STRICT))
    done = advance(read_release(path), tmp_path / "out", private=keys[0], date=DATE)
    assert done.package is None
    assert done.decision is not None
    assert done.decision.verdict == "refused"
    assert done.decision.no_detector == WHY


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('detector = "detector"\n', "", "stage 'small': has no detector; name its folder, or say"),
        ('detector = "detector"', 'no_detector = " "', "has no detector; name its folder"),
        ('detector = "detector"', 'no_detector = "not now"', "is no reason that a reader could"),
        (
            'detector = "detector"',
            f'detector = "detector"\nno_detector = "{WHY}"',
            "has a detector and a reason for none; leave out one of them",
        ),
    ],
)
def test_a_stage_has_a_detector_or_a_reason(
    plan: Callable[..., Path], old: str, new: str, said: str
) -> None:
    path = plan()
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PlanError, match=said):
        read_release(path)


def test_a_missing_detector_a_wrong_date_and_a_wrong_key_are_said(
    plan: Callable[..., Path], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    path = plan()
    command = ["release", "advance", str(path), "--out", str(tmp_path / "out"), "--key"]
    assert "as YYYY-MM-DD" in str(
        CliRunner().invoke(app, [*command, str(keys[0]), "--date", "soon"]).exception
    )
    wrong = CliRunner().invoke(app, [*command, str(keys[1])])
    assert isinstance(wrong.exception, ReleaseError)
    assert "keygen" in str(wrong.exception)
    (tmp_path / "detector").rename(tmp_path / "elsewhere")
    assert "no detector folder" in str(CliRunner().invoke(app, [*command, str(keys[0])]).exception)
