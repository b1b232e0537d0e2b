"""Plans of constrained replies: tool calls that must come, and content that must be JSON of a schema."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import orjson

from langgraph_ratchet.chat_models.constrained.closing import Closing, Plan
from langgraph_ratchet.chat_models.constrained.containers import Json
from langgraph_ratchet.chat_models.constrained.grammar import lark_of
from langgraph_ratchet.chat_models.constrained.listing import Listing
from langgraph_ratchet.chat_models.constrained.markers import Markers
from langgraph_ratchet.chat_models.constrained.nodes import Node, Text, choice, fixed, sequence
from langgraph_ratchet.chat_models.constrained.schema import schema_node
from langgraph_ratchet.chat_models.constrained.tool_format import ToolFormat, content_format, tool_format
from langgraph_ratchet.chat_models.constrained.vocabulary import Vocabulary
from langgraph_ratchet.chat_models.text.parse import parse_reply
from langgraph_ratchet.chat_models.text.render import render_prompt, to_template_tools
from langgraph_ratchet.core.errors import BadInputError, ToolCallingError, UnknownNameError

if TYPE_CHECKING:
    from langgraph_ratchet.chat_models.base import Base

_KEPT = 128
"""Plans that are kept for each base."""
_MOST_CALLS = 16
_ANY = ("any", "required", True)

_vocabularies: "WeakKeyDictionary[Base, Vocabulary]" = WeakKeyDictionary()


def constrain_tools(
    base: "Base", tools: Sequence[Any], choice: str | bool | dict[str, Any], *, parallel: bool, max_tokens: int
) -> Closing:
    """The constraint under which a reply is a call of one of the tools, with arguments that its schema allows.

    Args:
        base: the model that replies.
        tools: anything that `convert_to_openai_tool` takes.
        choice: `any`, `required` or `True` for any of them, a tool's name, or OpenAI's object that holds one.
        parallel: whether there may be several calls.
        max_tokens: within these the reply is whole, its end of turn included.

    Raises:
        UnknownNameError: no tool has the name.
        BadInputError: there are no tools, a schema cannot be kept, or the smallest call takes more than `max_tokens`.
        ToolCallingError: the model's template does not write calls in a way that can be constrained.
    """
    offered = to_template_tools(tools)
    if not offered:
        raise BadInputError(f"tool_choice is {choice!r} and no tools are given: give tools, or leave it out")
    functions = [tool["function"] for tool in offered]
    name = _chosen(choice)
    chosen = [function for function in functions if name is None or function["name"] == name]
    if not chosen:
        raise UnknownNameError("tool", str(name), [function["name"] for function in functions])

    def make(vocabulary: Vocabulary) -> Plan:
        return _tools_plan(base, vocabulary, chosen, parallel=parallel)

    return _constraint(base, ["tools", chosen, parallel], make, max_tokens)


def constrain_json(base: "Base", schema: dict[str, Any] | bool | None, *, max_tokens: int) -> Closing:
    """The constraint under which a reply is JSON that a schema allows.

    Args:
        base: the model that replies.
        schema: a JSON schema; `None` allows any JSON object.
        max_tokens: within these the reply is whole, its end of turn included.

    Raises:
        BadInputError: the schema cannot be kept, or the smallest reply takes more than `max_tokens`.
    """

    def make(vocabulary: Vocabulary) -> Plan:
        form = content_format(base, vocabulary)
        body = Json().any_object() if schema is None else schema_node(schema, Json(), "response_format")
        markers = Markers(vocabulary, form.marks)
        _require_unmarked(body, markers)
        return Plan(sequence(*fixed(form.before), body, *fixed(form.after)), vocabulary, markers, form.end)

    return _constraint(base, ["json", schema], make, max_tokens)


def _chosen(choice: Any) -> str | None:
    """The name in a choice; `None` for any tool."""
    if isinstance(choice, dict):
        function = choice.get("function", choice)
        if choice.get("type") in ("any", "required"):
            return None
        choice = function.get("name") if isinstance(function, dict) else None
    if choice in _ANY:
        return None
    if not isinstance(choice, str) or not choice:
        raise BadInputError(
            f"tool_choice is {choice!r}: give 'any', 'required', a tool's name, or "
            '{"type": "function", "function": {"name": ...}}'
        )
    return choice


def _tools_plan(base: "Base", vocabulary: Vocabulary, functions: Sequence[dict[str, Any]], *, parallel: bool) -> Plan:
    form = tool_format(base, vocabulary)
    calls = {function["name"]: _call_node(function, form) for function in functions}
    if len(calls) < len(functions):
        raise BadInputError("two of the tools have the same name: give each a name of its own")
    one = choice(list(calls.values()))
    listed = one
    if parallel and form.again:
        listed = Listing(b"", b"", form.again, repeated=one, minimum=1, maximum=_MOST_CALLS)
    markers = Markers(vocabulary, form.marks)
    for call in calls.values():
        _require_unmarked(call, markers, form.between)
    plan = Plan(sequence(*fixed(form.before), listed, *fixed(form.after)), vocabulary, markers, form.end)
    for function in functions:
        _require_readable(base, plan, form, function, calls[function["name"]])
    return plan


def _call_node(function: dict[str, Any], form: ToolFormat) -> Node:
    """A call from its name to the end of its arguments."""
    name = function["name"]
    written = json.dumps(name, ensure_ascii=False)[1:-1] if form.before.endswith(b'"') else name
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    place = f"tool {name!r}"
    arguments = schema_node({"type": "object", **schema} if isinstance(schema, dict) else schema, form.json, place)
    return sequence(Text(written.encode()), *fixed(form.between), arguments)


def _require_unmarked(node: Node, markers: Markers, own: bytes = b"") -> None:
    """Raises if a name or a value of a schema spells out a mark; `own` is what the format itself writes."""
    for text in lark_of(node).split("\n"):
        if (mark := markers.found_in(text.encode())) and mark.encode() not in own:
            raise BadInputError(
                f"{mark!r} is a mark of this model and stands in a name or value of the schema: rename it"
            )


def _require_readable(base: "Base", plan: Plan, form: ToolFormat, function: dict[str, Any], call: Node) -> None:
    """Raises unless the smallest call of a tool is read back as that call."""
    tools = [{"type": "function", "function": function}]
    prompt = render_prompt(base.tokenizer, [("user", "?")], tools)
    text = form.before + call.shortest + form.after
    ids = [*plan.vocabulary.spell(text), min(plan.end_ids)]
    reply = parse_reply(base.tokenizer, prompt, ids, tools)
    if [call["name"] for call in reply.tool_calls] != [function["name"]] or reply.invalid_tool_calls:
        raise ToolCallingError(
            f"a call of the tool {function['name']!r} cannot be guaranteed with {base.name!r}: its response template "
            f"does not read {text.decode(errors='replace')!r} as one. Use a name of letters, digits, '_' and '-'; if "
            "that is so, the model's chat template and response template do not fit each other"
        )


def _constraint(base: "Base", key: list[Any], make: Callable[[Vocabulary], Plan], max_tokens: int) -> Closing:
    """A constraint of the plan for `key`, made on first use."""
    vocabulary = _vocabularies.get(base)
    if vocabulary is None:
        vocabulary = _vocabularies[base] = Vocabulary(base)
    try:
        # In the schema's own order, which the reply follows.
        known = orjson.dumps([str(base.tokenizer.chat_template), key])
    except (TypeError, ValueError) as error:
        raise BadInputError(f"the schema is not JSON: {error}") from error
    plan = vocabulary.plans.get(known)
    if plan is None:
        plan = make(vocabulary)
        if len(vocabulary.plans) >= _KEPT:
            vocabulary.plans.pop(next(iter(vocabulary.plans)), None)
        vocabulary.plans[known] = plan
    if plan.smallest > max_tokens:
        raise BadInputError(
            f"the smallest reply that the schema allows takes {plan.smallest} tokens, and max_tokens is {max_tokens}: "
            "raise max_tokens or make the schema smaller"
        )
    return Closing(plan)
