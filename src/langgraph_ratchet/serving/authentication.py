"""Who may ask: a key on every request but those for health, as soon as there is a key."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from langgraph_ratchet.serving.keys import KeyFile
from langgraph_ratchet.serving.openai.errors import error_response

_CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Authentication:
    """Refuses requests without a valid key, whatever their path: also those that lead nowhere.

    Args:
        app: what is behind it.
        keys: the keys; once one exists, requests need one until the process ends, so that revoking the last key opens
            nothing.
        required: whether keys are needed even while there are none.
        open_paths: paths that anybody may ask for.
    """

    def __init__(self, app: ASGIApp, *, keys: KeyFile, required: bool, open_paths: Collection[str]) -> None:
        self._app = app
        self._keys = keys
        self._required = required
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on what may pass."""
        self._required = self._required or self._keys.exist()
        if scope["type"] == "lifespan" or not self._required or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
            return
        key = _bearer(Headers(scope=scope).get("authorization", ""))
        if key is not None and self._keys.accepts(key):
            await self._app(scope, receive, send)
            return
        said = "the API key is not valid" if key else "there is no API key"
        message = f"{said}: send one as 'Authorization: Bearer KEY'; whoever runs this server makes them"
        await error_response(401, message, headers=_CHALLENGE)(scope, receive, send)


def _bearer(header: str) -> str | None:
    scheme, _, key = header.partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key.strip() else None
