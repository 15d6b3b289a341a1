"""From a study in folders of a user's to a signed package: nothing in it says where these lie, and
its detector gives verdicts.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from staged.cli import app, main
from staged.corpus.build import read_documents
from staged.detectors.calibration.calibration_file import load_calibration
from staged.detectors.opening import open_examiner
from staged.errors import ReleaseError
from staged.release.advance import advance
from staged.release.card.check import index_figures
from staged.release.outcomes import Decision
from staged.release.package.layout import files_of
from staged.release.package.members import members
from staged.release.package.package import build_package
from staged.release.package.verify import verify
from staged.release.plan import Release, read_release
from staged.storage.json_files import read_json
from tests.conftest import prose, put_json
from tests.release.conftest import DATE, WRITTEN, write_bias, write_quality
from tests.studies.commands import run

PLACE = "a-place-that-nobody-else-knows"
STUDY = """
models = ["{place}/models/small"]
methods = ["nucleus"]
n_train = 24
n_valid = 20
n_test = 16
length_tokens = 24
lengths = [24]
batch = 8
[corpus]
source = "{place}/texts/speeches"
budget_tokens = 220
minimum_tokens = 120
shares = {{ train = 0.4, valid = 0.25, test = 0.35 }}
[roberta]
base = "{place}/encoders/enc"
epochs = 1
"""
RELEASE = """
title = "A family"
version = "1"
licence = "LICENSE"
words = "card.toml"
evidence = ["{place}/studies/tried", "{place}/probes/bias", "{place}/read/speeches.json"]
[[stages]]
name = "small"
model = "{place}/models/small"
detector = "{place}/studies/tried/detectors/{kind}/small/mix"
"""


@pytest.fixture(scope="module")
def place(tiny: Path, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: texts, a model, an encoder, and the finished study of these."""
    place = tmp_path_factory.mktemp("user") / PLACE
    shutil.copytree(tiny, place / "models" / "small")
    shutil.copytree(tiny_encoder, place / "encoders" / "enc")
    (place / "texts" / "speeches").mkdir(parents=True)
    for seed in range(40):
        (place / "texts" / "speeches" / f"{seed:02d}.txt").write_text(
            prose(1000 + seed, 60), encoding="utf-8"
        )
    (place / "study.toml").write_text(STUDY.format(place=place), encoding="utf-8")
    put_json(
        place / "models" / "small" / "training.json",
        {
            "settings": {
                "corpus": {"source": f"{place}/texts/novels"},
                "init": f"{place}/models/untrained",
                "tokenizer": f"{place}/models/untrained",
            },
            "sources": [f"{place}/texts/novels/1.txt"],
            **{"steps": 10, "tokens_seen": 1000, "parameters": 40000},
            "valid_loss_nats_per_token": 5.5,
        },
    )
    run(place / "study.toml", place / "studies" / "tried", "--workers", "2")
    write_bias(place / "probes" / "bias", **{str(place / "models" / "small"): 0.1})
    (place / "read").mkdir()
    write_quality(
        place / "read" / "speeches.json",
        str(place / "models" / "small"),
        str(place / "texts" / "speeches"),
    )
    table = read_json(place / "probes" / "bias" / "bias.json")
    table |= {"models": [str(place / "models" / "small")]}
    table["sentences"][0]["text"] = f"No difference found in {place / 'models' / 'small'}."
    put_json(place / "probes" / "bias" / "bias.json", table)
    (place / "LICENSE").write_text("Free for all.\n", encoding="utf-8")
    (place / "card.toml").write_text(
        "".join(f"{key} = {json.dumps(text)}\n" for key, text in WRITTEN.items()), encoding="utf-8"
    )
    return place


@pytest.fixture
def release(place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Release]:
    monkeypatch.setenv("HOME", str(place / "home"))

    def write(kind: str) -> Release:
        (place / "release.toml").write_text(
            RELEASE.format(place=place, kind=kind), encoding="utf-8"
        )
        return read_release(place / "release.toml")

    return write


def readings(data: bytes) -> Iterator[bytes]:
    """A file's bytes, and those that stand in it as base64, as a signature's do."""
    yield data
    for run_of_letters in re.findall(rb"[A-Za-z0-9+/]{64,}={0,2}", data):
        with contextlib.suppress(ValueError):
            yield base64.b64decode(run_of_letters)


@pytest.mark.parametrize("kind", ["tfidf", "roberta"])
def test_a_package_says_no_place_and_its_detector_gives_verdicts(
    place: Path,
    release: Callable[[str], Release],
    kind: str,
    tmp_path: Path,
    keys: tuple[Path, Path],
) -> None:
    done = advance(release(kind), tmp_path / "out", private=keys[0], date=DATE)
    assert done.package is not None
    assert verify(done.package, keys[1]) == []
    for name in files_of(done.package):
        for data in readings((done.package / name).read_bytes()):
            for form in {PLACE, str(place), str(tmp_path), tmp_path.name}:
                assert form.encode() not in data, name
    card = (done.package / "README.md").read_text(encoding="utf-8")
    assert "`quality/small/speeches`" in card
    assert "40,000 parameters, from `untrained` on `novels`" in card
    own = (done.package / "detector" / "README.md").read_text(encoding="utf-8")
    assert f"A `{kind}` detector, trained on human text and on samples of **small**" in own
    assert f"| {kind} `{kind}/small/mix/small/nucleus/24` |" in own
    ids = {id for id, _, _ in index_figures(own)}
    assert ids == {f"{kind}/small/mix/small/nucleus/24"}
    assert {id for id, _, _ in index_figures(card)} == {"quality/small/speeches"}
    assert (
        read_json(done.package / "study/tried/study.json")["settings"]["corpus"]["source"]
        == "speeches"
    )
    assert "speeches" in (done.package / "README.md").read_text(encoding="utf-8")
    shutil.move(done.package, tmp_path / "elsewhere")
    texts = [
        one.text
        for one in read_documents(place / "studies/tried/corpus/passages.parquet", split="test")
    ]
    examined = open_examiner(str(tmp_path / "elsewhere" / "detector"), fpr=0.05).examine(
        [(str(i), one) for i, one in enumerate(texts)]
    )
    assert any(one.verdict != "not enough evidence" for one in examined)
    assert all(one.p_value is not None for one in examined if one.words >= 50)


@pytest.mark.parametrize("kind", ["tfidf", "roberta"])
def test_a_studys_detector_gives_verdicts_where_it_lies(
    place: Path,
    release: Callable[[str], Release],
    kind: str,
    tmp_path: Path,
    keys: tuple[Path, Path],
) -> None:
    """And the same ones in the package."""
    detector = place / "studies" / "tried" / "detectors" / kind / "small" / "mix"
    package = advance(release(kind), tmp_path / "out", private=keys[0], date=DATE).package
    assert package is not None
    passages = read_documents(place / "studies/tried/corpus/passages.parquet", split="test")
    texts = [(one.id, one.text) for one in passages]
    said = [
        [(one.verdict, one.score, one.p_value) for one in open_examiner(str(folder)).examine(texts)]
        for folder in (detector, package / "detector")
    ]
    assert said[0] == said[1]
    assert any(p_value is not None for _, _, p_value in said[0])
    by_method = detector.with_name("nucleus")
    assert open_examiner(str(by_method)).calibration is None


def test_a_detector_without_a_calibration_gets_one_in_the_package(
    place: Path, release: Callable[[str], Release], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    whole = release("tfidf")
    stage = whole.stages[0]
    detector = str(Path(stage.detector).with_name("nucleus"))
    plan = replace(whole, stages=(replace(stage, detector=detector),))
    package = advance(plan, tmp_path / "out", private=keys[0], date=DATE).package
    assert package is not None
    assert load_calibration(package / "detector" / "calibration.json").human[0]


def test_calibrate_refuses_what_taught_a_studys_detector_and_takes_what_chose(
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = place / "studies" / "tried"
    splits = {"train": tmp_path / "train", "valid": tmp_path / "valid"}
    for split, folder in splits.items():
        folder.mkdir()
        texts = read_documents(study / "corpus" / "passages.parquet", split=split)
        for number, one in enumerate(texts):  # passages in files of another name
            (folder / f"some-{number}.txt").write_text(one.text, encoding="utf-8")
    command = ["staged", "calibrate", "--detector", str(study / "detectors/tfidf/small/mix")]
    command += ["--fpr", "0.2", "--out", str(tmp_path / "c.json"), "--human"]
    monkeypatch.setattr(sys, "argv", [*command, str(splits["train"])])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "of the human texts taught the detector" in said
    assert "some-" in said
    assert not (tmp_path / "c.json").exists()
    done = CliRunner().invoke(app, [*command[1:], str(splits["valid"])])
    assert done.exit_code == 0, done.output
    assert load_calibration(tmp_path / "c.json").human[0]


def test_the_calibration_is_of_valid_texts_only(
    place: Path, release: Callable[[str], Release], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    package = advance(release("tfidf"), tmp_path / "out", private=keys[0], date=DATE).package
    assert package is not None
    made = load_calibration(package / "detector" / "calibration.json")
    passages = place / "studies" / "tried" / "corpus" / "passages.parquet"
    scorer = open_examiner(str(package / "detector")).detector
    scores = {
        split: set(
            scorer.score(
                [" ".join(one.text.split()) for one in read_documents(passages, split=split)]
            )
        )
        for split in ("valid", "test", "train")
    }
    held = {score for bin in made.human for score in bin}
    assert held
    assert max(map(len, made.human)) == len(read_documents(passages, split="valid"))
    assert not held & (scores["test"] | scores["train"])


def test_another_model_under_the_studied_name_is_refused(
    place: Path, release: Callable[[str], Release], tmp_path: Path, tiny: Path
) -> None:
    plan = release("tfidf")
    weights = place / "models" / "small" / "model.safetensors"
    whole = weights.read_bytes()
    try:
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(
            ReleaseError,
            match=r"is not the one that was measured: .*study.json has another model.safetensors",
        ):
            members(plan, plan.stages[0])
        facts = (
            place / "studies" / "tried" / "study.json"
        )  # of an older version, which did not say: its samples do
        said = facts.read_bytes()
        table = json.loads(said)
        del table["models"][0]["files"]
        put_json(facts, table)
        with pytest.raises(
            ReleaseError, match=r"samples.small.nucleus.manifest.json has another model.safetensors"
        ):
            members(plan, plan.stages[0])
        facts.write_bytes(said)
    finally:
        weights.write_bytes(whole)
    assert members(plan, plan.stages[0])


def test_a_detector_changed_since_its_study_is_refused(
    place: Path, release: Callable[[str], Release]
) -> None:
    plan = release("tfidf")
    file = Path(plan.stages[0].detector) / "weights.npy"
    whole = file.read_bytes()
    try:
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(
            ReleaseError, match=r"weights\.npy is not the file that the study trained"
        ):
            members(plan, plan.stages[0])
    finally:
        file.write_bytes(whole)


def test_an_old_studys_records_get_names_as_well(
    place: Path, release: Callable[[str], Release], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    """Made before results held names: paths in study.json, in the manifest, and on the rendered
    page.
    """
    plan = release("roberta")
    old = tmp_path / "old"
    shutil.copytree(place / "studies" / "tried", old)
    for name in ("study.json", "manifest.json"):
        table = read_json(old / name)
        table["settings"]["corpus"]["source"] = "../texts/speeches/"
        table["settings"]["roberta"]["base"] = str(place / "encoders" / "enc")
        put_json(old / name, table)
    page = (old / "report.html").read_text(encoding="utf-8")
    (old / "report.html").write_text(
        page.replace(
            "Human text: speeches.", f"Human text: ../texts/speeches/. {place}/encoders/enc"
        )
    )
    text = (
        (place / "release.toml")
        .read_text(encoding="utf-8")
        .replace(f"{place}/studies/tried", str(old))
    )
    (place / "release.toml").write_text(text, encoding="utf-8")
    plan = read_release(place / "release.toml")
    decision = Decision("A family", "small", "2026-11-24", "released", (), None)
    package = build_package(tmp_path / "out", plan, plan.stages[0], decision, private=keys[0])
    shown = (package / "study" / "old" / "report.html").read_text(encoding="utf-8")
    assert "Human text: speeches. enc" in shown
    for name in files_of(package):
        data = (package / name).read_bytes()
        assert PLACE.encode() not in data, name
        assert b"texts/speeches" not in data, name
