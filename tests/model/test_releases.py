"""One thing has many names, and each name means one thing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from staged.detectors.catalog import open_detector
from staged.detectors.identity import detector_files
from staged.detectors.kinds.roberta import load_classifier
from staged.detectors.names import parse_name
from staged.errors import CheckpointError
from staged.model.checkpoints import is_at_hand, model_folder, own_folder
from staged.model.gpt2.config import GPT2_SIZES
from staged.model.sources.places import is_written_as_path
from staged.model.sources.releases import RELEASES, aliases, is_repository, released
from staged.model.sources.served import Served, parse_served


@pytest.mark.parametrize(
    ("names", "hub"),
    [
        (
            ["124M", "117M", "small", "gpt2", "openai-community/gpt2", "GPT2", "124m"],
            "openai-community/gpt2",
        ),
        (["355M", "345M", "medium", "gpt2-medium"], "openai-community/gpt2-medium"),
        (["774M", "762M", "large", "gpt2-large"], "openai-community/gpt2-large"),
        (
            ["1558M", "1542M", "1.5B", "xl", "gpt2-xl", "openai-community/gpt2-xl"],
            "openai-community/gpt2-xl",
        ),
    ],
)
def test_names_of_the_release(names: list[str], hub: str) -> None:
    found = {released(name) for name in names}
    assert [one.hub for one in found if one] == [hub]


def test_facts_of_the_four_sizes() -> None:
    parameters = [124_439_808, 354_823_168, 774_030_080, 1_557_611_200]
    assert [one.config.parameters for one in RELEASES] == parameters
    assert [round(count / 1e6) for count in parameters] == [int(one.size[:-1]) for one in RELEASES]
    assert [one.config for one in RELEASES] == list(GPT2_SIZES.values())
    assert len({name.lower() for name in aliases()}) == len(aliases())


def test_other_names() -> None:
    assert released("gpt3") is None
    assert is_repository("someone/gpt2-letters")
    assert not any(is_repository(name) for name in ("a/b/c", "../x", "/etc", "x", "a b/c"))


def test_any_case() -> None:
    assert model_folder("MINI-S") == model_folder("mini-s")


def test_a_path_is_not_an_alias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpt2").mkdir()
    monkeypatch.chdir(tmp_path)
    assert model_folder("./gpt2") == Path("gpt2")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gpt2-meduim", "did you mean 'gpt2-medium'"),
        ("openai:12M", "no released size; did you mean 'openai:124M'"),
    ],
)
def test_unknown_names_suggest_the_nearest(name: str, says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        model_folder(name)


@pytest.fixture
def here(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `models/tiny` in it, where commands are given; it is the home folder too."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny").symlink_to(tiny)
    (tmp_path / "models" / "note.txt").write_text("not a model")
    (tmp_path / "models" / "m.gguf").write_bytes(b"GGUF")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("./mdoels/tiny", "no such folder; did you mean './models/tiny'?"),
        ("mdoels/tiny", "no such folder; did you mean './models/tiny'?"),
        ("models/tinny", "no such folder; did you mean './models/tiny'?"),
        ("models/tinny/", "no such folder; did you mean './models/tiny'?"),
        ("MODELS/TINY", "no such folder; did you mean './models/tiny'?"),
        ("models\\tiny", "no such folder; did you mean './models/tiny'?"),
        ("C:\\models\\tiny", "no such folder; did you mean './models/tiny'?"),
        ("models/other", "no such folder; 'models' holds the folders 'tiny'"),
        ("./other", "no such folder; this folder holds the folders 'models'"),
        ("models/tiny/a/b", "no such folder; 'models/tiny' holds no folder"),
        ("models/note.txt", "is a file; give the folder that holds the model, such as 'models'"),
        ("models/m.gguf", "(GGUF files are written, not read)"),
        ("models/note.txt/tiny", "no such folder"),
        ("./mini-s", "no such folder; did you mean 'mini-s'?"),
        ("mini-s/", "no such folder; did you mean 'mini-s'?"),
        ("modles", "did you mean './models'?"),
        ("mini-xxl", "did you mean 'mini-xl'?"),
        ("gpt-2", "did you mean 'gpt2'?"),
        ("nobody/here", "no such folder here, and HF_HUB_OFFLINE is set"),
        ("a" * 5000, "neither a shipped model nor a folder"),
        ("a\0b", "neither a shipped model nor a folder"),
    ],
)
def test_a_mistyped_model_is_answered_as_what_it_looks_like(
    here: Path, name: str, says: str
) -> None:
    with pytest.raises(CheckpointError) as error:
        model_folder(name)
    assert says in str(error.value)
    assert ("put these files into a folder" in str(error.value)) == (
        name == "nobody/here"
    )  # advice on the hub's cache


def test_a_home_folder_is_expanded(here: Path, tiny: Path) -> None:
    assert model_folder("~/models/tiny") == own_folder("~/models/tiny") == here / "models" / "tiny"
    assert (
        len(detector_files(parse_name("likelihood@~/models/tiny"))) == 1
    )  # so a change of its weights is noticed
    with pytest.raises(CheckpointError, match=re.escape(f"did you mean '{here}/models/tiny'?")):
        model_folder("~/mdoels/tiny")


def test_a_mistyped_place_of_a_detector_an_encoder_and_a_scorer(here: Path) -> None:
    for ask, says in (
        (
            lambda: open_detector("./mdoels/tiny"),
            "no such folder or file; did you mean './models/tiny'?",
        ),
        (
            lambda: open_detector("./models/note.tx"),
            "no such folder or file; did you mean './models/note.txt'?",
        ),
        (
            lambda: open_detector("likelihood@./mdoels/tiny"),
            "no such folder; did you mean './models/tiny'?",
        ),
        (lambda: load_classifier("./mdoels/tiny"), "no such folder; did you mean './models/tiny'?"),
        (lambda: load_classifier("roberta-mni"), "did you mean 'roberta-mini'?"),
    ):
        with pytest.raises(CheckpointError) as error:
            ask()
        assert says in str(error.value)


def test_a_released_size_is_no_folder_that_is_missing(here: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"^model 'openai-community/gpt2': HF_HUB_OFFLINE is set"
    ):
        model_folder("GPT2")


def test_what_is_written_as_a_path() -> None:
    paths = ["./x", "../x", "/x", "~/x", "~", "x/", "a/b/c", "a\\b", "C:x", ".x"]
    assert [name for name in paths if not is_written_as_path(name)] == []
    assert not any(
        map(is_written_as_path, ["x", "owner/model", "gpt2", "1.5B", "openai:124M", "", "a~b"])
    )


def test_what_is_the_users_own(here: Path) -> None:
    (here / "gpt2").mkdir()
    assert own_folder("./gpt2") == Path("gpt2")
    assert [
        own_folder(name) for name in ("gpt2", "mini-s", "MINI-S", "smollm2-135m", "", "nowhere")
    ] == [None] * 6


SERVER = "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    ("given", "name", "url"),
    [
        (f"openai:llama3@{SERVER}", "llama3", SERVER),
        (f"openai:meta/Llama-3@{SERVER}/", "meta/Llama-3", SERVER),
        ("openai:@cf/llama@https://example.org/v1", "@cf/llama", "https://example.org/v1"),
        (f"openai:124M@{SERVER}", "124M", SERVER),
        ("openai:m@HTTP://[::1]:80/v1", "m", "HTTP://[::1]:80/v1"),
    ],
)
def test_a_model_behind_a_server(given: str, name: str, url: str) -> None:
    assert parse_served(given) == Served(name, url)
    with pytest.raises(
        CheckpointError, match=r"behind a server has no files.* study, survey make or"
    ):
        model_folder(given)
    assert own_folder(given) is None
    assert not is_at_hand(given)


@pytest.mark.parametrize(
    "given", ["openai:124M", "openai:", f"llama3@{SERVER}", f"likelihood@openai:x@{SERVER}", ""]
)
def test_what_is_no_model_behind_a_server(given: str) -> None:
    assert parse_served(given) is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (f"openai:@{SERVER}", "model 'openai:@…': no name stands before the @"),
        ("openai:x@", "model 'openai:x@…': the URL is not http or https"),
        ("openai:x@ftp://here/v1", "the URL is not http or https"),
        ("openai:x@localhost:8000", "the URL is not http or https"),
        ("openai:x@http:///v1", "the URL has no host, or a port that is none"),
        ("openai:x@http://here:port/v1", "the URL has no host, or a port that is none"),
        ("openai:x@http://he re/v1", "the URL has no host, or a port that is none"),
        ("openai:x@http://me:sk-secret@here/v1", "the URL holds a user or a password; leave them"),
        ("openai:x@http://sk-secret@here/v1", "the URL holds a user or a password; leave them"),
        ("openai:x@http://here/v1?key=sk-secret", "the URL goes on after its path; leave that out"),
        ("openai:x@http://here/v1#sk-secret", "the URL goes on after its path; leave that out"),
        ("openai:x@http://here/v1/completions", "which is added to it; leave /completions out"),
        ("openai:x@http://here/v1/chat/completions/", "; leave /chat/completions out"),
    ],
)
def test_a_malformed_model_behind_a_server(given: str, says: str) -> None:
    for ask in (parse_served, model_folder, own_folder):
        with pytest.raises(CheckpointError) as error:
            ask(given)
        assert says in str(error.value)
        assert "secret" not in str(error.value)
        assert str(error.value).endswith("@http://127.0.0.1:8000/v1")


def test_a_score_reads_no_model_behind_a_server() -> None:
    with pytest.raises(CheckpointError, match="a model behind a server has no files here"):
        open_detector(f"likelihood@openai:x@{SERVER}")
