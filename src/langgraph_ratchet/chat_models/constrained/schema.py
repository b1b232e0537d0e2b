"""JSON schemas, as pydantic and LangChain make them, as trees of what a reply may be.

The tree may say less than the schema allows, never more: recursion, arrays and numbers are bounded, objects have the
properties that are named and no others, in the schema's order. What cannot be kept is refused.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from typing import Any
from urllib.parse import unquote

from langgraph_ratchet.chat_models.constrained.containers import Containers, Json, dumped, malformed, unsupported
from langgraph_ratchet.chat_models.constrained.merge import ANNOTATIONS, Schema, disjoint, is_of, merged
from langgraph_ratchet.chat_models.constrained.nodes import Literals, Node, Text, choice
from langgraph_ratchet.chat_models.constrained.scalars import is_within, number_node, string_node
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.ids import canonical_json

_RECURSIONS = (4, 2, 1, 0)
"""How often a definition may stand within itself; less often where that is too large."""
_MOST_REFERENCES = 32
_MOST_NODES = 8_000

_REFUSED = (
    *("not", "if", "then", "else", "contains", "minContains", "maxContains", "dependentSchemas", "dependencies"),
    *("unevaluatedItems", "$dynamicRef", "$recursiveRef"),
)
_OF_TYPE = {
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "array": ("items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"),
    "object": (
        *("properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties"),
        *("maxProperties", "dependentRequired", "unevaluatedProperties"),
    ),
}
_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")


def schema_node(schema: Any, json: Json, place: str) -> Node:
    """What satisfies `schema`, bounded.

    Args:
        schema: a JSON schema (draft 2020-12, and what is common of older ones).
        json: how the JSON is written.
        place: what the schema is of, for messages ("tool 'search'").

    Raises:
        BadInputError: it is no JSON schema, nothing satisfies it, or it demands what cannot be guaranteed; the message
            names the keyword and its place.
    """
    for recursions in _RECURSIONS:
        reader = _Reader(schema, json, recursions)
        try:
            node = reader.read(schema, place)
            break
        except _TooLargeError:
            continue
        except RecursionError as error:
            raise BadInputError(f"the schema of {place} is nested too deeply: make it flatter") from error
    else:
        raise BadInputError(f"the schema of {place} has over {_MOST_NODES} parts once spread out: make it smaller")
    if node is None:
        raise BadInputError(f"nothing satisfies the schema of {place}: see what it demands of the same value")
    return node


class _TooLargeError(Exception):
    """The tree has too many parts."""


class _Reader:
    """Reads one schema; `place` is where in it, and `None` stands for what nothing satisfies."""

    def __init__(self, root: Any, json: Json, recursions: int) -> None:
        self._root = root
        self._recursions = recursions
        self._json = json
        self._containers = Containers(json, self.read, self._resolved)
        self._within: Counter[str] = Counter()
        self._known: dict[Any, Node | None] = {}
        self._count = 0

    def read(self, schema: Any, place: str) -> Node | None:
        self._count += 1
        if self._count > _MOST_NODES:
            raise _TooLargeError
        if isinstance(schema, bool):
            return self._json.anything() if schema else None
        if not isinstance(schema, dict):
            raise malformed(place, "a schema", schema)
        for keyword in _REFUSED:
            if keyword in schema:
                raise unsupported(keyword, place)
        schema = {key: value for key, value in schema.items() if key not in ANNOTATIONS}
        if "$ref" in schema:
            return self._reference(schema, place)
        if "allOf" in schema:
            return self._all_of(schema, place)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._one_of(keyword, schema, place)
        if schema.pop("nullable", False) is True:
            return self._choice([self.read(schema, place), Text(b"null")])
        if "const" in schema or "enum" in schema:
            return self._values(schema, place)
        return self._typed(schema, place)

    def _reference(self, schema: Schema, place: str) -> Node | None:
        reference = schema["$ref"]
        target = self._target(reference, place)
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        if self._within[reference] > self._recursions:
            return None
        # Equal where the same definitions are open, so that what is used often is read once.
        key = (reference, frozenset(self._within.items()), canonical_json(beside))
        if key not in self._known:
            self._within[reference] += 1
            self._known[key] = self.read(merged(target, beside, place) if beside else target, f"{place} {reference}")
            self._within[reference] -= 1
            if not self._within[reference]:
                del self._within[reference]
        return self._known[key]

    def _target(self, reference: Any, place: str) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise BadInputError(
                f"$ref {reference!r} at {place} does not point into the schema: put what it names there"
            )
        target = self._root
        for step in filter(None, unquote(reference[1:]).split("/")):
            name = step.replace("~1", "/").replace("~0", "~")
            inside = target.get(name) if isinstance(target, dict) else None
            if isinstance(target, list) and name.isdecimal() and int(name) < len(target):
                inside = target[int(name)]
            if inside is None:
                raise BadInputError(f"$ref {reference!r} at {place} points at nothing: see the schema's $defs")
            target = inside
        if not isinstance(target, (dict, bool)):
            raise malformed(f"{place} {reference}", "a schema", target)
        return target

    def _all_of(self, schema: Schema, place: str) -> Node | None:
        result = {key: value for key, value in schema.items() if key != "allOf"}
        for number, part in enumerate(_schemas(schema["allOf"], f"{place}/allOf")):
            part = self._resolved(part, place)
            if part is False:
                return None
            if part is not True:
                result = merged(result, part, f"{place}/allOf/{number}")
        return self.read(result, place)

    def _one_of(self, keyword: str, schema: Schema, place: str) -> Node | None:
        options = _schemas(schema[keyword], f"{place}/{keyword}")
        beside = {key: value for key, value in schema.items() if key != keyword}
        if keyword == "oneOf":
            for number, one in enumerate(options):
                if not all(
                    disjoint(one, other, lambda each: self._resolved(each, place)) for other in options[:number]
                ):
                    raise BadInputError(
                        f"two options of 'oneOf' at {place} may hold for the same value, and that only one does cannot "
                        "be guaranteed: use 'anyOf', or give each a constant property of its own"
                    )
        nodes = []
        for number, option in enumerate(options):
            if beside and option is not False:
                resolved = {} if option is True else self._resolved(option, place)
                option = merged(resolved, beside, f"{place}/{keyword}/{number}")
            nodes.append(self.read(option, f"{place}/{keyword}/{number}"))
        return self._choice(nodes)

    def _require_disjoint(self, options: list[Any], place: str) -> None:
        for one, other in combinations(options, 2):
            if not disjoint(one, other, lambda each: self._resolved(each, place)):
                raise BadInputError(
                    f"two options of 'oneOf' at {place} may hold for the same value, and that only one does cannot "
                    "be guaranteed: use 'anyOf', or give each a constant property of its own"
                )

    def _resolved(self, schema: Any, place: str) -> Any:
        """What a reference, and one that it refers to, stands for, with what is demanded beside it."""
        for _ in range(_MOST_REFERENCES):
            if not isinstance(schema, dict) or "$ref" not in schema:
                return schema
            target = self._target(schema["$ref"], place)
            beside = {key: value for key, value in schema.items() if key != "$ref" and key not in ANNOTATIONS}
            schema = merged(target, beside, place) if beside and isinstance(target, dict) else target
        raise BadInputError(f"the references at {place} go round in a circle: let one of them be a schema")

    def _choice(self, nodes: Iterable[Node | None]) -> Node | None:
        options = [node for node in nodes if node is not None]
        return choice(options) if options else None

    def _values(self, schema: Schema, place: str) -> Node | None:
        values = [schema["const"]] if "const" in schema else schema["enum"]
        if not isinstance(values, list):
            raise malformed(f"{place}/enum", "a list of values", values)
        if "const" in schema and "enum" in schema and schema["const"] not in schema["enum"]:
            return None
        types = schema.get("type", _TYPES)
        types = [types] if isinstance(types, str) else types
        beside = set(schema) - {"const", "enum", "type", *_OF_TYPE["number"], "minLength", "maxLength", "format"}
        if beside:
            raise unsupported(sorted(beside)[0], f"{place}, beside its values")
        kept = [value for value in values if is_of(value, types) and is_within(value, schema)]
        scalars = dict.fromkeys(dumped(value) for value in kept if not isinstance(value, (dict, list)))
        nodes: list[Node | None] = [Literals(tuple(scalars))] if scalars else []
        return self._choice(
            [*nodes, *(self._json.constant(value) for value in kept if isinstance(value, (dict, list)))]
        )

    def _typed(self, schema: Schema, place: str) -> Node | None:
        types = schema.get("type")
        if types is None:
            types = [kind for kind, keywords in _OF_TYPE.items() if any(keyword in schema for keyword in keywords)]
            if not types:
                return self._json.anything()
        types = [types] if isinstance(types, str) else types
        unknown = [kind for kind in types if kind not in _TYPES] if isinstance(types, list) else [types]
        if unknown:
            raise malformed(f"{place}/type", f"one of {', '.join(_TYPES)}", unknown[0])
        return self._choice(self._of_type(kind, schema, place) for kind in types)

    def _of_type(self, kind: str, schema: Schema, place: str) -> Node | None:
        if kind == "null":
            return Text(b"null")
        if kind == "boolean":
            return Literals((b"true", b"false"))
        try:
            if kind == "string":
                return string_node(schema)
            if kind in ("integer", "number"):
                return number_node(schema, whole=kind == "integer")
        except (ValueError, TypeError, ArithmeticError) as error:
            raise BadInputError(f"the {kind} at {place} cannot be kept to: {error}") from error
        return self._containers.array(schema, place) if kind == "array" else self._containers.object(schema, place)


def _schemas(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list) or not value or not all(isinstance(each, (dict, bool)) for each in value):
        raise malformed(place, "a list of schemas", value)
    return value
