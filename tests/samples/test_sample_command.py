"""`staged sample` as a user meets it: what it prints, its exit codes, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from staged.cli import app
from staged.errors import StagedError
from staged.samples.dataset import read_samples


def staged(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["sample", *map(str, arguments)], input=stdin)


def test_one_sample_is_its_text_and_nothing_else(tiny: Path, tmp_path: Path) -> None:
    asked = [tiny, "--prompt", "The river", "--length", 40, "--precision", "fp32"]
    assert staged(*asked, "--out", tmp_path / "s.jsonl").exit_code == 0
    row = read_samples(tmp_path / "s.jsonl")[0]
    shown = staged(*asked)
    assert shown.stdout == "The river" + row["text"] + "\n"
    assert shown.stderr.startswith(f"──── {row['length']} tokens · ")


def test_several_samples_of_one_prompt(tiny: Path) -> None:
    shown = staged(tiny, "--prompt", "The river", "-n", 3, "--length", 8).stdout
    assert shown.count("The river") == 3
    assert [line for line in shown.split("\n") if line.startswith("──── sample 1 · ")]


def test_several_samples_of_each_prompt(tiny: Path, tmp_path: Path) -> None:
    asked = [tiny, "--prompts", "-", "--length", 8, "--out", tmp_path / "s.parquet"]
    assert staged(*asked, "--per-prompt", 2, stdin="A\nB\n").exit_code == 0
    assert [row["prompt"] for row in read_samples(tmp_path / "s.parquet")] == ["A", "A", "B", "B"]


def test_logprobs_are_printed_as_rows(tiny: Path, tmp_path: Path) -> None:
    asked = [
        tiny,
        "-n",
        3,
        "--length",
        8,
        "--logprobs",
        "--semantics",
        "released",
        "--top-p",
        0.9,
        "--precision",
        "fp32",
    ]
    shown = [json.loads(line) for line in staged(*asked).stdout.splitlines()]
    staged(*asked, "--out", tmp_path / "s.jsonl")
    assert shown == read_samples(tmp_path / "s.jsonl")
    assert {row["method"] for row in shown} == {"top-p-0.9+released"}


def test_stop_strings(tiny: Path) -> None:
    shown = staged(
        tiny, "--stop", "e", "--stop", "a", "--prompt", "The", "--length", 100, "--seed", 3
    )
    assert not set(shown.stdout.removeprefix("The")) & {"e", "a"}
    assert "stop '" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--stop", ""], "stop string is empty"),
        (["--repetition-penalty", "0"], "repetition penalty can be 0.001 to 1000, not 0"),
        (["--repetition-penalty", "1e-300"], "repetition penalty can be 0.001 to 1000"),
        (["--context", "slides"], "did you mean 'slide'"),
        (["--length", "500"], "--context stop .* --context slide"),
        (["--semantics", "relesed"], "known: standard, released"),
        (["--per-prompt", "2"], "--per-prompt needs"),
        (["--per-prompt", "0", "--prompt", "x"], "must be at least 1"),
        (["--prompt", "a", "--prompts", "b"], "not both"),
        (["--method", "greedy", "--temperature", "0.7"], "--method or the numbers"),
        (["--prompt", "word " * 200, "--context", "stop"], "doesn't fit the context"),
    ],
)
def test_bad_options_are_one_sentence(tiny: Path, arguments: list[str], says: str) -> None:
    result = staged(tiny, *arguments)
    assert isinstance(result.exception, StagedError)  # which main() turns into exit code 2
    assert "\n" not in str(result.exception)
    assert result.stdout == ""
    with pytest.raises(StagedError, match=says):
        raise result.exception


def test_exit_code_2(tiny: Path) -> None:
    command = [sys.executable, "-m", "staged.cli", "sample", str(tiny), "--context", "never"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "staged: sample: context 'never'; known: refuse, slide, stop\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_under_the_output_is_one_sentence(tiny: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "staged.cli", "sample", str(tiny), "--length", "4"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "staged: standard output: No space left on device\n",
    )


def test_prompts_from_a_closed_standard_input(tiny: Path) -> None:
    command = f"exec {sys.executable} -m staged.cli sample {tiny} --prompts - <&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "staged: prompts -: holds no prompt; put one on each line\n",
    )


def test_ctrl_c_while_text_appears(tiny: Path) -> None:
    asked = [
        "--context",
        "slide",
        "--length",
        "100000",
        "--prompt",
        "The river",
        "--method",
        "greedy",
        "--precision",
        "fp32",
    ]
    # A shell may start tests with SIGINT ignored, which a child inherits.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from staged.cli"
        " import main; main()"
    )
    command = [sys.executable, "-c", code, "sample", str(tiny), *asked]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    begun = b""
    while len(begun) < 40:  # text arrives while the rest is still to come
        piece = os.read(process.stdout.fileno(), 64)
        assert piece, "it ended before it was interrupted"
        begun += piece
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 130
    assert begun.startswith(b"The river")
    assert (begun + out).endswith(b"\n")
    assert (
        err.decode()
        == "staged: interrupted; a command that writes files continues when it is given again\n"
    )
