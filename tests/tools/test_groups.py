"""Tools by the name of a group, and by the file that lists their MCP servers."""

import json
import sys
from pathlib import Path

import pytest

from langgraph_ratchet.core.errors import BadInputError, UnknownNameError
from langgraph_ratchet.tools import GROUPS, TOOLS, get_tools


def test_a_group_stands_for_its_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [tool.name for tool in get_tools("files", "clock")] == ["read_file", "write_file", "list_files", "clock"]


def test_what_is_named_twice_is_given_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = get_tools("list_files", "files", "clock", "files", "clock")
    assert [tool.name for tool in found] == ["list_files", "read_file", "write_file", "clock"]


def test_groups_hide_no_tool_and_name_only_tools() -> None:
    assert not set(GROUPS) & set(TOOLS.names())
    assert {name for names in GROUPS.values() for name in names} <= set(TOOLS.names())


def test_a_wrong_name_lists_the_groups_too() -> None:
    with pytest.raises(
        UnknownNameError, match="unknown tool 'hammer'; known: calculator, .*, web, memory, files, mcp:FILE"
    ):
        get_tools("clock", "hammer")
    with pytest.raises(BadInputError, match="mcp: names no file"):
        get_tools("mcp:")


def test_no_server_is_started_while_another_name_is_wrong(tmp_path: Path) -> None:
    started = tmp_path / "started"
    config = tmp_path / "servers.json"
    command = ["-c", f"open({str(started)!r}, 'w').close()"]
    config.write_text(json.dumps({"mcpServers": {"one": {"command": sys.executable, "args": command}}}))
    with pytest.raises(UnknownNameError):
        get_tools(f"mcp:{config}", "hammer")
    assert not started.exists()
