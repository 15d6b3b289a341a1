"""Models behind a server, `openai:NAME@URL`: what such a name says, and what it may not say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from staged.errors import CheckpointError
from staged.model.sources.releases import BUCKET
from staged.storage.placeless import SERVED

KEY = "OPENAI_API_KEY"  # the environment variable that holds a server's key, if it wants one


@dataclass(frozen=True)
class Served:
    """A model that is asked over the network.

    Attributes:
        name: as its server calls it.
        url: where the route `completions` stands, such as `http://127.0.0.1:8000/v1`; without a
            slash at its end, and without anything secret.
    """

    name: str
    url: str

    @property
    def host(self) -> str:
        """Host, and port where the address has one."""
        return urlsplit(self.url).netloc

    @property
    def identity(self) -> str:
        """What it is, wherever it is asked: this determines its texts, and the URL does not."""
        return f"{BUCKET}{self.name}"

    @property
    def computed_by(self) -> str:
        """What made its texts, in words, as records have it."""
        return f"openai completions, model {self.name}"


def parse_served(given: str) -> Served | None:
    """The model that `openai:NAME@URL` names; None for any other name, `openai:SIZE` included.

    Raises:
        CheckpointError: no name, no address of the web, or more in it than a place. The sentence
            does not repeat the address, which may hold a key.
    """
    if not given.startswith(BUCKET) or "@" not in given:
        return None
    match = SERVED.fullmatch(given)
    if match is None:
        raise _malformed(given.removeprefix(BUCKET).split("@")[0], "the URL is not http or https")
    name, url = match["name"], match["url"].rstrip("/")
    if not name.strip():
        raise _malformed("", "no name stands before the @; give the one that the server knows")
    if fault := _fault(url):
        raise _malformed(name, fault)
    return Served(name, url)


def model_identity(given: str) -> str:
    """What of a model's name determines its texts: of one behind a server `openai:NAME`, without
    the place where it is asked; any other name as it is.

    Raises:
        CheckpointError: as `parse_served`.
    """
    served = parse_served(given)
    return served.identity if served else given


def _fault(url: str) -> str:
    """What is wrong with an address; empty where nothing is."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or re.search(r"\s", url):
        return "the URL has no host, or a port that is none"
    if "@" in parts.netloc:
        return f"the URL holds a user or a password; leave them out, and set {KEY} to the key"
    if parts.query or parts.fragment:
        return f"the URL goes on after its path; leave that out, and set {KEY} to the key"
    for route in ("/chat/completions", "/completions"):
        if parts.path.lower().endswith(route):
            return f"the URL goes on to a route, which is added to it; leave {route} out"
    return ""


def _malformed(name: str, fault: str) -> CheckpointError:
    example = f"{BUCKET}{name or 'NAME'}@http://127.0.0.1:8000/v1"
    return CheckpointError(f"model '{BUCKET}{name}@…': {fault}; it is written like {example}")
