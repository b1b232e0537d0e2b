"""Keeps the registry's adapters where vLLM serves them: the champion always, other versions when they are asked for.

A promotion or rollback loads the new champion first, then turns `champion` to it, and unloads the old one when its last
open request has ended. So no request fails, and every stream ends with the adapter that it began with.
"""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from langgraph_ratchet.core.errors import RatchetError, UnknownNameError
from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.registry.registry import CHAMPION
from langgraph_ratchet.serving.proxy.lora import LoraApi

_KEPT = 4
"""Versions that stay loaded beside the champion after they were asked for."""

_log = logging.getLogger(__name__)


class PushedAdapters:
    """The adapters of one registry on one vLLM server. One event loop owns it.

    Args:
        api: of the server.
        registry: where versions and the champion are looked up; the server must see its folder under the same path.
        look_seconds: how often registry and server are looked at.
    """

    def __init__(self, api: LoraApi, registry: Registry, *, look_seconds: float = 0.5) -> None:
        self._api = api
        self._registry = registry
        self._look_seconds = look_seconds
        self._champion: ModelVersion | None = None
        self._base = ""
        self._loaded: frozenset[str] = frozenset()
        self._kept: OrderedDict[str, None] = OrderedDict()
        self._used: Counter[str] = Counter()
        self._changing = asyncio.Lock()
        self.fault: str | None = "connecting to vLLM"
        """Why requests for `champion` are not answered by it; `None` when they are."""

    @property
    def champion(self) -> str | None:
        """Registry id of the version that `champion` stands for now; `None` for the bare base."""
        return None if self._champion is None else self._champion.id

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Follows the registry as long as the context lasts. What vLLM was given stays there."""
        await self._look()
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def name_for(self, model: str) -> tuple[str, ModelVersion | None]:
        """What vLLM calls the model that a client asks for, and the version, loaded, if it is one.

        Raises:
            AdapterPushError: it could not be loaded.
            CorruptFileError: its files are damaged.
        """
        if model == CHAMPION:
            return self.champion or self._base, self._champion
        if model == self._base:
            return model, None
        try:
            version = await asyncio.to_thread(self._registry.get, model)
        except UnknownNameError:
            return model, None  # another model of vLLM's, or its own answer to an unknown one
        self._kept[version.id] = None
        self._kept.move_to_end(version.id)
        if version.id not in self._loaded:
            async with self._changing:
                await self._load(version.id)
        return version.id, version

    @contextmanager
    def in_use(self, name: str) -> Iterator[None]:
        """Keeps an adapter loaded until a request has ended."""
        self._used[name] += 1
        try:
            yield
        finally:
            self._used[name] -= 1

    def versions(self) -> list[str]:
        """Ids of the registry's versions."""
        return [version.id for version in self._registry.versions()]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            await self._look()

    async def _look(self) -> None:
        """Makes vLLM serve what the registry says; what goes wrong is told, and tried again."""
        try:
            async with self._changing:
                self._base, self._loaded = await self._api.served()
                champion = await asyncio.to_thread(lambda: self._registry.champion)
                if champion is not None:
                    await self._load(champion.id)
                self._champion = champion
                await self._unload_unused()
        except RatchetError as error:
            if str(error) != self.fault:
                _log.warning("vLLM is not up to date with the registry: %s", error)
            self.fault = str(error)
        else:
            self.fault = None

    async def _load(self, version: str) -> None:
        if version not in self._loaded:
            folder = await asyncio.to_thread(self._registry.path, version)
            await self._api.load(version, folder.resolve())
            self._loaded |= {version}

    async def _unload_unused(self) -> None:
        """Unloads versions of this registry that nobody uses; adapters that others loaded are not touched."""
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        ours = set(await asyncio.to_thread(self.versions))
        for name in self._loaded & ours - {self.champion}:
            if not self._used[name] and name not in self._kept:  # it may have been asked for since the one before went
                self._loaded -= {name}  # first: who asks for it now has it loaded anew
                await self._api.unload(name)
        self._used = +self._used
