"""What must not go out: secrets by their form, and paths of this machine; in whole files, however
large.

The forms are those of Yelp's detect-secrets that tell a secret by itself, without words around it,
and those of keys that it does not know. Weights are searched for private keys throughout, and in
full where safetensors keeps words: in its header.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

from staged.errors import ReleaseError

__all__ = ["holds_key", "leaks_in", "places_of", "secrets_in"]

THEIRS = {  # what it is called → module and class of detect_secrets.plugins
    "an AWS key": ("aws", "AWSKeyDetector"),
    "an Azure storage key": ("azure_storage_key", "AzureStorageKeyDetector"),
    "a password in an address": ("basic_auth", "BasicAuthDetector"),
    "a Discord token": ("discord", "DiscordBotTokenDetector"),
    "a GitHub token": ("github_token", "GitHubTokenDetector"),
    "a GitLab token": ("gitlab_token", "GitLabTokenDetector"),
    "a JSON web token": ("jwt", "JwtTokenDetector"),
    "an npm token": ("npm", "NpmDetector"),
    "an OpenAI key": ("openai", "OpenAIDetector"),
    "a PyPI token": ("pypi_token", "PypiTokenDetector"),
    "a SendGrid key": ("sendgrid", "SendGridDetector"),
    "a Slack token": ("slack", "SlackDetector"),
    "a Square secret": ("square_oauth", "SquareOAuthDetector"),
    "a Stripe key": ("stripe", "StripeDetector"),
    "a Telegram token": ("telegram_token", "TelegramBotTokenDetector"),
}
# what detect-secrets has no form for, or an older one; each begins with letters, by which a search
# is fast
OURS = {
    "a Hugging Face token": (r"hf_[A-Za-z0-9]{30,}", r"api_org_[A-Za-z0-9]{30,}"),
    "an OpenAI key": (
        r"sk-(?<![A-Za-z0-9]sk-)(?:[A-Za-z0-9]{32,}|(?:proj|svcacct|admin)-[\w-]{32,})",
    ),
    "an Anthropic key": (r"sk-ant-[\w-]{24,}",),
    "a GitHub token": (r"github_pat_[A-Za-z0-9_]{36,}",),
    "a Slack token": (r"xapp-\d-[\w-]{20,}",),
    "a Google API key": (r"AIza[\w-]{35}",),
    "a private key": (
        r"PRIVATE KEY(?: BLOCK)?-----",
        r"BEGIN SSH2 ENCRYPTED PRIVATE KEY",
        r"PuTTY-User-Key-File-\d",
        r"AGE-SECRET-KEY-1",
    ),
}
# what a secret is called where it is set, in small letters: a line of a .env file; a quoted value
# in JSON, TOML, YAML or code
CALLED = (
    "api_key",
    "apikey",
    "access_key",
    "account_key",
    "secret",
    "passw",
    "passphrase",
    "auth_token",
    "access_token",
    "api_token",
    "hub_token",
    "hf_token",
    "wandb_token",
    "github_token",
)
TEMPLATE = r"(?!\$\{?\w+\}?[\s\"']|\{\{|\$\()"  # which is filled in elsewhere
ASSIGNED = re.compile(
    r"[ \t]*(?:export[ \t]+)?[A-Za-z]\w*[ \t]*(?:=|:(?=[ \t]))[ \t]*"
    rf"""{TEMPLATE}[^\s"'#<>()\[\]|]{{8,}}[ \t]*$""",
    re.MULTILINE,
)
SET = re.compile(rf"""\w*["']?\s*[:=]\s*["']{TEMPLATE}(?![^"']*[<>\[ |])[^"'\s]{{8,}}["']""")
NO_SECRET = re.compile(
    r"(?i)your|example|placeholder|change_?me|dummy|\*{3}|x{4}|\.{3}|none$|null$|redacted"
)
KEY_MARKS = (b"PRIVATE KEY-----", b"PRIVATE KEY BLOCK-----")
# bytes of a file in memory; a secret is no longer than the second
AT_ONCE, OVERLAP = 1 << 22, 1 << 14
LONGEST_HEADER = 100_000_000  # bytes, safetensors' own limit


def leaks_in(name: str, file: BinaryIO, places: Iterable[str] = ()) -> Iterator[tuple[int, str]]:
    """(line, what) of each secret and each of this machine's places in a file; what, never the
    secret itself. 0: in no line.

    Args:
        name: the file's, by which weights and vocabularies are known.
        places: paths as `places_of` gives them.

    Raises:
        ReleaseError: the extra `release` is not installed.
    """
    forms = [*_forms(), *((f"a path of this machine, {place}", _place(place)) for place in places)]
    if name.endswith(".safetensors"):
        yield from _hits(file, forms, _header_bytes(file))
        yield from ((0, "a private key") for _ in range(holds_key(file)))
    else:
        yield from _hits(file, forms)


def holds_key(file: BinaryIO) -> bool:
    """Whether a private key in PEM stands anywhere in a file, or in what is left of it."""
    before = b""
    while chunk := file.read(AT_ONCE):
        if any(mark in before + chunk for mark in KEY_MARKS):
            return True
        before = chunk[-max(map(len, KEY_MARKS)) :]
    return False


def secrets_in(text: str) -> list[str]:
    """What kinds of secrets stand in a text."""
    return [what for what, find in _forms() if any(True for _ in find(text))]


def places_of(folders: Iterable[Path]) -> list[str]:
    """The folders as absolute paths, the home folder's too: those that say whose machine it is,
    without what lies in another.
    """
    every = (
        {folder.absolute() for folder in folders}
        | {folder.resolve() for folder in folders}
        | {Path.home()}
    )
    telling = {path for path in every if len(path.parts) > 2}  # `/root` and `/` are anybody's
    return sorted(str(path) for path in telling if not telling & set(path.parents))


Find = Callable[[str], Iterator[int]]


def _hits(
    file: BinaryIO, forms: list[tuple[str, Find]], limit: int = -1
) -> Iterator[tuple[int, str]]:
    """Chunk by chunk, each with the end of the one before, so that nothing is cut in two."""
    line, before, seen = 1, b"", set[tuple[int, str]]()
    while chunk := file.read(AT_ONCE if limit < 0 else min(AT_ONCE, limit)):
        limit -= len(chunk) if limit >= 0 else 0
        text = (before + chunk).decode("latin-1")
        for what, find in forms:
            for at in find(text):
                hit = (line + text.count("\n", 0, at), what)
                if hit not in seen:
                    seen.add(hit)
                    yield hit
        before = (before + chunk)[-OVERLAP:]
        line += text.count("\n", 0, len(text) - len(before))


def _header_bytes(file: BinaryIO) -> int:
    size = int.from_bytes(file.read(8), "little")
    return size if size <= LONGEST_HEADER else 0


def _place(place: str) -> Find:
    # file's bytes are read as Latin-1
    whole = re.compile(rf"{re.escape(place)}(?![\w-])".encode().decode("latin-1"))
    return lambda text: (match.start() for match in whole.finditer(text))


@cache
def _forms() -> tuple[tuple[str, Find], ...]:
    """What it is called → where it stands in a text."""
    ours = [(what, _by_form(form)) for what, forms in OURS.items() for form in forms]
    return (
        *ours,
        *((what, _by_plugin(*plugin)) for what, plugin in THEIRS.items()),
        ("a secret by its name", _by_name),
    )


def _by_form(form: str) -> Find:
    compiled = re.compile(form)
    return lambda text: (match.start() for match in compiled.finditer(text))


def _by_name(text: str) -> Iterator[int]:
    """Values that are called a password, key or token."""
    small = text.lower()
    for name in CALLED:
        at = small.find(name)
        while at >= 0:
            match = SET.match(text, at) or ASSIGNED.match(text, text.rfind("\n", 0, at) + 1)
            if match and not NO_SECRET.search(match[0]):
                yield at
            at = small.find(name, at + 1)


def _by_plugin(module: str, name: str) -> Find:
    try:
        plugin = getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)()
    except ImportError:
        raise ReleaseError(
            "looking for secrets needs the extra: pip install 'staged[release]'"
        ) from None
    return lambda text: (text.index(secret) for secret in plugin.analyze_string(text))
