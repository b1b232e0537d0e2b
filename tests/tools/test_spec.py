import subprocess
import sys
from typing import Any

import pytest
from langchain_core.tools import StructuredTool

from langgraph_ratchet.core.errors import BadInputError, UnknownNameError
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools import get_tools, tool_names
from langgraph_ratchet.tools.spec import Effect, ToolSpec, declare, is_declared, spec_of


def echo(text: str) -> str:
    """Echo."""
    return text


@pytest.mark.parametrize("name", tool_names())
def test_every_tool_declares_itself_and_is_short(name: str) -> None:
    (tool,) = get_tools(name)
    assert tool.name == name
    assert tool.metadata
    assert "ratchet" in tool.metadata
    assert spec_of(tool).timeout_s <= 60
    assert 10 < len(tool.description) < 120


def test_tools_by_name_and_by_default() -> None:
    assert [tool.name for tool in get_tools("clock", "calculator")] == ["clock", "calculator"]
    assert [tool.name for tool in get_tools()] == ["calculator", "clock", "documents", "logic"]


@pytest.mark.parametrize("name", ["abacus", "runner", "spec", "", "../clock", "calculator.py"])
def test_an_unknown_tool_is_refused_by_listing_the_known(name: str) -> None:
    with pytest.raises(UnknownNameError, match="known: calculator, clock, documents"):
        get_tools(name)


def test_a_tool_is_imported_only_when_asked_for() -> None:
    code = (
        "import sys; from langgraph_ratchet.tools import get_tools; get_tools('clock');"
        "assert 'simpleeval' not in sys.modules; get_tools('calculator'); assert 'simpleeval' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_a_spec_survives_its_metadata() -> None:
    spec = ToolSpec(effects=frozenset({Effect.NETWORK}), timeout_s=3, output_cap=9, trust=Trust.OWN)
    assert spec_of(StructuredTool.from_function(echo, metadata=spec.metadata())) == spec


def test_a_foreign_tool_gets_a_careful_spec() -> None:
    spec = spec_of(StructuredTool.from_function(echo))
    assert spec.effects == frozenset(Effect)
    assert spec.trust is Trust.UNTRUSTED
    assert (spec.timeout_s, spec.output_cap) == (30, 8_000)


def test_what_a_server_says_of_its_tool_is_no_declaration() -> None:
    """Adapters for MCP copy a server's annotations into `metadata`, as plain data."""
    harmless = ToolSpec(timeout_s=3, output_cap=9, trust=Trust.OWN)
    tool = StructuredTool.from_function(echo, metadata={"ratchet": harmless.model_dump(mode="json")})
    assert spec_of(tool) == spec_of(StructuredTool.from_function(echo))
    assert not is_declared(tool)


def test_any_tool_and_any_function_can_be_declared() -> None:
    tool = StructuredTool.from_function(echo, metadata={"mine": 1})
    declared = declare(tool, effects=["writes", Effect.NETWORK], trust="own", targets=["text"], timeout_s=3)
    assert spec_of(declared) == ToolSpec(
        effects=frozenset({Effect.WRITES, Effect.NETWORK}),
        trust=Trust.OWN,
        targets=frozenset({"text"}),
        timeout_s=3,
        output_cap=8_000,
    )
    assert declared.metadata is not None
    assert declared.metadata["mine"] == 1
    assert declared.invoke({"text": "x"}) == "x"
    assert not is_declared(tool)  # a copy was
    assert is_declared(declared)
    assert spec_of(declare(echo, effects=())).trust is Trust.UNTRUSTED


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ({"effects": ["sends"]}, r"tool echo cannot be declared so: effects"),
        ({"effects": "writes"}, r"tool echo cannot be declared so: effects"),
        ({"effects": (), "timeout_s": 0}, "timeout_s"),
        ({"effects": (), "trust": "mine"}, "trust"),
        ({"effects": (), "targets": ["url"]}, "tool echo has no argument 'url' to be a target; it takes text"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(spec: Any, fault: str) -> None:
    with pytest.raises(BadInputError, match=fault):
        declare(echo, **spec)
