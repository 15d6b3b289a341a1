"""A whole package to the hub, and nothing but a whole package."""

from __future__ import annotations

import glob
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from staged.errors import PlanError, ReleaseError
from staged.model.sources.releases import is_repository
from staged.release.decision import DECISION
from staged.release.package.layout import files_of, parse_sums
from staged.release.package.leaks import leaks_in
from staged.release.package.signing import SUMS
from staged.release.package.verify import Problem, verify

__all__ = ["Upload", "plan_upload", "upload"]


@dataclass(frozen=True)
class Upload:
    """What would go where: (path, bytes) of every file; `problems` keep it from going."""

    folder: Path
    repository: str
    files: tuple[tuple[str, int], ...]
    problems: tuple[Problem, ...]


def plan_upload(folder: Path, repository: str, *, public: Path | None = None) -> Upload:
    """Verify a package and list what would be uploaded; touches no network.

    Raises:
        PlanError: the repository is not named `owner/name`, or the folder is no package.
    """
    if not is_repository(repository) or "@" in repository:
        raise PlanError(f"--repo {repository!r}: give the hub's name of the model, owner/name")
    if not (folder / DECISION).is_file():
        raise PlanError(
            f"{folder}: not a package; give a folder that `staged release advance` built"
        )
    # an older version built packages of whatever lay there
    problems = (*verify(folder, public), *_secrets(folder))
    listed = (
        parse_sums((folder / SUMS).read_text(encoding="utf-8", errors="replace"))
        if (folder / SUMS).is_file()
        else {}
    )
    # every file, where the package is whole
    names = [name for name in files_of(folder) if name in listed or name == SUMS]
    return Upload(
        folder,
        repository,
        tuple((name, (folder / name).stat().st_size) for name in names),
        problems,
    )


def _secrets(folder: Path) -> list[Problem]:
    problems = []
    for name in files_of(folder):
        with open(folder / name, "rb") as file:
            problems += [
                Problem(name, "secret", f"line {line} holds {what}" if line else f"holds {what}")
                for line, what in leaks_in(name, file)
            ]
    return problems


def upload(planned: Upload, *, private: bool = False, api: Callable[[], Any] | None = None) -> str:
    """Upload as one commit, files of an earlier upload removed; returns the commit's address.

    Args:
        private: whether a repository that is made now is private.
        api: makes the hub's client, `huggingface_hub.HfApi` unless given; it takes address and
            token from the environment.

    Raises:
        ReleaseError: the package is not whole, the hub refuses, or there is no network.
    """
    from huggingface_hub import HfApi

    if planned.problems:
        raise ReleaseError(
            f"{planned.folder}: not whole, so not uploaded; run `staged release verify"
            f" {planned.folder}`"
        )
    hub = (api or HfApi)()
    try:
        hub.create_repo(planned.repository, repo_type="model", private=private, exist_ok=True)
        commit = hub.upload_folder(
            repo_id=planned.repository,
            folder_path=planned.folder,
            repo_type="model",
            commit_message=f"{planned.folder.name}: a staged release",
            allow_patterns=[glob.escape(name) for name, _ in planned.files],
            delete_patterns="*",
        )
    except Exception as error:  # the hub's client and the HTTP library below it raise many kinds
        why = " ".join(str(error).split()) or type(error).__name__
        raise ReleaseError(
            f"{planned.repository}: not uploaded: {why}; check the network, HF_TOKEN and the name,"
            " then run it again"
        ) from None
    return str(getattr(commit, "commit_url", commit))
