"""What Prometheus reads: counts that are right, names as its conventions want them, and labels that do not grow."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from langgraph_ratchet.serving.metrics import Metrics, Observation, observation
from langgraph_ratchet.serving.surroundings import Surroundings


def read(server: Any) -> dict[str, dict[tuple[str, ...], float]]:
    """Each sample's values, by its labels' values in the order of their names."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(server.http.get("/metrics").text):
        for sample in family.samples:
            labels = tuple(sample.labels[name] for name in sorted(sample.labels))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_requests_are_counted_by_route_status_and_model(serve: Callable[..., Any]) -> None:
    server = serve()
    for _ in range(3):
        assert server.chat().status_code == 200
    assert server.chat(model="nobody").status_code == 404
    assert server.chat(temperature=-1).status_code == 400
    assert server.http.get("/v1/models/scripted").status_code == 200
    for path in ("/wp-login.php", "/etc/passwd", "/v1/nothing"):
        assert server.http.get(path).status_code == 404
    metrics = read(server)
    requests = metrics["ratchet_http_requests_total"]
    assert requests["scripted", "/v1/chat/completions", "200"] == 3
    assert requests["unknown", "/v1/chat/completions", "404"] == 1
    assert requests["unknown", "unknown", "404"] == 3
    assert sum(count for labels, count in requests.items() if labels[1:] == ("/v1/models/{id:path}", "200")) == 1
    assert metrics["ratchet_http_request_duration_seconds_count"]["scripted", "/v1/chat/completions"] == 3
    assert metrics["ratchet_input_tokens_total"]["scripted",] == 9
    assert metrics["ratchet_output_tokens_total"]["scripted",] == 6


def test_streams_count_tokens_and_the_time_to_the_first(serve: Callable[..., Any]) -> None:
    server = serve()
    assert "[DONE]" in server.chat(stream=True, stream_options={"include_usage": True}).text
    deadline = time.monotonic() + 5
    while ("scripted",) not in (metrics := read(server)).get("ratchet_output_tokens_total", {}):
        # They are counted after the last byte was sent.
        assert time.monotonic() < deadline
    assert metrics["ratchet_output_tokens_total"]["scripted",] == 2
    assert metrics["ratchet_time_to_first_token_seconds_count"]["scripted",] == 1
    first = metrics["ratchet_time_to_first_token_seconds_sum"]["scripted",]
    assert 0 < first <= metrics["ratchet_http_request_duration_seconds_sum"]["scripted", "/v1/chat/completions"]


def test_open_streams_are_those_that_are_open(run: Callable[..., Any]) -> None:
    may_end = threading.Event()

    async def events(_request: Request) -> StreamingResponse:
        observation().model = "scripted"

        async def pieces() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            while not may_end.is_set():  # noqa: ASYNC110  # set from another thread
                await asyncio.sleep(0.005)

        return StreamingResponse(pieces(), media_type="text/event-stream; charset=utf-8")

    surroundings = Surroundings()
    routes = [Route("/events", events), *surroundings.routes()]
    server = run(Starlette(routes=routes, middleware=surroundings.middleware()), surroundings)
    with server.http.stream("GET", "/events") as response:
        pieces = response.iter_bytes()
        assert next(pieces)
        assert read(server)["ratchet_open_streams"] == {(): 1}
        may_end.set()
        assert not list(pieces)
    deadline = time.monotonic() + 5
    while read(server)["ratchet_open_streams"] != {(): 0}:
        assert time.monotonic() < deadline


def test_names_follow_the_conventions(serve: Callable[..., Any]) -> None:
    server = serve()
    server.chat()
    text = server.http.get("/metrics").text
    for family in text_string_to_metric_families(text):
        assert family.name.startswith("ratchet_")
        assert family.documentation
        if family.type == "counter":
            assert all(sample.name.endswith(("_total", "_created")) for sample in family.samples)
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


def test_models_beyond_the_bound_are_counted_together() -> None:
    metrics = Metrics()
    for number in range(130):
        observed = Observation()
        observed.model = f"model{number}"
        metrics.record("/v1/chat/completions", 200, observed, 0.0, 0.1)
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    counted = {sample.labels["model"] for sample in samples if sample.name == "ratchet_http_requests_total"}
    assert len(counted) == 101
    assert "unknown" in counted


@pytest.mark.parametrize(("version", "said"), [("m_0123", "m_0123"), (None, "base")])
def test_the_champion_is_said_as_it_is_when_asked(version: str | None, said: str) -> None:
    metrics = Metrics()
    metrics.champion(lambda: version)
    (sample,) = [
        sample for family in metrics.registry.collect() for sample in family.samples if "champion" in sample.name
    ]
    assert (sample.name, sample.labels, sample.value) == ("ratchet_champion_info", {"version": said}, 1)
