"""POST /v1/completions, GET /v1/models."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import JSONResponse, StreamingResponse

from staged.samples.writers.contract import SampleSettings
from staged.web.api import as_json, left, only_json
from staged.web.completions import objects
from staged.web.completions.generator import Generator, Written
from staged.web.completions.request import Completion
from staged.web.limits import Limits, RefusedError
from staged.web.worker import Check, Worker, waited

ADVICE = "ask for fewer tokens, or fewer texts at once"
EVENTS = "text/event-stream"


def routes(generator: Generator, worker: Worker, limits: Limits) -> APIRouter:
    """The completions route and the list of models."""
    router = APIRouter(prefix="/v1")
    _add_models(router, generator)

    @router.post(
        "/completions", dependencies=[Depends(only_json)], summary="Text, by OpenAI's protocol"
    )
    async def complete(request: Request, asked: Completion) -> Response:
        settings = generator.settings(asked, limits)
        head = objects.Head(generator.name)
        headers = generator.marks.headers if generator.marks else {}
        if asked.stream:
            counts = asked.stream_options is not None and asked.stream_options.include_usage
            work = _streamed(generator, settings, head, counts=counts)
            events = worker.stream(work, limits.generate_s)
            return await _begun(events, request, limits, headers)

        def work_whole(still_wanted: Check) -> bytes:
            written = generator.write(settings, lambda *_: None, still_wanted)
            choices = [objects.ended(i, row, row["text"]) for i, row in enumerate(written.rows)]
            told = _provenance(generator, written)
            return as_json(head.object(choices, usage=objects.usage(written), **told))

        body = await worker.run(
            work_whole, lambda: left(request), seconds=limits.generate_s, advice=ADVICE
        )
        return Response(body, media_type="application/json", headers=headers)

    return router


def _add_models(router: APIRouter, generator: Generator) -> None:
    described = objects.model(generator, int(time.time()))

    @router.get("/models", summary="The model that writes")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [described]}

    @router.get("/models/{name:path}", summary="The same by its name")
    async def model(name: str) -> Response:
        if name != generator.name:
            raise RefusedError(404, f"model: there is none of that name; this is {generator.name}.")
        return JSONResponse(described)


def _streamed(
    generator: Generator, settings: SampleSettings, head: objects.Head, *, counts: bool
) -> Callable[[Check, Callable[[bytes], None]], None]:
    """Work that gives an event for each piece of text, then one for each text's end."""

    def work(still_wanted: Check, give: Callable[[bytes], None]) -> None:
        def write(sample: int, text: str) -> None:
            give(objects.event(head.object([objects.choice(sample, text)])))

        written = generator.write(settings, write, still_wanted)
        ends = [head.object([objects.ended(i, row, "")]) for i, row in enumerate(written.rows)]
        last = {"usage": objects.usage(written)} if counts else {}
        if last := last | _provenance(generator, written):
            ends.append(head.object([], **last))
        for end in (*map(objects.event, ends), objects.DONE):
            give(end)

    return work


def _provenance(generator: Generator, written: Written) -> dict[str, Any]:
    """What an answer says of its marks; nothing where there are none."""
    told = generator.marks.told(written.manifests) if generator.marks else {}
    return {"provenance": told} if told else {}


async def _begun(
    events: AsyncIterator[bytes], request: Request, limits: Limits, headers: Mapping[str, str]
) -> Response:
    """An answer that is on its way; what is wrong before its first event gets a status."""
    first = await waited(anext(events), lambda: left(request), limits.generate_s, advice=ADVICE)
    return StreamingResponse(_told(first, events), media_type=EVENTS, headers=headers)


async def _told(first: bytes, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The events; where something goes wrong between two of them, an error in place of `[DONE]`."""
    yield first
    try:
        async for event in events:
            yield event
    except RefusedError as refusal:
        yield objects.event(objects.error(refusal))
    except Exception:
        wrong = RefusedError(500, "Something went wrong in the server, and nothing was kept.")
        yield objects.event(objects.error(wrong))
        raise  # the guard logs its type and place
