"""What happens while an answer is on its way: readers that leave, read slowly or wait, and errors halfway."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langgraph_ratchet.core.errors import GenerationError
from langgraph_ratchet.serving.app import create_app
from langgraph_ratchet.serving.catalogue import Catalogue
from langgraph_ratchet.serving.limits import Limits
from langgraph_ratchet.serving.openai import streaming

USER = [{"role": "user", "content": "x"}]


class Endless(BaseChatModel):
    """A model that writes until it is stopped, and counts what it wrote and how often it was stopped."""

    text: str = "word "
    pause: float = 0.005
    """Seconds between two chunks, and before the first."""
    fails_after: int | None = None
    """Chunks, over all streams; `None` for never."""
    written: int = 0
    running: int = 0
    stopped: int = 0

    @property
    def _llm_type(self) -> str:
        return "endless"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        chunks = [chunk async for chunk in self._astream(messages)]
        return ChatResult(generations=[ChatGeneration(message=AIMessage("".join(chunk.text for chunk in chunks)))])

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        self.running += 1
        try:
            while self.fails_after is None or self.written < self.fails_after:
                await asyncio.sleep(self.pause)
                self.written += 1
                yield ChatGenerationChunk(message=AIMessageChunk(content=self.text))
            raise GenerationError("out of memory halfway")
        except (asyncio.CancelledError, GeneratorExit):
            self.stopped += 1
            raise
        finally:
            self.running -= 1


def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


Serve = Callable[..., Any]


@pytest.fixture
def serve(serving: Any) -> Iterator[Serve]:
    """Serves a model under the id `endless`, and another one as `other`, within limits."""
    open_servers = []

    def start(model: BaseChatModel, other: BaseChatModel | None = None, **limits: Any) -> Any:
        models = {"endless": model} | ({"other": other} if other else {})
        context = serving(create_app(Catalogue(models, reasoner=False), limits=Limits(**limits)))
        open_servers.append(context)
        return context.__enter__()

    yield start
    for context in open_servers:
        context.__exit__(None, None, None)


@pytest.mark.parametrize("n", [1, 3])
def test_a_stream_whose_reader_leaves_is_cancelled(serve: Serve, n: int) -> None:
    model = Endless()
    server = serve(model)
    with server.chat(model="endless", stream=True, n=n) as stream:
        next(iter(stream))
        assert model.running == n
    until(lambda: model.running == 0)
    assert model.stopped == n


def test_an_answer_whose_client_leaves_is_cancelled(serve: Serve) -> None:
    model = Endless()
    server = serve(model)
    with pytest.raises(openai.APITimeoutError):
        server.chat(model="endless", timeout=0.2)
    until(lambda: model.running == 0)
    assert model.stopped == 1


def test_a_client_that_leaves_before_its_stream_begins(serve: Serve) -> None:
    model = Endless(pause=60)
    server = serve(model)
    with pytest.raises(openai.APITimeoutError):
        server.chat(model="endless", stream=True, timeout=0.2)
    until(lambda: model.running == 0)
    assert (model.stopped, model.written) == (1, 0)


def test_an_answer_that_takes_too_long(serve: Serve) -> None:
    model = Endless()
    server = serve(model, answer_seconds=0.2)
    with pytest.raises(openai.InternalServerError, match="longer than 0.2 s") as error:
        server.chat(model="endless")
    assert (error.value.status_code, error.value.code) == (503, "timeout")
    with pytest.raises(openai.APIError, match="longer than 0.2 s"):
        list(server.chat(model="endless", stream=True))
    assert (model.running, model.stopped) == (0, 2)


def test_what_fails_halfway_is_the_last_event(serve: Serve) -> None:
    server = serve(Endless(fails_after=3, pause=0))
    shown = []
    with pytest.raises(openai.APIError, match="out of memory halfway"):
        shown.extend(server.chat(model="endless", stream=True))
    assert [chunk.choices[0].delta.content for chunk in shown] == ["", "word ", "word ", "word "]
    raw = server.post("/chat/completions", json={"model": "endless", "messages": USER, "stream": True})
    assert "[DONE]" not in raw.text


@pytest.mark.parametrize("n", [1, 2])
def test_what_fails_first_has_a_status(serve: Serve, n: int) -> None:
    server = serve(Endless(fails_after=0))
    with pytest.raises(openai.InternalServerError, match="out of memory") as error:
        server.chat(model="endless", stream=True, n=n)
    assert error.value.status_code == 503


def test_silence_is_broken_by_comments_that_clients_pass_over(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "_HEARTBEAT_SECONDS", 0.05)
    server = serve(Endless(pause=0.3, fails_after=2))
    given = {"model": "endless", "messages": USER, "stream": True}
    with server.http.stream("POST", "/chat/completions", json=given) as answer:
        events = list(answer.iter_lines())
    assert events[0] == ": still here"
    assert events.count(": still here") >= 4
    with pytest.raises(openai.APIError, match="halfway"):
        list(server.chat(model="endless", stream=True))


def slow_reader(server: Any, n: int = 1) -> socket.socket:
    """A client that has asked for a stream and does not read it."""
    client = socket.create_connection(("127.0.0.1", server.port))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    body = json.dumps({"model": "endless", "messages": USER, "stream": True, "n": n}).encode()
    client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
    client.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    return client


@pytest.mark.parametrize("n", [1, 2])
def test_a_slow_reader_holds_up_its_own_stream_only(serve: Serve, n: int) -> None:
    slow, other = Endless(text="x" * 100_000, pause=0), Endless(text="x" * 100_000, pause=0)
    server = serve(slow, other)
    given = {"model": "other", "messages": USER, "stream": True}
    with slow_reader(server, n):
        until(lambda: slow.written > 0)
        with server.http.stream("POST", "/chat/completions", json=given) as answer:
            for _ in answer.iter_raw():
                if other.written > 500:
                    break
        # The buffers of the operating system hold some megabytes; everything beyond them would be our memory.
        assert slow.written < 250
    until(lambda: slow.running == other.running == 0)


def test_a_reader_that_never_reads_is_given_up(serve: Serve) -> None:
    model = Endless(text="x" * 100_000, pause=0)
    server = serve(model, write_seconds=0.3)
    with slow_reader(server):
        until(lambda: model.stopped == 1)


async def test_a_hundred_open_streams(serve: Serve) -> None:
    model = Endless(fails_after=1_500, pause=0.01)
    server = serve(model)
    opened, everybody = 0, asyncio.Event()

    async def read(client: httpx.AsyncClient) -> str:
        nonlocal opened
        given = {"model": "endless", "messages": USER, "stream": True}
        async with client.stream("POST", f"{server.url}/chat/completions", json=given) as answer:
            lines = answer.aiter_lines()
            await anext(lines)
            opened += 1
            if opened == 100:
                assert model.running == 100
                everybody.set()
            await everybody.wait()
            return [line async for line in lines if line][-1]

    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=100), timeout=30) as client:
        ends = await asyncio.gather(*(read(client) for _ in range(100)))
    assert all("out of memory halfway" in line for line in ends)  # each came to its own end, and none was cut off
