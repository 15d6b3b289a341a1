"""Stop strings, and text for a terminal while it is made.

Both look at decoded text, not at tokens: a stop string may begin inside one token and end inside
another, and a character may be spread over several. Text that could still change is held back: half
a character, and the beginning of a stop string.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from staged.errors import SamplingError
from staged.model.bpe import REPLACEMENT

Decode = Callable[[Sequence[int]], str]


def check_stops(strings: Sequence[str]) -> None:
    """Refuse strings that no text can contain, or every text does.

    Raises:
        SamplingError: one is empty, not Unicode, or holds U+FFFD, which stands for bytes that are
            no character.
    """
    for string in strings:
        if not string:
            raise SamplingError(
                "sample: a stop string is empty; leave --stop out to end at the length or at the"
                " end of text only"
            )
        if REPLACEMENT in string or any("\ud800" <= letter <= "\udfff" for letter in string):
            raise SamplingError(
                f"sample: the stop string {string!r} holds bytes that are no character; give it as"
                " UTF-8 text"
            )


def cut_at(text: str, strings: Sequence[str]) -> tuple[str, str | None]:
    """The text before the stop string that begins first, and that string; the whole text and None
    where there is none.
    """
    places = [(text.find(string), order) for order, string in enumerate(strings) if string in text]
    if not places:
        return text, None
    place, order = min(places)
    return text[:place], strings[order]


class StopStrings:
    """Texts at which a sample ends.

    Args:
        strings: as `check_stops` admits them.
        decode: token ids → text, bytes that are not UTF-8 becoming U+FFFD.
    """

    def __init__(self, strings: Sequence[str], decode: Decode) -> None:
        self.strings, self.decode = tuple(strings), decode
        # a token is a byte or more
        self.window = max((len(string.encode()) for string in strings), default=0)

    def reached(self, tokens: Sequence[int]) -> bool:
        """Whether the newest token completes a stop string; to be asked after every token."""
        if not self.window:
            return False
        tail = self.decode(tokens[-self.window :])
        return any(string in tail for string in self.strings)

    def cut(self, text: str) -> tuple[str, str | None]:
        """`cut_at` these strings."""
        return cut_at(text, self.strings)

    def overhang(self, text: str) -> int:
        """How many characters at the text's end may be the beginning of a stop string."""
        longest = max((len(string) for string in self.strings), default=1) - 1
        for size in range(min(longest, len(text)), 0, -1):
            if any(string.startswith(text[-size:]) for string in self.strings):
                return size
        return 0


class TextStream:
    """Tokens in, text out as soon as it is certain; what it gives out in all is the sample's text,
    cut at a stop string.
    """

    def __init__(self, stops: StopStrings) -> None:
        self.stops = stops
        self.tokens: list[int] = []  # whose last character is not complete
        self.text = ""  # complete, but perhaps the beginning of a stop string
        self.stopped = False

    def feed(self, token: int) -> str:
        """The text that this token makes certain; often empty."""
        self.tokens.append(token)
        text = self.stops.decode(self.tokens)
        if self.stopped or text.endswith(REPLACEMENT):
            return ""
        self.text, self.tokens = self.text + text, []
        return self._give(self.stops.overhang(self.text))

    def finish(self) -> str:
        """What was held back, when no more tokens come."""
        if self.stopped:
            return ""
        self.text, self.tokens = self.text + self.stops.decode(self.tokens), []
        return self._give(0)

    def _give(self, hold: int) -> str:
        before, stop = self.stops.cut(self.text)
        if stop is not None:
            self.stopped, self.text = True, ""
            return before
        ready = self.text[: len(self.text) - hold]
        self.text = self.text[len(ready) :]
        return ready
