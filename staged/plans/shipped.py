"""Plans by name: the TOML files beside this one ship with the package."""

from __future__ import annotations

from pathlib import Path

from staged.errors import PlanError
from staged.notes import note
from staged.places.files import fetched
from staged.settings import nearest, read_toml

__all__ = ["find_plan", "plan_text", "shipped_plans", "study_titles"]

FOLDER = Path(__file__).parent
FORMER = Path("plans")  # the repository's folder of them, before they moved into the package


# shipped plans → the command that takes them; the others are detectors'
COMMANDS = {
    "finetune": "study",
    "gpt2": "study",
    "mini": "study",
    "mini-full": "study",
    "minis": "train",
    "own-card": "card",
    "own-models": "train",
    "own-release": "release",
    "own-study": "study",
    "pretrain-124m": "train",
    "provenance": "study",
    "release": "release",
    "release-card": "card",
    "webtext": "corpus build",
}
DETECTORS = "train-detector"


def find_plan(given: str | Path, *, command: str = "") -> Path:
    """The file of a plan: a user's, or one that ships.

    Args:
        given: a file, also at a URL, or the name of a shipped plan, such as `mini`. A regular file
            outweighs the shipped plan of its name, a folder does not. `plans/mini.toml` names the
            shipped plan, too, where no such file is.
        command: that is to take it; any by default.

    Raises:
        PlanError: neither, or a shipped plan of another command; the sentence has the nearest name.
    """
    path, shipped = fetched(given), shipped_plans()
    fitting = {name: file for name, file in shipped.items() if command in ("", _command(name))}
    if _is_there(path, str(path) in shipped):
        return path
    if str(path) in shipped:
        if str(path) not in fitting:
            raise PlanError(
                f"{path}: is a plan for `staged {_command(str(path))}`; this command takes one of"
                f" {', '.join(fitting)}, or a file"
            )
        return shipped[str(path)]
    if path.parent == FORMER and path.suffix == ".toml" and path.stem in shipped:
        note(f"{path}: no such file here, so the plan that ships is taken; its name is {path.stem}")
        return shipped[path.stem]
    raise PlanError(
        f"{path}: no such file, nor does a plan of this name ship with staged;"
        f" {nearest(path.stem, fitting)} (`staged study NAME --show` prints one)"
    )


def _command(name: str) -> str:
    return COMMANDS.get(name, DETECTORS)


def _is_there(path: Path, is_named: bool) -> bool:
    """Whether a user's file is meant; what cannot be looked at is, as its reader says why."""
    try:
        return path.is_file() or (path.exists() and not is_named)
    except OSError:
        return True


def plan_text(path: Path) -> str:
    """A plan's TOML as it stands, comments and all.

    Raises:
        PlanError: missing, unreadable or not TOML.
    """
    read_toml(path)
    return path.read_text(encoding="utf-8")


def shipped_plans() -> dict[str, Path]:
    """Name → file, sorted."""
    return dict(sorted((file.stem, file) for file in FOLDER.glob("*.toml")))


def study_titles() -> dict[str, str]:
    """Name → title of each shipped plan that `staged study` takes."""
    tables = {name: read_toml(file) for name, file in shipped_plans().items()}
    return {
        name: str(table["title"]) for name, table in tables.items() if _command(name) == "study"
    }
