"""Prompts from a file or from standard input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staged.errors import SamplingError
from staged.files.texts import json_lines, read_text


def read_prompts(source: str) -> list[str]:
    """One prompt a line; of a .jsonl file the string under "prompt" or "text".

    Args:
        source: a path, or `-` for standard input (plain lines).

    Raises:
        CorpusError: missing, not UTF-8, or a line that is not a JSON object.
        SamplingError: no prompt, or a row without one (named by line).
    """
    text = read_text(source)
    if source.endswith(".jsonl"):
        found = [_prompt(row, f"{source}, line {number}") for number, row in json_lines(text.split("\n"), source)]
    else:
        found = [line for line in text.split("\n") if line.strip()]
    if not found:
        raise SamplingError(f"prompts {source}: holds no prompt; put one on each line")
    return found


def check_prompts(prompts: Sequence[str]) -> None:
    """Refuse texts that cannot be encoded.

    Raises:
        SamplingError: half of a surrogate pair, as a command line's bytes outside UTF-8 become.
    """
    for number, prompt in enumerate(prompts, 1):
        if any("\ud800" <= letter <= "\udfff" for letter in prompt):
            raise SamplingError(f"prompt {number}: {prompt[:40]!r} holds bytes that are no character; give it as UTF-8 text")


def _prompt(row: dict[str, Any], where: str) -> str:
    found = row.get("prompt", row.get("text"))
    if not isinstance(found, str):
        raise SamplingError(f'prompts {where}: no string under "prompt" or "text"')
    return found
