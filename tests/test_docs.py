"""Documentation is true: generated pages are fresh, commands and links in the README exist, plans
parse.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from staged.cli import app
from staged.plans.shipped import find_plan
from staged.storage.json_files import read_json
from tests.test_arrows import PACKAGE, TIERS, parts_of, tier_of

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
assert spec is not None
assert spec.loader is not None
generate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate)

PROSE = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("docs/decisions/*.md")),
)
COLUMNS = 100
UNBREAKABLE = re.compile(r"`[^`]*`|!?\[[^\]]*\]\([^)]*\)")  # code, links and pictures


def long_lines(page: str) -> list[int]:
    """Numbers of the lines of prose over 100 columns; tables, code and tags may be as wide as they
    are, and so may a line that holds a single piece.
    """
    numbers, fenced = [], False
    for number, line in enumerate(page.splitlines(), 1):
        text = line.lstrip(" >")
        if text.startswith("```"):
            fenced = not fenced
        elif len(line) > COLUMNS and not fenced and not text.startswith(("|", "<")):
            pieces = UNBREAKABLE.sub("piece", text.removeprefix("* ")).split()
            numbers += [number] if len(pieces) > 1 else []
    return numbers


def test_lines_of_prose_are_short() -> None:
    lines = [
        f"{path.relative_to(ROOT).as_posix()}:{number}"
        for path in PROSE
        for number in long_lines(path.read_text(encoding="utf-8"))
    ]
    assert not lines, f"over {COLUMNS} columns; one sentence a line: {', '.join(lines)}"


@pytest.mark.parametrize(
    ("page", "numbers"),
    [
        ("word " * 21, [1]),
        ("word " * 20, []),
        ("* short\n  " + "word " * 20, [2]),
        ("> " + "word " * 20, [1]),
        ("see `" + "word " * 20 + "`", [1]),
        ("* `" + "word " * 20 + "`", []),
        ("![" + "word " * 20 + "](picture.png)", []),
        ("| " + "word " * 20 + "|", []),
        ("```\n" + "word " * 21 + "\n```\n" + "word " * 21, [4]),
    ],
)
def test_long_lines_of_prose_are_seen(page: str, numbers: list[int]) -> None:
    assert long_lines(page) == numbers


def drawn(page: str) -> list[tuple[int, str]]:
    """(depth, name) of each line of a page's tree of the package, top down."""
    tree = page.split("```\nstaged/\n", 1)[1].split("```", 1)[0]
    lines = re.findall(r"^((?:  )+)([\w.]+/?)", tree.split("\nbench/")[0], re.MULTILINE)
    return [(len(indent) // 2, name) for indent, name in lines]


def rooms(page: str) -> set[str]:
    """The folders of a page's tree, below the package."""
    folders, above = set(), dict[int, str]()
    for depth, name in drawn(page):
        above[depth] = above.get(depth - 1, "") + name
        folders |= {above[depth].rstrip("/")} if name.endswith("/") else set()
    return folders


def test_the_trees_have_every_room() -> None:
    there = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*/__init__.py")}
    assert rooms(CONTRIBUTING) == there
    assert {name for name in there if "/" not in name} <= rooms(README) <= there


def test_the_tree_of_contributing_goes_down() -> None:
    first = [name for depth, name in drawn(CONTRIBUTING) if depth == 1]
    parts = [name.removesuffix("/").removesuffix(".py") for name in first]
    assert sorted(parts) == sorted(parts_of(PACKAGE))
    tiers = [tier_of(TIERS)[part] for part in parts]
    assert tiers == sorted(tiers, reverse=True)


@pytest.mark.parametrize("file", sorted(set(re.findall(r"`([a-z_/]+\.py)`", CONTRIBUTING))))
def test_files_that_contributing_names_are_there(file: str) -> None:
    assert [*ROOT.glob(file), *PACKAGE.rglob(file)]


def test_cli_page_is_fresh() -> None:
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == generate.cli_page(), (
        "run `make docs`"
    )


def test_the_page_of_plans_is_fresh() -> None:
    page = (ROOT / "docs" / "plans.md").read_text(encoding="utf-8")
    assert page == generate.plans_page(), "run `make docs`"


def test_every_key_of_a_plan_is_explained() -> None:
    tables = {inner for plan in generate.PLANS.values() for _, inner in generate.tables_of(plan)}
    unexplained = [
        f"{settings.__name__}.{key}"
        for settings in (*generate.PLANS.values(), *tables)
        for key, _, _, meaning in generate.keys_of(settings)
        if not meaning
    ]
    assert not unexplained, f"say under Attributes what it means: {', '.join(unexplained)}"


def test_tables_of_plans_are_found_on_the_page() -> None:
    page = generate.plans_page()
    headings = re.findall(r"^##+ (.*)$", page, re.MULTILINE)
    links = set(re.findall(r"\[table\]\(#([^)]*)\)", page))
    assert links <= {generate.anchor(heading) for heading in headings}
    assert {"corpus", "roberta"} <= links


def test_what_the_page_says_of_a_key() -> None:
    rows = {key: tuple(rest) for key, *rest in generate.keys_of(generate.FinetuneSettings)}
    assert rows["rounds"][:2] == ("whole number", "`3`")
    assert rows["model"][1] == "required"
    assert rows["styles"][0] == "table of texts by name"
    assert "`steps = 200`" in rows["training"][1]
    assert "shares" in rows["style_corpus"][1]
    assert rows["date"][0] == "text, or a date"
    assert rows["n_train"][2] == rows["n_valid"][2]  # that share an entry of the docstring


def test_every_option_is_explained() -> None:
    assert "| None |" not in generate.cli_page()


@pytest.mark.parametrize("name", sorted(generate.TABLES))
def test_pages_tables_are_made_from_the_committed_results(name: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert generate.tabled(name, page) == page, "run `make docs`"


def test_the_kinds_of_text_are_those_of_the_shipped_calibration() -> None:
    page = " ".join((ROOT / "docs" / "detect.md").read_text(encoding="utf-8").split())
    listed = page.split("The kinds are those of the calibration: ")[1].split(".")[0]
    shipped = read_json(
        ROOT / "staged" / "detectors" / "shipped" / "evidence" / "calibration.json"
    )["by_kind"]
    assert listed.replace(" and ", ", ").split(", ") == sorted(shipped)


def test_readme_table_is_made_from_the_committed_cells() -> None:
    assert generate.readme(README) == README, "run `make docs`"


@pytest.mark.parametrize(
    "line", re.findall(r"^\$staged (.*?)(?:\s+#.*|  .*)?$", README, re.MULTILINE)
)
def test_readme_commands_parse(line: str) -> None:
    assert "staged=.venv/bin/staged" in README
    verb, *rest = shlex.split(line)
    result = CliRunner().invoke(app, [verb, "--help"])
    assert result.exit_code == 0
    for word in rest:
        if word.startswith("-"):
            assert word in result.output, f"{word} is not an option of staged {verb}"


def test_commands_in_the_documentation_have_the_options_they_name() -> None:
    options = {
        name: {
            "--help",
            *(
                one
                for parameter in command.params
                for one in (*parameter.opts, *parameter.secondary_opts)
            ),
        }
        for name, command in generate.commands().items()
    }
    for page in (ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("staged/plans/*.toml")):
        if page.name == "log.md":  # what was
            continue
        for verb, group, rest in re.findall(
            r"staged ([a-z-]+)(?: ([a-z-]+))?([^`\n#|]*)", page.read_text(encoding="utf-8")
        ):
            known = options.get(verb) or options.get(f"{verb} {group}")
            named = re.findall(r"(?<![\w-])--[a-z][a-z-]+", rest)
            assert known is None or set(named) <= known, f"{page.name}: staged {verb} {group}{rest}"


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)", README + CONTRIBUTING))
def test_links_exist(link: str) -> None:
    assert (ROOT / link).exists()


def test_committed_plans_parse() -> None:
    from staged.model.training.plan import read_training_plan
    from staged.studies.detection.plan import read_study

    assert set(read_training_plan(find_plan("minis"))) == {
        "mini-s",
        "mini-m",
        "mini-l",
        "mini-xl",
        "roberta-mini",
    }
    own = read_training_plan(find_plan("own-models"))
    assert [f"models/{name}" for name in own] == list(read_study(find_plan("own-study")).models)
    for name in ("mini", "mini-full"):
        settings = read_study(find_plan(name))
        assert settings.n_test >= 500
    assert settings.n_test >= 2000

    from staged.studies.finetune.plan import is_finetune, read_finetune

    assert is_finetune(find_plan("finetune"))
    assert not is_finetune(find_plan("mini"))
    assert len(read_finetune(find_plan("finetune")).styles) == 4


def test_the_rates_of_dry_runs_are_those_that_were_measured() -> None:
    assert json.loads(generate.RATES.read_text(encoding="utf-8")) == generate.rates(), (
        "run `make docs`"
    )
