"""What the JSON API takes and answers: its types, as the server checks and documents them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, FailFast, Field


class Strict(BaseModel):
    """A request's object; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid")


class Text(Strict):
    id: str | None = Field(None, max_length=200)
    text: str


class Question(Strict):
    # fails at the first wrong text: a million would be a million errors
    texts: Annotated[list[str | Text], FailFast()] = Field(
        min_length=1,
        description=(
            'Texts, or {"id", "text"}; a text without an id gets its place as one: "0", "1", …'
        ),
        examples=[
            ["It was a bright cold day in April …", {"id": "essay-7", "text": "Dear committee, …"}]
        ],
    )
    fpr: float | None = Field(
        None,
        gt=0,
        lt=1,
        description=(
            "False-positive rate at which a text is called machine; by default the server's."
        ),
    )
    kind: str | None = Field(
        None,
        max_length=100,
        description=(
            'What kind of text all are, such as "essay", and so what they are compared with; by'
            " default each text's own."
        ),
    )
    segments: bool = Field(False, description="Also each text's parts, each with its own verdict.")
    tokens: bool = Field(
        False, description="Also rank, probability and alternatives of each token."
    )
    words: bool = Field(
        False,
        description="Also each word's weight, and how much of the text looks machine-written.",
    )


class ChangeMade(BaseModel):
    what: str
    count: int


class Part(BaseModel):
    start: int = Field(description="First character, in `normalized`.")
    end: int = Field(description="One past the last.")
    score: float | None
    p_value: float | None
    verdict: str


class Token(BaseModel):
    start: int
    end: int
    rank: int | None = Field(description="1 is the model's first choice.")
    probability: float | None
    alternatives: list[tuple[str, float]]


class Said(BaseModel):
    reader: str = Field(description="What this reader of several reads.")
    log_odds: float | None = Field(
        description="Of machine against human; null where it was not asked."
    )
    says: str = Field(description="In words.")


class ShareFound(BaseModel):
    share: float = Field(
        description="Of its words, estimated from its sentences; in [0, 1], as low and high."
    )
    low: float = Field(description="Of the 95% interval.")
    high: float
    sentences: int = Field(description="That it rests on.")


class Word(BaseModel):
    start: int
    end: int
    log_odds: float = Field(
        description="What it adds to the log-odds of the reader of words; above 0 is machine-like."
    )


class Result(BaseModel):
    id: str
    score: float | None = Field(
        description="Higher is more machine-like; null where the text cannot be scored."
    )
    p_value: float | None = Field(
        description="Share of human texts this long that score as high or higher (conformal)."
    )
    verdict: str = Field(description="machine, human-like, or not enough evidence.")
    detector: str
    reason: str
    fpr: float
    words: int
    n_human: int = Field(description="Human texts that the p-value rests on.")
    changes: list[ChangeMade] = Field(description="What can hide machine text and was undone.")
    kind: str = Field(
        description=(
            "Kind of the human texts that it was compared with; empty where they are of all kinds."
        )
    )
    opinions: list[Said] = Field(
        description="What each reader says, of a detector that has several."
    )
    normalized: str | None = Field(
        None, description="The text as judged; with segments, tokens or words only."
    )
    segments: list[Part] | None = None
    tokens: list[Token] | None = None
    share: ShareFound | None = Field(None, description="With words; null where it cannot be told.")
    word_weights: list[Word] | None = Field(
        None, description="With words; empty where they cannot be told."
    )


class Results(BaseModel):
    results: list[Result] = Field(description="One a text, in the order asked.")


class Problem(BaseModel):
    error: str = Field(description="One sentence: what is wrong and what to do.")


class Health(BaseModel):
    status: str
    detector: str
    fpr: float


class Demo(BaseModel):
    all_tokens: int
    used_tokens: int
    real_probability: float
    fake_probability: float


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "Empty or not UTF-8."},
    413: {"model": Problem, "description": "Too large, too long or too many."},
    415: {"model": Problem, "description": "Not application/json, or compressed."},
    422: {"model": Problem, "description": "Not the JSON that is wanted."},
    503: {"model": Problem, "description": "Busy; Retry-After says when to come again."},
    504: {"model": Problem, "description": "It took too long."},
}
DEMO_PROBLEMS = PROBLEMS | {
    501: {"model": Problem, "description": "The detector's scores are no probabilities."}
}
