"""Which MCP servers there are and how they are started: the `mcpServers` that MCP hosts read, checked strictly.

A server gets an environment of what its `env` names and nothing else; `${NAME}` in `env` and `headers` takes a value
from this process's environment. What only Ratchet knows stands under a server's `ratchet`. No message of this file
shows an argument, a value of `env` or a header: they hold keys.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.noun import Noun
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.core.visible import visible
from langgraph_ratchet.tools.spec import Effect

_FILE_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]|_(?!_)(?!$)){0,31}")
"""A server's name: no two underscores in a row and none at the end, so that `server__tool` is split in one way."""
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SHAPE = '{"mcpServers": {"name": {"command": "...", "args": [...], "env": {...}}, "other": {"url": "https://..."}}}'


def _one_line(text: str) -> str:
    if any(mark in text for mark in "\x00\r\n"):
        raise ValueError("must not contain NUL or a line break")
    return text


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain NUL")
    return text


_Line = Annotated[str, AfterValidator(_one_line)]
_Word = Annotated[str, AfterValidator(_without_nul)]
_Seconds = Annotated[float, Field(gt=0, le=600)]


class ToolRules(Noun):
    """What the user says of one tool. A server's own claims about it are not believed."""

    effects: frozenset[Effect] | None = None
    """`None`: any effect, so that it asks first."""
    trust: Trust = Trust.UNTRUSTED
    """Trust of what it returns."""
    targets: frozenset[str] = frozenset()
    """Names of arguments that say where a call goes."""
    output_cap: int = Field(default=8_000, gt=0, le=1_000_000)
    """Characters of output that are kept."""


class Rules(Noun):
    """What only Ratchet reads of a server's entry: the object under `ratchet`."""

    tools: Mapping[str, ToolRules] = Field(default_factory=dict)
    """By the name that the server gives the tool."""
    described_by: Trust = Trust.UNTRUSTED
    """`own` once the user has read the descriptions that are pinned and stands behind them. Until then a run with these
    tools has read other people's text from its start, so that whatever acts asks."""
    start_timeout_s: _Seconds = 30.0
    """Seconds until the server has started and introduced itself."""
    list_timeout_s: _Seconds = 15.0
    """Seconds until it has listed its tools."""
    call_timeout_s: _Seconds = 30.0
    """Seconds until a call has its result, a new start of the server included."""
    private_network: bool = False
    """Whether `url` may name a machine of a private network; loopback it may name without this."""


class StdioServer(Noun):
    """A server that is a program of this machine, spoken to through its standard input and output."""

    name: str
    type: Literal["stdio"] = "stdio"
    command: _Word
    """As written: a program on PATH, or an absolute path."""
    args: tuple[_Word, ...] = ()
    env: Mapping[str, _Word] = Field(default_factory=dict)
    """The whole environment of the program."""
    cwd: Path | None = None
    """Absolute; `None`: the folder that this process is in."""
    disabled: bool = False
    ratchet: Rules = Rules()

    @property
    def program(self) -> str:
        """The absolute path of what is started."""
        # With a separator it is a path, and then `which` does not search.
        found = shutil.which(self.command, path=self.env.get("PATH"))
        return found if found is not None and os.path.isabs(found) else ""


class HttpServer(Noun):
    """A server that is spoken to over streamable HTTP."""

    name: str
    type: Literal["http", "streamable-http", "streamable_http", "streamableHttp"] = "http"
    url: str
    headers: Mapping[str, _Line] = Field(default_factory=dict)
    disabled: bool = False
    ratchet: Rules = Rules()

    @property
    def host(self) -> str:
        """As the URL names it, without brackets."""
        return urlsplit(self.url).hostname or ""

    @property
    def loopback(self) -> bool:
        """Whether the URL itself names this machine."""
        return _is_loopback(self.host)


Server = StdioServer | HttpServer


def read_servers(config: Path | Mapping[str, Any]) -> list[Server]:
    """The servers of a configuration, those that are disabled left out.

    Args:
        config: a JSON file, or what it would hold. Other keys beside `mcpServers` are a host's own and not read.

    Raises:
        BadInputError: it cannot be read, is not of that shape, has a key that is not known, or names what cannot be
            started or may not be connected to.
    """
    where = "the MCP configuration" if isinstance(config, Mapping) else f"the MCP configuration {config}"
    given = config if isinstance(config, Mapping) else _file(config, where)
    entries = given.get("mcpServers") if isinstance(given, Mapping) else None
    if not isinstance(entries, Mapping) or not entries:
        raise BadInputError(f"{where} names no servers; it must be {_SHAPE}")
    servers = [_server(name, entry, where) for name, entry in entries.items()]
    return [server for server in servers if not server.disabled]


def _file(path: Path, where: str) -> Any:
    try:
        with path.open("rb") as file:
            text = file.read(_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise BadInputError(f"{where} cannot be read: {why}; it must be a file with {_SHAPE}") from error
    if len(text) > _FILE_BYTES:
        raise BadInputError(f"{where} has more than {_FILE_BYTES} bytes; it must be {_SHAPE}")
    try:
        return json.loads(text, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{where} is not JSON that can be used: {error}; it must be {_SHAPE}") from error


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The second of two equal names would silently take the place of the first."""
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{visible(twice)[:100]!r} stands there twice")
    return made


def _server(name: Any, entry: Any, where: str) -> Server:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadInputError(
            f"{where} has a server called {visible(str(name))[:100]!r}: a name is at most 32 letters, digits, hyphens "
            "and single underscores, since it begins the names of the server's tools (server__tool)"
        )
    here = f"MCP server {name!r} in {where}"
    if not isinstance(entry, Mapping) or ("command" in entry) == ("url" in entry):
        raise BadInputError(f"{here} must have either a command or a url: {_SHAPE}")
    kind: TypeAdapter[Any] = TypeAdapter(StdioServer if "command" in entry else HttpServer)
    try:
        server: Server = kind.validate_python({**entry, "name": name})
    except ValidationError as error:
        raise BadInputError(f"{here}: {_faults(error, kind)}") from None  # its text shows what was given
    if isinstance(server, StdioServer):
        return _checked_program(server, here)
    return _checked_url(server, here)


def _faults(error: ValidationError, kind: TypeAdapter[Any]) -> str:
    faults = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        place = visible(".".join(str(part) for part in fault["loc"]))[:100]
        if fault["type"] == "extra_forbidden":
            known = ", ".join(name for name in kind.json_schema()["properties"] if name != "name")
            faults.append(f"the key {place!r} is not known" + ("" if "." in place else f"; known are {known}"))
        else:
            faults.append(f"{place}: {fault['msg']}")
    return "; ".join(faults)


def _checked_program(server: StdioServer, here: str) -> StdioServer:
    bad = next((name for name in server.env if not name or "=" in name or "\x00" in name), None)
    if bad is not None:
        raise BadInputError(f"{here}: {visible(bad)[:100]!r} in env is not the name of a variable")
    server = server.model_copy(update={"env": _filled_in(server.env, f"{here}, env")})
    command = visible(server.command)[:200]
    separate = any(mark in server.command for mark in (os.sep, os.altsep) if mark)
    if separate and not os.path.isabs(server.command):
        raise BadInputError(
            f"{here}: the command {command!r} is a relative path, which names another program in another folder: "
            "give an absolute path, or the name of a program on PATH"
        )
    if not server.program:
        raise BadInputError(
            f"{here}: there is no program {command!r}: install it, or give its absolute path as command; "
            "its arguments go into args, one by one, and no shell reads them"
        )
    if server.cwd is not None and not (server.cwd.is_absolute() and server.cwd.is_dir()):
        raise BadInputError(f"{here}: cwd {str(server.cwd)!r} must be the absolute path of a folder")
    return server


def _checked_url(server: HttpServer, here: str) -> HttpServer:
    bad = next((name for name in server.headers if not _HEADER.fullmatch(name)), None)
    if bad is not None:
        raise BadInputError(f"{here}: {visible(bad)[:100]!r} in headers is not the name of a header")
    try:
        parts = urlsplit(server.url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    seen = visible(server.url) == server.url and not any(mark.isspace() for mark in server.url)
    if parts.scheme not in ("http", "https") or not host or not seen:
        raise BadInputError(f"{here}: url is not the https address of a server")
    if parts.username is not None or parts.password is not None:
        raise BadInputError(f"{here}: url holds a user name or a password: put them into headers")
    if parts.scheme == "http" and not (server.loopback or server.ratchet.private_network):
        raise BadInputError(
            f"{here}: url must begin with https: over plain http anyone on the way can change what tools do "
            "(plain http is for loopback, and for a private network that ratchet.private_network allows)"
        )
    return server.model_copy(update={"headers": _filled_in(server.headers, f"{here}, headers")})


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _filled_in(values: Mapping[str, str], place: str) -> dict[str, str]:
    """The values with `${NAME}` replaced by what this process's environment has for it."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise BadInputError(f"{place}: ${{{found[1]}}} is not set in the environment: set it, or write its value")
        return os.environ[found[1]]

    return {name: _VARIABLE.sub(value, text) for name, text in values.items()}
