"""OpenAI's routes over a catalogue, with every error in OpenAI's shape."""

from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from langgraph_ratchet.serving.catalogue import Catalogue
from langgraph_ratchet.serving.limits import Limits
from langgraph_ratchet.serving.openai.chat import chat_completions
from langgraph_ratchet.serving.openai.completions import completions
from langgraph_ratchet.serving.openai.errors import RequestError, request_error
from langgraph_ratchet.serving.openai.models import list_models, retrieve_model

Handler = Callable[[Request, Catalogue, Limits], Awaitable[Response]]


def openai_routes(catalogue: Catalogue, limits: Limits) -> list[Route]:
    """The routes, for a Starlette application."""

    def route(path: str, handler: Handler, method: str) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                return await handler(request, catalogue, limits)
            except ClientDisconnect:
                return RequestError(499, "the client has gone").response
            except Exception as error:
                return request_error(error).response

        return Route(path, endpoint, methods=[method])

    return [
        route("/v1/models", list_models, "GET"),
        route("/v1/models/{id:path}", retrieve_model, "GET"),
        route("/v1/chat/completions", chat_completions, "POST"),
        route("/v1/completions", completions, "POST"),
    ]
