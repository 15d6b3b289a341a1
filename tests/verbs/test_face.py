"""The face for Python: closed, typed for a checker, instant to import; its page and examples run."""

from __future__ import annotations

import ast
import doctest
import inspect
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import staged
from staged.verbs import (
    corpus,
    detectors,
    error_rates,
    keys,
    models,
    provenance,
    release,
    studies,
    texts,
    types,
)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
VERBS = {
    name: getattr(module, name)
    for module in (
        *(corpus, detectors, error_rates, keys, models, provenance, release, studies, texts),
    )
    for name in module.__all__
}
# names in annotations that are not ours
FOREIGN = {"Any", "Callable", "Literal", "Mapping", "None", "Path", "Sequence", "date", "datetime"}
FOREIGN |= {"Iterator", "bool", "bytes", "dict", "float", "int", "list", "str", "tuple"}


def test_everything_public_is_named_once() -> None:
    ground = {"HUMAN", "MACHINE", "Document", "Engine", "NamedProgress", "Progress", "StagedError"}
    assert set(staged.__all__) == {*VERBS, *types.__all__, *ground}
    assert len(staged.__all__) == len(set(staged.__all__))
    assert {*VERBS, "Verdict"} <= set(dir(staged))
    for name in staged.__all__:
        assert getattr(staged, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'detekt'"):
        staged.detekt  # noqa: B018


def test_importing_loads_no_models_library() -> None:
    code = "import staged, sys; print([one for one in ('torch', 'numpy') if one in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [name for name in VERBS if inspect.isfunction(VERBS[name])])
def test_what_a_verb_takes_and_gives_is_public(name: str) -> None:
    """Every type that its signature names; and its docstring says what it is."""
    words = re.findall(r"[A-Za-z_]+", " ".join(map(str, VERBS[name].__annotations__.values())))
    assert {word for word in words if word not in FOREIGN} <= {*staged.__all__, "step"}
    assert VERBS[name].__doc__
    assert "return" in VERBS[name].__annotations__


MAIN = {
    "advance_release",
    "bias",
    "calibrate",
    "card",
    "convert",
    "detect",
    "evaluate_lm",
    "evaluate_raid",
    "new_key",
    "open_examiner",
    "sample",
    "stress",
    "study",
    "train",
    "train_detector",
    "verify",
    "verify_texts",
}


def test_the_examples_of_the_verbs_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAGED_KEYS", str(tmp_path / "keys"))
    tried = 0
    for module in (detectors, error_rates, keys, models, provenance, release, studies, texts):
        results = doctest.testmod(module)
        assert results.failed == 0
        tried += results.attempted
    assert tried >= 6


@pytest.mark.parametrize("name", sorted(MAIN))
def test_an_example_that_takes_too_long_is_at_least_a_call_that_can_be_made(name: str) -> None:
    """What is skipped is parsed, and its calls of verbs fit their signatures."""
    examples = doctest.DocTestParser().get_examples(VERBS[name].__doc__)
    calls = [
        node
        for example in examples
        for node in ast.walk(ast.parse(example.source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    own = [call for call in calls if ast.unparse(call.func) == f"staged.{name}"]
    assert own
    for call in own:
        keywords = {keyword.arg: ... for keyword in call.keywords if keyword.arg}
        inspect.signature(VERBS[name]).bind(*call.args, **keywords)


SCRIPT = """
from pathlib import Path
import staged

verdicts: list[staged.Verdict] = staged.detect(["a text"], detector="evidence", fpr=0.01)
p: float | None = verdicts[0].p_value
samples = staged.sample("mini-s", ["Once"], method="nucleus", length=10)
text: str = samples[0].text
study: staged.FinishedStudy = staged.study("mini", Path("out"), engine=staged.Engine(workers=2))
accuracy: float = study.cells()[0].accuracy
fitted = staged.calibrate("human", detector="evidence")
rates: tuple[staged.Achieved, ...] = fitted.achieved
settings = staged.TrainSettings(corpus=staged.CorpusSettings(source="letters"))
steps: int = staged.train(settings, "out").steps
problems: list[staged.Problem] = staged.verify("package")
reveal_type(staged.bias(["mini-s"]))
"""
WRONG = """
import staged

staged.detect(["a text"], detecter="evidence")
staged.sample("mini-s", lenght=3)
staged.nothing()
number: int = staged.detect("a text")
"""
# no type of another library is in what staged shows, and reading them takes five times as long
CHECKER = """
[mypy]
follow_imports = skip
[mypy-staged.*]
follow_imports = silent
"""


def checked(folder: Path, **scripts: str) -> list[str]:
    """What a type checker says of users' scripts, in one run."""
    for name, script in scripts.items():
        (folder / f"{name}.py").write_text(script, encoding="utf-8")
    (folder / "mypy.ini").write_text(CHECKER)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    command += ["--cache-dir", str(ROOT / ".mypy_cache" / "user")]
    command += [f"{name}.py" for name in scripts]
    env = os.environ | {"MYPYPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=env)
    return done.stdout.splitlines()


def test_a_users_script_is_checked_against_the_package(tmp_path: Path) -> None:
    said = checked(tmp_path, script=SCRIPT, wrong=WRONG)
    assert [line for line in said if "BiasResult" in line and "script.py" in line]
    assert [line for line in said if "script.py" in line and "error" in line] == []
    assert len([line for line in said if "wrong.py" in line and "error" in line]) == 4


def test_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pieces = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(pieces) >= 8
    page = tmp_path / "page.py"
    page.write_text("\n".join(pieces), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(page), run_name="page")
    assert "did you mean 'evidence'?" in capsys.readouterr().out
    assert (tmp_path / "out" / "small" / "report.html").is_file()


def test_the_page_has_every_verb() -> None:
    table = PAGE.split("## All of it")[1]
    functions = {name for name, verb in VERBS.items() if inspect.isfunction(verb)}
    assert functions <= set(re.findall(r"`(\w+)`", table))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: staged.detect(Path("essay.txt")), r"text '0' must be a string, .*read_text"),
        (lambda: staged.detect([("a", "text")]), "text '0' must be a string, not of type tuple"),
        (lambda: staged.detect(None), "must be a string, not of type NoneType"),
        (lambda: staged.train("minis", "out"), "staged.read_training_plan"),
        (lambda: staged.card("nowhere"), "nowhere"),
        (lambda: staged.bias("mini-ss"), "did you mean 'mini-s'"),
        (lambda: staged.load_calibration("nowhere.json"), "nowhere.json: no such file"),
        (lambda: staged.evaluate_raid("nowhere.csv"), "give --detector NAME"),
    ],
)
def test_what_is_given_wrongly_is_one_sentence(
    call: Callable[[], object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(staged.StagedError, match=said):
        call()


def test_paths_are_taken_where_names_are(tiny: Path, tmp_path: Path) -> None:
    assert len(staged.sample(tiny, ["The"], length=2, device="cpu")) == 1
    assert staged.FinishedStudy(str(tmp_path)).report == tmp_path / "report.html"
    assert "tiny" in staged.read_training_plan(plan_of(tmp_path))
    assert set(staged.read_training_plan("minis")) >= {"mini-s"}


def plan_of(folder: Path) -> str:
    file = folder / "runs.toml"
    file.write_text("[tiny]\nsteps = 1\n", encoding="utf-8")
    return str(file)
