"""What `ratchet serve` starts: a catalogue of models, or a proxy to another server, with everything around it."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.applications import Starlette

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.serving.keys import KeyFile
from langgraph_ratchet.serving.limits import Limits
from langgraph_ratchet.serving.proxy.adapters import PushedAdapters
from langgraph_ratchet.serving.proxy.app import create_proxy
from langgraph_ratchet.serving.proxy.lora import LoraApi
from langgraph_ratchet.serving.proxy.recording import ExchangeRecorder
from langgraph_ratchet.serving.proxy.upstream import Upstream
from langgraph_ratchet.serving.server import Server, address_of
from langgraph_ratchet.serving.surroundings import Surroundings
from langgraph_ratchet.traces.store import TraceStore

if TYPE_CHECKING:  # a proxy needs no chat model, and starts in half the time
    from langchain_core.language_models import BaseChatModel
    from langchain_core.tools import BaseTool

    from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
    from langgraph_ratchet.serving.catalogue import Catalogue

_LOOPBACK = ("127.", "::1")


@dataclass(frozen=True)
class Place:
    """Where a server listens, and for whom."""

    listener: socket.socket
    keys: KeyFile | None
    """`None` serves anybody."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.keys is not None and self._is_public and not self.keys.exist():
            host = self.listener.getsockname()[0]
            raise BadInputError(
                f"{host} can be reached from other machines, and there is no API key: make one with 'ratchet serve "
                "keys add NAME', or say --no-keys to serve anybody"
            )

    @property
    def address(self) -> str:
        """As a URL."""
        return address_of(self.listener)

    @property
    def needs_keys(self) -> bool:
        """Whether every request needs a key."""
        return self.keys is not None and (self._is_public or self.keys.exist())

    @property
    def _is_public(self) -> bool:
        return not str(self.listener.getsockname()[0]).startswith(_LOOPBACK)

    def surroundings(self, unready: Callable[[], str | None], held_paths: Collection[str] = ()) -> Surroundings:
        """For the application that is served here; `held_paths` as for `Surroundings`."""
        return Surroundings(
            keys=self.keys,
            keys_required=self._is_public,
            limits=self.limits,
            unready=unready,
            held_paths=held_paths,
        )


def serve_models(
    place: Place,
    name: str,
    *,
    registry: Registry,
    tools: "list[BaseTool]",
    allow: Collection[str],
    store: TraceStore,
    on_ready: Callable[[list[str]], None],
) -> bool:
    """Serves a model, its versions, the champion and the reasoner until told to stop.

    Args:
        place: where.
        name: of the model, as for `resolve_model`.
        registry: where versions are.
        tools: the reasoner's.
        allow: names of those that may act; see `Catalogue`.
        store: where the reasoner's runs are recorded.
        on_ready: called with the ids of all models when the first can be asked.

    Returns:
        Whether every request that had begun came to its end.
    """
    from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
    from langgraph_ratchet.chat_models.resolver import resolve_model
    from langgraph_ratchet.serving.app import create_app

    model = resolve_model(name, registry=registry.root) if name == "champion" else resolve_model(name)
    catalogue = _catalogue(name, model, registry, tools=tools, allow=allow, store=store)
    loaded = asyncio.Event()
    surroundings = place.surroundings(lambda: None if loaded.is_set() else "loading")
    surroundings.metrics.champion(lambda: champion.id if (champion := registry.champion) else None)
    if isinstance(model, ChatTransformers):
        _watch_engine(surroundings, model, loaded)
    ids: list[str] = []

    async def load() -> None:
        ids.extend(served.id for served in await catalogue.all())
        loaded.set()

    app = create_app(catalogue, limits=place.limits, routes=surroundings.routes(), middleware=surroundings.middleware())
    return _run(app, place, surroundings, load, lambda: on_ready(ids))


def serve_upstream(
    place: Place,
    upstream: Upstream,
    *,
    recorder: ExchangeRecorder | None,
    registry: Registry | None,
    on_ready: Callable[[], None],
) -> bool:
    """Serves what another server generates until told to stop.

    Args:
        place: where.
        upstream: the other server.
        recorder: keeps every chat completion; `None` records nothing.
        registry: whose champion and versions are pushed to `upstream`, a vLLM server; `None` pushes nothing.
        on_ready: called when requests are answered.

    Returns:
        Whether every request that had begun came to its end.
    """
    adapters = None if registry is None else PushedAdapters(LoraApi(upstream), registry)
    surroundings = place.surroundings(lambda: None if adapters is None else adapters.fault)
    app = create_proxy(upstream, surroundings, recorder=recorder, adapters=adapters)

    async def nothing() -> None:
        pass

    return _run(app, place, surroundings, nothing, on_ready)


def _run(
    app: Starlette,
    place: Place,
    surroundings: Surroundings,
    load: Callable[[], Awaitable[None]],
    on_ready: Callable[[], None],
) -> bool:
    server = Server(
        app,
        place.listener,
        limits=place.limits,
        drain=surroundings.drain,
        load=load,
        on_ready=on_ready,
    )
    return server.run_until_stopped()


def _catalogue(
    name: str,
    model: "BaseChatModel",
    registry: Registry,
    *,
    tools: "list[BaseTool]",
    allow: Collection[str],
    store: TraceStore,
) -> "Catalogue":
    """A local base with all its versions; of anything else, only what was named."""
    from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
    from langgraph_ratchet.serving.catalogue import Catalogue

    if isinstance(model, ChatTransformers) and (name == "champion" or model.adapter is None):
        base = model.model_copy(update={"adapter": None, "registry": registry.root})
        return Catalogue(base=base, registry=registry, tools=tools, allow=allow, store=store)
    return Catalogue({name: model}, tools=tools, allow=allow, store=store)


def _watch_engine(surroundings: Surroundings, model: "ChatTransformers", loaded: asyncio.Event) -> None:
    """Says how busy the engine is, once there is one: to ask before would load the model."""

    def read(name: str) -> Callable[[], float]:
        return lambda: float(getattr(model.engine, name)) if loaded.is_set() else 0.0

    surroundings.metrics.gauge("engine_running", "Requests that tokens are generated for.", read("running"))
    surroundings.metrics.gauge("engine_waiting", "Requests that wait for the engine.", read("waiting"))
