"""Prompts from a file or from standard input."""

from __future__ import annotations

from collections.abc import Sequence

from staged.errors import PlanError, SamplingError
from staged.files.places import note_without_text
from staged.files.texts import ROWS, read_rows, read_text, row_text
from staged.places.files import fetched

FIELDS = ("prompt", "text")  # of a row, the first that it has


def read_prompts(source: str) -> list[str]:
    """One prompt a line; of a file with rows the string under "prompt" or else "text". Blank ones
    are passed over.

    Args:
        source: a path, or `-` for standard input (plain lines).

    Raises:
        CorpusError: missing, not UTF-8, a line that is not a JSON object, or a row without a string
            (named by its number).
        SamplingError: no prompt.
    """
    path = fetched(source)
    if path.suffix.lower() in ROWS:
        rows = {
            number: row_text(row, f"{source}, row {number}", under=FIELDS)
            for number, row in read_rows(path)
        }
        note_without_text(
            source, [str(number) for number, text in rows.items() if not text.strip()], what="row"
        )
        lines = list(rows.values())
    else:
        lines = read_text(str(path)).split("\n")
    prompts = [line for line in lines if line.strip()]
    if not prompts:
        raise SamplingError(f"prompts {source}: holds no prompt; put one on each line")
    return prompts


def chosen_prompts(prompt: str, source: str) -> tuple[str, ...]:
    """One, those of a file, or none.

    Raises:
        PlanError: both.
        CorpusError: a file that cannot be read.
    """
    if prompt and source:
        raise PlanError("sample: give --prompt or --prompts, not both")
    return (prompt,) if prompt else tuple(read_prompts(source)) if source else ()


def how_many(number: int | None, per_prompt: int | None, prompts: Sequence[str]) -> int:
    """The number of samples: as many as said, so many a prompt, or one a prompt.

    Raises:
        PlanError: both numbers, or samples a prompt without a prompt.
    """
    if number is not None and per_prompt is not None:
        raise PlanError("sample: give --number (in all) or --per-prompt, not both")
    if per_prompt is not None and not prompts:
        raise PlanError(
            "sample: --per-prompt needs --prompt or --prompts; without them, --number says how many"
        )
    return number if number is not None else (per_prompt or 1) * max(1, len(prompts))


def check_chat(prompts: Sequence[str], system: str, *, chat: bool) -> None:
    """Refuse what is no chat: a task is missing, or a system text goes nowhere.

    Raises:
        PlanError: a system text without a chat.
        SamplingError: a chat without prompts, or with an empty one; a text as `check_prompts`.
    """
    if system and not chat:
        raise PlanError("sample: a system text is for a chat; give --chat with --system")
    if chat and not all(prompt.strip() for prompt in prompts or ("",)):
        raise SamplingError(
            "sample: a chat model answers, and needs something to answer; give it a task with"
            " --prompt or --prompts"
        )
    check_characters(system, "the system text")


def check_prompts(prompts: Sequence[str]) -> None:
    """Refuse texts that cannot be encoded.

    Raises:
        SamplingError: half of a surrogate pair, as a command line's bytes outside UTF-8 become.
    """
    for number, prompt in enumerate(prompts, 1):
        check_characters(prompt, f"prompt {number}")


def check_characters(text: str, what: str) -> None:
    """Refuse a text that cannot be encoded, as `check_prompts`."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise SamplingError(
            f"{what}: {text[:40]!r} holds bytes that are no character; give it as UTF-8 text"
        )
