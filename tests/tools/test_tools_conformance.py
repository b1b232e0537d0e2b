"""The conformance checks over every tool (a new file is tested by being there), and that they notice what is wrong."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import BaseTool, StructuredTool

from langgraph_ratchet.core.errors import ConformanceError
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools import get_tools, tool_names
from langgraph_ratchet.tools.conformance import (
    CHECKS,
    NAUGHTY,
    check_async_agrees,
    check_bad_arguments_end_in_an_error_text,
    check_declaration,
    check_hostile_arguments_end_in_a_text,
    check_naughty_texts,
)
from langgraph_ratchet.tools.spec import Effect, ToolSpec
from langgraph_ratchet.tools.web_fetch import web_fetch_tool

_PART, _PART_FOR_PROCESSES = 5, 25
"""Of the long list each tool is given a fifth, another than the tools before it; what starts processes, less."""
_WITH_PROCESSES = {"logic", "python"}


def no_addresses(host: str) -> list[str]:
    raise OSError(f"no address of {host}")


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], BaseTool]:
    """Makes a tool by name that reads and writes in a folder of the test's, and looks no name up in the network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAINING_DATA_PATH", str(tmp_path / "data"))

    def made(name: str) -> BaseTool:
        if name == "web_fetch":
            return web_fetch_tool(resolver=no_addresses)
        (tool,) = get_tools(name)
        return tool

    return made


@pytest.fixture(scope="module")
def naughty() -> list[str]:
    """The big list of naughty strings, which is not part of the project."""
    folder = os.environ.get("RATCHET_TEST_DATA")
    if not folder:
        print("not verified here: all naughty strings as argument and as result of every tool (no RATCHET_TEST_DATA)")
        return []
    found: list[str] = json.loads((Path(folder) / "security" / "blns" / "blns.json").read_text("utf-8"))
    assert len(found) >= 515
    return found


# The next test makes the last check, with more texts and in a place where they may be written.
@pytest.mark.parametrize(
    "check", [check for check in CHECKS if check is not check_naughty_texts], ids=lambda check: check.__name__
)
@pytest.mark.parametrize("name", tool_names())
def test_every_tool_keeps_what_tools_promise(
    name: str, check: Callable[[BaseTool], None], make: Callable[[str], BaseTool]
) -> None:
    check(make(name))


@pytest.mark.parametrize("name", tool_names())
def test_naughty_texts_as_argument_and_as_result(
    name: str, make: Callable[[str], BaseTool], naughty: list[str]
) -> None:
    part = _PART_FOR_PROCESSES if name in _WITH_PROCESSES else _PART
    check_naughty_texts(make(name), [*NAUGHTY, *naughty[tool_names().index(name) % part :: part]], contained=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", tool_names())
def test_every_naughty_string_as_argument_and_as_result(
    name: str, make: Callable[[str], BaseTool], naughty: list[str]
) -> None:
    check_naughty_texts(make(name), naughty, contained=True)


def tool_of(function: Callable[..., Any], name: str | None = None, **fields: Any) -> StructuredTool:
    spec = ToolSpec(**{"timeout_s": 0.2, "output_cap": 100, "trust": Trust.OWN, **fields})
    described = {"name": name, "description": "A tool for a test.", "metadata": spec.metadata()}
    return StructuredTool.from_function(function, **described)


def test_a_tool_that_hangs_on_some_argument_is_noticed() -> None:
    def slow(text: str) -> str:
        time.sleep(0.5 if "DROP" in text else 0)
        return "done"

    with pytest.raises(ConformanceError, match=r"slow: arguments .*DROP.* take less than its 0.2 s"):
        check_hostile_arguments_end_in_a_text(tool_of(slow))


def test_forms_that_differ_are_noticed() -> None:
    async def later(text: str) -> str:
        return "later"

    def now(text: str) -> str:
        return "now"

    tool = tool_of(now)
    tool.coroutine = later
    with pytest.raises(ConformanceError, match="both forms agree"):
        check_async_agrees(tool)


def test_a_tool_without_a_declaration_is_noticed() -> None:
    def bare(text: str) -> str:
        """A tool that says nothing about itself."""
        return text

    with pytest.raises(ConformanceError, match="carries a ToolSpec"):
        check_declaration(StructuredTool.from_function(bare))


def test_a_tool_that_swallows_unknown_arguments_is_noticed() -> None:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": []}
    tool = tool_of(lambda **given: "fine", name="lax").model_copy(update={"args_schema": schema})
    with pytest.raises(ConformanceError, match="lax: names an unknown argument"):
        check_bad_arguments_end_in_an_error_text(tool)


def test_a_tool_that_changes_something_is_not_called_with_hostile_arguments() -> None:
    sent: list[str] = []
    tool = tool_of(lambda text: sent.append(text), name="send", effects=frozenset({Effect.NETWORK}))
    for check in CHECKS[2:]:
        check(tool)
    assert sent == []


def test_a_tool_that_stumbles_over_a_text_is_noticed() -> None:
    def slow(text: str, times: int = 1) -> str:
        time.sleep(0.5 if "\u202e" in text else 0)
        return "done"

    with pytest.raises(ConformanceError, match=r"slow: arguments .* take less than its 0.2 s"):
        check_naughty_texts(tool_of(slow))


def test_naughty_texts_reach_a_tool_that_changes_something_only_where_it_is_contained() -> None:
    kept: list[str] = []

    def keep(text: str) -> None:
        kept.append(text)

    tool = tool_of(keep, effects=frozenset({Effect.WRITES}))
    check_naughty_texts(tool, ["\u202e"])
    assert kept == []
    check_naughty_texts(tool, ["\u202e"], contained=True)
    assert kept == ["\u202e"]
