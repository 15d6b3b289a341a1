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
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

import staged
from staged.web import api, pages
from staged.web.completions import objects
from staged.web.examination import Examining, examine_text
from staged.web.guard import Guard
from staged.web.limits import Limits, RefusedError
from staged.web.upload import Form, Opener, read_form
from staged.web.worker import Check, Worker, waited

if TYPE_CHECKING:  # which imports a model's library
    from staged.web.completions.generator import Generator
    from staged.web.provenance.checker import Checker

STATIC = Path(__file__).parent / "static"


def create_app(
    examiner: Examining,
    limits: Limits | None = None,
    *,
    checker: Checker | None = None,
    generator: Generator | None = None,
) -> FastAPI:
    """The application for an ASGI server.

    Args:
        examiner: called from one thread only.
        limits: by default those of `Limits`.
        checker: checks signatures and watermarks; None shows what the examiner says alone.
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
    opener = Opener()
    if checker is not None:
        _add_provenance(app, examiner, checker, worker, limits, opener)
    if generator is not None:
        from staged.web.completions.routes import routes

        app.include_router(routes(generator, worker, limits))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    _add_errors(app, limits)
    _add_pages(app, examiner, checker, worker, limits, opener)
    return app


def _add_pages(
    app: FastAPI,
    examiner: Examining,
    checker: Checker | None,
    worker: Worker,
    limits: Limits,
    opener: Opener,
) -> None:
    @app.get("/", include_in_schema=False)
    async def show(request: Request) -> HTMLResponse:
        verifies = checker is not None
        return HTMLResponse(
            pages.page(root=root_of(request.scope), limits=limits, verifies=verifies)
        )

    @app.post("/", include_in_schema=False)
    async def examine(request: Request) -> HTMLResponse:
        form = await read_form(request)
        text, left_out = await _text_of(form, request, opener, limits)
        shown = {"text": text, "verifies": checker is not None}
        try:
            _check_text(text, limits)
        except RefusedError as refusal:
            if form.data or not wants_page(request.scope):
                raise
            # with the text, so that it can be shortened in its place
            page = pages.page(
                root=root_of(request.scope), limits=limits, error=str(refusal), **shown
            )
            return HTMLResponse(page, refusal.status)
        shown |= {"source": form.name if form.data else "", "left_out": left_out}

        def work(still_wanted: Check) -> str:
            seen = _seen(examiner, checker, text, form, still_wanted, limits)
            return pages.page(root=root_of(request.scope), limits=limits, **seen, **shown)

        return HTMLResponse(await worker.run(work, lambda: api.left(request)))

    @app.get("/docs", include_in_schema=False)
    async def reference(request: Request) -> HTMLResponse:
        root, address = root_of(request.scope), str(request.base_url)
        return HTMLResponse(pages.reference(root=root, address=address, schema=app.openapi()))


def _add_provenance(
    app: FastAPI,
    examiner: Examining,
    checker: Checker,
    worker: Worker,
    limits: Limits,
    opener: Opener,
) -> None:
    from staged.provenance.opened import Opened
    from staged.web.provenance.checker import opened_text
    from staged.web.provenance.routes import routes

    async def opened(request: Request) -> Opened:
        form = await read_form(request)
        text, _ = await _text_of(form, request, opener, limits)
        _check_text(text, limits)
        return opened_text(text, name=form.name, data=form.data, manifest=form.manifest)

    app.include_router(routes(examiner, checker, worker, limits, opened))


def _seen(
    examiner: Examining,
    checker: Checker | None,
    text: str,
    form: Form,
    still_wanted: Check,
    limits: Limits,
) -> dict[str, Any]:
    """What the page shows of a text: where it comes from, and the detector's whole verdict."""
    if checker is None:
        return {"found": pages.found(examine_text(examiner, text, still_wanted), limits)}
    from staged.web.provenance.checker import opened_text
    from staged.web.provenance.shown import origin

    opened = opened_text(text, name=form.name, data=form.data, manifest=form.manifest)
    signature = checker.signature(opened)
    still_wanted()
    seen = examine_text(examiner, opened.text, still_wanted)
    examination = checker.examine(opened, signature, seen.verdict)
    shown = origin(examination, checker.report(examination))
    return {"found": pages.found(seen, limits), "origin": shown}


async def _text_of(
    form: Form, request: Request, opener: Opener, limits: Limits
) -> tuple[str, tuple[str, ...]]:
    """(the form's text, or its file's; what of the file is not read)."""
    if not form.data:
        return form.text, ()
    advice = "other files are being opened: try again, or paste the text"
    opened = await waited(
        opener.open(form.name, form.data),
        lambda: api.left(request),
        limits.answer_s,
        advice=advice,
    )
    return opened.text, opened.left_out


def _check_text(text: str, limits: Limits) -> None:
    if not text.strip():
        raise RefusedError(400, "There is no text to examine: paste one, or choose a file.")
    api.check_length([("This text", text)], limits)


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
        ("/api/", "/openai-detector", "/v1/", "/detect")
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
