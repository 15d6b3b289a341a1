"""The four released sizes: their names, old and new, and what is known of their files. Each name
means one thing.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from staged.model.gpt2.config import GPT2_SIZES, GPT2Config

BUCKET = "openai:"  # before a size: OpenAI's own files instead of the hub's
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Release:
    """One released size.

    Attributes:
        size: OpenAI's final name, also the folder in its bucket.
        hub: repository on the Hugging Face hub.
        also: other names; some are of 2019 and counted the parameters wrong.
        config: the shape.
    """

    size: str
    hub: str
    also: tuple[str, ...]
    config: GPT2Config


RELEASES = (
    Release(
        "124M", "openai-community/gpt2", ("117M", "small", "gpt2", "gpt2-small"), GPT2_SIZES["gpt2"]
    ),
    Release(
        "355M",
        "openai-community/gpt2-medium",
        ("345M", "medium", "gpt2-medium"),
        GPT2_SIZES["gpt2-medium"],
    ),
    Release(
        "774M",
        "openai-community/gpt2-large",
        ("762M", "large", "gpt2-large"),
        GPT2_SIZES["gpt2-large"],
    ),
    Release(
        "1558M",
        "openai-community/gpt2-xl",
        ("1542M", "1.5B", "xl", "gpt2-xl"),
        GPT2_SIZES["gpt2-xl"],
    ),
)
_BY_NAME = {
    name.lower(): release
    for release in RELEASES
    for name in (release.size, release.hub, *release.also)
}


def released(name: str) -> Release | None:
    """The release that a name means, in any case of letters; None for any other name."""
    return _BY_NAME.get(name.lower())


def aliases() -> list[str]:
    """Every name of every released size."""
    return [name for release in RELEASES for name in (release.size, *release.also, release.hub)]


def is_repository(name: str) -> bool:
    """Whether a name has the form of a repository on the hub, `owner/model`."""
    return REPOSITORY.fullmatch(name) is not None


def folder_name(model: str) -> str:
    """A model's name as one folder's: unchanged where it can be, else with a digest that keeps two
    names apart.
    """
    plain = re.sub(r"[^\w.-]+", "-", model).strip("-.")
    return (
        plain
        if plain == model
        else f"{plain[-40:]}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"
    )
