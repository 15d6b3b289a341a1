"""A chat model's prompts: messages put into the template that the model was trained with.

A template is a program of the model's folder, in Jinja; transformers runs it in its sandbox, where
it can write text and nothing else. It never sees today's date, so that the same prompts are the
same tokens tomorrow.

Of the marks that structure a chat (`<|im_start|>`, `<|eot_id|>`, …) only those that the template
writes become special tokens. The same characters inside a message stay characters: where they
begin, a cut that nobody can guess goes into the message before the template sees it, and what it
wrote is encoded cut by cut.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from staged.errors import CheckpointError, SamplingError, first_line
from staged.model.bpe import without_callers_state
from staged.model.causal import is_outside
from staged.model.checkpoints import model_folder
from staged.model.sources.packaged import quiet
from staged.samples.chat.answers import OPEN

TODAY = date(2024, 7, 26)  # what Llama's own templates write where they cannot know
CODES = ("-d", "-m", "A", "a", "B", "b", "d", "H", "I", "j", "M", "m", "p", "S", "Y", "y")
WITHOUT_CHAT = ": leave out --chat"  # the advice on the command line
REASONING = ("enable_thinking",)  # by what a template lets a model reason before it answers


def template_of(model: str) -> str:
    """The template of a model's folder.

    Raises:
        CheckpointError: no model, or a model without a template.
    """
    return _source(_library(model_folder(model), model), model)


class ChatPrompts:
    """Users' messages → token ids of a chat, up to where the model answers.

    Args:
        model: as `model_folder` takes it.
        system: what stands before each message; empty for what the template says by itself.

    Attributes:
        source: the template.
        opens_reasoning: whether the template begins the model's reasoning for it.

    Raises:
        CheckpointError: no model, or a model without a template.
        SamplingError: a template that has no place for the message or for the system text, or whose
            answers are more than a text.
    """

    def __init__(self, model: str, system: str = "") -> None:
        folder = model_folder(model)
        self.model, self.system = model, system
        self._library = _library(folder, model)
        self.source = _source(self._library, model)
        self._tokenizer = without_callers_state(Tokenizer.from_file(str(folder / "tokenizer.json")))
        self._marks = _marks(self._tokenizer, self.source)
        self._cut = secrets.token_hex(16)
        self.opens_reasoning = self._checked().rstrip().endswith(OPEN)

    def encode_batch(self, messages: Sequence[str]) -> list[list[int]]:
        """Token ids of each message's chat.

        Raises:
            SamplingError: the template refuses one.
        """
        return [self._ids(self._rendered(message, self.system)) for message in messages]

    def _rendered(self, message: str, system: str) -> str:
        """A chat as the template writes it, cuts included."""
        roles = {"system": system, "user": message}
        chat = [{"role": role, "content": self._guarded(text)} for role, text in roles.items()]
        source = dated(self.source)
        off: dict[str, Any] = {name: False for name in REASONING if name in source}
        try:
            with quiet():
                return str(
                    self._library.apply_chat_template(
                        chat if system else chat[1:],
                        chat_template=source,
                        tokenize=False,
                        add_generation_prompt=True,
                        **off,
                    )
                )
        except Exception as error:  # a template raises what it wants
            raise SamplingError(
                f"{self.model}: its chat template refuses a message: {first_line(error)}"
            ) from None

    def _guarded(self, text: str) -> str:
        """A message with a cut behind the first character of whatever looks like a mark."""
        starts = [match.start() + 1 for match in self._marks.finditer(text)]
        places = [0, *starts, len(text)]
        return self._cut.join(text[a:b] for a, b in pairwise(places))

    def _ids(self, rendered: str) -> list[int]:
        first, *others = rendered.split(self._cut)
        return [*self._encoded(first), *(i for piece in others for i in self._inside(piece))]

    def _encoded(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _inside(self, piece: str) -> list[int]:
        """Token ids of text that does not begin a text: some tokenizers put a space before one that
        does.
        """
        line, ids = self._encoded("\n"), self._encoded(f"\n{piece}")
        return ids[len(line) :] if ids[: len(line)] == line else self._encoded(piece)

    def _checked(self) -> str:
        """A chat as it is written, once it is sure that a message and the system text are in it."""
        message, system = secrets.token_hex(8), secrets.token_hex(8)
        rendered = self._rendered(message, "")
        if message not in rendered:
            raise SamplingError(f"{self.model}: its chat template leaves the user's message out")
        if "<|channel|>" in self.source:
            raise SamplingError(
                f"{self.model}: its answers come in channels, between special tokens, which is not"
                " supported; choose another model"
            )
        if self.system:
            self._check_system(message, system)
        return rendered

    def _check_system(self, message: str, system: str) -> None:
        try:
            has_role = system in self._rendered(message, system)
        except SamplingError:
            has_role = False
        if not has_role:
            raise SamplingError(
                f"{self.model}: its chat template has no place for a system text: leave out"
                " --system, and say in the prompts what it says"
            )


def _library(folder: Path, model: str) -> Any:
    """The folder's tokenizer as transformers sees it, for its template and the names of its marks;
    code that a folder brings along is never run.
    """
    from transformers import PreTrainedTokenizerFast

    if not is_outside(folder):
        raise CheckpointError(f"{model} has no chat template{WITHOUT_CHAT}")
    try:
        with quiet():
            return PreTrainedTokenizerFast.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # many kinds, as for weights
        raise CheckpointError(
            f"{folder}: transformers cannot read its tokenizer: {first_line(error)}"
        ) from None


def _source(library: Any, model: str) -> str:
    """The template; of several, the default."""
    template = library.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    if not template:
        raise CheckpointError(f"{model} has no chat template{WITHOUT_CHAT}")
    return str(template)


def _marks(tokenizer: Tokenizer, source: str) -> re.Pattern[str]:
    """Where in a message the characters of a mark begin: of a special token, or of another added
    one that the template itself writes.
    """
    added = tokenizer.get_added_tokens_decoder().values()
    marks = [
        re.escape(token.content)
        for token in added
        if token.special or (token.content in source and not token.content.isspace())
    ]
    return re.compile(f"(?={'|'.join(marks)})" if marks else "(?!)")


def dated(source: str) -> str:
    """A template for which it is always `TODAY`."""
    if "strftime_now" not in source:
        return source
    day = "".join(f'|replace("%{code}","{TODAY.strftime(f"%{code}")}")' for code in CODES)
    # the line's end goes with the block before it, so that the template begins as it did
    return f"{{% macro strftime_now(format) %}}{{{{ format{day} }}}}{{% endmacro %}}\n{source}"
