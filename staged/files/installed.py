"""Files of installed packages, located without importing the packages."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from staged.errors import StagedError


def installed_file(
    distribution: str, path: str, *, install: str, what: str, error: type[StagedError]
) -> Path:
    """Where a file of an installed package stands.

    Args:
        path: the file, from the folder that packages are installed in.
        install: the command that installs the package.
        what: for whom the file is looked up, as errors name it.
        error: what to raise.

    Raises:
        StagedError: `error`; the package is not installed, or has no such file.
    """
    try:
        file = Path(str(importlib.metadata.distribution(distribution).locate_file(path)))
    except importlib.metadata.PackageNotFoundError:
        raise error(
            f"{what}: the package {distribution} is not installed; run `{install}`"
        ) from None
    if not file.is_file():
        raise error(
            f"{what}: this version of {distribution} has no {path}; install another one:"
            f" `{install}`"
        )
    return file
