"""Applications with their surroundings, on loopback, in a thread of the test."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage, BaseMessage

from langgraph_ratchet.chat_models.scripted import PolicyChatModel
from langgraph_ratchet.serving.app import create_app
from langgraph_ratchet.serving.catalogue import Catalogue
from langgraph_ratchet.serving.keys import KeyFile
from langgraph_ratchet.serving.limits import Limits
from langgraph_ratchet.serving.server import Server, address_of, listen
from langgraph_ratchet.serving.surroundings import Surroundings


class Running:
    """A server and a client for it."""

    def __init__(self, app: Any, surroundings: Surroundings) -> None:
        listener = listen("127.0.0.1", 0)
        self.url = address_of(listener)
        self.port: int = listener.getsockname()[1]
        self.surroundings = surroundings
        ready = threading.Event()
        self.server = Server(
            app, listener, limits=surroundings.limits, drain=surroundings.drain, load=_nothing, on_ready=ready.set
        )
        self.all_ended: bool | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert ready.wait(10)
        self.http = httpx.Client(base_url=self.url, timeout=20, verify=False)  # no certificates to read

    def _run(self) -> None:
        self.all_ended = self.server.run_until_stopped()

    def chat(self, text: str = "hello", **given: Any) -> httpx.Response:
        """A chat completion by the model `scripted`."""
        body = {"model": "scripted", "messages": [{"role": "user", "content": text}], **given}
        return self.http.post("/v1/chat/completions", json=body)

    def is_running(self) -> bool:
        return self._thread.is_alive()

    def join(self) -> None:
        """Waits for its end."""
        self._thread.join(20)
        assert not self._thread.is_alive()

    def close(self) -> None:
        """Ends it, if it has not ended."""
        self.http.close()
        if self._thread.is_alive():
            self.server.stop()
            self.server.stop()  # a second time: at once
            self.join()


async def _nothing() -> None:
    pass


def _echo(messages: list[BaseMessage], _kwargs: dict[str, Any]) -> AIMessage:
    return AIMessage(str(messages[-1].text), usage_metadata={"input_tokens": 3, "output_tokens": 2, "total_tokens": 5})


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "settings" / "keys.json")


@pytest.fixture
def make_app() -> Callable[..., Any]:
    """The real application over a scripted model, with surroundings."""

    def make(surroundings: Surroundings, policy: Callable[..., AIMessage] = _echo) -> Any:
        catalogue = Catalogue({"scripted": PolicyChatModel(policy=policy)}, reasoner=False)
        return create_app(
            catalogue,
            limits=surroundings.limits,
            routes=surroundings.routes(),
            middleware=surroundings.middleware(),
        )

    return make


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    """Serves an application until the test ends."""
    running = []

    def call(app: Any, surroundings: Surroundings) -> Running:
        running.append(Running(app, surroundings))
        return running[-1]

    yield call
    for server in running:
        server.close()


@pytest.fixture
def serve(run: Callable[..., Running], make_app: Callable[..., Any]) -> Callable[..., Running]:
    """Serves the scripted model within some limits."""

    def call(policy: Callable[..., AIMessage] = _echo, keys: KeyFile | None = None, **limits: Any) -> Running:
        surroundings = Surroundings(limits=Limits(**limits), keys=keys)
        return run(make_app(surroundings, policy), surroundings)

    return call
