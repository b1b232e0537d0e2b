"""Plugins: tools, strategies, problem families, graders and trainers, found by their names.

A plugin is a file in the folder of its kind, or an entry point of an installed package in the group of its kind, whose
object is what such a file would hold. Names are listed without importing anything; a plugin is imported when it is
asked for. A name that two packages offer, and a plugin that cannot be loaded, are an error for whoever asks for that
name and for nobody else; `Kind.others` shows them all, with what is wrong with each.
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Generic, TypeVar

from langgraph_ratchet.core.errors import PluginError, UnknownNameError

T = TypeVar("T")

OURS = "langgraph-ratchet"
"""The package that the built-in plugins belong to."""

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Plugin:
    """A plugin of another package, as `ratchet doctor` shows it."""

    kind: str
    name: str
    package: str
    """Name and version of the package that offers it."""
    fault: str | None
    """Why it cannot be used; `None` when it can."""


@dataclass(frozen=True)
class _Offer:
    """A package that has something under a name."""

    package: str
    where: str
    """The entry point as its package wrote it: `count = acme.tools:count_tool`; of a built-in plugin, its module."""
    load: Callable[[], Any]

    @property
    def ours(self) -> bool:
        return self.package == OURS


@dataclass(frozen=True)
class Kind(Generic[T]):
    """One kind of plugin: where its plugins are found, and what each must be."""

    noun: str
    """What one is called, in the singular."""
    folder: str
    """The package whose files are the built-in ones."""
    group: str | None
    """The group of other packages' entry points; `None` admits none."""
    attribute: str
    """What a file holds, `{name}` being the file's name; empty: the module itself is the plugin."""
    wanted: str
    """What that must be, for an error's text."""
    accept: Callable[[str, Any], T]
    """The plugin from its name and from what the file or entry point holds; raises whatever says why it is none."""
    aside: frozenset[str] = field(default=frozenset())
    """Files of the folder that are no plugins."""

    def names(self) -> tuple[str, ...]:
        """All names, sorted; nothing is imported."""
        return tuple(sorted(self._offers()))

    def built_in(self) -> tuple[str, ...]:
        """Names of the plugins that come with this package, sorted."""
        return tuple(sorted(name for name, offers in self._offers().items() if any(offer.ours for offer in offers)))

    def check(self, name: str) -> None:
        """Raises what `load` would raise for a name that does not exist or is offered twice; imports nothing."""
        self._offer(name)

    def load(self, name: str) -> T:
        """The plugin called `name`.

        Raises:
            UnknownNameError: there is none; the message lists those there are.
            PluginError: two packages offer one, or another package's cannot be loaded or is not what it should be.
        """
        offer = self._offer(name)
        if offer.ours:
            return self.accept(name, offer.load())
        try:
            return self.accept(name, offer.load())
        except (Exception, SystemExit) as error:  # It is others' code: it may raise anything, even on import.
            raise PluginError(
                f"{self.noun} {name!r} of the package {offer.package} cannot be used: {type(error).__name__}: {error}. "
                f"Its entry point {offer.where!r} in the group {self.group!r} must be {self.wanted}: "
                f"mend, update or uninstall {offer.package}"
            ) from error

    def others(self) -> tuple[Plugin, ...]:
        """Every plugin of other packages; imports them all to find what is wrong with each."""
        return tuple(
            Plugin(self.noun, name, offer.package, self._fault(name))
            for name, offers in sorted(self._offers().items())
            for offer in offers
            if not offer.ours
        )

    def _fault(self, name: str) -> str | None:
        try:
            self.load(name)
        except PluginError as error:
            return str(error)
        return None

    def _offer(self, name: str) -> _Offer:
        # A name may come from data: it is looked up and never imported as it stands.
        offers = self._offers().get(name)
        if offers is None:
            raise UnknownNameError(self.noun, name, self.names())
        if len(offers) > 1:
            raise PluginError(_doubled(self.noun, name, offers))
        if not _NAME.fullmatch(name):
            raise PluginError(
                f"{self.noun} {name!r} of the package {offers[0].package} cannot be used: a name is one word of lower-"
                f"case letters, digits and underscores: mend, update or uninstall {offers[0].package}"
            )
        return offers[0]

    def _offers(self) -> Mapping[str, tuple[_Offer, ...]]:
        return _find(self.noun, self.folder, self.group, self.attribute, self.aside, tuple(sys.path))


def _doubled(noun: str, name: str, offers: tuple[_Offer, ...]) -> str:
    by = " and ".join(f"{offer.package} ({offer.where})" for offer in offers)
    packages = " or ".join(dict.fromkeys(offer.package for offer in offers if not offer.ours))
    return f"{noun} {name!r} is offered by {by}, and nothing says which is meant: uninstall or mend {packages}"


@cache  # The path is an argument so that a package on a path that was added later is found.
def _find(
    noun: str, folder: str, group: str | None, attribute: str, aside: frozenset[str], path: tuple[str, ...]
) -> Mapping[str, tuple[_Offer, ...]]:
    """Who offers what, by name; says so once when a name is offered twice."""
    found: dict[str, list[_Offer]] = {}
    for module in iter_modules(import_module(folder).__path__):
        if module.name not in aside:
            found[module.name] = [_built_in(folder, module.name, attribute)]
    for name, offer in _entry_points(group) if group else ():
        found.setdefault(name, []).append(offer)
    for name, offers in found.items():
        if len(offers) > 1:
            _LOG.warning(_doubled(noun, name, tuple(offers)))
    return {name: tuple(offers) for name, offers in found.items()}


def _built_in(folder: str, name: str, attribute: str) -> _Offer:
    where = f"{folder}.{name}"

    def load() -> Any:
        module = import_module(where)
        return getattr(module, attribute.format(name=name)) if attribute else module

    return _Offer(OURS, where, load)


def _entry_points(group: str) -> list[tuple[str, _Offer]]:
    from importlib.metadata import EntryPoints, entry_points  # Takes longer to import than all else here.

    try:
        points = entry_points(group=group)
    except Exception as error:  # One package's damaged metadata; it must not take the built-in plugins along.
        _LOG.error("plugins of other packages are not found: damaged metadata of an installed package: %r", error)
        points = EntryPoints()
    found = []
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        package = f"{point.dist.name} {point.dist.version}" if point.dist else "an unnamed package"
        found.append((point.name, _Offer(package, f"{point.name} = {point.value}", point.load)))
    return found
