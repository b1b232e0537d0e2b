"""The models that a server offers, by the ids that clients ask for."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import run_in_executor
from langchain_core.tools import BaseTool

from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.core.errors import BadInputError, UnknownNameError
from langgraph_ratchet.core.ids import content_hash
from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.registry.registry import CHAMPION
from langgraph_ratchet.serving.reasoner import ReasonerChatModel
from langgraph_ratchet.traces.store import TraceStore

REASONER = "reasoner"
"""The id under which the reasoning graph is served."""


@dataclass(frozen=True)
class Served:
    """A model as it is at this moment; a call that was begun with it ends with it, whatever is promoted meanwhile."""

    id: str
    model: BaseChatModel
    fingerprint: str
    """Names the weights: the base's hash and, after it, the adapter's."""
    created: int
    """Unix time, seconds."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of every call: the version that an id stands for now."""


class Catalogue:
    """Models by id: those that were given, and a local base with its versions, `champion` and `reasoner`.

    A promotion or rollback, by whichever process, is seen by the next `find`.

    Args:
        models: chat models by id.
        base: a local model, served under its name; with `registry` also each version of it, and `champion`.
        registry: where versions are; `None` serves none.
        tools: the reasoner's.
        allow: names of those that may act; the others that would are refused, since a client cannot be asked.
        store: where the reasoner's runs are recorded; `None` for nowhere.
        reasoner: whether `reasoner` is served. It reasons with the champion of `base`, or with the first of `models`.

    Raises:
        BadInputError: nothing is to be served, or two models have the same id.
    """

    def __init__(
        self,
        models: Mapping[str, BaseChatModel] | None = None,
        *,
        base: ChatTransformers | None = None,
        registry: Registry | None = None,
        tools: Sequence[BaseTool] = (),
        allow: Collection[str] = (),
        store: TraceStore | None = None,
        reasoner: bool = True,
    ) -> None:
        own = [] if base is None else [base.model] if registry is None else [base.model, CHAMPION]
        own += [REASONER] if reasoner else []
        models = dict(models or {})
        if twice := set(own) & set(models):
            raise BadInputError(f"two models have the id {twice.pop()!r}: serve one of them under another id")
        if base is None and not models:
            raise BadInputError("there is no model to serve: give models or a base")
        self._base = base
        self._registry = registry if base is not None else None
        self._started = int(time.time())
        self._served = {id_: Served(id_, model, _named(model), self._started) for id_, model in models.items()}
        self._versions: dict[str, ModelVersion] = {}
        self._champion: tuple[object, ModelVersion | None] = ("never read", None)
        self._fingerprint: str | None = None
        self._reasoner: ReasonerChatModel | None = None
        if reasoner:
            own_model = base if base is not None else next(iter(models.values()))
            versions = self._version_model if base is not None else None
            self._reasoner = ReasonerChatModel.over(own_model, tools, store, versions=versions, allow=allow)

    async def find(self, id_: str) -> Served:
        """The model with this id, as it is now.

        Raises:
            UnknownNameError: there is none; the message lists those that there are.
            CorruptFileError: the registry's files were damaged.
        """
        known = self._served.get(id_)
        if known is not None:
            return known
        if id_ == REASONER and self._reasoner is not None:
            return await self._find_reasoner(self._reasoner)
        if self._base is not None and id_ == self._base.model:
            return await self._of_base(id_, None)
        if self._registry is not None:
            if id_ == CHAMPION:
                return await self._of_base(id_, await self._find_champion(self._registry))
            if id_ not in self._versions:
                await run_in_executor(None, self._read_versions)
            if id_ in self._versions:
                return await self._of_base(id_, self._versions[id_])
        raise UnknownNameError("model", id_, [*self._fixed, *self._versions])

    async def all(self) -> list[Served]:
        """Every model, as it is now."""
        if self._registry is not None:
            await run_in_executor(None, self._read_versions)
        return [await self.find(id_) for id_ in (*self._fixed, *self._versions)]

    @property
    def _fixed(self) -> list[str]:
        ids = list(self._served)
        ids += [self._base.model] if self._base is not None else []
        ids += [CHAMPION] if self._registry is not None else []
        return ids + ([REASONER] if self._reasoner is not None else [])

    async def _of_base(self, id_: str, version: ModelVersion | None) -> Served:
        base = self._base
        assert base is not None
        if self._fingerprint is None:  # loading takes seconds
            loaded = await run_in_executor(None, lambda: base.base)
            self._fingerprint = f"fp_{loaded.fingerprint.base[:12]}"
        fingerprint = self._fingerprint
        if version is None:
            return Served(id_, base, fingerprint, self._started)
        fingerprint += f"_{(version.fingerprint.adapter or '')[:12]}"
        return Served(id_, base, fingerprint, int(version.created_at), {"adapter": version.id})

    async def _find_reasoner(self, reasoner: ReasonerChatModel) -> Served:
        if self._base is None:
            fingerprint = next(iter(self._served.values())).fingerprint
            return Served(REASONER, reasoner, fingerprint, self._started)
        champion = await self._find_champion(self._registry) if self._registry is not None else None
        below = await self._of_base(REASONER, champion)
        return Served(REASONER, reasoner, below.fingerprint, self._started, below.arguments)

    async def _find_champion(self, registry: Registry) -> ModelVersion | None:
        """The champion, read anew only after its file was replaced: this is asked for at every call."""
        stamp = _stamp(registry.root / "champion.json")
        if self._champion[0] != stamp:
            self._champion = (stamp, await run_in_executor(None, lambda: registry.champion))
        return self._champion[1]

    def _read_versions(self) -> None:
        assert self._registry is not None
        assert self._base is not None
        self._versions = {each.id: each for each in self._registry.versions() if each.base == self._base.model}

    def _version_model(self, adapter: str) -> BaseChatModel:
        assert self._base is not None
        return self._base.model_copy(update={"adapter": adapter})


def _stamp(file: Path) -> object:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _named(model: BaseChatModel) -> str:
    """Stands for a model whose weights are not ours to see."""
    return f"fp_{content_hash([type(model).__qualname__, repr(model._identifying_params)])[:12]}"
