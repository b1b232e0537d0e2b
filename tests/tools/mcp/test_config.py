"""A configuration is what MCP hosts read, and nothing in it is guessed."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.mcp.config import HttpServer, StdioServer, read_servers
from langgraph_ratchet.tools.spec import Effect

SECRET = "sk-live-0123456789"


def servers(**entries: Any) -> dict[str, Any]:
    return {"mcpServers": entries}


def test_what_hosts_have_is_read(tmp_path: Path) -> None:
    path = tmp_path / "claude_desktop_config.json"
    entries = servers(
        files={"command": sys.executable, "args": ["-y", "x; rm -rf /", "$(id)"], "env": {"KEY": "1"}},
        remote={"type": "http", "url": "https://mcp.example.com/mcp", "headers": {"Authorization": "Bearer 1"}},
        local={"url": "http://127.0.0.1:8000/mcp"},
        off={"command": "not-installed-here", "disabled": True} | {"command": sys.executable},
    )
    path.write_text(json.dumps({**entries, "globalShortcut": "Ctrl+Space"}), encoding="utf-8")
    files, remote, local = read_servers(path)
    assert isinstance(files, StdioServer)
    assert (files.program, files.args) == (sys.executable, ("-y", "x; rm -rf /", "$(id)"))
    assert files.env == {"KEY": "1"}
    assert isinstance(remote, HttpServer)
    assert not remote.loopback
    assert isinstance(local, HttpServer)
    assert local.loopback


def test_a_program_is_looked_up_on_the_path_that_the_entry_names(tmp_path: Path) -> None:
    program = tmp_path / "my-server"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    (server,) = read_servers(servers(s={"command": "my-server", "env": {"PATH": str(tmp_path)}}))
    assert isinstance(server, StdioServer)
    assert server.program == str(program)


def test_a_program_in_the_current_folder_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my-server").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "my-server").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInputError, match="there is no program 'my-server'"):
        read_servers(servers(s={"command": "my-server", "env": {"PATH": ".:"}}))


def test_values_come_from_the_environment_where_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", SECRET)
    (server, remote) = read_servers(
        servers(
            s={"command": sys.executable, "args": ["${MY_KEY}"], "env": {"KEY": "a${MY_KEY}b$MY_KEY"}},
            r={"url": "https://example.com", "headers": {"Authorization": "Bearer ${MY_KEY}"}},
        )
    )
    assert isinstance(server, StdioServer)
    assert isinstance(remote, HttpServer)
    assert server.env == {"KEY": f"a{SECRET}b$MY_KEY"}
    assert server.args == ("${MY_KEY}",)  # every user of the machine can read a program's arguments
    assert remote.headers == {"Authorization": f"Bearer {SECRET}"}


def test_a_tool_is_given_effects_and_trust_by_the_user() -> None:
    rules = {"tools": {"read": {"effects": ["reads"], "trust": "own"}}, "call_timeout_s": 5}
    (server,) = read_servers(servers(s={"command": sys.executable, "ratchet": rules}))
    assert server.ratchet.tools["read"].effects == {Effect.READS}
    assert server.ratchet.tools["read"].trust == Trust.OWN
    assert server.ratchet.call_timeout_s == 5


STDIO = {"command": sys.executable}
REMOTE = {"url": "https://example.com/mcp"}


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({}, "must have either a command or a url"),
        ([], "must have either a command or a url"),
        ({**STDIO, **REMOTE}, "must have either a command or a url"),
        ({**STDIO, "autoApprove": ["*"]}, "the key 'autoApprove' is not known; known are type, command, args"),
        ({**STDIO, "ratchet": {"effects": []}}, "the key 'ratchet.effects' is not known"),
        ({**STDIO, "ratchet": {"tools": {"a": {"effects": ["none"]}}}}, "ratchet.tools.a.effects.0: Input should be"),
        ({**STDIO, "ratchet": {"call_timeout_s": 0}}, "ratchet.call_timeout_s: Input should be greater than 0"),
        ({**STDIO, "ratchet": {"call_timeout_s": 1e9}}, "ratchet.call_timeout_s: Input should be less than"),
        ({**STDIO, "type": "sse"}, "type: Input should be 'stdio'"),
        ({**STDIO, "args": "-y"}, "args: Input should be a valid tuple"),
        ({**STDIO, "args": [SECRET + "\x00"]}, "args.0: Value error, must not contain NUL"),
        ({**STDIO, "env": {"A=B": SECRET}}, "'A=B' in env is not the name of a variable"),
        ({**STDIO, "env": {"PORT": 8080}}, "env.PORT: Input should be a valid string"),
        ({**STDIO, "env": {"A": "${NOT_SET_ANYWHERE}"}}, "${NOT_SET_ANYWHERE} is not set in the environment"),
        ({**STDIO, "cwd": "relative"}, "cwd 'relative' must be the absolute path of a folder"),
        ({"command": "./server"}, "the command './server' is a relative path"),
        ({"command": "../bin/server"}, "is a relative path"),
        ({"command": "/no/such/server"}, "there is no program '/no/such/server'"),
        ({"command": "npx -y server; id"}, "there is no program 'npx -y server; id'"),
        ({"command": ""}, "there is no program ''"),
        ({"command": "/etc/passwd"}, "there is no program '/etc/passwd'"),
        ({"url": "example.com"}, "url is not the https address of a server"),
        ({"url": "file:///etc/passwd"}, "url is not the https address of a server"),
        ({"url": "https://"}, "url is not the https address of a server"),
        ({"url": "https://example.com:port/"}, "url is not the https address of a server"),
        ({"url": "https://exam\nple.com"}, "url is not the https address of a server"),
        ({"url": f"https://me:{SECRET}@example.com/"}, "url holds a user name or a password"),
        ({"url": "http://example.com/"}, "url must begin with https"),
        ({**REMOTE, "headers": {"A": f"{SECRET}\r\nB: 1"}}, "headers.A: Value error, must not contain NUL or a line"),
        ({**REMOTE, "headers": {"A B": SECRET}}, "'A B' in headers is not the name of a header"),
        ({**REMOTE, "env": {"A": SECRET}}, "the key 'env' is not known"),
    ],
)
def test_a_bad_entry_is_named_and_no_secret_is_shown(entry: Any, why: str) -> None:
    with pytest.raises(BadInputError) as raised:
        read_servers(servers(mine=entry))
    assert "'mine'" in str(raised.value)
    assert why in str(raised.value)
    assert SECRET not in str(raised.value)
    assert SECRET not in str(raised.value.__cause__)


@pytest.mark.parametrize("name", ["", "a__b", "a_", "_a", "a b", "a.b", "ä", "a" * 33, "a\n", "../a", "a\x1b[2J"])
def test_a_name_that_cannot_begin_the_names_of_tools_is_refused(name: str) -> None:
    with pytest.raises(BadInputError, match="a name is at most 32 letters"):
        read_servers(servers(**{name: STDIO}))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not JSON that can be used"),
        ("[" * 100_000, "is not JSON that can be used"),
        ("\ufeff{}", "names no servers"),
        ("[]", "names no servers"),
        ("{}", "names no servers"),
        ('{"mcpServers": {}}', "names no servers"),
        ('{"mcpServers": []}', "names no servers"),
        ('{"servers": {"a": {}}}', "names no servers"),
        ('{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}', "'a' stands there twice"),
        ('{"mcpServers": {"a": {"command": "x", "command": "y"}}}', "'command' stands there twice"),
        (" " * (1 << 20) + "{}", "more than 1048576 bytes"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "servers.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInputError) as raised:
        read_servers(path)
    assert str(path) in str(raised.value)
    assert why in str(raised.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "none.json", tmp_path / "loop", tmp_path, tmp_path / "x\x00y"):
        with pytest.raises(BadInputError, match="cannot be read: .+; it must be a file with"):
            read_servers(path)
