"""What a schema allows: everything that its tree and grammar can write is valid, and what cannot be kept is refused."""

import json
import random
import re
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import jsonschema_rs
import pytest
from hypothesis import given, settings, strategies as st
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field

from langgraph_ratchet.chat_models.constrained.containers import Json
from langgraph_ratchet.chat_models.constrained.grammar import lark_of
from langgraph_ratchet.chat_models.constrained.leaf import byte_matcher
from langgraph_ratchet.chat_models.constrained.nodes import Costs, Node
from langgraph_ratchet.chat_models.constrained.numbers import between
from langgraph_ratchet.chat_models.constrained.schema import schema_node
from langgraph_ratchet.core.errors import BadInputError

COSTS = Costs(len)


class Color(Enum):
    RED = "red"
    BLUE = 'b"lue'


class Leafy(BaseModel):
    value: int = Field(ge=3, le=250)
    nick_name: str | None = None
    children: list["Leafy"] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: float = Field(gt=0, lt=9.5)


class Dog(BaseModel):
    kind: Literal["dog"]
    tail: Annotated[str, Field(pattern="^[a-z]+-[0-9]{2}$")]


class Everything(BaseModel):
    tree: Leafy
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    colour: Color
    größe: Annotated[str, Field(min_length=2, max_length=5)]
    tags: dict[str, int]
    few: Annotated[list[bool], Field(min_length=1, max_length=3)]
    three: tuple[int, str, None]
    distinct: set[Literal["x", "y"]] = set()
    step: Annotated[int, Field(multiple_of=7)]
    anything: Any = None


def written(node: Node, draw: random.Random, longest: int = 300) -> bytes:
    """Bytes drawn at random among those that the grammar allows, then closed as the tree says."""
    matcher = byte_matcher(lark_of(node))
    assert not matcher.is_error(), matcher.get_error()
    text = b""
    stop = draw.randint(0, longest)
    while len(text) < stop:
        mask = matcher.compute_bitmask()
        options = [byte for byte in range(256) if mask[byte >> 3] >> (byte & 7) & 1]
        if not options:
            break
        closers = [byte for byte in options if byte in b'"]},']
        byte = draw.choice(closers if closers and draw.random() < 0.3 else options)
        assert matcher.consume_token(byte)
        text += bytes((byte,))
    readings = node.read(text, 0, COSTS)
    open_ = [reading for reading in readings if reading.missing is not None]
    ends = [reading.missing or b"" for reading in readings if reading.missing is not None or reading.end == len(text)]
    whole = [end for end in ends if matcher.validate_tokens(list(end)) == len(end)]
    assert whole, (text, readings)
    end = min(whole, key=len)
    assert all(len(reading.missing or b"") <= reading.most for reading in open_)
    assert matcher.try_consume_tokens(list(end)) == len(end)
    assert matcher.is_accepting(), (text, end)
    return text + end


def assert_kept(schema: dict[str, Any], seed: int = 0, times: int = 8) -> None:
    node = schema_node(schema, Json(), "it")
    validator = jsonschema_rs.validator_for(schema)
    draw = random.Random(seed)
    for _ in range(times):
        text = written(node, draw)
        assert validator.is_valid(json.loads(text)), (schema, text)


def test_a_pydantic_model_of_every_kind_of_field_is_kept():
    schema = Everything.model_json_schema()
    node = schema_node(schema, Json(), "it")
    Everything.model_validate_json(node.shortest)
    draw = random.Random(1)
    for _ in range(25):
        Everything.model_validate_json(written(node, draw))


def test_the_schema_of_a_function_is_kept():
    def search(query: str, limit: int = 5, exact: bool = False) -> str:
        """Search.

        Args:
            query: what
            limit: how many
            exact: how
        """
        return query

    assert_kept(convert_to_openai_tool(search)["function"]["parameters"])


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string"}}, "minProperties": 1},
        {"type": "object", "properties": {"a": True, "b": {"type": "null"}}, "maxProperties": 1},
        {"type": "object", "required": ["x"], "additionalProperties": {"type": "integer"}},
        {"type": "object", "patternProperties": {"^x-[a-z]{1,3}$": {"type": "boolean"}}, "additionalProperties": False},
        {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "additionalProperties": {"type": "integer"}},
        {"type": "object", "properties": {"a": {"const": 1}, "b": {}}, "dependentRequired": {"a": ["b"]}},
        {
            "allOf": [
                {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                {"properties": {"b": {"type": "null"}}},
            ]
        },
        {"allOf": [{"type": "integer", "minimum": 3}, {"type": "number", "maximum": 4.5}]},
        {
            "type": "object",
            "properties": {"a": {"type": "string"}},
            "anyOf": [{"required": ["a"]}, {"maxProperties": 0}],
        },
        {"oneOf": [{"type": "string"}, {"type": "integer"}, {"enum": [None, 2.5]}]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": ["string", "null"], "maxLength": 3}}},
        {
            "$defs": {"a~/b": {"type": "integer"}},
            "properties": {"x": {"$ref": "#/$defs/a~0~1b", "minimum": 5}},
            "required": ["x"],
        },
        {"type": "array", "items": {"enum": [1, "a", None]}, "uniqueItems": True, "minItems": 2},
        {"type": "array", "prefixItems": [{"const": 1}], "items": {"type": "boolean"}, "minItems": 3, "maxItems": 4},
        {"type": "array", "items": False},
        {"type": "string", "format": "date", "pattern": "^20"},
        {"type": "string", "format": "no such format", "maxLength": 4},
        {"type": "string", "minLength": 70, "pattern": "^[ab]*$"},
        {"type": "number", "multipleOf": 0.25, "minimum": -1, "exclusiveMaximum": 1},
        {"type": "integer", "multipleOf": 0.5, "minimum": 10**16},
        {"type": "number", "exclusiveMinimum": 0.1, "maximum": 0.2},
        {"type": "number", "multipleOf": 7, "minimum": -13, "exclusiveMaximum": -0.5},
        {"type": "integer", "exclusiveMinimum": -2.5, "exclusiveMaximum": -1.5},
        {"type": "integer", "nullable": True, "const": 4},
        {"enum": [{"a": [1, {"b": "ü"}]}, [], "x", 1.5, False]},
        {"minimum": 5},
        {},
    ],
    ids=str,
)
def test_each_keyword_is_kept(schema):
    if "nullable" in schema:
        schema = {key: value for key, value in schema.items() if key != "nullable"} | {"anyOf": [True]}
    assert_kept(schema)


def test_properties_come_in_the_schemas_order_and_no_others():
    schema = {"type": "object", "properties": {"z": {"const": 1}, "a": {"const": 2}}, "required": ["a", "z"]}
    assert schema_node(schema, Json(), "it").shortest == b'{"z": 1, "a": 2}'
    nothing = {"type": "object", "properties": {}}
    assert written(schema_node(nothing, Json(), "it"), random.Random(0)) == b"{}"


def test_formats_are_kept():
    for format_ in ("date", "date-time", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"):
        schema = {"type": "string", "format": format_}
        node, draw = schema_node(schema, Json(), "it"), random.Random(2)
        validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
        for _ in range(6):
            text = written(node, draw, 60)
            assert validator.is_valid(json.loads(text)), text


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "strnig"}, "it/type"),
        ({"properties": {"a": {"not": {"type": "null"}}}}, "'not' at it/a"),
        ({"type": "array", "items": {"if": True}}, "'if' at it/items"),
        ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, "'uniqueItems'"),
        ({"type": "array", "contains": {}}, "'contains'"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "'oneOf'"),
        ({"type": "string", "pattern": "(?=a)"}, "the string at it"),
        ({"type": "string", "pattern": "("}, "the string at it"),
        ({"$ref": "https://example.org/x"}, "https://example.org/x"),
        ({"$ref": "#/$defs/none"}, "points at nothing"),
        ({"$ref": "#"}, "nothing satisfies"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "nothing satisfies"),
        ({"type": "integer", "minimum": 3, "exclusiveMaximum": 3}, "nothing satisfies"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "nothing satisfies"),
        ({"type": "integer", "multipleOf": 0}, "multipleOf"),
        ({"type": "integer", "multipleOf": 7, "minimum": 1, "maximum": 6}, "nothing satisfies"),
        ({"type": "integer", "minimum": "three"}, "the integer at it"),
        ({"type": "array", "maxItems": -1}, "maxItems"),
        ({"enum": []}, "nothing satisfies"),
        ({"enum": "ab"}, "it/enum"),
        ({"anyOf": {}}, "it/anyOf"),
        ({"properties": []}, "well formed"),
        ({"const": "a\x00b"}, "U+0000"),
        ({"type": "object", "additionalProperties": True, "minProperties": 2}, "minProperties"),
        ([], "a schema"),
        ("string", "a schema"),
    ],
    ids=str,
)
def test_what_cannot_be_kept_is_refused_with_its_place(schema, said):
    with pytest.raises(BadInputError, match=re.escape(said)):
        schema_node(schema, Json(), "it")


def test_recursion_ends_at_a_few_levels_and_large_recursive_schemas_at_fewer():
    tree = Leafy.model_json_schema()
    assert_kept(tree, times=5)
    names = [f"D{number}" for number in range(6)]
    options = {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in names] + [{"type": "null"}]}
    each = {"type": "object", "properties": {"l": options, "r": options}, "required": ["l", "r"]}
    assert_kept({"$ref": "#/$defs/D0", "$defs": dict.fromkeys(names, each)}, times=1)


def test_a_huge_schema_is_read():
    properties = {f"property_{number}": {"type": "string", "maxLength": 5} for number in range(600)}
    schema = {"type": "object", "properties": properties, "required": list(properties)[::3]}
    assert len(json.loads(schema_node(schema, Json(), "it").shortest)) == 200


@given(st.decimals(-1000, 1000, places=3), st.decimals(0, 5000, places=3), st.integers(0, 4), st.data())
@settings(max_examples=60, deadline=None)
def test_numbers_between_two_bounds_and_no_others_match(low, width, decimals, data):
    high = low + width
    pattern = between(low, high, decimals)
    for _ in range(20):
        near = data.draw(st.sampled_from([low, high, (low + high) / 2]))
        number = near + Decimal(data.draw(st.integers(-30, 30))).scaleb(-decimals)
        number = number.quantize(Decimal(1).scaleb(-decimals)).normalize() + 0
        matches = pattern is not None and re.fullmatch(pattern, f"{number:f}") is not None
        assert matches == (low <= number <= high)
