"""The web application: a page for people, an API for programs, one examiner behind both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.telemetry import TelemetryConfig
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

import staged
from staged.web import api, pages
from staged.web.completions import objects
from staged.web.examination import Examining, examine_text
from staged.web.guard import Guard
from staged.web.limits import Limits, RefusedError
from staged.web.upload import Opener
from staged.web.worker import Check, Worker, waited

if TYPE_CHECKING:  # which imports a model's library
    from staged.web.completions.generator import Generator

STATIC = Path(__file__).parent / "static"
FORM = "multipart/form-data"


def create_app(
    examiner: Examining, limits: Limits | None = None, *, generator: Generator | None = None
) -> FastAPI:
    """The application for an ASGI server.

    Args:
        examiner: called from one thread only.
        limits: by default those of `Limits`.
        generator: a model that writes for whoever asks, called from the same thread.
    """
    limits = limits or Limits()
    worker = Worker(limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        worker.stop()

    # telemetry would carry query strings, and so texts
    no_telemetry = TelemetryConfig(tracing=False, metrics=False, logs=False)
    app = FastAPI(
        title="staged",
        version=staged.__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        telemetry=no_telemetry,
    )
    app.add_middleware(
        Guard, limits=limits, respond=lambda scope, refusal: refuse(scope, refusal, limits)
    )
    app.include_router(api.routes(examiner, worker, limits))
    if generator is not None:
        from staged.web.completions.routes import routes

        app.include_router(routes(generator, worker, limits))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    _add_errors(app, limits)
    _add_pages(app, examiner, worker, limits)
    return app


def _add_pages(app: FastAPI, examiner: Examining, worker: Worker, limits: Limits) -> None:
    opener = Opener()

    @app.get("/", include_in_schema=False)
    async def show(request: Request) -> HTMLResponse:
        return HTMLResponse(pages.page(root=root_of(request.scope), limits=limits))

    @app.post("/", include_in_schema=False)
    async def examine(request: Request) -> HTMLResponse:
        return await _examined(request, opener, examiner, worker, limits)

    @app.get("/docs", include_in_schema=False)
    async def reference(request: Request) -> HTMLResponse:
        root, address = root_of(request.scope), str(request.base_url)
        return HTMLResponse(pages.reference(root=root, address=address, schema=app.openapi()))


async def _examined(
    request: Request, opener: Opener, examiner: Examining, worker: Worker, limits: Limits
) -> HTMLResponse:
    """The page with what is said of the form's text or file."""
    text, name, data = await read_form(request)
    left_out: tuple[str, ...] = ()
    if data:
        advice = "other files are being opened: try again, or paste the text"
        opened = await waited(
            opener.open(name, data), lambda: api.left(request), limits.answer_s, advice=advice
        )
        text, left_out = opened.text, opened.left_out
    root = root_of(request.scope)
    try:
        _check_text(text, limits)
    except RefusedError as refusal:
        if data or not wants_page(request.scope):
            raise
        # with the text, so that it can be shortened in its place
        page = pages.page(root=root, limits=limits, text=text, error=str(refusal))
        return HTMLResponse(page, refusal.status)

    def work(still_wanted: Check) -> str:
        found = pages.found(examine_text(examiner, text, still_wanted), limits)
        shown = {"text": text, "source": name if data else "", "left_out": left_out}
        return pages.page(root=root, limits=limits, found=found, **shown)

    return HTMLResponse(await worker.run(work, lambda: api.left(request)))


def _check_text(text: str, limits: Limits) -> None:
    if not text.strip():
        raise RefusedError(400, "There is no text to examine: paste one, or choose a file.")
    api.check_length([("This text", text)], limits)


async def read_form(request: Request) -> tuple[str, str, bytes]:
    """(text, file name, file bytes) of the page's form, in memory from end to end.

    Raises:
        RefusedError: 415 for another content type, 400 for a damaged form or a text that is not
            UTF-8.
    """
    _check_content_type(request)
    body = await request.body()
    parser = MultiPartParser(
        request.headers, request.stream(), max_files=1, max_fields=4, max_part_size=len(body) + 1
    )
    parser.spool_max_size = len(body) + 1  # else a file above 1 MiB would go to disk
    try:
        form = await parser.parse()
    except MultiPartException:
        raise RefusedError(400, "The form arrived damaged; send it again.") from None
    text, file = form.get("text", ""), form.get("file")
    if not isinstance(text, str):
        raise RefusedError(400, "The form's text arrived as a file; send it again.")
    if text.encode("utf-8", "replace") not in body:  # the parser reads what is not UTF-8 as Latin-1
        raise RefusedError(400, "The text is not UTF-8; encode it as UTF-8, or choose a file.")
    if not isinstance(file, UploadFile):
        return text, "", b""
    try:
        return text, file.filename or "", await file.read()
    finally:
        await file.close()


def _check_content_type(request: Request) -> None:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if (
        kind.decode("latin-1").lower() != FORM
        or options.get(b"charset", b"utf-8").lower() != b"utf-8"
    ):
        raise RefusedError(
            415,
            f"The page's form is sent as {FORM} in UTF-8; programs should use POST /api/detect.",
        )


def _add_errors(app: FastAPI, limits: Limits) -> None:
    @app.exception_handler(RefusedError)
    async def refused(request: Request, refusal: RefusedError) -> Response:
        return refuse(request.scope, refusal, limits)

    @app.exception_handler(RequestValidationError)
    async def wrong(request: Request, error: RequestValidationError) -> Response:
        status = 400 if is_openai(request.scope) else 422
        return refuse(request.scope, RefusedError(status, sentence_of(error.errors())), limits)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        known = {
            404: "There is nothing at this address.",
            405: "This address does not answer that kind of request.",
        }
        if isinstance(error.__cause__, UnicodeDecodeError):
            known[400] = "The request is not UTF-8; encode its text as UTF-8."
        sentence = known.get(error.status_code, str(error.detail))
        return refuse(
            request.scope, RefusedError(error.status_code, sentence, error.headers), limits
        )


def sentence_of(problems: Sequence[Any]) -> str:
    """The most exact of the things that are wrong with a request's JSON, without quoting it."""
    first = max(problems, key=lambda problem: len(problem["loc"]))
    place = ".".join(str(part) for part in first["loc"] if part not in ("body", "str", "Text"))
    if first["type"] == "json_invalid":
        return f"The request is not valid JSON (at character {first['loc'][-1]})."
    return f"{place or 'The request'}: {first['msg']}; see /docs."


def refuse(scope: Scope, refusal: RefusedError, limits: Limits) -> Response:
    """A refusal as a page for whoever asks for HTML, else as {"error"}, in OpenAI's form where its
    protocol is spoken.
    """
    if wants_page(scope):
        body = pages.page(root=root_of(scope), limits=limits, error=str(refusal))
        return HTMLResponse(body, refusal.status, refusal.headers)
    said = objects.error(refusal) if is_openai(scope) else {"error": str(refusal)}
    return JSONResponse(said, refusal.status, refusal.headers)


def wants_page(scope: Scope) -> bool:
    """Whether a person's browser asks, at an address that is not a program's."""
    return "text/html" in Headers(scope=scope).get("accept", "") and not path_of(scope).startswith(
        ("/api/", "/openai-detector", "/v1/")
    )


def is_openai(scope: Scope) -> bool:
    """Whether OpenAI's protocol is spoken at this address."""
    return path_of(scope).startswith("/v1/")


def path_of(scope: Scope) -> str:
    """The address as it is without a proxy."""
    return str(scope["path"]).removeprefix(root_of(scope))


def root_of(scope: Scope) -> str:
    """The path that a proxy puts before ours, without its last slash."""
    return str(scope.get("root_path", "")).rstrip("/")
