"""The JSON API: POST /api/detect, GET /api/health, the original demo's GET /openai-detector/."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Request, Response

from staged.web.examination import Examining, Wanted, asked, examine_batch
from staged.web.limits import Limits, RefusedError
from staged.web.schema import DEMO_PROBLEMS, PROBLEMS, Demo, Health, Question, Results
from staged.web.worker import Check, Worker

JSON = "application/json"


def routes(examiner: Examining, worker: Worker, limits: Limits) -> APIRouter:
    """The API's three routes."""
    router = APIRouter()
    _add_detect(router, examiner, worker, limits)

    @router.get("/api/health", response_model=Health, summary="Is it up, and with which detector")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "detector": examiner.name, "fpr": examiner.fpr}

    _add_demo(router, examiner, worker, limits)
    return router


def _add_detect(router: APIRouter, examiner: Examining, worker: Worker, limits: Limits) -> None:
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


def _add_demo(router: APIRouter, examiner: Examining, worker: Worker, limits: Limits) -> None:
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
            return as_json(demo_answer(examiner, text))

        return Response(await worker.run(work, lambda: left(request)), media_type=JSON)


def demo_answer(examiner: Examining, text: str) -> dict[str, Any]:
    """What the 2019 demo answers: who wrote the text, in probabilities, and how many tokens it has
    and how many were read.
    """
    (verdict,) = examiner.examine([("text", text)])
    fake = examiner.machine_probability(verdict)
    tokens, read = examiner.token_counts(verdict.normalized)
    return {
        "all_tokens": tokens,
        "used_tokens": read,
        "real_probability": 1 - fake,
        "fake_probability": fake,
    }


def only_json(request: Request) -> None:
    """Refuses another content type, which a form of another site's page could send unasked."""
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
        (str(i), entry)
        if isinstance(entry, str)
        else (str(i) if entry.id is None else entry.id, entry.text)
        for i, entry in enumerate(question.texts)
    ]
    check_length([(f"texts[{i}]", text) for i, (_, text) in enumerate(pairs)], limits)
    return pairs


def check_length(named: Sequence[tuple[str, str]], limits: Limits, *, blank: bool = False) -> None:
    """Each text within the limits, and all of them together.

    Args:
        blank: whether a text may be empty.

    Raises:
        RefusedError: 400 for an empty one or half a character, 413 for too much.
    """
    for name, text in named:
        if not is_unicode(text):
            raise RefusedError(
                400,
                f"{name} holds half of a surrogate pair, which is no character; send whole ones.",
            )
        if not (blank or text.strip()):
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
