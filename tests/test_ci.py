"""What `.ci/run` installs, says and calls, with stubs in the place of every program that it
uses.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = {
    "chromium": "chromium",
    "soffice": "libreoffice-writer-nogui",
    "pdftotext": "poppler-utils",
    "pg_ctlcluster": "postgresql",
    "git": "git",
}


class Machine:
    """A folder of programs: real ones that a shell needs, and stubs that write down how they were
    called.
    """

    def __init__(self, folder: Path) -> None:
        self.programs, self.calls = folder / "bin", folder / "calls"
        self.programs.mkdir()
        self.calls.touch()
        for name in ("dirname", "timeout", "cat", "touch", "chmod"):
            (self.programs / name).symlink_to(shutil.which(name) or "")
        self.stub("make", 'echo "make $* [$PYTEST_ADDOPTS ]" >> CALLS')

    def stub(self, name: str, body: str = "") -> None:
        path = self.programs / name
        path.write_text(f"#!{shutil.which('bash')}\n{body}\n".replace("CALLS", str(self.calls)))
        path.chmod(0o755)

    def run(self) -> tuple[int, list[str], str]:
        command = [shutil.which("bash") or "", str(ROOT / ".ci" / "run")]
        ended = subprocess.run(
            command, env={"PATH": str(self.programs)}, capture_output=True, text=True, check=False
        )
        return ended.returncode, self.calls.read_text().splitlines(), ended.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


INSTALLS = 'echo "apt-get ${@: -1}" >> CALLS; case ${@: -1} in '
INSTALLS += " ".join(f"{package}) p={program};;" for program, package in PROGRAMS.items())
INSTALLS += ' esac; [ -z "$p" ] || { echo > BIN/$p; chmod +x BIN/$p; }'


def test_all_is_installed_where_it_is_root(machine: Machine) -> None:
    machine.stub("id", "echo 0")
    machine.stub("apt-get", INSTALLS.replace("BIN", str(machine.programs)))
    code, calls, said = machine.run()
    assert calls == [
        "apt-get update",
        *(f"apt-get {package}" for package in PROGRAMS.values()),
        "make test [ -rs ]",
    ]
    assert (code, said) == (0, "")


def test_nothing_is_installed_where_all_is_there(machine: Machine) -> None:
    machine.stub("id", "echo 0")
    for name in (*PROGRAMS, "apt-get"):
        machine.stub(name, f'echo "{name}" >> CALLS')
    assert machine.run() == (0, ["make test [ -rs ]"], "")


def test_without_root_it_is_said(machine: Machine) -> None:
    machine.stub("id", "echo 1000")
    machine.stub("git")
    machine.stub("apt-get", "echo apt-get >> CALLS")
    code, calls, said = machine.run()
    assert (code, calls) == (0, ["make test [ -rs ]"])
    assert (
        "ci: not root: chromium libreoffice-writer-nogui poppler-utils postgresql git are not"
        " installed" in said
    )
    assert "ci: not here: chromium soffice pdftotext pg_ctlcluster – the tests that need" in said


def test_a_registry_that_cannot_be_reached_is_not_fatal(machine: Machine) -> None:
    machine.stub("id", "echo 0")
    machine.stub("apt-get", "exit 100")
    code, calls, said = machine.run()
    assert (code, calls) == (0, ["make test [ -rs ]"])
    assert "Debian's lists of packages cannot be had" in said
    assert [f"ci: {package} cannot be installed" in said for package in PROGRAMS.values()] == [
        True
    ] * 5


def test_failing_tests_fail_it(machine: Machine) -> None:
    for name in PROGRAMS:
        machine.stub(name)
    machine.stub("make", "exit 2")
    assert machine.run()[0] == 2


def test_what_tests_look_for_is_what_it_installs() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f'PROGRAMS="{" ".join(PROGRAMS)}"' in script
    assert f'PACKAGES="{" ".join(PROGRAMS.values())}"' in script
    assert "/usr/bin/chromium" in (ROOT / "tests" / "web" / "test_browser.py").read_text(
        encoding="utf-8"
    )
