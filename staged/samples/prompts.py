"""Prompts from a file or from standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from staged.errors import SamplingError


def read_prompts(source: str) -> list[str]:
    """One prompt a line; of a .jsonl file the string under "prompt" or "text".

    Args:
        source: a path, or `-` for standard input (plain lines).

    Raises:
        SamplingError: missing, not UTF-8, without a prompt, or a bad row (named by line).
    """
    try:
        text = (sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SamplingError(f"prompts {source}: byte {error.start} is not UTF-8") from None
    except OSError as error:
        raise SamplingError(f"prompts {source}: cannot be read: {error.strerror}") from None
    lines = {number: line.removesuffix("\r") for number, line in enumerate(text.split("\n"), 1) if line.strip()}
    if not lines:
        raise SamplingError(f"prompts {source}: holds no prompt; put one on each line")
    if source.endswith(".jsonl"):
        return [_row(line, source, number) for number, line in lines.items()]
    return list(lines.values())


def check_prompts(prompts: Sequence[str]) -> None:
    """Refuse texts that cannot be encoded.

    Raises:
        SamplingError: half of a surrogate pair, as a command line's bytes outside UTF-8 become.
    """
    for number, prompt in enumerate(prompts, 1):
        if any("\ud800" <= letter <= "\udfff" for letter in prompt):
            raise SamplingError(f"prompt {number}: {prompt[:40]!r} holds bytes that are no character; give it as UTF-8 text")


def _row(line: str, source: str, number: int) -> str:
    try:
        row = json.loads(line)
        found = row.get("prompt", row.get("text"))
    except (ValueError, AttributeError, RecursionError):
        found = None
    if not isinstance(found, str):
        raise SamplingError(f'prompts {source}, row {number}: no string under "prompt" or "text"')
    return found
