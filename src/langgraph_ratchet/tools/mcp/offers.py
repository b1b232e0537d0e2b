"""What a server offers, before anyone believes it: which of its tools can be shown to a model, and how.

A tool's name, description and schema stand in the prompt of every call, so they are the server's way to speak to the
model. They are shown short and without characters that nobody sees; what cannot be shown is left out and said.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.ids import clean_text, content_hash
from langgraph_ratchet.core.visible import visible

MOST_TOOLS = 128
"""Of one server; more would leave no room for anything else in a prompt."""
_DESCRIPTION_CHARS = 990
"""Of a tool, or of one of its arguments."""
_SCHEMA_BYTES = 64 << 10
_SCHEMA_DEPTH = 64
_SCHEMA_PARTS = 5_000
"""With every `$ref` replaced by what it names, as it is shown to a model."""
_NAME_CHARS = 64
"""Of `server__tool`: what model providers accept."""
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_UNSEEN = re.compile("[\u00ad\u180e\u200b-\u200d\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]")
"""Characters without a picture beyond those that `visible` writes out: text for models that people do not see."""


@dataclass(frozen=True)
class Offer:
    """A tool as a server describes it, fit to be shown."""

    name: str
    """As the server calls it."""
    description: str
    schema: Mapping[str, Any]
    """JSON schema of the arguments, an object."""
    hash: str
    """SHA-256 of name, description and schema exactly as the server gave them."""


class _UnfitError(Exception):
    """The tool cannot be shown to a model; the message says why."""


def offers(server: str, listed: Iterable[tuple[str, str | None, Any]]) -> tuple[list[Offer], dict[str, str]]:
    """The tools of a server that can be shown, and why others cannot.

    Args:
        server: its name.
        listed: name, description and input schema of each tool, as the server gave them.

    Returns:
        The offers in the server's order, and by name the reason for each tool that is left out.

    Raises:
        BadInputError: two tools share a name, or there are too many: the server cannot be used at all.
    """
    fit: list[Offer] = []
    unfit: dict[str, str] = {}
    for name, description, schema in listed:
        shown = visible(name)[:_NAME_CHARS]
        if any(offer.name == name for offer in fit) or shown in unfit:
            raise BadInputError(f"MCP server {server!r} offers two tools called {shown!r}: ask who maintains it")
        if len(fit) + len(unfit) == MOST_TOOLS:
            raise BadInputError(f"MCP server {server!r} offers more than {MOST_TOOLS} tools: have it offer fewer")
        try:
            fit.append(_offer(server, name, description or "", schema))
        except _UnfitError as error:
            unfit[shown] = str(error)
    return fit, unfit


def _offer(server: str, name: str, description: str, schema: Any) -> Offer:
    if not _NAME.fullmatch(name) or len(f"{server}__{name}") > _NAME_CHARS:
        raise _UnfitError(
            f"a name is made of letters, digits, '_' and '-', and is at most {_NAME_CHARS - len(server) - 2} long"
        )
    try:
        size = len(orjson.dumps(schema))
    except TypeError as error:
        raise _UnfitError(f"its schema cannot be used: {error}") from error
    if size > _SCHEMA_BYTES:
        raise _UnfitError(f"its schema has {size} bytes, at most {_SCHEMA_BYTES} can be shown to a model")
    digest = content_hash([name, clean_text(description), schema])
    return Offer(name, _shown(description) or f"The tool {name}.", _shown_schema(schema), digest)


def _shown(text: str) -> str:
    """`text` as one sees it, and short."""
    seen = _UNSEEN.sub("", visible(clean_text(text[: 8 * _DESCRIPTION_CHARS]))).strip()
    return seen if len(seen) <= _DESCRIPTION_CHARS else seen[:_DESCRIPTION_CHARS] + "…"


def _shown_schema(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        raise _UnfitError("its schema is not that of an object")
    _check_spread(schema)
    fault = _fault(schema)
    if fault is not None:
        raise _UnfitError(f"its schema is broken: {fault}")
    # LangChain reads `properties` without asking whether it is there.
    shown: dict[str, Any] = _seen({"type": "object", "properties": {}, **schema})
    return shown


def _fault(schema: dict[str, Any]) -> str | None:
    """Why `schema` is no JSON schema; of its own draft if it names a known one, else of the newest."""
    # Without type hints of its own; the stubs are another package.
    from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]
    from jsonschema.validators import Draft202012Validator, validator_for  # type: ignore[import-untyped]

    named = schema.get("$schema")
    kind = validator_for({"$schema": named}, default=None) if isinstance(named, str) else None
    try:
        (kind or Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        place = ".".join(str(part) for part in error.absolute_path) or "top"
        return visible(f"{place[:100]}: {error.message[:200]}")
    return None


def _check_spread(schema: dict[str, Any]) -> None:
    """Counts the parts of `schema` as they stand when references are replaced, one within itself only once.

    LangChain replaces them so for every call; a few hundred bytes can name each other so that it never ends.
    """
    left = _SCHEMA_PARTS
    waiting: list[tuple[Any, frozenset[str], int]] = [(schema, frozenset(), 0)]
    while waiting:
        part, within, depth = waiting.pop()
        left -= 1
        if left < 0:
            raise _UnfitError(f"its schema has over {_SCHEMA_PARTS} parts once spread out")
        if depth > _SCHEMA_DEPTH:
            raise _UnfitError(f"its schema is nested more than {_SCHEMA_DEPTH} deep")
        if isinstance(part, list):
            waiting += [(item, within, depth + 1) for item in part]
        elif isinstance(part, dict):
            waiting += [(item, within, depth + 1) for item in part.values()]
            reference = part.get("$ref")
            if isinstance(reference, str) and reference not in within:
                waiting.append((_target(schema, reference), within | {reference}, depth + 1))


def _target(schema: Any, reference: str) -> Any:
    if not reference.startswith("#"):
        raise _UnfitError(f"its schema refers to another document: {visible(reference)[:100]!r}")
    target = schema
    for step in filter(None, reference[1:].split("/")):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(target, dict) and name in target:
            target = target[name]
        elif isinstance(target, list) and name.isdecimal() and int(name[:9]) < len(target):
            target = target[int(name)]
        else:
            raise _UnfitError(f"its schema refers to what it does not hold: {visible(reference)[:100]!r}")
    return target


def _seen(part: Any, describes: bool = False) -> Any:
    """A part of a schema with its texts as one sees them; names and values that hide something cannot be shown."""
    if isinstance(part, dict):
        return {_seen(key): _seen(item, key in ("description", "title")) for key, item in part.items()}
    if isinstance(part, list):
        return [_seen(item) for item in part]
    if not isinstance(part, str):
        return part
    if describes:
        return _shown(part)
    if visible(part) != part.replace("\r\n", "\n") or _UNSEEN.search(part):
        raise _UnfitError(f"its schema holds a character that is not seen: {visible(part)[:60]!r}")
    return part


def differences(before: Mapping[str, Any], now: Offer) -> Iterator[str]:
    """Lines that say what changed between a pinned description and schema, and those of an offer."""
    from difflib import unified_diff

    for what, old, new in (
        ("description", str(before.get("description", "")), now.description),
        ("schema", _pretty(before.get("schema")), _pretty(now.schema)),
    ):
        lines = unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
        changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
        yield from (f"{what} {visible(line)[:200]}" for line in changed[:6])
        if len(changed) > 6:
            yield f"{what}: {len(changed) - 6} more lines"


def _pretty(schema: Any) -> str:
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()
