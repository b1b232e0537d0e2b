"""JSON objects and arrays as parts of a reply."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langgraph_ratchet.chat_models.constrained.listing import Listing, Member
from langgraph_ratchet.chat_models.constrained.merge import Schema, type_of
from langgraph_ratchet.chat_models.constrained.nodes import FreeString, Literals, Node, Text, choice, sequence
from langgraph_ratchet.chat_models.constrained.scalars import number_node
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.ids import clean_json

_MOST_ITEMS = 100
_MOST_KEYS = 32
_LONGEST_KEY = 64
_ANY_DEPTH = 3


@dataclass(frozen=True)
class Json:
    """How a model writes JSON: what stands between two items, and between a key and its value."""

    item: bytes = b", "
    key: bytes = b": "

    def object(self, members: Sequence[Member]) -> Listing:
        """An object of these members, made by `member`."""
        return Listing(b"{", b"}", self.item, tuple(members))

    def map(self, key: Node, value: Node | None, minimum: int, maximum: int) -> Node | None:
        """An object of any keys; keys may repeat, and then the last one counts."""
        if value is None:
            return None if minimum else self.object(())
        return Listing(b"{", b"}", self.item, (), sequence(key, Text(self.key), value), minimum, maximum)

    def member(self, name: str, value: Node, *, required: bool = True) -> Member:
        """A property of an object."""
        # Apart from the colon, since a key of free text ends at the same place.
        return Member(sequence(Text(dumped(name)), Text(self.key), value), required)

    def array(self, first: Sequence[Node], repeated: Node | None = None, minimum: int = 0, maximum: int = 0) -> Node:
        """An array that begins with `first`, then holds `repeated`, as often as it says."""
        return Listing(b"[", b"]", self.item, tuple(map(Member, first)), repeated, minimum, maximum)

    def constant(self, value: Any) -> Node:
        """One value."""
        if isinstance(value, dict):
            return self.object([self.member(name, self.constant(each)) for name, each in value.items()])
        if isinstance(value, list):
            return self.array([self.constant(each) for each in value])
        return Text(dumped(value))

    def anything(self, depth: int = _ANY_DEPTH) -> Node:
        """Any value; `depth` is how many arrays and objects may stand in each other."""
        number = number_node({}, whole=False)
        scalars = [Literals((b"null", b"true", b"false")), FreeString(), *([number] if number else [])]
        if not depth:
            return choice(scalars)
        array = self.array((), self.anything(depth - 1), 0, _MOST_ITEMS)
        return choice([*scalars, array, self.any_object(depth)])

    def any_object(self, depth: int = _ANY_DEPTH) -> Node:
        """Any object."""
        return self.map(FreeString(1, _LONGEST_KEY), self.anything(depth - 1), 0, _MOST_KEYS) or self.object(())


@dataclass(frozen=True)
class Containers:
    """Reads the schemas of objects and arrays.

    Args:
        json: how the JSON is written.
        read: reads a schema within them, at a place; `None` means that nothing satisfies it.
        resolve: gives what a schema that is only a reference refers to.
    """

    json: Json
    read: Callable[[Any, str], Node | None]
    resolve: Callable[[Any, str], Any]

    def array(self, schema: Schema, place: str) -> Node | None:
        """An array; `None` if nothing satisfies the schema."""
        listed = isinstance(schema.get("items"), list)
        first = schema["items"] if listed else schema.get("prefixItems", [])
        others = schema.get("additionalItems" if listed else "items", True)
        minimum = size(schema, "minItems", place, 0)
        maximum = size(schema, "maxItems", place, max(minimum, _MOST_ITEMS, len(first)))
        if minimum > maximum:
            return None
        if schema.get("uniqueItems") and maximum > 1:
            return self._distinct(others, first, (minimum, maximum), place)
        nodes: list[Node] = []
        for number, each in enumerate(first[:maximum]):
            node = self.read(each, f"{place}/{number}")
            if node is None:
                return self.json.array(nodes) if number >= minimum else None
            nodes.append(node)
        repeated = self.read(others, f"{place}/items") if maximum > len(nodes) and others is not False else None
        if repeated is None:
            return self.json.array(nodes) if len(nodes) >= minimum else None
        return self.json.array(nodes, repeated, max(0, minimum - len(nodes)), maximum - len(nodes))

    def object(self, schema: Schema, place: str) -> Node | None:
        """An object; `None` if nothing satisfies the schema."""
        properties = schema.get("properties", {})
        required = [*schema.get("required", ())]
        if not isinstance(properties, dict) or not all(isinstance(name, str) for name in required):
            raise malformed(place, "'properties' an object and 'required' a list of names", schema)
        for needed in schema.get("dependentRequired", {}).values():
            required += needed  # asked for in any case: then no property brings another one with it
        others = schema.get("additionalProperties", schema.get("unevaluatedProperties"))
        named = self._named(schema, place)
        free = others not in (None, False) or "patternProperties" in schema or named is not None
        if not properties and not required and (free or (others is None and "properties" not in schema)):
            return self._map(schema, others, named, place)
        members: list[Member] = []
        for name in dict.fromkeys((*properties, *required)):
            if named is not None and name not in self._names(named, place):
                continue
            value = self._value(name, schema, True if others is None else others)
            node = self.read(value, f"{place}/{name}")
            if node is not None:
                members.append(self.json.member(name, node, required=name in required))
            elif name in required:
                return None
        return self._counted(members, schema, place)

    def _value(self, name: str, schema: Schema, others: Any) -> Any:
        properties = schema.get("properties") or {}
        patterns = [value for pattern, value in schema.get("patternProperties", {}).items() if re.search(pattern, name)]
        found = [*([properties[name]] if name in properties else []), *patterns] or [others]
        return found[0] if len(found) == 1 else {"allOf": found}

    def _counted(self, members: list[Member], schema: Schema, place: str) -> Node | None:
        """An object with as many of its properties required, or left out, as the schema's numbers demand."""
        minimum = size(schema, "minProperties", place, 0)
        maximum = size(schema, "maxProperties", place, len(members))
        required = sum(member.required for member in members)
        if minimum > len(members) or required > maximum or minimum > maximum:
            return None
        wanting, spare = minimum - required, maximum - required
        kept = []
        for member in members:
            if not member.required:
                spare -= 1
                if spare < 0:
                    continue
                member = replace(member, required=wanting > 0)
                wanting -= 1
            kept.append(member)
        return self.json.object(kept)

    def _named(self, schema: Schema, place: str) -> Schema | None:
        """What the schema demands of names, if anything."""
        names = self.resolve(schema.get("propertyNames", True), place)
        if names is False:
            return {"enum": []}
        return names if isinstance(names, dict) and names else None

    def _names(self, named: Schema, place: str) -> list[Any]:
        values = [named["const"]] if "const" in named else named.get("enum")
        if not isinstance(values, list):
            raise unsupported("propertyNames", f"{place}, beside properties")
        return values

    def _map(self, schema: Schema, others: Any, named: Schema | None, place: str) -> Node | None:
        minimum = size(schema, "minProperties", place, 0)
        maximum = size(schema, "maxProperties", place, max(minimum, _MOST_KEYS))
        if minimum > maximum:
            return None
        patterns = schema.get("patternProperties", {})
        if len(patterns) > 1:
            raise unsupported("patternProperties with several patterns", place)
        value = self.read(next(iter(patterns.values()), True if others is None else others), f"{place}/*")
        if named is not None and ("enum" in named or "const" in named) and not patterns:
            names = [name for name in self._names(named, place) if isinstance(name, str)] if value else []
            members = [self.json.member(name, value, required=False) for name in names if value]
            return self._counted(members, schema, place)
        if minimum > 1:
            raise unsupported("minProperties above 1", f"{place}, where keys have no names of their own")
        rule: Schema = {"minLength": 1, "maxLength": _LONGEST_KEY, **(named or {}), "type": "string"}
        if patterns:
            rule = {**(named or {}), "type": "string", "pattern": next(iter(patterns))}
        key = self.read(rule, f"{place}/propertyNames")
        return self.json.map(key, value, minimum, maximum) if key else None if minimum else self.json.object(())

    def _distinct(self, items: Any, first: Sequence[Any], sizes: tuple[int, int], place: str) -> Node | None:
        """Items that differ: values of an enumeration, in its order."""
        items = self.resolve(items, place)
        values = items.get("enum") if isinstance(items, dict) and set(items) <= {"enum", "type", "title"} else None
        if isinstance(items, dict) and items.get("type") == "boolean" and values is None:
            values = [False, True]
        if first or values is None:
            raise unsupported("uniqueItems", f"{place}, whose items are no enumeration")
        distinct = {(type_of(value), json.dumps(value, sort_keys=True)): value for value in values}
        kept = list(distinct.values())[: sizes[1]]
        members = [Member(self.json.constant(value), number < sizes[0]) for number, value in enumerate(kept)]
        return Listing(b"[", b"]", self.json.item, tuple(members)) if len(kept) >= sizes[0] else None


def size(schema: Schema, keyword: str, place: str, default: int) -> int:
    """The value of a keyword that counts.

    Raises:
        BadInputError: it is not a whole number, or below 0.
    """
    value = schema.get(keyword, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value) or value < 0:
        raise malformed(f"{place}/{keyword}", "a whole number, 0 or more", value)
    return int(value)


def dumped(value: Any) -> bytes:
    """A scalar as JSON.

    Raises:
        BadInputError: it is no value that JSON has, or a text that would be changed when it is read back.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        encoded = text.encode()
    except (TypeError, ValueError) as error:
        raise BadInputError(f"{value!r} stands in a schema and is not JSON: {error}") from error
    if clean_json(value) != value:
        raise BadInputError(f"{value!r} stands in a schema, and replies never hold U+0000: leave it out")
    return encoded


def malformed(place: str, wanted: str, found: Any) -> BadInputError:
    """The error of a schema that is none."""
    shown = repr(found)
    return BadInputError(f"the schema is not well formed at {place}: wanted {wanted}, got {shown[:100]}")


def unsupported(keyword: str, place: str) -> BadInputError:
    """The error of a keyword that output cannot be held to."""
    return BadInputError(
        f"output that keeps {keyword!r} at {place} cannot be guaranteed: leave it out of the schema, "
        "or leave the choice of the reply to the model"
    )
