"""The MCP server over streamable HTTP, behind the keys and limits that `ratchet serve` has."""

import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.lowlevel import Server as McpServer
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from langgraph_ratchet.serving.openai.errors import ERROR_HANDLERS
from langgraph_ratchet.serving.server import Server
from langgraph_ratchet.serving.start import Place
from langgraph_ratchet.serving.surroundings import Surroundings

PATH = "/mcp"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class _Endpoint:
    """The one path of the protocol; a class, since Starlette takes a function for one of requests."""

    def __init__(self, sessions: StreamableHTTPSessionManager) -> None:
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (header := Headers(scope=scope).get("authorization")) is not None:
            # A session then belongs to the key that it was opened with: its id alone is of no use.
            who = hashlib.sha256(header.encode()).hexdigest()
            scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=who, scopes=[]))
        await self._sessions.handle_request(scope, receive, send)


def create_mcp_app(
    server: "McpServer[object, object]", surroundings: Surroundings, *, hosts: Collection[str]
) -> Starlette:
    """An application that serves `server` at `/mcp`, once: the sessions cannot be started again.

    Args:
        server: see `create_mcp_server`.
        surroundings: keys, limits, health, metrics.
        hosts: values of the `Host` header that are answered. A page that a browser has open can have its name point to
            this machine, and ask whatever listens here; the name then stands in this header, and the page's own in
            `Origin`. So both must be one of these.
    """
    sessions = StreamableHTTPSessionManager(
        server,
        security_settings=TransportSecuritySettings(
            allowed_hosts=list(hosts),
            allowed_origins=[f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts],
        ),
        max_request_body_size=surroundings.limits.body_bytes,
        max_sessions=surroundings.limits.running,
    )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with sessions.run():
            yield

    return Starlette(
        routes=[Route(PATH, _Endpoint(sessions)), *surroundings.routes()],
        middleware=surroundings.middleware(),
        exception_handlers=ERROR_HANDLERS,
        lifespan=lifespan,
    )


def answered_hosts(place: Place, further: Sequence[str] = ()) -> list[str]:
    """The names under which clients ask a server at `place`: this machine's own, where it listens, and `further` ones.

    A further name is taken as it stands (as from behind a proxy with a port of its own) and with the server's port.
    """
    bound, port = place.listener.getsockname()[:2]
    names = dict.fromkeys([*_LOOPBACK, f"[{bound}]" if ":" in bound else bound, *further])
    return [*(f"{name}:{port}" for name in names), *further]


def serve_mcp(
    server: "McpServer[object, object]", place: Place, *, hosts: Collection[str], on_ready: Callable[[], None]
) -> bool:
    """Serves until told to stop.

    Args:
        server: see `create_mcp_server`.
        place: where it listens, and for whom.
        hosts: see `create_mcp_app`.
        on_ready: called when requests are answered.

    Returns:
        Whether every request that had begun came to its end.
    """
    surroundings = place.surroundings(lambda: None, held_paths=(PATH,))
    app = create_mcp_app(server, surroundings, hosts=hosts)

    async def nothing() -> None:
        pass

    return Server(
        app, place.listener, limits=place.limits, drain=surroundings.drain, load=nothing, on_ready=on_ready
    ).run_until_stopped()
