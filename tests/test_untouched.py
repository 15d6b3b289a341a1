"""Whatever command is given a user's folder or file as its place to write, what the user has there
stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import StagedError
from tests.conftest import prose
from tests.raid.raid_files import raid_rows, write_csv
from tests.release.conftest import write_study
from tests.storage.test_gate import tree
from tests.studies.detection.test_study import PLAN as STUDY

# Every name that some command writes, or makes a folder of.
WRITTEN = """
    notes.txt README.md README.html report.html manifest.json fingerprint.json config.json
    model.safetensors tokenizer.json cells.json cells.csv lengths.json findings.json study.json
    gallery.json attacks.json finetune.json loss.jsonl training.json corpus/a.txt samples/b.txt
    samples/tiny/c.txt samples/tiny/temperature-1/d.txt detectors/e.txt scores/f.txt copying/g.txt
    base/h.txt classifier/i.txt corpus.partial/j.txt sheets/sheet-1.csv sheets/sheet-2.csv key.json
    survey.json survey.md transfer.json bias.json bias.md tally.json tally.md likelihood/k.txt
    scores.json scores.jsonl predictions.json raid_results.json evaluation.json human/l.txt
    test/m.txt detector/n.txt features/o.npy decisions/small.md decisions/small.refused.md
    decisions/small.json small/p.txt release.key release.pub .building/small/q.txt
    ../mine.partial/r.txt ../mine.blocks/s.txt
"""


@dataclass(frozen=True)
class World:
    """What commands are given to read."""

    folder: Path
    tiny: Path
    human: Path
    plan: Path
    raid: Path
    essay: Path
    study: Path
    calibration: Path
    sentences: Path

    @property
    def detector(self) -> str:
        return f"likelihood@{self.tiny}"


@pytest.fixture(scope="module")
def world(
    tiny: Path, tiny_encoder: Path, human_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> World:
    folder = tmp_path_factory.mktemp("world")
    plan, essay, sentences = folder / "plan.toml", folder / "essay.txt", folder / "sentences.txt"
    plan.write_text(
        STUDY.format(small=tiny, large=tiny, human=human_folder, encoder=tiny_encoder),
        encoding="utf-8",
    )
    plan.write_text(
        plan.read_text(encoding="utf-8").replace(f'["{tiny}", "{tiny}"]', f'["{tiny}"]'),
        encoding="utf-8",
    )
    essay.write_text(prose(5, 40), encoding="utf-8")
    sentences.write_text(
        "\n".join(f"{one}." for one in prose(3, 60).replace("\n", " ").split(". ")),
        encoding="utf-8",
    )
    raid = write_csv(folder / "raid.csv", raid_rows(4))
    study, calibration = write_study(folder / "study"), folder / "calibration.json"
    made = World(folder, tiny, human_folder, plan, raid, essay, study, calibration, sentences)
    call(
        "calibrate",
        "--human",
        human_folder,
        "--detector",
        made.detector,
        "--fpr",
        0.1,
        "--out",
        calibration,
    )
    return made


@pytest.fixture(autouse=True)
def keys(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, and the secrets of logs, stand in a folder of the test's own."""
    monkeypatch.setenv("STAGED_KEYS", str(tmp_path_factory.mktemp("keys")))


def call(*arguments: object) -> str:
    """What a refusal says; nothing where the command did its work."""
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if isinstance(result.exception, StagedError):
        return str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return "" if result.exit_code == 0 else result.output


FOLDERS: dict[str, Callable[[World, Path], list[object]]] = {
    "study": lambda w, out: ["study", w.plan, "--out", out],
    "report": lambda w, out: ["report", out],
    "train": lambda w, out: [
        "train",
        "--init",
        w.tiny,
        "--corpus",
        w.human,
        "--steps",
        1,
        "--out",
        out,
    ],
    "tokenize": lambda w, out: [
        *("tokenize", w.human, "--tokenizer", w.tiny, "--valid-share", 0.3, "--out", out)
    ],
    "convert": lambda w, out: ["convert", w.tiny, out],
    "corpus build": lambda w, out: [
        *("corpus", "build", corpus_plan(w), "--out", out),
    ],
    "evaluate": lambda w, out: ["evaluate", w.raid, "--detector", w.detector, "--out", out],
    "raid": lambda w, out: ["raid", w.raid, "--detector", w.detector, "--out", out],
    "train-detector": lambda w, out: ["train-detector", detector_plan(w), "--out", out],
    "transfer": lambda w, out: [
        "transfer",
        readers_plan(w),
        "--work",
        w.folder / "work",
        "--out",
        out,
    ],
    "bias": lambda w, out: [
        "bias",
        w.tiny,
        "-n",
        2,
        "--length",
        2,
        "--permutations",
        99,
        "--out",
        out,
    ],
    "survey make": lambda w, out: [
        "survey",
        "make",
        w.tiny,
        "--sheets",
        2,
        "--each",
        1,
        "--sentences",
        w.sentences,
        "--out",
        out,
    ],
    "survey tally": lambda w, out: ["survey", "tally", out, w.essay],
    "release advance": lambda w, out: [
        "release",
        "advance",
        release_plan(w),
        "--key",
        key(w),
        "--out",
        out,
    ],
    "release status": lambda w, out: ["release", "status", release_plan(w), "--out", out],
    "release keygen": lambda w, out: ["release", "keygen", out],
}
FILES: dict[str, tuple[str, Callable[[World, Path], list[object]]]] = {
    "sample": (
        ".jsonl",
        lambda w, out: [
            "sample",
            w.tiny,
            "-n",
            2,
            "--length",
            4,
            "--precision",
            "fp32",
            "--out",
            out,
        ],
    ),
    "sample parquet": (
        ".parquet",
        lambda w, out: [
            "sample",
            w.tiny,
            "-n",
            2,
            "--length",
            4,
            "--precision",
            "fp32",
            "--out",
            out,
        ],
    ),
    "corpus dedup": (".jsonl", lambda w, out: ["corpus", "dedup", w.human, "--out", out]),
    "corpus dedup parquet": (
        ".parquet",
        lambda w, out: ["corpus", "dedup", w.human, "--out", out],
    ),
    "convert": (".gguf", lambda w, out: ["convert", w.tiny, out]),
    "evaluate-lm": (".json", lambda w, out: ["evaluate-lm", w.tiny, w.essay, "--out", out]),
    "detect": (
        ".jsonl",
        lambda w, out: ["detect", w.essay, "--detector", w.detector, "--out", out],
    ),
    "detect html": (
        ".html",
        lambda w, out: ["detect", w.essay, "--detector", w.detector, "--html", out],
    ),
    "calibrate": (
        ".json",
        lambda w, out: [
            "calibrate",
            "--human",
            w.human,
            "--detector",
            w.detector,
            "--fpr",
            0.1,
            "--out",
            out,
        ],
    ),
    "stress": (
        ".json",
        lambda w, out: [
            *(
                "stress",
                "--human",
                w.essay,
                "--detector",
                w.detector,
                "--calibration",
                w.calibration,
            ),
            *("--attack", "number", "--fpr", 0.1, "--out", out),
        ],
    ),
    "fingerprints add": (
        ".db",
        lambda w, out: ["fingerprints", "add", w.essay, "--log", out, "--model", w.tiny],
    ),
    "card": (".md", lambda w, out: ["card", w.study, "--out", out]),
    "sign": (".txt", lambda w, out: ["sign", w.essay, "--key", signing_key(w), "--out", out]),
    "sign html": (".html", lambda w, out: ["sign", page(w), "--key", signing_key(w), "--out", out]),
    "verify": (
        ".json",
        lambda w, out: [
            *("verify", w.essay, "--no-content", "--report", out),
            *("--report-key", signing_key(w)),
        ],
    ),
    "card html": (".html", lambda w, out: ["card", w.study, "--out", out]),
}
READ_ONLY = {
    "serve",
    "fingerprints find",
    "fingerprints status",
    "keys list",
    "release show",
    "release verify",
    "release upload",
}
KEYS = {"keys new", "keys rotate", "keys revoke"}  # in their own folder alone: tests/keys/
LOGS = {"fingerprints delete", "fingerprints prune"}  # in a log alone: tests/provenance/


def corpus_plan(world: World) -> Path:
    path = world.folder / "corpus.toml"
    pages = world.folder / "pages"
    pages.mkdir(exist_ok=True)
    (pages / "a.html").write_text(f"<html><body><p>{prose(3, 40)}</p></body></html>")
    path.write_text(f'pages = ["{pages}"]\nquality = []\nlanguages = []\n[shares]\ntrain = 1\n')
    return path


def detector_plan(world: World) -> Path:
    path = world.folder / "detector.toml"
    tables = f'[generators]\n"{world.tiny}" = 8\n[methods]\ntop-k-40 = 1\ntemperature-1 = 1\n'
    head = (
        f'human = ["{world.human}"]\nheld_out = []\nsmooth = ["top-k-40"]\nscorer ='
        f' "{world.tiny}"\n'
    )
    path.write_text(head + tables, encoding="utf-8")
    return path


def readers_plan(world: World) -> Path:
    """Of a detector of several readers: two sets of three texts of either class."""
    path = world.folder / "readers.toml"
    for name in ("one", "two"):
        rows = [
            {"text": prose(seed, 4 + label), "label": label}
            for seed in range(3)
            for label in (0, 1)
        ]
        (world.folder / f"{name}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
        )
    files = json.dumps([str(world.folder / f"{name}.jsonl") for name in ("one", "two")])
    head = (
        f'labelled = {files}\nhuman = []\nscorer = "{world.tiny}"\njudged = 6\njudged_words = [20,'
        " 40]\n"
    )
    path.write_text(
        f'{head}[machines]\n"*" = 1\n[folds]\n"one/*" = 0\n"*" = 1\n[kinds]\n"*" = "essay"\n',
        encoding="utf-8",
    )
    return path


def release_plan(world: World) -> Path:
    path = world.folder / "release.toml"
    (world.folder / "LICENSE").write_text("Do what you like.", encoding="utf-8")
    (world.folder / "words.toml").write_text('title = "A release"\n', encoding="utf-8")
    path.write_text(
        'title = "A release"\nversion = "1"\nwords = "words.toml"\nlicence = "LICENSE"\nevidence ='
        f' ["{world.study}"]\n[[stages]]\nname = "small"\nmodel = "{world.tiny}"\ndetector ='
        f' "{world.study}"\n[[stages.gates]]\nkind = "card"\n',
        encoding="utf-8",
    )
    return path


def key(world: World) -> Path:
    if not (world.folder / "keys").is_dir():
        assert not call("release", "keygen", world.folder / "keys")
    return world.folder / "keys" / "release.key"


def signing_key(world: World) -> str:
    if not (world.folder / "own" / "alpha").is_dir():
        assert not call("keys", "new", "alpha")
    return "alpha"


def page(world: World) -> Path:
    path = world.folder / "page.html"
    path.write_text("<html><head></head><body>A page</body></html>", encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def own_keys(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGED_KEYS", str(world.folder / "own"))


def test_every_command_is_here() -> None:
    names = set()
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        names |= {f"{name} {one}" for one in getattr(command, "commands", ())} or {name}
    tried = set(FOLDERS) | {name.removesuffix(" html").removesuffix(" parquet") for name in FILES}
    assert names == tried | READ_ONLY | KEYS | LOGS


@pytest.mark.parametrize("name", FOLDERS)
def test_a_users_folder_stays_as_it_is(name: str, world: World, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    for one in WRITTEN.split():
        (mine / one).parent.mkdir(parents=True, exist_ok=True)
        (mine / one).write_text(json.dumps({"mine": one}), encoding="utf-8")
    before = tree(tmp_path)
    said = call(*FOLDERS[name](world, mine))
    after = tree(tmp_path)
    assert {one: after.get(one) for one in before} == before
    assert str(mine) in said or name == "release status"


@pytest.mark.parametrize("name", FILES)
def test_a_users_file_stays_as_it_is_and_ours_is_written_again(
    name: str, world: World, tmp_path: Path
) -> None:
    suffix, command = FILES[name]
    mine, ours = tmp_path / f"mine{suffix}", tmp_path / "new" / f"ours{suffix}"
    mine.write_text("my own words", encoding="utf-8")
    for kind in ("blocks", "partial"):
        (tmp_path / f"mine{suffix}.{kind}").mkdir()
        (tmp_path / f"mine{suffix}.{kind}" / "notes.txt").write_text("mine", encoding="utf-8")
    before = tree(tmp_path)
    assert str(mine) in call(*command(world, mine))
    assert {one: tree(tmp_path).get(one) for one in before} == before
    ours.parent.mkdir()
    for _ in range(2):
        assert not call(*command(world, ours))
    assert ours.is_file()
    (tmp_path / f"free{suffix}.blocks").mkdir()
    (tmp_path / f"free{suffix}.blocks" / "notes.txt").write_text("mine", encoding="utf-8")
    call(*command(world, tmp_path / f"free{suffix}"))
    assert (tmp_path / f"free{suffix}.blocks" / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_a_changed_page_is_its_users(world: World, tmp_path: Path) -> None:
    for name in ("card", "detect html"):
        suffix, command = FILES[name]
        place = tmp_path / f"page{suffix}"
        assert not call(*command(world, place))
        place.write_text(
            place.read_text(encoding="utf-8")
            .replace("</", "by hand </")
            .replace("# ", "# by hand "),
            encoding="utf-8",
        )
        before = place.read_bytes()
        assert "changed since" in call(*command(world, place))
        assert place.read_bytes() == before


def test_a_study_inside_its_corpus_reads_people_only(world: World, tmp_path: Path) -> None:
    corpus = tmp_path / "texts"
    for path in sorted(world.human.iterdir()):
        (corpus / path.name).parent.mkdir(exist_ok=True)
        (corpus / path.name).write_bytes(path.read_bytes())
    command = [
        "study",
        world.plan,
        "--corpus",
        corpus,
        "--out",
        corpus / "out" / "study",
        "--workers",
        2,
    ]
    assert not call(*command)
    facts = (corpus / "out" / "study" / "study.json").read_bytes()
    manifest = (corpus / "out" / "study" / "corpus" / "manifest.json").read_bytes()
    assert not call(*command)
    assert (corpus / "out" / "study" / "study.json").read_bytes() == facts
    assert (corpus / "out" / "study" / "corpus" / "manifest.json").read_bytes() == manifest
