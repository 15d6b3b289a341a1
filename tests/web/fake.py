"""An examiner that computes in closed form, and a server around it: `python -m tests.web.fake PORT
[SECONDS A BATCH]`.

A text's score is 8 × (the share of its words that begin with m) − 2, so that tests can say what to
expect. `ReadersExaminer` has readers beside it: each m-word weighs 0.4, each other one −0.1.
"""

from __future__ import annotations

import logging
import random
import re
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from staged.detectors.contract import (
    HUMAN_LIKE,
    MACHINE_WRITTEN,
    NOT_ENOUGH,
    Change,
    Opinion,
    Segment,
    TokenRank,
    Verdict,
)
from staged.errors import PlanError

if TYPE_CHECKING:
    from staged.detectors.kinds.readers.sentences import Share, WordWeight

LEAST_WORDS = 5
KINDS = ("essay", "review")


@cache
def gauss(seed: int, mean: float, n: int) -> list[float]:
    stream = random.Random(seed)
    return [stream.gauss(mean, 1.0) for _ in range(n)]


@dataclass
class FakeExaminer:
    name: str = "fake"
    fpr: float = 0.01
    kind: str = ""
    seconds: float = 0.0
    held: threading.Event | None = None
    error: Exception | None = None
    seen: list[str] = field(default_factory=list)
    batches: int = 0

    def load_scorer(self) -> str:
        """Nothing is missing."""
        return ""

    def examine(self, texts: Sequence[tuple[str, str]]) -> list[Verdict]:
        self.batches += 1
        time.sleep(self.seconds)
        if self.held is not None:
            self.held.wait(20)
        if self.error is not None:
            raise self.error
        self.seen += [identity for identity, _ in texts]
        return [self._verdict(identity, text) for identity, text in texts]

    def _verdict(self, identity: str, text: str) -> Verdict:
        hidden = text.count("\u200b")
        normal = text.replace("\u200b", "")
        words = len(normal.split())
        changes = (Change("zero-width characters removed", hidden),) if hidden else ()
        known = {
            "id": identity,
            "detector": self.name,
            "fpr": self.fpr,
            "words": words,
            "changes": changes,
            "normalized": normal,
        }
        known |= {"kind": self.compared_with}
        if words < LEAST_WORDS:
            reason = f"{words} words are too few to say anything."
            score = score_of(normal) if words else None
            return Verdict(
                **known, score=score, p_value=None, verdict=NOT_ENOUGH, reason=reason, n_human=0
            )  # type: ignore[arg-type]
        score = score_of(normal)
        human, _ = self.distributions(words, kind=self.compared_with)
        p = (1 + sum(other >= score for other in human)) / (len(human) + 1)
        verdict = MACHINE_WRITTEN if p <= self.fpr else HUMAN_LIKE if p > 0.2 else NOT_ENOUGH
        reason = f"About {1000 * p:.0f} of 1,000 human texts score as high."
        return Verdict(
            **known, score=score, p_value=p, verdict=verdict, reason=reason, n_human=len(human)
        )  # type: ignore[arg-type]

    @property
    def compared_with(self) -> str:
        """The kind of the human texts."""
        return ""

    def segments(self, text: str) -> list[Segment]:
        parts = [match.span() for match in re.finditer(r"[^.]+\.?\s*", text)]
        verdicts = [self._verdict("", text[start:end]) for start, end in parts]
        return [
            Segment(*part, one.score, one.p_value, one.verdict)
            for part, one in zip(parts, verdicts, strict=True)
        ]

    def tokens(self, text: str) -> list[TokenRank]:
        found = []
        for i, match in enumerate(re.finditer(r"\s*\S+", text)):
            rank = (
                None if i == 0 else (1, 7, 3, 40, 2, 400, 9, 5000)[sum(map(ord, match.group())) % 8]
            )
            likely = (("the", 0.21), ("of", 0.09), ("and", 0.031))
            found.append(
                TokenRank(
                    *match.span(), rank, None if rank is None else 0.3 / rank, likely if i else ()
                )
            )
        return found

    def share(self, text: str) -> Share | None:
        return None

    def word_weights(self, text: str) -> list[WordWeight]:
        return []

    def at(self, *, fpr: float, kind: str) -> FakeExaminer:
        if kind:
            raise PlanError(f"kind {kind!r}: the calibration has none of it; it knows no kinds")
        return replace(self, fpr=fpr)

    def distributions(self, words: int, *, kind: str = "") -> tuple[list[float], list[float]]:
        return gauss(3 if kind else 1, -1.5, 500 if kind else 999), gauss(2, 2.5, 600)

    def token_counts(self, text: str) -> tuple[int, int]:
        tokens = len(text.split())
        return tokens, min(tokens, 510)

    gives_odds = True

    def machine_probability(self, verdict: Verdict) -> float:
        return 0.5 if verdict.score is None else min(max((verdict.score + 2) / 8, 0.0), 1.0)


class ReadersExaminer(FakeExaminer):
    """Of several readers, with kinds of text: reviews, unless another kind is asked for."""

    def examine(self, texts: Sequence[tuple[str, str]]) -> list[Verdict]:
        return [replace(one, opinions=self.opinions(one)) for one in super().examine(texts)]

    @property
    def compared_with(self) -> str:
        return self.kind or "review"

    def opinions(self, verdict: Verdict) -> tuple[Opinion, ...]:
        if verdict.score is None:
            return ()
        like = "much like language models" if verdict.score > 0 else "like people"
        unsaid = Opinion(
            "how evenly it surprises a language model", None, "not asked: the <others> are sure"
        )
        return (
            Opinion("words and phrases", verdict.score, like),
            Opinion("how words are put together", 0.2, "of both"),
            unsaid,
        )

    def share(self, text: str) -> Share | None:
        from staged.detectors.kinds.readers.sentences import (
            Share,
        )  # which imports a model's library

        sentences = text.count(".")
        return Share(0.4, 0.2, 0.65, sentences) if sentences >= 8 else None

    def word_weights(self, text: str) -> list[WordWeight]:
        from staged.detectors.kinds.readers.sentences import WordWeight

        found = re.finditer(r"\S+", text)
        return [WordWeight(*one.span(), 0.4 if one.group()[0] in "mM" else -0.1) for one in found]

    def at(self, *, fpr: float, kind: str) -> ReadersExaminer:
        if kind and kind not in KINDS:
            raise PlanError(
                f"kind {kind!r}: the calibration has none of it; known: {', '.join(KINDS)}"
            )
        return replace(self, fpr=fpr, kind=kind)


def score_of(text: str) -> float:
    words = text.split()
    return 8 * sum(word.lower().startswith("m") for word in words) / len(words) - 2


HUMAN_TEXT = (
    "The river crosses an old garden before noon, and nobody in the harbour remembers who planted"
    " it. " * 8
)
MACHINE_TEXT = "Many machines make more music: my mother met most men monthly, meanwhile. " * 8


if __name__ == "__main__":
    from staged.web.app import create_app
    from staged.web.serve import listen, run, url_of

    logging.basicConfig(level=1)  # everything that is ever logged, to standard error
    with listen("127.0.0.1", int(sys.argv[1])) as sock:
        sys.stdout.write(url_of(sock) + "\n")
        sys.stdout.flush()
        run(
            create_app(FakeExaminer(seconds=float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)), sock
        )
