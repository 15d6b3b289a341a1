"""What a result depends on besides its inputs, and where what can be made again is kept."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

VERSIONED = ("torch", "transformers", "tokenizers", "scikit-learn", "numpy", "scipy")


def cache_folder() -> Path:
    """Where what can be made or downloaded again is kept: under XDG_CACHE_HOME, by default
    ~/.cache.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")) / "staged"


@cache
def versions() -> dict[str, str]:
    """The versions that a result depends on, and the commit where there is one."""
    version_of = {name: importlib.metadata.version(name) for name in VERSIONED}
    version_of["python"] = ".".join(map(str, sys.version_info[:3]))
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    answer = (
        subprocess.run(git, capture_output=True, text=True, check=False)
        if shutil.which("git")
        else None
    )
    version_of["commit"] = answer.stdout.strip() if answer and answer.returncode == 0 else "unknown"
    return version_of
