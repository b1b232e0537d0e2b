"""Which errors of a chat model are tried again, and which are not; and that a node is run again for no other reason.

The rows come from the libraries' own errors, raised by real requests where that is how they arise.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import openai
import pytest
import requests
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.graph import StateGraph
from langgraph.types import RetryPolicy, default_retry_on

from langgraph_ratchet.chat_models.scripted import PolicyChatModel
from langgraph_ratchet.core import errors
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.improvement.graph import create_improver
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.reasoning.retry import RETRIED, RETRY, is_passing
from langgraph_ratchet.traces.store import TraceStore

_CLIENTS_ERRORS = (httpx.HTTPError, requests.RequestException)
_REQUEST = httpx.Request("POST", "http://127.0.0.1/v1/chat/completions")


def httpx_status(status: int) -> httpx.HTTPStatusError:
    return httpx.HTTPStatusError("", request=_REQUEST, response=httpx.Response(status, request=_REQUEST))


def requests_status(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(response=response)


def openai_status(status: int) -> openai.APIStatusError:
    return openai.APIStatusError("", response=httpx.Response(status, request=_REQUEST), body=None)


def wrapped(cause: Exception, error: Exception) -> Exception:
    error.__cause__ = cause
    return error


AGAIN = {
    "the system's timeout": TimeoutError(),
    "a refused connection": ConnectionRefusedError(),
    "a reset connection": ConnectionResetError(),
    "a broken pipe": BrokenPipeError(),
    "httpx: connecting takes too long": httpx.ConnectTimeout(""),
    "httpx: reading takes too long": httpx.ReadTimeout(""),
    "httpx: no connection": httpx.ConnectError(""),
    "httpx: the other side hangs up": httpx.RemoteProtocolError(""),
    "httpx: 408": httpx_status(408),
    "httpx: 429": httpx_status(429),
    "httpx: 500": httpx_status(500),
    "httpx: 503": httpx_status(503),
    "requests: timeout": requests.Timeout(),
    "requests: reading takes too long": requests.ReadTimeout(),
    "requests: no connection": requests.ConnectionError(),
    "requests: half a body": requests.exceptions.ChunkedEncodingError(),
    "requests: 429": requests_status(429),
    "requests: 502": requests_status(502),
    "openai: timeout": openai.APITimeoutError(_REQUEST),
    "openai: no connection": openai.APIConnectionError(request=_REQUEST),
    "openai: 429": openai_status(429),
    "openai: 500": openai_status(500),
    "openai: 529": openai_status(529),
    "the engine's queue is full": errors.OverloadedError("full"),
    "a timeout in an integration's clothes": wrapped(httpx.ReadTimeout(""), RuntimeError("the provider failed")),
}

NOT_AGAIN = {
    "a refused key": openai_status(401),
    "a forbidden model": openai_status(403),
    "an unknown model": openai_status(404),
    "a bad request": openai_status(400),
    "httpx: 401": httpx_status(401),
    "httpx: 422": httpx_status(422),
    "requests: 401": requests_status(401),
    "requests: 404": requests_status(404),
    "requests: a bad certificate": requests.exceptions.SSLError(),
    "httpx: a bad address": httpx.UnsupportedProtocol(""),
    "out of memory": MemoryError(),
    "a full disk": OSError(28, "No space left on device"),
    "a missing file": FileNotFoundError(),
    "no permission": PermissionError(),
    "a bug": TypeError(),
    "a bug in a value": ValueError(),
    "a missing key": KeyError("x"),
    "a failed assertion": AssertionError(),
    "too deep": RecursionError(),
    "not there yet": NotImplementedError(),
    "a reply of a kind of its own": Exception("no"),
    "bad input": errors.BadInputError("no"),
    "the local model could not finish": errors.GenerationError("no"),
    "the store": errors.StoreError("no"),
    "no recording": errors.NotRecordedError("send()"),
    "a bug while a timeout was handled": wrapped(ValueError(), RuntimeError("no")),
}


@pytest.mark.parametrize("name", AGAIN)
def test_is_tried_again(name: str) -> None:
    assert is_passing(AGAIN[name])


@pytest.mark.parametrize("name", NOT_AGAIN)
def test_is_not_tried_again(name: str) -> None:
    assert not is_passing(NOT_AGAIN[name])


def test_langgraphs_own_table_differs_so_this_one_is_needed() -> None:
    not_retried = [name for name in AGAIN if not default_retry_on(AGAIN[name])]
    retried = [name for name in NOT_AGAIN if default_retry_on(NOT_AGAIN[name])]
    assert {"the system's timeout", "requests: timeout", "httpx: 429"} <= set(not_retried)
    assert {"a refused key", "out of memory"} <= set(retried)


def test_an_error_that_is_its_own_cause_is_looked_at_once() -> None:
    error = RuntimeError("no")
    assert not is_passing(wrapped(error, error))


@contextmanager
def server(answer: bytes, *, hangs: bool = False) -> Iterator[str]:
    """A server on this machine that says `answer` to whoever connects, or nothing for ever."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                held.append(connection)
                if not hangs:
                    connection.recv(65_536)
                    connection.sendall(answer)
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in held:
            connection.close()


@pytest.mark.parametrize(
    ("answer", "hangs", "again"),
    [
        (b"", False, True),
        (b"", True, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", False, True),
        (b"HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\n\r\n", False, True),
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", False, False),
    ],
    ids=["hangs up", "never answers", "half a body", "429", "401"],
)
@pytest.mark.parametrize("library", [httpx, requests], ids=lambda library: library.__name__)
def test_what_the_clients_raise_when_it_happens(library: Any, answer: bytes, hangs: bool, again: bool) -> None:
    with server(answer, hangs=hangs) as url, pytest.raises(_CLIENTS_ERRORS) as raised:
        library.get(url, timeout=0.1 if hangs else 5).raise_for_status()
    assert is_passing(raised.value) is again


class Failing:
    """A policy that raises `error` the first `times` that the node `at` asks, and then goes on as `adder`."""

    def __init__(self, adder: Any, node_of: Any, error: Exception, *, at: str, times: int) -> None:
        self.adder, self.node_of, self.error, self.at, self.left = adder, node_of, error, at, times
        self.asked = 0

    def __call__(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
        if self.node_of(messages) == self.at:
            self.asked += 1
            if self.left > 0:
                self.left -= 1
                raise self.error
        return self.adder(messages, kwargs)


def without_waiting(graph: StateGraph[Any, Any, Any, Any]) -> Any:
    """The graph, compiled, with the waits of its retry policies taken out."""
    for name, node in graph.nodes.items():
        if isinstance(policy := node.retry_policy, RetryPolicy):
            graph.nodes[name] = replace(node, retry_policy=policy._replace(initial_interval=0.0, jitter=False))
    return graph.compile()


@pytest.fixture
def counted() -> tuple[BaseTool, list[str]]:
    calls: list[str] = []

    def calculator(expression: str) -> str:
        """Calculate."""
        calls.append(expression)
        return "78"

    return StructuredTool.from_function(calculator), calls


Case = Callable[..., tuple[Any, Failing, list[str]]]


@pytest.fixture
def case(adder: Any, node_of: Any, store: TraceStore, counted: tuple[BaseTool, list[str]]) -> Case:
    def make(error: Exception, *, at: str, times: int) -> tuple[Any, Failing, list[str]]:
        policy = Failing(adder, node_of, error, at=at, times=times)
        tool, calls = counted
        graph = create_reasoner(PolicyChatModel(policy=policy), [tool], store=store, allow=["calculator"])
        return without_waiting(graph), policy, calls

    return make


QUESTION = {"question": "What is 45 + 33?"}


@pytest.mark.parametrize("node", sorted(RETRIED))
def test_a_node_that_asks_is_run_again_and_nothing_else_is(case: Case, store: TraceStore, node: str) -> None:
    graph, policy, calls = case(TimeoutError("slow"), at=node, times=2)
    trace = store.trace(graph.invoke(QUESTION)["trace_id"])
    assert (trace.outcome, trace.answer, len(trace.calls)) == (Outcome.ANSWERED, "78", 6)
    assert policy.asked == (4 if node == "act" else 3)
    assert calls == ["45 + 33"]
    left = store.superseded(trace.id)
    assert [(call.node, call.error, call.key.attempt) for call in left] == [
        (node, "TimeoutError: slow", 1),
        (node, "TimeoutError: slow", 2),
    ]


async def test_the_async_form_is_run_again_too(case: Case) -> None:
    graph, policy, _ = case(httpx_status(429), at="plan", times=2)
    assert (await graph.ainvoke(QUESTION))["answer"] == "78"
    assert policy.asked == 3


def test_what_goes_on_failing_is_an_outcome(case: Case, store: TraceStore) -> None:
    graph, policy, _ = case(ConnectionRefusedError("nobody there"), at="synthesize", times=9)
    trace = store.trace(graph.invoke(QUESTION)["trace_id"])
    assert (trace.outcome, policy.asked) == (Outcome.MODEL_FAILED, RETRY.max_attempts)
    assert trace.error == "the chat model failed in synthesize: ConnectionRefusedError: nobody there"
    assert len(trace.steps) == 1


@pytest.mark.parametrize("name", ["a refused key", "out of memory", "a bug", "the local model could not finish"])
def test_what_would_fail_again_is_an_outcome_at_once(case: Case, store: TraceStore, name: str) -> None:
    graph, policy, _ = case(NOT_AGAIN[name], at="plan", times=9)
    assert store.trace(graph.invoke(QUESTION)["trace_id"]).outcome == Outcome.MODEL_FAILED
    assert policy.asked == 1


def test_a_tool_that_fails_in_passing_is_called_once(adder: Any, store: TraceStore) -> None:
    calls: list[str] = []

    def calculator(expression: str) -> str:
        """Calculate."""
        calls.append(expression)
        raise TimeoutError("the mail may have been sent")

    tool = StructuredTool.from_function(calculator)
    graph = create_reasoner(PolicyChatModel(policy=adder), [tool], store=store, allow=["calculator"])
    without_waiting(graph).invoke(QUESTION)
    assert calls == ["45 + 33"]


def test_the_nodes_that_are_run_again_are_those_that_only_ask() -> None:
    graph = create_reasoner(PolicyChatModel(policy=lambda messages, kwargs: AIMessage("")), store=None)
    assert {name for name, node in graph.nodes.items() if node.retry_policy is not None} == RETRIED
    assert {id(graph.nodes[name].retry_policy) for name in RETRIED} == {id(RETRY)}
    assert RETRY.retry_on is is_passing  # and not LangGraph's own table


def test_no_node_of_the_improvement_graph_is_run_again(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their passing errors are met where they arise, in the runs; the rest is for a person, and `--resume`."""
    monkeypatch.chdir(tmp_path)
    graph = create_improver("pocket")
    assert {name for name, node in graph.nodes.items() if node.retry_policy is not None} == set()
