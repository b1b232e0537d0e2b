"""A completion through the proxy: asked, passed back, and told to the recorder."""

import time
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any, TypeVar

import httpx
import orjson
from starlette.requests import Request
from starlette.responses import Response

from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.serving.limits import Limits
from langgraph_ratchet.serving.metrics import observation
from langgraph_ratchet.serving.openai.errors import RequestError
from langgraph_ratchet.serving.openai.streaming import answered
from langgraph_ratchet.serving.proxy.adapters import PushedAdapters
from langgraph_ratchet.serving.proxy.exchange import Exchange
from langgraph_ratchet.serving.proxy.recording import ExchangeRecorder
from langgraph_ratchet.serving.proxy.relay import Passage, Relay, observe
from langgraph_ratchet.serving.proxy.token_ids import ask_for_ids, was_added, without
from langgraph_ratchet.serving.proxy.upstream import Upstream, returned_headers

R = TypeVar("R")

RUN_HEADER = "x-ratchet-run"
_RUN_NAME_CHARS = 200
_REFUSED = (400, 422)
"""How servers say that they do not know a field."""
_UNREACHABLE = "upstream_unreachable"
_MOST_MODELS = 1_000
"""Models of which it is remembered whether their server gives ids."""


class Completions:
    """The endpoints of the proxy. See `app.create_proxy` for the arguments."""

    def __init__(
        self,
        upstream: Upstream,
        limits: Limits,
        *,
        recorder: ExchangeRecorder | None,
        adapters: PushedAdapters | None,
    ) -> None:
        self._upstream = upstream
        self._limits = limits
        self._recorder = recorder
        self._adapters = adapters
        self._gives_ids: dict[str, bool] = {}

    async def chat(self, request: Request) -> Response:
        """`/v1/chat/completions`: passed on and recorded."""
        return await self._completion(request, recorder=self._recorder)

    async def text(self, request: Request) -> Response:
        """`/v1/completions`: passed on, with the adapter that was asked for."""
        return await self._completion(request, recorder=None)

    async def pass_on(self, request: Request) -> Response:
        """Any other path: passed on as it is."""
        answer = await self._until_gone(request, self._send(request, await request.body()))
        return Passage(answer, returned_headers(answer.headers))

    async def listed(self, request: Request) -> tuple[int, list[dict[str, Any]], Response]:
        """The server's models: status, their cards, and the whole answer as it came."""
        answer = await self._send(request, b"")
        content = await _read(answer)
        data = (_object(content) or {}).get("data")
        response = Response(content, answer.status_code, returned_headers(answer.headers))
        return answer.status_code, data if isinstance(data, list) else [], response

    async def _completion(self, request: Request, *, recorder: ExchangeRecorder | None) -> Response:
        raw = await request.body()
        body = _object(raw)
        if body is None:  # the server knows best what to say to it
            return await self.pass_on(request)
        with ExitStack() as held:
            version = None
            if self._adapters is not None and isinstance(body.get("model"), str):
                name, version = await self._adapters.name_for(body["model"])
                held.enter_context(self._adapters.in_use(name))
                raw, body = _named(name, raw, body)
            ended = _Ended(request, body, version, recorder)
            try:
                answer, added = await self._until_gone(request, self._ask(request, raw, body, recorder))
                if answer.is_success and "text/event-stream" in answer.headers.get("content-type", ""):
                    return self._streamed(answer, added, ended, held.pop_all())
                content = await self._until_gone(request, _read(answer))
            except RequestError as error:
                if error.code != _UNREACHABLE:  # then there was no call
                    ended.say({}, str(error))
                raise
            return self._whole(answer, content, added, ended)

    async def _until_gone(self, request: Request, work: Coroutine[Any, Any, R]) -> R:
        return await answered(request.receive, self._limits, work)

    async def _ask(
        self, request: Request, raw: bytes, body: dict[str, Any], recorder: ExchangeRecorder | None
    ) -> tuple[httpx.Response, frozenset[str]]:
        """The answer's head, and the fields that were added to the request to record it exactly."""
        model = str(body.get("model"))
        added = was_added(body) if recorder is not None and self._gives_ids.get(model, True) else frozenset()
        if not added:
            return await self._send(request, raw), added
        answer = await self._send(request, orjson.dumps(ask_for_ids(body)))
        if answer.status_code not in _REFUSED:
            return answer, added
        await answer.aclose()
        answer = await self._send(request, raw)
        if answer.is_success:
            self._learn(model, gives_ids=False)
        return answer, frozenset()

    def _streamed(self, answer: httpx.Response, added: frozenset[str], ended: "_Ended", held: ExitStack) -> Response:
        def on_end(completion: dict[str, Any], error: str | None) -> None:
            held.close()
            if added and error is None:
                self._learn(ended.model, gives_ids="prompt_token_ids" in completion)
            ended.say(completion, error)

        ended.observed_model()
        return Relay(answer, returned_headers(answer.headers), added=added, on_end=on_end)

    def _whole(self, answer: httpx.Response, content: bytes, added: frozenset[str], ended: "_Ended") -> Response:
        headers = returned_headers(answer.headers)
        completion = _object(content) if answer.is_success else None
        if completion is not None:
            ended.observed_model()
            observe(completion)
            ended.say(completion, None)
            if added:
                self._learn(ended.model, gives_ids=completion.get("prompt_token_ids") is not None)
                content = orjson.dumps(without(added, completion))
        return Response(content, answer.status_code, headers)

    def _learn(self, model: str, *, gives_ids: bool) -> None:
        if model in self._gives_ids or len(self._gives_ids) < _MOST_MODELS:
            self._gives_ids[model] = gives_ids

    async def _send(self, request: Request, body: bytes) -> httpx.Response:
        path = request.scope.get("raw_path", request.url.path.encode()).decode("ascii").partition("?")[0]
        if ".." in request.url.path.split("/"):
            raise RequestError(404, "there is nothing at this path")
        try:
            return await self._upstream.send(
                request.method, path, headers=request.headers.items(), query=request.url.query, body=body
            )
        except httpx.TransportError as error:
            raise _unreachable(self._upstream, error) from error
        except httpx.InvalidURL as error:
            raise RequestError(404, f"there is nothing at this path: {error}") from error


class _Ended:
    """What is told of a completion when it has ended: to the metrics and to the recorder."""

    def __init__(
        self, request: Request, body: dict[str, Any], version: ModelVersion | None, recorder: ExchangeRecorder | None
    ) -> None:
        self.model = str(body.get("model"))
        self._body = body
        self._version = version
        self._recorder = recorder
        self._run = request.headers.get(RUN_HEADER, "")[:_RUN_NAME_CHARS] or None
        self._started_at = time.time()
        self._began = time.perf_counter()

    def observed_model(self) -> None:
        """The server has this model."""
        observation().model = self.model

    def say(self, completion: dict[str, Any], error: str | None) -> None:
        """It has ended with this completion, and with `error` if that is not all of it."""
        if self._recorder is not None:
            seconds = time.perf_counter() - self._began
            self._recorder.record(
                Exchange(
                    body=self._body,
                    completion=completion,
                    started_at=self._started_at,
                    seconds=seconds,
                    error=error,
                    run=self._run,
                    version=self._version,
                )
            )


async def _read(answer: httpx.Response) -> bytes:
    try:
        return await answer.aread()
    except httpx.TransportError as error:
        message = f"the server broke off: {type(error).__name__}"
        raise RequestError(502, message, code="upstream_broke_off") from error
    finally:
        await answer.aclose()


def _named(name: str, raw: bytes, body: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """The request for the model called `name`; as the client wrote it where that is what it asks for."""
    if body["model"] == name:
        return raw, body
    body = {**body, "model": name}
    return orjson.dumps(body), body


def _unreachable(upstream: Upstream, error: httpx.TransportError) -> RequestError:
    if isinstance(error, httpx.ReadTimeout):
        return RequestError(504, f"the server at {upstream.url} did not answer in time", code="upstream_timeout")
    reason = type(error).__name__
    return RequestError(502, f"the server at {upstream.url} was not reached: {reason}", code=_UNREACHABLE)


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
