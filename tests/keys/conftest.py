"""Keys of tests stand in a folder of their own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the keys of this test stand."""
    folder = tmp_path / "keys"
    monkeypatch.setenv("STAGED_KEYS", str(folder))
    return folder
