"""What a server takes: bodies as large as they may be, as many requests as there are places, and no endless waiting."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.serving.limits import Limits
from langgraph_ratchet.serving.surroundings import Surroundings

HEAD = "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"


@pytest.fixture
def connect() -> Iterator[Callable[..., socket.socket]]:
    """A connection without an HTTP client, which would never send what these tests send."""
    opened = []

    def call(server: Any) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        opened.append(connection)
        return connection

    yield call
    for connection in opened:
        connection.close()


def _answer(connection: socket.socket) -> str:
    """What comes until the connection is closed or an answer with its length is whole."""
    received = b""
    while piece := connection.recv(65_536):
        received += piece
        head, found, body = received.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if found and lengths and len(body) >= int(lengths[0].split(b":")[1]):
            break
    return received.decode()


@pytest.mark.parametrize("value", [0, -1, -0.5])
def test_a_limit_of_nothing_is_refused(value: float) -> None:
    with pytest.raises(BadInputError, match="wait_seconds"):
        Limits(wait_seconds=value)


def test_a_body_may_be_as_large_as_the_limit_and_no_larger(serve: Callable[..., Any]) -> None:
    server = serve(body_bytes=2_000)

    def status(size: int) -> int:
        start, end = '{"model":"scripted","messages":[{"role":"user","content":"', '"}]}'
        body = start + "x" * (size - len(start) - len(end)) + end
        headers = {"content-type": "application/json"}
        return int(server.http.post("/v1/chat/completions", content=body, headers=headers).status_code)

    assert status(2_000) == 200
    assert status(2_001) == 413
    assert status(200_000) == 413


def test_a_body_of_unknown_length_is_refused_while_it_is_sent(
    serve: Callable[..., Any], connect: Callable[..., socket.socket]
) -> None:
    server = serve(body_bytes=100_000)
    connection = connect(server)
    connection.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
    connection.setblocking(False)
    chunk = f"{10_000:x}\r\n{'x' * 10_000}\r\n".encode()
    sent = 0
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            sent += connection.send(chunk[sent % len(chunk) :])
        except BlockingIOError:
            time.sleep(0.001)
        if sent > 110_000:
            time.sleep(0.05)  # no faster than it is read
        try:
            if connection.recv(1, socket.MSG_PEEK):
                break
        except BlockingIOError:
            pass
    connection.setblocking(True)
    answer = _answer(connection)
    assert answer.startswith("HTTP/1.1 413"), answer
    assert "request_too_large" in answer
    assert sent < 5_000_000


def test_a_body_that_does_not_end_is_given_up(serve: Callable[..., Any], connect: Callable[..., socket.socket]) -> None:
    server = serve(body_seconds=0.2)
    connection = connect(server)
    connection.sendall(f'{HEAD}Content-Length: 100\r\n\r\n{{"model":'.encode())
    assert _answer(connection).startswith("HTTP/1.1 408")
    assert server.chat().status_code == 200


def test_a_slow_sender_takes_no_place(serve: Callable[..., Any], connect: Callable[..., socket.socket]) -> None:
    server = serve(running=1, wait_seconds=0.2)
    connect(server).sendall(f"{HEAD}Content-Length: 100\r\n\r\n{{".encode())
    assert server.chat().status_code == 200


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def _go_on(connection: socket.socket, data: bytes, seconds: float) -> None:
    """Sends `data` a hundred times, with `seconds` between."""
    for _ in range(100):
        connection.sendall(data)
        time.sleep(seconds)


@pytest.mark.parametrize("sent", ["", "GET / HTTP/1.1\r\nX-Slow: "])
def test_headers_that_do_not_end_are_given_up(
    serve: Callable[..., Any], connect: Callable[..., socket.socket], sent: str
) -> None:
    connection = connect(serve(header_seconds=0.2))
    connection.sendall(sent.encode())
    began = time.monotonic()
    assert _is_closed(connection)
    assert time.monotonic() - began < 5


def test_headers_that_trickle_in_are_given_up_on_a_used_connection_too(
    serve: Callable[..., Any], connect: Callable[..., socket.socket]
) -> None:
    connection = connect(serve(header_seconds=0.3))
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
    assert _answer(connection).startswith("HTTP/1.1 200")
    began = time.monotonic()
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        _go_on(connection, b"G", 0.05)
    assert time.monotonic() - began < 4


def test_endless_headers_are_cut_off(serve: Callable[..., Any], connect: Callable[..., socket.socket]) -> None:
    connection = connect(serve())
    connection.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        _go_on(connection, b"x" * 10_000, 0.01)


class Gate:
    """A policy that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.opened = threading.Event()
        self.most = self.running = 0
        self._lock = threading.Lock()

    async def wait(self, request: Request) -> PlainTextResponse:
        await request.body()
        self.running += 1
        self.most = max(self.most, self.running)
        self.asked.release()
        while not self.opened.is_set():  # noqa: ASYNC110  # set from another thread
            await asyncio.sleep(0.005)
        self.running -= 1
        return PlainTextResponse("done")


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture
def gated(run: Callable[..., Any], gate: Gate) -> Callable[..., Any]:
    """A server whose answers wait for the gate."""

    def call(**limits: Any) -> Any:
        surroundings = Surroundings(limits=Limits(**limits))
        routes = [Route("/work", gate.wait, methods=["POST"]), *surroundings.routes()]
        return run(Starlette(routes=routes, middleware=surroundings.middleware()), surroundings)

    return call


def test_more_requests_than_places_wait_and_more_than_may_wait_are_told_to_come_back(
    gated: Callable[..., Any], gate: Gate
) -> None:
    server = gated(running=2, waiting=3)
    with ThreadPoolExecutor(5) as pool:
        first = [pool.submit(server.http.post, "/work") for _ in range(5)]
        for _ in range(2):
            assert gate.asked.acquire(timeout=5)
        while server.surroundings.drain.running < 5:
            time.sleep(0.005)
        refused = server.http.post("/work")
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert server.http.get("/health").status_code == 200, "health is answered however busy the server is"
        assert gate.most == 2
        gate.opened.set()
        assert [each.result().status_code for each in first] == [200] * 5
    assert gate.most == 2


def test_the_wait_for_a_place_ends(gated: Callable[..., Any], gate: Gate) -> None:
    server = gated(running=1, wait_seconds=0.2)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(server.http.post, "/work")
        assert gate.asked.acquire(timeout=5)
        late = server.http.post("/work")
        assert late.status_code == 429
        assert "0.2 s" in late.json()["error"]["message"]
        gate.opened.set()
        assert first.result().status_code == 200
    assert server.http.post("/work").status_code == 200, "a place that was waited for in vain is free again"


def test_who_does_not_read_is_left(run: Callable[..., Any], connect: Callable[..., socket.socket]) -> None:
    ended = threading.Event()

    async def flood(_request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 65_536
                    await asyncio.sleep(0)
            finally:
                ended.set()

        return StreamingResponse(pieces())

    surroundings = Surroundings(limits=Limits(write_seconds=0.3))
    app = Starlette(routes=[Route("/flood", flood)], middleware=surroundings.middleware())
    server = run(app, surroundings)
    connection = connect(server)
    connection.sendall(b"GET /flood HTTP/1.1\r\nHost: h\r\n\r\n")
    assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert ended.wait(10)
    while surroundings.drain.running:
        time.sleep(0.01)


def test_a_steady_reader_may_be_slow(run: Callable[..., Any]) -> None:
    async def slow(_request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(40):
                yield b"x" * 65_536

        return StreamingResponse(pieces())

    surroundings = Surroundings(limits=Limits(write_seconds=0.3))
    server = run(Starlette(routes=[Route("/slow", slow)], middleware=surroundings.middleware()), surroundings)
    received = 0
    with server.http.stream("GET", "/slow") as response:
        for piece in response.iter_raw(131_072):
            received += len(piece)
            time.sleep(0.03)
    assert received == 40 * 65_536


def test_an_answer_frees_its_place_also_when_it_fails(serve: Callable[..., Any]) -> None:
    def fails(_messages: Any, _kwargs: Any) -> AIMessage:
        raise RuntimeError("no")

    server = serve(fails, running=1, wait_seconds=0.1)
    assert [server.chat().status_code for _ in range(3)] == [500] * 3
