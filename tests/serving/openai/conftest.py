"""Servers on this machine, asked by the clients that users have; every answer is checked against OpenAI's contract."""

import importlib.util
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import uvicorn
from langchain_core.messages import AIMessage, BaseMessage

from langgraph_ratchet.chat_models.scripted import PolicyChatModel
from langgraph_ratchet.serving.app import create_app
from langgraph_ratchet.serving.catalogue import Catalogue
from langgraph_ratchet.serving.limits import Limits


def _beside(name: str) -> Any:
    """A module that lies beside this one: tests are not a package."""
    spec = importlib.util.spec_from_file_location(f"serving_openai_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_contract = _beside("contract")


class Server:
    """An application that uvicorn serves from a thread of its own."""

    def __init__(self, app: Any) -> None:
        self.watched = _contract.Watched(app, _contract.Contract())
        listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._server = uvicorn.Server(uvicorn.Config(self.watched, log_level="critical", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)
        self.http = httpx.Client(base_url=self.url, timeout=30)
        self.openai = openai.OpenAI(base_url=self.url, api_key="none", max_retries=0, timeout=30)

    def post(self, path: str, **given: Any) -> httpx.Response:
        """A request as `httpx` sends it."""
        return self.http.post(path, **given)

    def chat(self, text: str = "hello", *, model: str = "scripted", **given: Any) -> Any:
        """A chat completion through the SDK."""
        return self.openai.chat.completions.create(
            model=model, messages=given.pop("messages", [{"role": "user", "content": text}]), **given
        )

    def close(self) -> None:
        """Ends it."""
        self.http.close()
        self.openai.close()
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(10)


class Scripted:
    """A policy whose reply each test sets, and which remembers how it was asked."""

    def __init__(self) -> None:
        self.reply: Callable[[list[BaseMessage], dict[str, Any]], AIMessage] = _echo
        self.asked: list[tuple[list[BaseMessage], dict[str, Any]]] = []

    def __call__(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
        self.asked.append((messages, kwargs))
        return self.reply(messages, kwargs)

    def says(self, reply: AIMessage | str | Exception) -> None:
        """From now on it gives this reply, or raises it."""

        def say(_messages: list[BaseMessage], _kwargs: dict[str, Any]) -> AIMessage:
            if isinstance(reply, Exception):
                raise reply
            return AIMessage(reply) if isinstance(reply, str) else reply.model_copy(deep=True)

        self.reply = say


def _echo(messages: list[BaseMessage], _kwargs: dict[str, Any]) -> AIMessage:
    text = str(messages[-1].text)
    usage = {"input_tokens": len(messages), "output_tokens": len(text.split()), "total_tokens": 0}
    return AIMessage(text, usage_metadata=usage | {"total_tokens": usage["input_tokens"] + usage["output_tokens"]})


@contextmanager
def _serving(app: Any) -> Iterator[Server]:
    server = Server(app)
    try:
        yield server
    finally:
        server.close()
    assert not server.watched.faults, server.watched.faults[:5]


@pytest.fixture(scope="session")
def serving() -> Callable[[Any], Any]:
    """Serves an application for as long as the `with` lasts; at its end, every answer must have kept the contract."""
    return _serving


@pytest.fixture(scope="session")
def contract() -> Any:
    return _contract


@pytest.fixture(scope="module")
def script() -> Scripted:
    return Scripted()


@pytest.fixture(scope="module")
def module_server(script: Scripted) -> Iterator[Server]:
    catalogue = Catalogue({"scripted": PolicyChatModel(policy=script)})
    with _serving(create_app(catalogue, limits=Limits(body_bytes=5_000_000))) as server:
        yield server


@pytest.fixture
def server(module_server: Server, script: Scripted) -> Iterator[Server]:
    """One server for a module's tests, with an echo as its model until the test says otherwise."""
    script.reply, script.asked = _echo, []
    module_server.watched.faults.clear()
    yield module_server
    assert not module_server.watched.faults, module_server.watched.faults[:5]
