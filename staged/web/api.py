"""The JSON API: POST /api/detect, GET /api/health, and the original demo's GET
/openai-detector/.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, FailFast, Field

from staged.web.examination import Examiner, Wanted, asked, examine_batch
from staged.web.limits import Limits, RefusedError
from staged.web.worker import Check, Worker

JSON = "application/json"


class Strict(BaseModel):
    """A request's object; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid")


class Text(Strict):
    id: str | None = Field(None, max_length=200)
    text: str


class Question(Strict):
    texts: Annotated[list[str | Text], FailFast()] = (
        Field(  # else a million wrong texts are a million errors
            min_length=1,
            description=(
                'Texts, or {"id", "text"}; a text without an id gets its place as one: "0", "1", …'
            ),
            examples=[
                [
                    "It was a bright cold day in April …",
                    {"id": "essay-7", "text": "Dear committee, …"},
                ]
            ],
        )
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


def routes(examiner: Examiner, worker: Worker, limits: Limits) -> APIRouter:
    """The API's three routes."""
    router = APIRouter()

    @router.post(
        "/api/detect",
        response_model=Results,
        responses=PROBLEMS,
        dependencies=[Depends(only_json)],
        summary="Examine texts",
    )
    async def detect(request: Request, question: Question) -> Response:
        texts = checked(question, limits)
        wanted = Wanted(question.segments, question.tokens, question.words)
        chosen = asked(examiner, fpr=question.fpr, kind=question.kind)

        def work(still_wanted: Check) -> bytes:
            return as_json({"results": examine_batch(chosen, texts, wanted, still_wanted)})

        return Response(await worker.run(work, lambda: left(request)), media_type=JSON)

    @router.get("/api/health", response_model=Health, summary="Is it up, and with which detector")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "detector": examiner.name, "fpr": examiner.fpr}

    @router.get(
        "/openai-detector/",
        response_model=Demo,
        responses=DEMO_PROBLEMS,
        summary="The 2019 demo's answer: ?<url-encoded text>",
    )
    async def demo(request: Request) -> Response:
        if not examiner.gives_odds:
            raise RefusedError(
                501, f"The scores of {examiner.name} are no probabilities; ask POST /api/detect."
            )
        text = query_text(request)
        check_length([("The text", text)], limits)

        def work(_: Check) -> bytes:
            (verdict,) = examiner.examine([("text", text)])
            fake, (count, used) = (
                examiner.machine_probability(verdict),
                examiner.token_counts(verdict.normalized),
            )
            return as_json(
                {
                    "all_tokens": count,
                    "used_tokens": used,
                    "real_probability": 1 - fake,
                    "fake_probability": fake,
                }
            )

        return Response(await worker.run(work, lambda: left(request)), media_type=JSON)

    return router


def only_json(request: Request) -> None:
    """Refuses another content type: a form of another site's page could send that without
    asking.
    """
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != JSON:
        raise RefusedError(415, 'Send JSON: Content-Type: application/json, {"texts": ["…"]}.')


def checked(question: Question, limits: Limits) -> list[tuple[str, str]]:
    """(id, text) of each text.

    Raises:
        RefusedError: too many, too long, or one that is empty.
    """
    if len(question.texts) > limits.texts:
        raise RefusedError(
            413,
            f"{len(question.texts):,} texts are more than the {limits.texts} that one request may"
            " hold; send several.",
        )
    pairs = [
        (str(i), one) if isinstance(one, str) else (str(i) if one.id is None else one.id, one.text)
        for i, one in enumerate(question.texts)
    ]
    check_length([(f"texts[{i}]", text) for i, (_, text) in enumerate(pairs)], limits)
    return pairs


def check_length(named: Sequence[tuple[str, str]], limits: Limits) -> None:
    """Each text within the limits, and all of them together.

    Raises:
        RefusedError: 400 for an empty one or half a character, 413 for too much.
    """
    for name, text in named:
        if not is_unicode(text):
            raise RefusedError(
                400,
                f"{name} holds half of a surrogate pair, which is no character; send whole ones.",
            )
        if not text.strip():
            raise RefusedError(400, f"{name} is empty: there is nothing to examine.")
        if len(text) > (most := limits.text_characters):
            raise RefusedError(
                413,
                f"{name} has {len(text):,} characters; at most {most:,} are examined. Send a part"
                " of it.",
            )
    if (total := sum(len(text) for _, text in named)) > limits.request_characters:
        raise RefusedError(
            413,
            f"These texts have {total:,} characters together; at most {limits.request_characters:,}"
            " fit in one request.",
        )


def is_unicode(text: str) -> bool:
    """Whether it can be written as UTF-8; JSON's escapes can spell halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def query_text(request: Request) -> str:
    """The whole query string, as the original demo reads it: `+` stays a plus.

    Raises:
        RefusedError: 400, not UTF-8.
    """
    try:
        return unquote(request.scope["query_string"].decode("ascii"), errors="strict")
    except UnicodeDecodeError:
        raise RefusedError(
            400, "The text after the question mark is not URL-encoded UTF-8."
        ) from None


def as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


async def left(request: Request) -> None:
    """Returns when the client has gone; a request's body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
