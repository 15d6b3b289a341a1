"""Samples under a key of the user's: rows, files, refusals, the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import staged
from staged.cli import app
from staged.errors import PlanError, ProvenanceError, SamplingError, StagedError
from staged.keys.ring import new_key, open_key, rotate
from staged.model.checkpoints import load_model
from staged.samples.columns import CHAT, LOGPROBS, MARKS, SCHEMA, is_samples
from staged.samples.dataset import SampleSettings, read_samples, sample, write_samples
from staged.samples.methods import method
from staged.watermarks import evidence
from staged.watermarks.contract import SCHEMES
from staged.watermarks.schemes import make_watermark

TASKS = ("The river", "A ladder", "The captain", "Before noon")


@pytest.fixture(autouse=True)
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Of the key `alpha`, in a folder of this test's."""
    monkeypatch.setenv("STAGED_KEYS", str(tmp_path / "keys"))
    number = new_key("alpha", purposes=["watermark"]).watermark_secret().secret
    assert number is not None
    return number


def wanted(folder: Path, scheme: str = "gumbel-dual", **changes: object) -> SampleSettings:
    settings = SampleSettings(
        str(folder),
        method("top-k-40"),
        count=4,
        length=60,
        prompts=TASKS,
        batch=2,
        precision="fp32",
        watermark=scheme,
        key="alpha" if scheme else "",
    )
    return replace(settings, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_samples_of_every_scheme_are_found_by_the_key(
    tiny: Path, tmp_path: Path, secret: int, scheme: str
) -> None:
    settings = wanted(tiny, scheme, logprobs=True)
    write_samples(tmp_path / "s.jsonl", settings)
    rows = read_samples(tmp_path / "s.jsonl")
    vocabulary = load_model(str(tiny))[0].config.n_vocab
    mark = make_watermark(scheme, secret, vocabulary)
    tests = [evidence.test_tokens(row["tokens"], mark) for row in rows]
    found = sorted(test.p_value for test in tests if test.enough)
    unmarked = [row["tokens"] for row in sample(wanted(tiny, "", logprobs=True))]
    assert len(found) >= 2
    assert found[0] < 1e-3
    assert found[-1] < 0.05
    assert min(evidence.test_tokens(tokens, mark).p_value for tokens in unmarked) > 1e-3
    assert {(row["watermark"], row["key"]) for row in rows} == {(scheme, "alpha")}
    assert str(secret) not in (tmp_path / "s.jsonl").read_text(encoding="utf-8")
    [use] = open_key("alpha").uses
    assert (use.scheme, use.model, use.vocabulary) == (scheme, str(tiny.resolve()), vocabulary)


@pytest.mark.parametrize("logprobs", [False, True])
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_columns_only_where_marked(tiny: Path, tmp_path: Path, suffix: str, logprobs: bool) -> None:
    marked, plain = tmp_path / f"marked{suffix}", tmp_path / f"plain{suffix}"
    write_samples(marked, wanted(tiny, logprobs=logprobs, length=3))
    write_samples(plain, wanted(tiny, "", logprobs=logprobs, length=3))
    also = LOGPROBS.names if logprobs else []
    assert list(read_samples(marked)[0]) == [*SCHEMA.names, *MARKS.names, *also]
    assert list(read_samples(plain)[0]) == [*SCHEMA.names, *also]
    assert is_samples(marked)
    assert is_samples(plain)
    if suffix == ".parquet":
        assert pq.read_schema(marked).field("key").type == MARKS.field("key").type
    assert not set(MARKS.names) & set(CHAT.names)


def test_continued_it_ends_with_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    class InterruptError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise InterruptError

    settings = wanted(tiny)
    write_samples(tmp_path / "whole.jsonl", settings)
    with pytest.raises(InterruptError):
        write_samples(tmp_path / "s.jsonl", settings, progress=stop)
    write_samples(tmp_path / "s.jsonl", settings)
    assert (tmp_path / "s.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_what_decides_unmarked_samples_is_what_it_was(tiny: Path) -> None:
    """So a file that an older version began goes on, and a finished stage stays finished."""
    plain, marked = wanted(tiny, "").deciding(), wanted(tiny).deciding()
    assert not {"watermark", "key"} & set(plain)
    assert marked == plain | {"watermark": "gumbel-dual", "key": "alpha"}


def test_gumbel_gives_a_prompt_one_text(tiny: Path) -> None:
    with pytest.raises(SamplingError, match=r"one text.* gumbel-dual or synthid"):
        list(sample(wanted(tiny, "gumbel", count=5)))
    with pytest.raises(SamplingError, match="one text"):
        list(sample(wanted(tiny, "gumbel", prompts=(), count=2)))
    assert open_key("alpha").uses == ()  # what was refused is not remembered
    assert len({row["text"] for row in sample(wanted(tiny, "gumbel"))}) == 4
    texts = [row["text"] for row in sample(wanted(tiny, prompts=("A",), count=4))]
    assert len(set(texts)) > 1


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"key": ""}, PlanError, "--watermark and --key go together"),
        ({"watermark": ""}, PlanError, "--watermark and --key go together"),
        ({"watermark": "gumbl"}, PlanError, "did you mean 'gumbel'"),
        ({"method": method("greedy")}, SamplingError, "needs chance"),
        ({"draft": "mini-s"}, PlanError, "a draft model goes without --watermark"),
        ({"model": "openai:m@http://127.0.0.1:1/v1"}, PlanError, "behind a server"),
    ],
)
def test_bad_settings(
    tiny: Path, changes: dict[str, object], error: type[StagedError], says: str
) -> None:
    with pytest.raises(error, match=says):
        wanted(tiny, **changes)  # type: ignore[arg-type]


def test_keys_that_mark_nothing(tiny: Path) -> None:
    with pytest.raises(ProvenanceError, match="no key 'beta'"):
        list(sample(wanted(tiny, key="beta")))
    rotate("alpha")
    with pytest.raises(ProvenanceError, match="take its successor, 'alpha-2'"):
        list(sample(wanted(tiny)))


def test_the_command(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.jsonl"
    arguments = ["sample", str(tiny), "--prompt", "The river", "--length", "8", "--out", str(out)]
    mark = ["--watermark", "gumbel", "--key", "alpha"]
    done = CliRunner().invoke(app, [*arguments, *mark])
    assert done.exit_code == 0, done.output
    assert read_samples(out)[0]["key"] == "alpha"
    refused = CliRunner().invoke(app, [*arguments, *mark, "-n", "2"])
    assert "gumbel-dual" in str(refused.exception)


def test_from_python(tiny: Path) -> None:
    [text] = staged.sample(
        str(tiny), "A", length=8, precision="fp32", watermark="synthid", key="alpha"
    )
    assert (text.watermark, text.key) == ("synthid", "alpha")
    [plain] = staged.sample(str(tiny), "A", length=8, precision="fp32")
    assert (plain.watermark, plain.key) == ("", "")
