"""What a server says of its tools is shown short and without what nobody sees, or not at all."""

import json
import time
from typing import Any

import pytest
from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.tools.mcp.offers import MOST_TOOLS, Offer, offers

OBJECT: dict[str, Any] = {"type": "object"}


def offered(name: str = "do", description: str | None = "Does.", schema: Any = OBJECT) -> Offer:
    fit, unfit = offers("s", [(name, description, schema)])
    assert not unfit
    return fit[0]


def left_out(name: str = "do", description: str | None = "Does.", schema: Any = OBJECT) -> str:
    fit, unfit = offers("s", [(name, description, schema)])
    assert not fit
    return next(iter(unfit.values()))


def as_tool(offer: Offer) -> BaseTool:
    return StructuredTool(name="s__do", description="Does.", args_schema=dict(offer.schema), func=lambda **_: None)


def test_a_description_is_shown_as_one_sees_it() -> None:
    said = "Adds.\x1b[2J \x00\u202egnp.\u202c z\u200bw \U000e0069\U000e0067\U000e006e\ud800"
    assert offered(description=said).description == "Adds.\\x1b[2J \\u202egnp.\\u202c zw \ufffd"
    assert offered(description=None).description == "The tool do."


def test_a_megabyte_of_description_is_cut() -> None:
    started = time.process_time()
    offer = offered(description="<IMPORTANT> " * 100_000)
    assert len(offer.description) < 1_000
    assert time.process_time() - started < 1
    # All of it counts: what comes after the cut is in the hash.
    assert offer.hash != offered(description="<IMPORTANT> " * 100_000 + ".").hash


def test_descriptions_within_a_schema_are_shown_alike() -> None:
    schema = {"properties": {"a": {"type": "string", "description": "x" * 5_000, "title": "A\x1b"}}}
    shown = offered(schema=schema).schema["properties"]["a"]
    assert len(shown["description"]) < 1_000
    assert shown["title"] == "A\\x1b"


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "string"}, "not that of an object"),
        ([], "not that of an object"),
        ({"properties": []}, "broken: properties"),
        ({"properties": {"a": {"type": "text"}}}, "broken: properties.a.type"),
        ({"required": "a"}, "broken: required"),
        ({"properties": {"a": 3}}, "broken: properties.a"),
        ({"properties": {"a": {"minimum": "x"}}}, "broken: properties.a.minimum"),
        ({"properties": {f"a{i}": {"type": "string"} for i in range(30_000)}}, "at most 65536 can be shown"),
        ({"properties": {"a": {"enum": [2**70]}}}, "cannot be used"),
        ({"properties": {"a": {"$ref": "http://169.254.169.254/latest"}}}, "refers to another document"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "refers to another document"),
        ({"properties": {"a": {"$ref": "#/$defs/no"}}}, "refers to what it does not hold"),
        ({"properties": {"a\x1b[2J": {}}}, "a character that is not seen"),
        ({"properties": {"a": {"enum": ["\u202e"]}}}, "a character that is not seen"),
        ({"properties": {"a": {"default": "\U000e0041"}}}, "a character that is not seen"),
    ],
)
def test_a_schema_that_cannot_be_shown_leaves_the_tool_out(schema: Any, why: str) -> None:
    assert why in left_out(schema=schema)


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"properties": {"a": schema}}
    return schema


def test_a_deep_schema_leaves_the_tool_out() -> None:
    assert offered(schema=nested(20))
    assert "nested more than 64 deep" in left_out(schema=nested(60))
    assert "cannot be used" in left_out(schema=nested(400))


def doubling(levels: int) -> dict[str, Any]:
    """Spread out, it has two to the power of `levels` parts."""
    definitions: dict[str, Any] = {
        f"d{i}": {"properties": {name: {"$ref": f"#/$defs/d{i + 1}"} for name in "ab"}} for i in range(levels)
    }
    return {"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": {**definitions, f"d{levels}": {"type": "string"}}}


def entangled(count: int) -> dict[str, Any]:
    """Each of `count` definitions refers to all of them."""
    everyone = {"properties": {f"p{i}": {"$ref": f"#/$defs/d{i}"} for i in range(count)}}
    return {"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": {f"d{i}": everyone for i in range(count)}}


@pytest.mark.parametrize("schema", [doubling(40), entangled(12)])
def test_a_few_bytes_that_spread_out_without_end_leave_the_tool_out(schema: dict[str, Any]) -> None:
    started = time.process_time()
    assert "parts once spread out" in left_out(schema=schema)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "schema",
    [
        {},
        OBJECT,
        {"properties": {"a": {"$ref": "#"}}},
        {"properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}}}},
        {"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"$ref": "#/$defs/y"}, "y": {"$ref": "#/$defs/x"}}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"items": [{"type": "string"}]}}},
        {"$schema": "https://example.com/mine", "properties": {"a": {"type": ["string", "null"]}}},
        doubling(6),
    ],
)
def test_a_sound_schema_can_be_told_to_a_model(schema: dict[str, Any]) -> None:
    """Also one that refers to itself."""
    tool = as_tool(offered(schema=schema))
    told = convert_to_openai_tool(tool)["function"]["parameters"]
    assert told["type"] == "object"
    assert len(json.dumps(told)) < 10_000
    assert set(tool.args) == set(schema.get("properties", {}))


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a/b", "ä", "a\x1b", "x" * 64])
def test_a_name_that_no_model_can_call_leaves_the_tool_out(name: str) -> None:
    assert "a name is made of letters" in left_out(name=name)


def test_a_name_that_looks_like_a_server_stays_its_own() -> None:
    """Servers' names hold no two underscores, so the first two end the server's."""
    assert offered(name="t__u").name == "t__u"


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(BadInputError, match="two tools called 'do'"):
        offers("s", [("do", "Does.", OBJECT), ("do", "Does something else.", OBJECT)])


def test_too_many_tools_are_refused() -> None:
    listed = [(f"t{i}", "Does.", OBJECT) for i in range(MOST_TOOLS + 1)]
    assert len(offers("s", listed[:-1])[0]) == MOST_TOOLS
    with pytest.raises(BadInputError, match="more than 128 tools"):
        offers("s", listed)


def test_the_hash_is_of_name_description_and_schema() -> None:
    hashes = {
        offered().hash,
        offered(name="other").hash,
        offered(description="Does\u200b.").hash,  # shown as the first one is
        offered(schema={"type": "object", "properties": {}}).hash,  # shown alike too
    }
    assert len(hashes) == 4
    assert offered(schema={"a": 1, "type": "object"}).hash == offered(schema={"type": "object", "a": 1}).hash
