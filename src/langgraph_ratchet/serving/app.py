"""The server's application: its routes, and what every request passes on the way to them."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import StatelessLifespan

from langgraph_ratchet.serving.catalogue import Catalogue
from langgraph_ratchet.serving.limits import Limits
from langgraph_ratchet.serving.openai.errors import ERROR_HANDLERS
from langgraph_ratchet.serving.openai.routes import openai_routes


def create_app(
    catalogue: Catalogue,
    *,
    limits: Limits | None = None,
    routes: Sequence[BaseRoute] = (),
    middleware: Sequence[Middleware] = (),
    lifespan: StatelessLifespan[Starlette] | None = None,
) -> Starlette:
    """An ASGI application that serves a catalogue of models as OpenAI does.

    Args:
        catalogue: the models, by the ids that clients ask for.
        limits: of each request.
        routes: further ones, beside OpenAI's.
        middleware: what requests pass first, outermost first; pure ASGI, so that streams flow through it.
        lifespan: what is to run from the server's start to its end.
    """
    return Starlette(
        routes=[*openai_routes(catalogue, limits or Limits()), *routes],
        middleware=list(middleware),
        exception_handlers=ERROR_HANDLERS,
        lifespan=lifespan,
    )
