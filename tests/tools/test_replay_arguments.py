"""Which arguments of a replayed tool are the same: what its schema, JSON and Unicode hold equal."""

from enum import Enum
from typing import Annotated, Any

import pytest
from langchain_core.messages import ToolCall
from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool
from pydantic import BaseModel

from langgraph_ratchet.core.errors import NotRecordedError
from langgraph_ratchet.core.step import Step
from langgraph_ratchet.tools.replay import ToolReplay, normal_form
from langgraph_ratchet.tools.runner import ToolResult, run_tool


def step(output: str, *, tool: str, **given: Any) -> Step:
    return Step(number=1, description="", tool=tool, input=given, output=output, call_id="call_1")


def call(tool: BaseTool, **given: Any) -> ToolResult:
    return run_tool(tool, ToolCall(name=tool.name, args=given, id="1"))


class Urgency(Enum):
    LOW = "low"
    HIGH = "high"


class Place(BaseModel):
    city: str
    floor: int = 1


def mail(
    to: list[str],
    copies: int = 1,
    price: float = 2.0,
    urgency: Urgency = Urgency.LOW,
    place: Place | None = None,
    run: Annotated[object, InjectedToolArg] = None,
) -> str:
    """Send mail."""
    raise AssertionError("called")


@pytest.mark.parametrize(
    "same",
    [
        {"copies": 1, "to": ["ann"]},
        {"to": ["ann"], "copies": 1.0},
        {"to": ["ann"], "copies": "1"},
        {"to": ["ann"], "price": 2},
        {"to": ["ann"], "urgency": "low", "place": None},
    ],
    ids=str,
)
def test_calls_that_the_schema_reads_alike_are_the_same(same: dict[str, Any]) -> None:
    tool = StructuredTool.from_function(mail)
    assert normal_form(tool, same) == normal_form(tool, {"to": ["ann"]})
    (stand_in,) = ToolReplay.of([step("sent", tool="mail", to=["ann"])]).over([tool])
    assert call(stand_in, **same).text == "sent"


@pytest.mark.parametrize(
    "other",
    [
        {"to": ["Ann"]},
        {"to": ["ann "]},
        {"to": ["ann"], "copies": 2},
        {"to": ["ann"], "urgency": "high"},
        {"to": ["ann", "ann"]},
        {"to": ["ann"], "place": {"city": "Ulm"}},
    ],
    ids=str,
)
def test_calls_that_differ_are_not_the_same(other: dict[str, Any]) -> None:
    (stand_in,) = ToolReplay.of([step("sent", tool="mail", to=["ann"])]).over([StructuredTool.from_function(mail)])
    with pytest.raises(NotRecordedError):
        call(stand_in, **other)


def test_defaults_are_filled_in_at_every_depth() -> None:
    tool = StructuredTool.from_function(mail)
    recorded = step("sent", tool="mail", to=["ann"], place={"city": "Ulm", "floor": "1"})
    (stand_in,) = ToolReplay.of([recorded]).over([tool])
    assert call(stand_in, to=["ann"], place={"city": "Ulm"}).text == "sent"


MCP_SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "lines": {"type": "number", "default": 10},
        "how": {"type": "object", "properties": {"deep": {"type": "boolean", "default": False}}},
    },
    "required": ["path"],
}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"path": "a", "lines": 10}, {"path": "a"}, True),
        ({"lines": 3.0, "path": "a"}, {"path": "a", "lines": 3}, True),
        ({"path": "a", "how": {}}, {"path": "a", "how": {"deep": False}}, True),
        ({"path": "caf\u00e9"}, {"path": "cafe\u0301"}, True),  # one letter, or a letter and its accent
        ({"path": "a", "lines": -0.0}, {"path": "a", "lines": 0}, True),
        ({"path": "a", "lines": 2**70}, {"path": "a", "lines": float(2**70)}, True),
        ({"path": "a", "lines": True}, {"path": "a", "lines": 1}, False),
        ({"path": "a", "lines": "1"}, {"path": "a", "lines": 1}, False),
        ({"path": "a", "lines": None}, {"path": "a"}, False),
        ({"path": "a\n"}, {"path": "a"}, False),
        ({"path": "A"}, {"path": "a"}, False),
        ({"path": "a", "more": 1}, {"path": "a"}, False),
        ({"path": "a", "lines": 0.1}, {"path": "a", "lines": 0.2}, False),
    ],
)
def test_calls_of_a_tool_with_a_json_schema(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    tool = StructuredTool(name="read", description="Read a file.", args_schema=MCP_SCHEMA, func=lambda **given: "live")
    assert (normal_form(tool, one) == normal_form(tool, other)) is same
    (stand_in,) = ToolReplay.of([step("read", tool="read", **one)]).over([tool])
    if same:
        assert call(stand_in, **other).text == "read"
    else:
        with pytest.raises(NotRecordedError):
            call(stand_in, **other)
