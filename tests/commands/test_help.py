"""`--help`: every command in a group by what it is for, its line whole."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from staged.cli import GROUPS, app, name_of


def test_every_command_stands_in_one_group() -> None:
    named = [name_of(one) for members in GROUPS.values() for one in members]
    registered = [str(one.name) for one in app.registered_commands if not one.hidden] + [
        name_of(one.typer_instance) for one in app.registered_groups
    ]
    assert sorted(named) == sorted(registered)


@pytest.mark.parametrize("options", [["--help"], ["release", "--help"], ["survey", "--help"]])
def test_no_line_of_help_is_cut_off(options: list[str]) -> None:
    shown = CliRunner().invoke(app, options).stdout
    assert "..." not in shown.partition("\n")[2]  # below the usage
    assert all(f"{title}:" in shown for title in (GROUPS if len(options) == 1 else ["Commands"]))
