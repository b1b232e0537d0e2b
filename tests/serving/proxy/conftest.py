"""A server that answers as vLLM documents its API, on loopback, and a proxy before it."""

import asyncio
import importlib.util
import json
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.serving.proxy.adapters import PushedAdapters
from langgraph_ratchet.serving.proxy.app import create_proxy
from langgraph_ratchet.serving.proxy.lora import LoraApi
from langgraph_ratchet.serving.proxy.recording import ExchangeRecorder
from langgraph_ratchet.serving.proxy.upstream import Upstream
from langgraph_ratchet.serving.surroundings import Surroundings
from langgraph_ratchet.traces.store import TraceStore


def _around() -> Any:
    """The conftest of the tests of a server's surroundings: tests are not a package."""
    path = Path(__file__).parents[1] / "around" / "conftest.py"
    spec = importlib.util.spec_from_file_location("serving_around", path)
    assert spec is not None and spec.loader is not None  # noqa: PT018  # one thing: the file is there
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_AROUND = _around()
run = _AROUND.run

PIECES = ("The answer", " is", " 42.")
IDS = ((11, 12), (13,), (14, 2))
PROMPT_IDS = (1, 5, 7)
LOGPROBS = (-0.25, -0.5, -0.125, -1.0, -0.0625)


class Vllm:
    """What the tests need of vLLM: chat completions with token ids, and LoRA adapters at run time."""

    def __init__(self) -> None:
        self.ids = "gives"
        """What it does when it is asked for token ids: `gives`, `ignores` (as others do) or `refuses` (as OpenAI)."""
        self.fails: tuple[int, Any] | None = None
        """Status and body that it answers completions with."""
        self.breaks_off = False
        """Whether its streams end in the middle."""
        self.tool_calls: list[dict[str, Any]] | None = None
        self.finish_reason: str | None = "stop"
        self.gate: threading.Event | None = None
        """What its streams wait for after their first piece."""
        self.adapters: dict[str, str] = {}
        self.unload_seconds = 0.0
        """How long it takes to answer that an adapter was unloaded."""
        self.cannot_load: str | None = None
        """Name of an adapter that it cannot load."""
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.log: list[str] = []
        """Adapters loaded and unloaded, and streams begun and ended, in order."""
        self.left = threading.Event()
        """Whether a stream was left before it ended."""
        self.app = Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/load_lora_adapter", self._load, methods=["POST"]),
                Route("/v1/unload_lora_adapter", self._unload, methods=["POST"]),
                Route("/{path:path}", self._other, methods=["GET", "POST", "PUT", "DELETE"]),
            ]
        )

    async def _other(self, request: Request) -> Response:
        self.paths.append(request.url.path)
        return PlainTextResponse(
            f"{request.method} {request.url.path} {(await request.body()).decode(errors='replace')}", 418
        )

    async def _models(self, _request: Request) -> Response:
        cards: list[dict[str, Any]] = [{"id": "base-model", "object": "model", "parent": None}]
        cards += [
            {"id": name, "object": "model", "root": path, "parent": "base-model"}
            for name, path in self.adapters.items()
        ]
        return JSONResponse({"object": "list", "data": cards})

    async def _load(self, request: Request) -> Response:
        body = await request.json()
        name, path = body["lora_name"], body["lora_path"]
        if name in self.adapters:
            return _error(
                400,
                f"The lora adapter '{name}' has already been loaded. If you want to load the adapter in "
                "place, set 'load_inplace' to True.",
                "InvalidUserInput",
            )
        if name == self.cannot_load:
            return _error(500, "rank 128 is greater than max_lora_rank 16", "InternalServerError")
        if not (Path(path) / "adapter_config.json").is_file():
            return _error(404, f"Loading lora {name} failed: No adapter found for {path}", "NotFoundError")
        self.adapters[name] = path
        self.log.append(f"load {name}")
        return PlainTextResponse(f"Success: LoRA adapter '{name}' added successfully.")

    async def _unload(self, request: Request) -> Response:
        name = (await request.json())["lora_name"]
        if name not in self.adapters:
            return _error(404, f"The lora adapter '{name}' cannot be found.", "NotFoundError")
        del self.adapters[name]
        self.log.append(f"unload {name}")
        await asyncio.sleep(self.unload_seconds)
        return PlainTextResponse(f"Success: LoRA adapter '{name}' removed successfully.")

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        if self.fails is not None:
            return JSONResponse(self.fails[1], self.fails[0], {"x-request-id": "r1"})
        if self.ids == "refuses" and "return_token_ids" in body:
            return _error(400, "Unrecognized request argument supplied: return_token_ids", "invalid_request_error")
        if body["model"] not in ("base-model", *self.adapters):
            return _error(404, f"The model `{body['model']}` does not exist.", "NotFoundError")
        with_ids = self.ids == "gives" and body.get("return_token_ids")
        if body.get("stream"):
            return StreamingResponse(self._stream(body, with_ids), media_type="text/event-stream")
        message: dict[str, Any] = {"role": "assistant", "content": "".join(PIECES)}
        if self.tool_calls is not None:
            message |= {"content": None, "tool_calls": self.tool_calls}
        choice: dict[str, Any] = {"message": message, "finish_reason": self.finish_reason, "logprobs": None}
        if body.get("logprobs"):
            choice["logprobs"] = _logprobs(LOGPROBS)
        if with_ids:
            choice["token_ids"] = [token for ids in IDS for token in ids]
        choices = [{"index": index, **choice} for index in range(body.get("n") or 1)]
        whole = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": choices,
        }
        whole["usage"] = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
        return JSONResponse(whole | ({"prompt_token_ids": list(PROMPT_IDS)} if with_ids else {}))

    async def _stream(self, body: dict[str, Any], with_ids: bool) -> AsyncIterator[bytes]:
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        logprobs = iter(LOGPROBS)
        self.log.append(f"begin {body['model']}")
        ended = False
        try:
            for number, (piece, ids) in enumerate(zip(PIECES, IDS, strict=True)):
                choice: dict[str, Any] = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
                if number == 0:
                    choice["delta"]["role"] = "assistant"
                if number == len(PIECES) - 1:
                    choice["finish_reason"] = "stop"
                if body.get("logprobs"):
                    choice["logprobs"] = _logprobs([next(logprobs) for _ in ids])
                if with_ids:
                    choice["token_ids"] = list(ids)
                chunk = {**head, "choices": [choice]}
                if with_ids and number == 0:
                    chunk["prompt_token_ids"] = list(PROMPT_IDS)
                # In pieces that are no whole events, as networks deliver them.
                data = f"data: {json.dumps(chunk)}\n\n".encode()
                yield data[:20]
                yield data[20:]
                if number == 0 and self.gate is not None:
                    while not self.gate.is_set():  # noqa: ASYNC110  # the test opens it from another thread
                        await asyncio.sleep(0.005)
                if number == 0 and self.breaks_off:
                    raise ConnectionResetError
            yield b"data: [DONE]\n\n"
            ended = True
        finally:
            self.log.append(f"end {body['model']}")
            if not ended:
                self.left.set()


def _error(status: int, message: str, kind: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": status}}, status)


def _logprobs(values: Any) -> dict[str, Any]:
    return {"content": [{"token": "t", "logprob": value, "bytes": None, "top_logprobs": []} for value in values]}


class _Current:
    """Passes every request to the `Vllm` of the running test: to serve each anew would take longer than the tests."""

    vllm: Vllm

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await Starlette()(scope, receive, send)
        else:
            await self.vllm.app(scope, receive, send)


@pytest.fixture(scope="session")
def upstream() -> Iterator[tuple[_Current, str]]:
    current = _Current()
    server = _AROUND.Running(current, Surroundings())
    yield current, server.url
    server.close()


@pytest.fixture
def vllm(upstream: tuple[_Current, str]) -> Iterator[Vllm]:
    vllm = upstream[0].vllm = Vllm()
    yield vllm
    if vllm.gate is not None:
        vllm.gate.set()


@pytest.fixture
def upstream_url(vllm: Vllm, upstream: tuple[_Current, str]) -> str:
    return upstream[1]


@pytest.fixture
def store(tmp_path: Path) -> TraceStore:
    return TraceStore(f"sqlite:///{tmp_path / 'traces.db'}")


@pytest.fixture
def proxy(upstream_url: str, store: TraceStore, run: Callable[..., Any]) -> Callable[..., Any]:
    """A proxy that records; with `record=False` one that does not. Its `recorded()` waits, and gives all traces."""

    def call(*, record: bool = True, url: str = upstream_url, key: str | None = None, **recording: Any) -> Any:
        surroundings = Surroundings()
        recorder = ExchangeRecorder(recording.pop("store", store), **recording) if record else None
        server = run(create_proxy(Upstream(url, key=key), surroundings, recorder=recorder), surroundings)

        def recorded() -> list[Any]:
            server.close()  # what waits to be written is written then
            return [store.trace(summary.id) for summary in store.traces(limit=None, newest_first=False)]

        server.recorded, server.recorder = recorded, recorder
        return server

    return call


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


@pytest.fixture
def add(registry: Registry, tmp_path: Path) -> Callable[[int], ModelVersion]:
    """Adds a version to the registry."""

    def call(number: int) -> ModelVersion:
        import numpy as np
        from safetensors.numpy import save_file

        folder = tmp_path / f"staged{number}"
        folder.mkdir()
        weights = {"lora_A": np.full((4, 8), number, dtype=np.float32), "lora_B": np.ones((8, 4), dtype=np.float32)}
        save_file(weights, folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 4}')
        fingerprint = Fingerprint(base="b" * 64, tokenizer="t" * 64, template="c" * 64)
        made = {"base": "base-model", "parent": None, "dataset_hash": "d" * 64, "trace_ids": [], "training": None}
        return registry.add(folder, fingerprint=fingerprint, arguments={}, **made)  # type: ignore[arg-type]

    return call


@pytest.fixture
def pushed(upstream_url: str, store: TraceStore, registry: Registry, run: Callable[..., Any]) -> Callable[..., Any]:
    """A proxy that keeps the registry's champion on the vLLM server."""

    def call(*, record: bool = False) -> Any:
        upstream = Upstream(upstream_url)
        adapters = PushedAdapters(LoraApi(upstream), registry, look_seconds=0.05)
        surroundings = Surroundings(unready=lambda: adapters.fault)
        recorder = ExchangeRecorder(store) if record else None
        server = run(create_proxy(upstream, surroundings, recorder=recorder, adapters=adapters), surroundings)
        server.adapters = adapters
        return server

    return call
