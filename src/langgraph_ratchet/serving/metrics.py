"""What Prometheus is told: requests, latencies, tokens, open streams, the engine's load, and who is champion.

Labels are bounded: a path that is no route, and a model that nobody serves, are counted as `unknown`.
"""

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METRICS = "/metrics"

_UNKNOWN = "unknown"
_MOST_MODELS = 100
"""Names of models that are told apart; further ones are `unknown`."""
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Observation:
    """What the application says of the request that it answers; see `observation`."""

    def __init__(self) -> None:
        self.model: str | None = None
        """Name of the served model that was asked for; `None` while none was found."""
        self.input_tokens = 0
        self.output_tokens = 0
        self.first_token_at: float | None = None
        """Clock time (`time.perf_counter`) of the first token of a stream."""

    def usage(self, usage: Mapping[str, Any] | None) -> None:
        """Takes the tokens from OpenAI's `usage`; `None` when they are not known."""
        if usage is not None:
            self.input_tokens, self.output_tokens = usage["prompt_tokens"], usage["completion_tokens"]

    def first_token(self) -> None:
        """Says that a token has been produced; only the first time counts."""
        self.first_token_at = self.first_token_at or time.perf_counter()


_observation: ContextVar[Observation] = ContextVar("ratchet_observation")


def observation() -> Observation:
    """The observation of the request that is being answered, to be filled; one that nobody reads without metrics."""
    return _observation.get(None) or Observation()


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self._requests = Counter("ratchet_http_requests", "Requests.", ["route", "status", "model"], registry=own)
        self._seconds = Histogram(
            "ratchet_http_request_duration_seconds",
            "From a request's headers to the last byte of its answer.",
            ["route", "model"],
            buckets=_SECONDS,
            registry=own,
        )
        self._first_token = Histogram(
            "ratchet_time_to_first_token_seconds", "Of streams.", ["model"], buckets=_SECONDS, registry=own
        )
        self._input = Counter("ratchet_input_tokens", "Tokens of prompts.", ["model"], registry=own)
        self._output = Counter("ratchet_output_tokens", "Tokens of replies.", ["model"], registry=own)
        self.streams = Gauge("ratchet_open_streams", "Streams that have begun and not ended.", registry=own)
        self._models: set[str] = set()

    def gauge(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Adds a gauge that is read when Prometheus asks."""
        Gauge(f"ratchet_{name}", what, registry=self.registry).set_function(value)

    def counter(self, name: str, what: str) -> Counter:
        """Adds a counter."""
        return Counter(f"ratchet_{name}", what, registry=self.registry)

    def champion(self, version: Callable[[], str | None]) -> None:
        """Adds `ratchet_champion_info`, whose label says which version the champion is, read when Prometheus asks."""
        self.registry.register(_Champion(version))

    def route(self) -> Route:
        """`/metrics`, in the text format of Prometheus."""

        async def metrics(_request: Request) -> Response:
            return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

        return Route(METRICS, metrics)

    def record(self, route: str, status: int, observed: Observation, began: float, seconds: float) -> None:
        """Counts a request that has ended. `began` is its clock time (`time.perf_counter`)."""
        model = self._label(observed.model)
        self._requests.labels(route, str(status), model).inc()
        self._seconds.labels(route, model).observe(seconds)
        self._input.labels(model).inc(observed.input_tokens)
        self._output.labels(model).inc(observed.output_tokens)
        if observed.first_token_at is not None:
            self._first_token.labels(model).observe(observed.first_token_at - began)

    def _label(self, model: str | None) -> str:
        if model is None or (model not in self._models and len(self._models) >= _MOST_MODELS):
            return _UNKNOWN
        self._models.add(model)
        return model


class _Champion(Collector):
    def __init__(self, version: Callable[[], str | None]) -> None:
        self._version = version

    def collect(self) -> list[InfoMetricFamily]:
        said = {"version": self._version() or "base"}
        return [InfoMetricFamily("ratchet_champion", "The version that `champion` stands for.", value=said)]


class Measured:
    """Counts every request that passes, whatever becomes of it."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        observed = Observation()
        _observation.set(observed)  # each request has a context of its own
        began = time.perf_counter()
        status = 500  # what the server answers with when the application raises
        is_stream = False

        async def watched(message: Message) -> None:
            nonlocal status, is_stream
            if message["type"] == "http.response.start":
                status = message["status"]
                is_stream = (b"content-type", b"text/event-stream") in {
                    (name.lower(), value.partition(b";")[0]) for name, value in message["headers"]
                }
                self._metrics.streams.inc(is_stream)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.streams.dec(is_stream)
            seconds = time.perf_counter() - began
            self._metrics.record(_route(scope), status, observed, began, seconds)


def _route(scope: Scope) -> str:
    """The route's path, with its parameters' names instead of their values."""
    routes: list[BaseRoute] = scope["app"].routes if "app" in scope else []
    for route in routes:
        if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE:
            return route.path
    return _UNKNOWN
