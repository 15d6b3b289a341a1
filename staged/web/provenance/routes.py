"""POST /api/verify and /api/report: where a text comes from. POST /detect: vLLM's contract of
watermark detection (examples/basic/online_serving/watermark_detection_server.py there).
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from staged.provenance.examination import Examination
from staged.provenance.opened import Opened
from staged.provenance.verify import Verifier
from staged.web.api import JSON, as_json, check_length, left, only_json
from staged.web.examination import Examining
from staged.web.limits import Limits, RefusedError
from staged.web.provenance.checker import Checker, opened_text
from staged.web.provenance.schema import MarkFound, SignedReport, TextToTest, TextToVerify, Verified
from staged.web.schema import PROBLEMS
from staged.web.upload import FORM
from staged.web.worker import Check, Worker

TAKES = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": TextToVerify.model_json_schema()},
            FORM: {
                "schema": {
                    "type": "object",
                    "properties": {
                        name: {"type": "string", "description": what}
                        for name, what in (
                            ("text", "A text."),
                            ("file", "Or a text, Word or PDF file."),
                            ("manifest", "The manifest beside it, FILE.c2pa."),
                        )
                    },
                }
            },
        },
    }
}
NO_REPORT = "This server has no key to sign reports with; start it with --key."
NO_KEYS = "This server knows no key that has marked anything; see staged keys list."


Opens = Callable[[Request], Awaitable[Opened]]  # what a form holds


def routes(
    examiner: Examining, checker: Checker, worker: Worker, limits: Limits, opened: Opens
) -> APIRouter:
    """The three routes.

    Args:
        opened: reads the page's form.
    """
    router = APIRouter()

    async def examined(request: Request) -> Examination:
        asked = await _asked(request, opened, limits)

        def work(still_wanted: Check) -> Examination:
            signature = checker.signature(asked)
            still_wanted()
            (verdict,) = examiner.examine([(asked.id, asked.text)])
            still_wanted()
            return checker.examine(asked, signature, verdict)

        return await worker.run(work, lambda: left(request))

    described: dict[str, Any] = {"responses": PROBLEMS, "openapi_extra": TAKES}

    @router.post(
        "/api/verify", response_model=Verified, summary="Where a text comes from", **described
    )
    async def verify(request: Request) -> Response:
        return Response(as_json((await examined(request)).row()), media_type=JSON)

    @router.post(
        "/api/report", response_model=SignedReport, summary="The same, signed", **described
    )
    async def report(request: Request) -> Response:
        if checker.signer is None:
            raise RefusedError(501, NO_REPORT)
        signed = checker.report(await examined(request))
        named = {"Content-Disposition": 'attachment; filename="report.json"'}
        return Response(signed, media_type=JSON, headers=named)

    _add_detect(router, checker, worker, limits)
    return router


def _add_detect(router: APIRouter, checker: Checker, worker: Worker, limits: Limits) -> None:
    @router.post(
        "/detect",
        response_model=MarkFound,
        responses=PROBLEMS,
        dependencies=[Depends(only_json)],
        summary="Whether a text is watermarked, as vLLM's detection server says it",
    )
    async def detect(request: Request, asked: TextToTest) -> Response:
        check_length([("text", asked.text)], limits)
        if not checker.verifier.candidates:
            raise RefusedError(501, NO_KEYS)

        def work(_: Check) -> bytes:
            return as_json(mark_found(checker.verifier, asked.text, open_to=checker.tells_p_values))

        return Response(await worker.run(work, lambda: left(request)), media_type=JSON)


def mark_found(verifier: Verifier, text: str, *, open_to: bool) -> dict[str, Any]:
    """vLLM's four fields.

    Args:
        open_to: whether whoever asks may know the numbers.
    """
    mark = verifier.watermark(text)
    told = {"score": mark.score or 0.0, "p_value": 1.0 if mark.p_value is None else mark.p_value}
    return {
        **(told if open_to else dict.fromkeys(told)),
        "num_scored_tokens": mark.tokens,
        "is_watermarked": mark.found,
    }


async def _asked(request: Request, opened: Opens, limits: Limits) -> Opened:
    """A text in JSON, or in a form as the page sends it."""
    if request.headers.get("content-type", "").lower().startswith(FORM):
        return await opened(request)
    only_json(request)
    try:
        body = TextToVerify.model_validate_json(await request.body())
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None
    check_length([("The text", body.text)], limits)
    return opened_text(body.text, given=body.id, manifest=_decoded(body.manifest))


def _decoded(manifest: str) -> bytes:
    """Base64, in lines or in one; empty where there is none.

    Raises:
        RefusedError: 422, something else.
    """
    try:
        return base64.b64decode("".join(manifest.split()), validate=True)
    except ValueError:
        raise RefusedError(422, "manifest: not the base64 of a file; see /docs.") from None
