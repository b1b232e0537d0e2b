"""What two JSON schemas both demand, as one schema; and whether two schemas can hold for the same value."""

from collections.abc import Callable, Iterable
from typing import Any

from langgraph_ratchet.core.errors import BadInputError

Schema = dict[str, Any]

ANNOTATIONS = frozenset(
    (
        *("title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "$comment"),
        *("$schema", "$id", "id", "$anchor", "$defs", "definitions", "discriminator", "strict", "$vocabulary"),
        *("contentEncoding", "contentMediaType", "contentSchema", "externalDocs", "xml"),
    )
)
"""Keywords that demand nothing."""

_LARGEST = frozenset(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"))
_SMALLEST = frozenset(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"))


def merged(one: Schema, other: Schema, place: str) -> Schema:
    """A schema that a value satisfies exactly if it satisfies both.

    Raises:
        BadInputError: this is not known for two keywords that they have; it names them and `place`.
    """
    result = {key: value for key, value in one.items() if key not in ANNOTATIONS}
    for key, value in other.items():
        if key in ANNOTATIONS:
            continue
        if key not in result:
            result[key] = value
        elif result[key] != value:
            result[key] = _both(key, result[key], value, place)
    return _without_strangers(result, one, other, place)


def types_of(schema: Schema) -> list[str] | None:
    """The types that a schema names, by its `type` or by its values; `None` if it names none."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if values is not None:
        return sorted({type_of(value) for value in values})
    named = schema.get("type")
    return [named] if isinstance(named, str) else named


def type_of(value: Any) -> str:
    """JSON's name for the type of a value; a whole number is an integer."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "integer" if value == int(value) else "number"
    names: dict[type, str] = {str: "string", list: "array", dict: "object"}
    return names.get(type(value), "object")


def is_of(value: Any, types: Iterable[str]) -> bool:
    """Whether a value is of one of these types."""
    found = type_of(value)
    return found in types or (found == "integer" and "number" in types)


def disjoint(one: Any, other: Any, resolve: Callable[[Schema], Schema]) -> bool:
    """Whether it can be told that no value satisfies both.

    Args:
        one: a schema.
        other: another.
        resolve: gives what a schema that is only a reference refers to.
    """
    if not isinstance(one, dict) or not isinstance(other, dict):
        return one is False or other is False
    one, other = resolve(one), resolve(other)
    types, other_types = types_of(one), types_of(other)
    values, other_values = _values(one), _values(other)
    if values is not None and other_values is not None:
        return not any(value == each and type_of(value) == type_of(each) for value in values for each in other_values)
    if values is not None or other_values is not None:
        known, kinds = (values, other_types) if values is not None else (other_values, types)
        return kinds is not None and not any(is_of(value, kinds) for value in known or ())
    if types and other_types and not any(_overlap(a, b) for a in types for b in other_types):
        return True
    if types != ["object"] or other_types != ["object"]:
        return False
    both = set(one.get("required") or ()) & set(other.get("required") or ())
    mine, others = one.get("properties") or {}, other.get("properties") or {}
    return any(disjoint(mine.get(name, True), others.get(name, True), resolve) for name in sorted(both))


def _overlap(one: str, other: str) -> bool:
    return one == other or {one, other} == {"integer", "number"}


def _values(schema: Schema) -> list[Any] | None:
    values: list[Any] | None = [schema["const"]] if "const" in schema else schema.get("enum")
    return values


def _both(key: str, one: Any, other: Any, place: str) -> Any:
    if key in _LARGEST:
        return max(one, other)
    if key in _SMALLEST:
        return min(one, other)
    if key == "type":
        mine, others = ([value] if isinstance(value, str) else value for value in (one, other))
        kinds = {a if b == "number" else b for a in mine for b in others if _overlap(a, b)}
        return sorted(kinds)
    if key == "required":
        return [*one, *(name for name in other if name not in one)]
    if key == "enum":
        return [value for value in one if any(value == each and type_of(value) == type_of(each) for each in other)]
    if key == "properties":
        return {**one, **other, **{name: _joined(one[name], other[name]) for name in one if name in other}}
    if key in ("items", "additionalProperties", "propertyNames"):
        return _joined(one, other)
    if key == "uniqueItems":
        return one or other
    if key == "nullable":
        return one and other
    raise BadInputError(
        f"the schema at {place} demands two different things of {key!r} ({one!r} and {other!r}), "
        "and output that keeps both cannot be guaranteed: say it once"
    )


def _joined(one: Any, other: Any) -> Any:
    """A schema that demands both; they are merged once it is read."""
    if one is True or other is True:
        return other if one is True else one
    if one is False or other is False:
        return False
    return one if one == other else {"allOf": [one, other]}


def _without_strangers(result: Schema, one: Schema, other: Schema, place: str) -> Schema:
    """`result` without the properties that one schema has and the other does not allow."""
    for closed, open_ in ((one, other), (other, one)):
        if closed.get("additionalProperties", True) is True or "properties" not in open_:
            continue
        known = closed.get("properties") or {}
        strangers = [name for name in open_["properties"] if name not in known]
        if closed["additionalProperties"] is not False and strangers:
            raise BadInputError(
                f"the schema at {place} demands something of other properties by 'additionalProperties' and names "
                f"{strangers[0]!r} beside it: output that keeps both cannot be guaranteed; name it in one place"
            )
        properties = {name: value for name, value in result["properties"].items() if name not in strangers}
        result = {**result, "properties": properties, "additionalProperties": False}
    return result
