"""What goes out: a model's and a detector's own files, without secrets, links and paths; the rest
is refused by name.
"""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from staged.detectors.calibration.calibration import Calibration
from staged.detectors.names import parse_name
from staged.errors import ArtifactError, CheckpointError, ReleaseError, StagedError
from staged.release.advance import advance
from staged.release.outcomes import Decision
from staged.release.package import leaks
from staged.release.package.layout import files_of
from staged.release.package.members import members
from staged.release.package.outgoing import without_places
from staged.release.package.package import build_package
from staged.release.plan import Release, read_release
from tests.conftest import put_json
from tests.release.conftest import DATE, write_bias, write_plan, write_study, write_survey

LETTERS = "".join(chr(ord("a") + i % 26) for i in range(60))
# made here, so that no scanner takes this file for a leak
SECRETS = {
    "hub": "hf_" + LETTERS[:34],
    "openai": "sk-" + LETTERS[:20] + "T3Blbk" + "FJ" + LETTERS[:20],
    "openai project": "sk-" + "proj-" + LETTERS[:48],
    "anthropic": "sk-" + "ant-api03-" + LETTERS[:40],
    "github": "ghp_" + LETTERS[:36],
    "github fine-grained": "github_" + "pat_" + LETTERS[:22] + "_" + LETTERS[:36],
    "aws id": "AKIA" + "IOSFODNN7EXAMPLE",
    "aws": 'aws_secret_access_key = "' + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" + '"',
    "slack": "xox" + "b-123456789012-abcdefghijkl",
    "gitlab": "glpat-" + LETTERS[:20],
    "stripe": "sk_" + "live_" + LETTERS[:24],
    "google": "AIza" + LETTERS[:35],
    "rsa": "-----BEGIN RSA PRIV" + "ATE KEY-----",
    "pkcs8": "-----BEGIN PRIV" + "ATE KEY-----",
    "encrypted": "-----BEGIN ENCRYPTED PRIV" + "ATE KEY-----",
    "openssh": "-----BEGIN OPENSSH PRIV" + "ATE KEY-----",
    "pgp": "-----BEGIN PGP PRIV" + "ATE KEY BLOCK-----",
    "putty": "PuTTY-User-Key" + "-File-3: ssh-ed25519",
    "dotenv": "DB_PASSWORD=hunter2-hunter2",
    "dotenv exported": "export API_KEY=9f8e7d6c5b4a",
    "json": '{"hub_token": "9f8e7d6c5b4a"}',
    "address": "https://user:pa55word@host.example/x",
}
HARMLESS = (
    (
        '{"bos_token": "<|endoftext|>", "eos_token": "</s>", "unk_token": "__unk____", "hub_token":'
        ' "<HUB_TOKEN>", "token": null}'
    ),
    '{"password": 123, "secret": 5, "api_key=": 3, "PASSWORD": 77}',
    (
        "# put your token into HF_TOKEN\nHF_TOKEN=$HF_TOKEN\nAPI_KEY=<your key>\npassword ="
        " getpass()\nSECRET_KEY=changeme-changeme\n"
    ),
    (
        "A secret is kept by one. The password: nobody knows it."
        " task-abcdefghijklmnopqrstuvwxyzabcdefghijkl"
    ),
    "BEGIN PUBLIC KEY\nThe private key stays with you.",
)


@pytest.fixture
def release(plan: Callable[..., Path]) -> Release:
    return read_release(plan())


def attempt(release: Release, tmp_path: Path, keys: tuple[Path, Path]) -> str:
    """The sentence in which the stage is refused; nothing stands in the release's folder
    afterwards.
    """
    root = tmp_path / "out"
    with pytest.raises(StagedError) as refused:
        advance(release, root, private=keys[0], date=DATE)
    assert not (root / "small").exists()
    assert [one for one in root.rglob("*") if one.is_file()] == []
    return str(refused.value)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "training_params.json",
            "env.txt",
            "optimizer.pt",
            "training_args.bin",
            "notes.md",
            "scheduler.pt",
            "pytorch_model.bin",
        ),
        *(
            "rng_state.pth",
            "events.out.tfevents",
            "consolidated.safetensors",
            "checkpoint-500/model.safetensors",
            "runs/a/b.txt",
        ),
    ],
)
@pytest.mark.parametrize("folder", ["weights", "detector"])
def test_what_is_no_part_of_a_model_or_detector_is_refused_by_name(
    release: Release, tmp_path: Path, keys: tuple[Path, Path], folder: str, name: str
) -> None:
    (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / folder / name).write_bytes(pickle.dumps({"hub_token": "x"}))
    said = attempt(release, tmp_path, keys)
    assert f"{tmp_path / folder}: holds what is no part of" in said
    assert f": {name.split('/')[0]}" in said
    assert "move it away" in said


def test_all_others_are_named_at_once(
    release: Release, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    for name in ("b.txt", "a.pt"):
        (tmp_path / "weights" / name).write_bytes(b"x")
    assert "a.pt, b.txt; move" in attempt(release, tmp_path, keys)


def test_what_transformers_writes_beside_a_model_goes_out_and_what_is_made_anew_or_hidden_does_not(
    release: Release, tmp_path: Path
) -> None:
    own = (
        "generation_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.jinja",
        "tokenizer.model",
    )
    for name in (
        *own,
        "vocab.json",
        "merges.txt",
        "training.json",
        "loss.jsonl",
        "README.md",
        "manifest.json",
        ".DS_Store",
    ):
        (tmp_path / "weights" / name).write_text("{}", encoding="utf-8")
    (tmp_path / "weights" / ".git").mkdir()
    (tmp_path / "weights" / "LICENSE").write_bytes(release.licence.read_bytes())
    found = members(release, release.stages[0])
    assert {
        *own,
        "vocab.json",
        "merges.txt",
        "training.json",
        "loss.jsonl",
        "config.json",
        "model.safetensors",
    } <= set(found)
    assert not {"README.md", "manifest.json", ".DS_Store"} & set(found)
    assert found["LICENSE"] == release.licence
    (tmp_path / "weights" / "LICENSE").write_text("Another.", encoding="utf-8")
    with pytest.raises(ReleaseError, match="no part of a model: LICENSE"):
        members(release, release.stages[0])


def test_shards_go_out_with_their_index_and_no_others(release: Release, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    (weights / names[0]).write_bytes((weights / "model.safetensors").read_bytes())
    (weights / names[1]).write_bytes((weights / "model.safetensors").read_bytes())
    (weights / "model.safetensors").unlink()
    put_json(
        weights / "model.safetensors.index.json", {"weight_map": {"a": names[0], "b": names[1]}}
    )
    assert {*names, "model.safetensors.index.json"} <= set(members(release, release.stages[0]))
    (weights / "model-00003-of-00003.safetensors").write_bytes(b"of another run")
    with pytest.raises(ReleaseError, match=r"model-00003-of-00003\.safetensors"):
        members(release, release.stages[0])


def test_pickled_weights_are_to_be_converted(release: Release, tmp_path: Path) -> None:
    (tmp_path / "weights" / "model.safetensors").rename(tmp_path / "weights" / "pytorch_model.bin")
    with pytest.raises(
        CheckpointError,
        match=r"weights are in pytorch_model\.bin, and only safetensors are published",
    ):
        members(release, release.stages[0])


def test_a_folder_that_is_no_detector_is_said(release: Release, tmp_path: Path) -> None:
    (tmp_path / "detector" / "detector.json").unlink()
    with pytest.raises(
        CheckpointError, match=r"not a detector's folder; it holds none of readers.json"
    ):
        members(release, release.stages[0])


def test_an_ensembles_members_go_out_and_a_scorer_that_nobody_has_does_not(
    release: Release, tmp_path: Path
) -> None:
    folder = tmp_path / "detector"
    for path in folder.iterdir():
        path.unlink()
    put_json(folder / "ensemble.json", {"members": {"one": 1.0}})
    (folder / "one").mkdir()
    put_json(folder / "one" / "evidence.json", {"scorer": "smollm2-135m"})
    found = members(release, release.stages[0])
    assert {"detector/ensemble.json", "detector/one/evidence.json"} <= set(found)
    put_json(folder / "one" / "evidence.json", {"scorer": str(tmp_path / "weights")})
    with pytest.raises(ReleaseError, match="a folder that nobody else has"):
        members(release, release.stages[0])


def test_a_link_out_of_the_folder_is_refused_and_the_hubs_cache_is_not(
    release: Release, tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text("{}", encoding="utf-8")
    (weights / "generation_config.json").symlink_to(elsewhere)
    with pytest.raises(
        ReleaseError,
        match=r"generation_config.json: is a link to .*elsewhere.json, outside its folder",
    ):
        members(release, release.stages[0])
    (weights / "generation_config.json").unlink()
    (tmp_path / "models--a--b" / "snapshots").mkdir(parents=True)
    (tmp_path / "models--a--b" / "blobs").mkdir()
    cached = tmp_path / "models--a--b" / "snapshots" / "main"
    weights.rename(cached)
    (cached / "config.json").rename(tmp_path / "models--a--b" / "blobs" / "c0ffee")
    (cached / "config.json").symlink_to("../../blobs/c0ffee")
    weights.symlink_to(cached)
    assert "config.json" in members(release, release.stages[0])
    (tmp_path / "study" / "report.html").symlink_to(elsewhere)
    with pytest.raises(ReleaseError, match=r"report.html: is a link to"):
        members(release, release.stages[0])


def found_in(name: str, data: bytes) -> list[tuple[int, str]]:
    import io

    return list(leaks.leaks_in(name, io.BytesIO(data)))


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_found_behind_megabytes_and_is_not_shown(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaks, "AT_ONCE", 1 << 16)
    before = b"all is well\n" * 20_000
    found = found_in("notes.json", before + SECRETS[kind].encode() + b"\n")
    assert found
    assert {line for line, _ in found} == {20_001}
    assert not any(
        word in what for _, what in found for word in SECRETS[kind].split('"') if len(word) > 8
    )
    for shift in range(-40, 1, 5):  # across the border of two chunks
        assert found_in(
            "notes.json", b"\n" * (leaks.AT_ONCE + shift) + SECRETS[kind].encode() + b"\n"
        )


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_a_secret_is_none(text: str) -> None:
    assert found_in("config.json", text.encode()) == []


def test_what_ships_here_holds_no_secret() -> None:
    root = Path(leaks.__file__).parents[1]
    for path in sorted(
        [*root.glob("model/minis/mini-s/*"), *root.glob("detectors/shipped/*/*.json")]
    ):
        with open(path, "rb") as file:
            assert list(leaks.leaks_in(path.name, file)) == [], path


def weights_with(header: dict[str, object], body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def test_weights_are_read_for_keys_throughout_and_for_all_in_their_header() -> None:
    key, token = SECRETS["openssh"].encode(), SECRETS["hub"]
    assert found_in(
        "model.safetensors", weights_with({"__metadata__": {"by": token}}, b"\0" * 99)
    ) == [(1, "a Hugging Face token")]
    assert found_in("model.safetensors", weights_with({}, b"\0" * 5_000_000 + key)) == [
        (0, "a private key")
    ]
    assert found_in("model.safetensors", weights_with({}, b"\0" * (leaks.AT_ONCE - 15) + key)) == [
        (0, "a private key")
    ]
    assert found_in("model.safetensors", weights_with({}, bytes(range(256)) * 9999)) == []


@pytest.mark.parametrize(
    "file",
    [
        *(
            "weights/config.json",
            "weights/tokenizer_config.json",
            "detector/detector.json",
            "card.toml",
            "LICENSE",
        ),
        *("study/study.json", "study/cells.csv", "bias/bias.json"),
    ],
)
def test_a_secret_in_anything_that_goes_out_is_said_before_signing(
    tmp_path: Path, plan: Callable[..., Path], keys: tuple[Path, Path], file: str
) -> None:
    write_bias(tmp_path / "bias", small=0.1)
    release = read_release(write_plan(tmp_path, evidence='["study", "bias"]'))
    path = tmp_path / file
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    token = SECRETS["hub"]
    if path.suffix == ".json":
        path.write_text(json.dumps(json.loads(text) | {"note": token}), encoding="utf-8")
    else:
        path.write_text(
            text + (f"# {token}\n" if file == "card.toml" else f"{token}\n"), encoding="utf-8"
        )
    said = attempt(release, tmp_path, keys)
    assert f"{path}:" in said
    assert "a Hugging Face token" in said
    assert token not in said


def test_a_secret_in_an_override_is_said(
    plan: Callable[..., Path], tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    strict = read_release(plan('[[gates]]\nkind = "bias"\nat_most = 0.2\n'))
    with pytest.raises(
        ReleaseError, match="--override and --by: holds a Hugging Face token"
    ) as refused:
        advance(
            strict,
            tmp_path / "out",
            private=keys[0],
            date=DATE,
            reason=f"it is {SECRETS['hub']}",
            by="A. Person",
        )
    assert SECRETS["hub"] not in str(refused.value)


def test_a_path_of_this_machine_is_said_where_no_record_holds_it(
    release: Release, tmp_path: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "me"))
    (tmp_path / "weights" / "chat_template.jinja").write_text(
        f"first\n{{# of {tmp_path}/home/me/notes #}}\n", encoding="utf-8"
    )
    said = attempt(release, tmp_path, keys)
    assert f"{tmp_path / 'weights' / 'chat_template.jinja'}:2: a path of this machine" in said
    (tmp_path / "weights" / "chat_template.jinja").unlink()
    weights = tmp_path / "weights" / "model.safetensors"
    header = {"__metadata__": {"by": f"{tmp_path}/home/me/train.py"}}
    weights.write_bytes(weights_with(header, b"\0" * 99))
    assert f"{weights}:1: a path of this machine" in attempt(release, tmp_path, keys)


def test_records_of_a_model_get_names(
    release: Release, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    weights = tmp_path / "weights"
    config = json.loads((weights / "config.json").read_text(encoding="utf-8"))
    put_json(weights / "config.json", config | {"_name_or_path": "/srv/of-mine/models/base"})
    settings = {
        "init": "../of-mine/first",
        "tokenizer": "C:\\of-mine\\bpe",
        "corpus": {"source": "/srv/of-mine/texts/"},
    }
    record = {"settings": settings, "sources": ["a/b.txt", "/srv/of-mine/c.txt"]}
    put_json(weights / "training.json", record)
    parts = members(release, release.stages[0])
    changed = {name: json.loads(data) for name, data in without_places(parts).items()}
    assert changed["config.json"] == config | {"_name_or_path": "base"}
    assert changed["training.json"]["settings"] == {
        "init": "first",
        "tokenizer": "bpe",
        "corpus": {"source": "texts"},
    }
    assert changed["training.json"]["sources"] == ["a/b.txt", "c.txt"]
    package = advance(release, tmp_path / "out", private=keys[0], date=DATE).package
    assert package is not None
    assert [name for name in files_of(package) if b"of-mine" in (package / name).read_bytes()] == []


def test_nothing_is_rewritten_that_says_no_place(release: Release) -> None:
    assert without_places(members(release, release.stages[0])) == {}


def test_a_calibration_says_no_place_either(
    release: Release, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    from staged.detectors.calibration.calibration_file import load_calibration
    from staged.detectors.identity import known_by

    folder = tmp_path / "detector"
    bins = ((0.1, 0.2), (), (), ())
    Calibration(
        str(folder), (50, 100, 200, 400), bins, ((),) * 4, (), known_by(parse_name(str(folder)))
    ).save(folder / "calibration.json")
    package = advance(release, tmp_path / "out", private=keys[0], date=DATE).package
    assert package is not None
    made = load_calibration(package / "detector" / "calibration.json")
    assert (made.detector, made.human, made.known_by) == (
        "detector",
        bins,
        known_by(parse_name(str(package / "detector"))),
    )
    Calibration("x", (50, 100, 200, 400), bins, ((),) * 4, (), ("another",)).save(
        folder / "calibration.json"
    )
    with pytest.raises(ReleaseError, match="calibrates another detector"):
        advance(release, tmp_path / "out", private=keys[0], date=DATE)


def test_two_evidence_folders_of_one_name_are_refused(
    tmp_path: Path, plan: Callable[..., Path]
) -> None:
    plan()
    write_study(tmp_path / "other" / "study", ("huge",))
    release = read_release(write_plan(tmp_path, evidence='["study", "other/study"]'))
    with pytest.raises(ArtifactError, match=r"would be the same place in the package; rename one"):
        members(release, release.stages[0])
    twice = read_release(write_plan(tmp_path, evidence='["study", "./study/"]'))
    assert members(twice, twice.stages[0])


def test_evidence_of_one_kind_in_two_folders_is_on_the_packages_card(
    tmp_path: Path, plan: Callable[..., Path], keys: tuple[Path, Path]
) -> None:
    plan()
    write_bias(tmp_path / "b1", small=0.1)
    write_bias(tmp_path / "b2", large=0.3)
    release = read_release(write_plan(tmp_path, evidence='["study", "b1", "b2"]'))
    advance(release, tmp_path / "out", private=keys[0], date=DATE)
    package = advance(release, tmp_path / "out", private=keys[0], date=DATE).package
    assert package is not None
    assert package.name == "large"
    assert "bias/large/respect/gender/women-men/sentiment" in (package / "README.md").read_text(
        encoding="utf-8"
    )


def test_a_package_is_built_of_what_was_checked(
    release: Release, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    decision = Decision("r", "small", "2026-11-24", "released", (), None)
    package = build_package(tmp_path / "out", release, release.stages[0], decision, private=keys[0])
    assert (package / ".gitattributes").read_text(encoding="utf-8").startswith("* -text\n")


def test_probes_and_surveys_call_models_by_name_in_sentences_and_keys_too(
    tmp_path: Path, plan: Callable[..., Path], keys: tuple[Path, Path]
) -> None:
    plan()
    write_bias(tmp_path / "bias", **{"models/small": 0.1})
    write_survey(tmp_path / "survey", **{"./models/small": 6.0, "/srv/models/large": 6.1})
    for name in ("bias/bias.json", "survey/survey.json"):
        table = json.loads((tmp_path / name).read_text(encoding="utf-8"))
        table["scores"] = {"models/small": 1, "./models/small": 2, "/srv/models/large": 3}
        said = {"text": "Between models/small and /srv/models/large.", "verdicts": {}}
        table["sentences"] += [said | {"models": ["models/small", "/srv/models/large"]}]
        put_json(tmp_path / name, table)
    release = read_release(write_plan(tmp_path, evidence='["study", "bias", "survey"]'))
    package = advance(release, tmp_path / "out", private=keys[0], date=DATE).package
    assert package is not None
    assert [name for name in files_of(package) if b"models/" in (package / name).read_bytes()] == []
    assert "Between small and large." in (package / "survey" / "survey.json").read_text(
        encoding="utf-8"
    )
