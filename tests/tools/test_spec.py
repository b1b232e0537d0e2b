import subprocess
import sys

import pytest
from langchain_core.tools import StructuredTool

from langgraph_ratchet.core.errors import BadInputError, UnknownNameError
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools import get_tools, tool_names
from langgraph_ratchet.tools.spec import Effect, ToolSpec, spec_of


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


def test_a_broken_spec_is_named() -> None:
    tool = StructuredTool.from_function(echo, metadata={"ratchet": {"timeout_s": -1}})
    with pytest.raises(BadInputError, match=r"tool echo: .*timeout_s"):
        spec_of(tool)
