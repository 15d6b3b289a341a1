"""stub"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Served:
    name: str
    url: str


def parse_served(given: str) -> Served | None:
    if not given.startswith("openai:") or "@" not in given:
        return None
    name, _, url = given.removeprefix("openai:").partition("@")
    return Served(name, url)
