"""`/health`: the process lives. `/ready`: it answers requests, which a load balancer asks before it sends any."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from langgraph_ratchet.serving.drain import Drain

HEALTH, READY = "/health", "/ready"


def health_routes(drain: Drain, unready: Callable[[], str | None]) -> list[Route]:
    """The two routes, which need no key.

    Args:
        drain: once it has begun, the server is not ready.
        unready: why requests would not be answered yet; `None` when they would.
    """

    async def health(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def ready(_request: Request) -> JSONResponse:
        reason = "draining" if drain.begun else unready()
        return JSONResponse({"status": reason or "ready"}, 503 if reason else 200)

    return [Route(HEALTH, health), Route(READY, ready)]
