"""`/v1/models`: what a server offers."""

from starlette.requests import Request
from starlette.responses import Response

from langgraph_ratchet.core.errors import UnknownNameError
from langgraph_ratchet.serving.catalogue import Catalogue, Served
from langgraph_ratchet.serving.limits import Limits
from langgraph_ratchet.serving.metrics import observation
from langgraph_ratchet.serving.openai.errors import RequestError
from langgraph_ratchet.serving.openai.responses import Body, dumps


async def list_models(_request: Request, catalogue: Catalogue, _limits: Limits) -> Response:
    """Every model that can be asked now."""
    models = [_model(served) for served in await catalogue.all()]
    return Response(dumps({"object": "list", "data": models}), media_type="application/json")


async def retrieve_model(request: Request, catalogue: Catalogue, _limits: Limits) -> Response:
    """One model."""
    served = await find(catalogue, request.path_params["id"])
    return Response(dumps(_model(served)), media_type="application/json")


async def find(catalogue: Catalogue, id_: str) -> Served:
    """The model with this id. Raises a `RequestError` (404) that lists those that there are."""
    try:
        served = await catalogue.find(id_)
    except UnknownNameError as error:
        raise RequestError(404, str(error), param="model", code="model_not_found") from None
    observation().model = served.id
    return served


def _model(served: Served) -> Body:
    return {"id": served.id, "object": "model", "created": served.created, "owned_by": "ratchet"}
