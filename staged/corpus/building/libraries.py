"""The libraries that building a corpus needs, and nothing else does."""

from __future__ import annotations

from importlib import import_module

from staged.errors import CorpusError

NAMES = ("datatrove", "trafilatura", "warcio")


def check_libraries() -> None:
    """Refuse to begin without them.

    Raises:
        CorpusError: one is not installed.
    """
    for name in NAMES:
        try:
            import_module(name)
        except ImportError:
            raise CorpusError(
                f"staged corpus build needs the library {name}: pip install 'staged[corpus]'"
            ) from None
