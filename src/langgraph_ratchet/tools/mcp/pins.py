"""What each server's tools were when they were accepted, in a file; a server that changes them is refused.

A tool's description steers the model as much as its code steers the machine, and a server can change it at any start.
The file holds the hash of each tool, and the text that was shown, so that a change can be said.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock
from pydantic import Field, ValidationError

from langgraph_ratchet.core.errors import BadInputError, RatchetError
from langgraph_ratchet.core.noun import Noun, Stored
from langgraph_ratchet.registry.files import replace_durably
from langgraph_ratchet.tools.mcp.offers import Offer, differences

_LOCK_S = 10.0
_INDENTED = orjson.OPT_INDENT_2


class Pin(Noun):
    """One tool as it was accepted."""

    hash: str
    """SHA-256 of name, description and schema as the server gave them."""
    description: str
    """As it is shown to a model; the server's may be longer."""
    schema_: Mapping[str, Any] = Field(alias="schema")


class _File(Stored):
    servers: Mapping[str, Mapping[str, Pin]] = Field(default_factory=dict)
    """By server, then by tool."""


class Pins:
    """The file of pins. Writing it is atomic, and one process at a time.

    Args:
        path: of the file; made, with its folder, when something is pinned.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def changes(self, server: str, offered: Sequence[Offer]) -> list[str] | None:
        """What differs between what was pinned and what is offered: a line for each; `None` if nothing was pinned.

        A tool that is no longer offered is no difference: nobody is shown anything new.

        Raises:
            BadInputError: the file cannot be read.
        """
        pinned = self._read().servers.get(server)
        if pinned is None:
            return None
        lines: list[str] = []
        for offer in offered:
            pin = pinned.get(offer.name)
            if pin is None:
                lines.append(f"tool {offer.name!r} is new: {offer.description[:200]!r}")
            elif pin.hash != offer.hash:
                said = list(differences({"description": pin.description, "schema": pin.schema_}, offer))
                lines.append(f"tool {offer.name!r} has changed: " + ("; ".join(said) or "in what is not shown of it"))
        return lines

    def pin(self, accepted: Mapping[str, Sequence[Offer]]) -> None:
        """Writes down what the servers offer, in the place of what was pinned for them before.

        Raises:
            BadInputError: the file cannot be read.
            RatchetError: it cannot be written, or another process holds it.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock", timeout=_LOCK_S):
                servers = dict(self._read().servers)
                for server, offered in accepted.items():
                    servers[server] = {
                        offer.name: Pin(hash=offer.hash, description=offer.description, schema=offer.schema)
                        for offer in offered
                    }
                text = orjson.dumps(_File(servers=servers).model_dump(mode="json", by_alias=True), option=_INDENTED)
                replace_durably(self.path, text)
        except OSError as error:
            why = error.strerror or str(error)
            raise RatchetError(f"the pins of MCP tools could not be written to {self.path}: {why}") from error

    def _read(self) -> _File:
        try:
            return _File.model_validate(orjson.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return _File()
        except (OSError, ValueError, ValidationError) as error:
            raise BadInputError(
                f"the pins of MCP tools in {self.path} cannot be read, so nobody knows what was accepted: mend the "
                "file, or remove it to accept what the servers offer now"
            ) from error
