"""The application behind `ratchet serve --upstream` and `--engine vllm:URL`.

What the server behind it answers goes back as it is, errors too. Recording, and asking for token ids on the way, never
changes what a client gets; when a server refuses to be asked for ids, the request is sent again as the client wrote it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import StatelessLifespan

from langgraph_ratchet.registry.registry import CHAMPION
from langgraph_ratchet.serving.openai.errors import ERROR_HANDLERS
from langgraph_ratchet.serving.proxy.adapters import PushedAdapters
from langgraph_ratchet.serving.proxy.completions import Completions
from langgraph_ratchet.serving.proxy.recording import ExchangeRecorder
from langgraph_ratchet.serving.proxy.upstream import Upstream
from langgraph_ratchet.serving.surroundings import Surroundings

_ALL = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def create_proxy(
    upstream: Upstream,
    surroundings: Surroundings,
    *,
    recorder: ExchangeRecorder | None = None,
    adapters: PushedAdapters | None = None,
) -> Starlette:
    """An ASGI application that answers with what `upstream` answers.

    Args:
        upstream: the server that generates; closed when the application ends.
        surroundings: keys, limits, metrics and health.
        recorder: keeps every chat completion; closed when the application ends. `None` records nothing.
        adapters: the registry's, pushed to `upstream`, which is a vLLM server then; only models and completions are
            passed on to it, since the rest of its API changes what it serves. `None` passes every path under `/v1` on.
    """
    completions = Completions(upstream, surroundings.limits, recorder=recorder, adapters=adapters)
    metrics = surroundings.metrics
    if recorder is not None:
        metrics.gauge("recording_lost", "Runs and exchanges that could not be recorded.", lambda: recorder.lost)
    if adapters is not None:
        metrics.champion(lambda: adapters.champion)
    return Starlette(
        routes=[*surroundings.routes(), *_routes(completions, adapters)],
        middleware=surroundings.middleware(),
        exception_handlers=ERROR_HANDLERS,
        lifespan=_lifespan(upstream, recorder, adapters),
    )


def _routes(completions: Completions, adapters: PushedAdapters | None) -> list[Route]:
    chat = Route("/v1/chat/completions", completions.chat, methods=["POST"])
    if adapters is None:
        return [chat, Route("/v1/{path:path}", completions.pass_on, methods=_ALL)]
    pushed = adapters

    async def models(request: Request) -> Response:
        return await _models(completions, pushed, request)

    return [
        chat,
        Route("/v1/completions", completions.text, methods=["POST"]),
        Route("/v1/models", models, methods=["GET"]),
    ]


async def _models(completions: Completions, adapters: PushedAdapters, request: Request) -> Response:
    """The server's own list, and what the registry adds to it."""
    status, listed, response = await completions.listed(request)
    if status != 200:
        return response
    known = {card.get("id") for card in listed}
    ids = [CHAMPION, *await asyncio.to_thread(adapters.versions)]
    ours = [{"id": id_, "object": "model", "created": 0, "owned_by": "ratchet"} for id_ in ids if id_ not in known]
    return JSONResponse({"object": "list", "data": [*listed, *ours]})


def _lifespan(
    upstream: Upstream, recorder: ExchangeRecorder | None, adapters: PushedAdapters | None
) -> StatelessLifespan[Starlette]:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(upstream)
            if adapters is not None:
                await stack.enter_async_context(adapters.watching())
            if recorder is not None:
                stack.push_async_callback(asyncio.to_thread, recorder.close)
            yield

    return lifespan
