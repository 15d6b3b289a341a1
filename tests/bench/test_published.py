"""Published texts become rows with the right label."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "bench" / "published.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False
    )


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def rows(path: Path) -> list[tuple[int, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == len(lines)
    return [(row["label"], row["text"]) for row in map(json.loads, lines)]


def test_rows_of_each_kind_of_file(tmp_path: Path) -> None:
    write(
        tmp_path / "a" / "exp" / "xsum_gpt2-xl.raw_data.json",
        {"original": ["h0", "h1"], "sampled": ["m0", "m1"]},
    )
    for kind, name in (
        ("Human_Data", "TOEFL_real_1"),
        ("Human_Data", "TOEFL_gpt4polished_1"),
        ("GPT_Data", "Essay_gpt3_1"),
    ):
        write(tmp_path / "b" / kind / name / "data.json", [{"document": name}])
    (tmp_path / "a" / "ELLIPSE_Final_github_test.csv").write_text(
        'full_text,Overall\n"one, two",3.5\nthree,4.0\n', encoding="utf-8"
    )
    done = run(
        str(tmp_path / "a"), str(tmp_path / "b"), "--essays", "1", "--out", str(tmp_path / "out")
    )
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "out" / "xsum_gpt2-xl.jsonl") == [
        (0, "h0"),
        (1, "m0"),
        (0, "h1"),
        (1, "m1"),
    ]
    assert rows(tmp_path / "out" / "TOEFL_real_1.jsonl") == [(0, "TOEFL_real_1")]
    assert rows(tmp_path / "out" / "TOEFL_gpt4polished_1.jsonl") == [(1, "TOEFL_gpt4polished_1")]
    assert rows(tmp_path / "out" / "Essay_gpt3_1.jsonl") == [(1, "Essay_gpt3_1")]
    assert rows(tmp_path / "out" / "ELLIPSE.jsonl") in ([(0, "one, two")], [(0, "three")])


def test_nothing_there(tmp_path: Path) -> None:
    done = run(str(tmp_path), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "clone the repositories first" in done.stderr
    assert not (tmp_path / "out").exists()
