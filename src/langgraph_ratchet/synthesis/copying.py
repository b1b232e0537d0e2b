"""Copy practice: any value, into any small schema.

Users' tools are not ours. A model that only ever copied our questions into our tools learns our names, not how to
copy; so here tool names, argument names and values are random, and the values include text in any script.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langgraph_ratchet.problems.names import CITIES, COMPANIES, COUNTRIES, PEOPLE
from langgraph_ratchet.reasoning.prompts import prompt
from langgraph_ratchet.reasoning.strategy import strategies

_KNOWN_NAMES = (*PEOPLE, *COMPANIES, *CITIES, *COUNTRIES)
_CONSONANTS, _VOWELS = "bcdfghjklmnprstvwz", "aeiou"
_SCRIPTS = (
    (0x20, 0x7E),
    (0xA1, 0x17F),
    (0x391, 0x3C9),
    (0x410, 0x44F),
    (0x5D0, 0x5EA),
    (0x3041, 0x3096),
    (0x4E00, 0x4FFF),
)


@dataclass(frozen=True)
class Exercise:
    """Messages, the tools offered, and the reply that is to be learned."""

    messages: list[BaseMessage]
    tools: list[dict[str, Any]]
    reply: AIMessage


def copy_practice(*, seed: int) -> Iterator[Exercise]:
    """Endless exercises: calls with given arguments, results read back, answers picked out of work, texts repeated."""
    rng = random.Random(seed)
    kinds: tuple[Callable[[random.Random], Exercise], ...] = (
        _call,
        _call,
        _call,
        _read_back,
        _pick_out,
        _repeat,
        _repeat,
        _repeat,
    )
    while True:
        yield rng.choice(kinds)(rng)


def _call(rng: random.Random) -> Exercise:
    """The question names a tool and its values; the reply calls it."""
    tools = [_tool(rng) for _ in range(rng.randint(1, 3))]
    tool = rng.choice(tools)["function"]
    arguments = {name: _value(rng, schema["type"]) for name, schema in tool["parameters"]["properties"].items()}
    named = [f"{name} {rng.choice(('=', 'is', '->'))} {value}" for name, value in arguments.items()]
    text = rng.choice(("Use {} with {}", "Call {}: {}", "{}, where {}")).format(tool["name"], ", ".join(named))
    call = {"name": tool["name"], "args": arguments, "id": "call_0"}
    return Exercise(_acting(rng, text, tool["name"]), tools, AIMessage("", tool_calls=[call]))


def _read_back(rng: random.Random) -> Exercise:
    """A tool has answered; the reply says what it found."""
    tool, value, noun = _tool(rng), _any_value(rng), _word(rng)
    arguments = {
        name: _value(rng, schema["type"]) for name, schema in tool["function"]["parameters"]["properties"].items()
    }
    name = tool["function"]["name"]
    opening = _acting(rng, f"What is the {noun}?", name)
    call = AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": "call_0"}])
    answered = ToolMessage(str(value), tool_call_id="call_0", name=name)
    return Exercise([*opening, call, answered], [tool], AIMessage(f"The {noun} is {value}."))


def _pick_out(rng: random.Random) -> Exercise:
    """The work ends in a sentence; the reply is the answer in it."""
    value, noun = _any_value(rng), _word(rng)
    work = [f"{_word(rng)}({_any_value(rng)}) = {value}", f"The {noun} is {value}."][rng.randint(0, 1) :]
    lines = "\n".join(f"{number}. {line}" for number, line in enumerate(work, start=1))
    messages = [SystemMessage(prompt("synthesize")), HumanMessage(f"What is the {noun}?\nWork:\n{lines}")]
    return Exercise(messages, [], AIMessage(str(value)))


def _repeat(rng: random.Random) -> Exercise:
    """Says again what was said: the plainest copying, and the one that the others grow out of."""
    text = " ".join(str(_any_value(rng)) for _ in range(rng.randint(2, 6)))
    return Exercise([SystemMessage("Repeat the text."), HumanMessage(text)], [], AIMessage(text))


def _acting(rng: random.Random, text: str, tool: str) -> list[BaseMessage]:
    instruction = rng.choice(list(strategies().values())).instruction
    plan = rng.choice((f"Use {tool}.", f"Call {tool}.", f"Find it with {tool}."))
    return [SystemMessage(prompt("act").format(instruction=instruction)), HumanMessage(f"{text}\nPlan:\n1. {plan}")]


def _tool(rng: random.Random) -> dict[str, Any]:
    properties = {_name(rng): {"type": rng.choice(("string", "string", "integer"))} for _ in range(rng.randint(1, 3))}
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": _name(rng), "description": "", "parameters": parameters}}


def _word(rng: random.Random) -> str:
    return "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(rng.randint(1, 3)))


def _name(rng: random.Random) -> str:
    return "_".join(_word(rng) for _ in range(rng.randint(1, 2)))


def _any_value(rng: random.Random) -> str | int:
    return _value(rng, rng.choice(("string", "string", "integer")))


def _value(rng: random.Random, kind: str) -> str | int:
    if kind == "integer":
        return rng.randint(-(10 ** rng.randint(1, 6)), 10 ** rng.randint(1, 7))
    kinds: tuple[Callable[[random.Random], str], ...] = (
        *(_text, _sum, _sum, _date, _number),
        *(_phrase, _premises, _known_name, _known_name),
    )
    return rng.choice(kinds)(rng)


def _text(rng: random.Random) -> str:
    """Up to 12 characters of one script; quotes and backslashes are for JSON to escape."""
    first, last = rng.choice(_SCRIPTS)
    return "".join(chr(rng.randint(first, last)) for _ in range(rng.randint(1, 12))).strip() or "-"


def _sum(rng: random.Random) -> str:
    terms = [str(rng.randint(0, 10 ** rng.randint(1, 4))) for _ in range(rng.randint(2, 7))]
    return terms[0] + "".join(f" {rng.choice('+-*/')} {term}" for term in terms[1:])


def _premises(rng: random.Random) -> str:
    """Propositions, as the tool `logic` reads them; the first letter's token is another after a quote than a space."""

    def literal() -> str:
        return rng.choice(("", "", "not ")) + rng.choice(ascii_lowercase)

    return "; ".join(
        f"{literal()} {rng.choice(('->', '->', 'or', 'and'))} {literal()}" if rng.random() < 0.7 else literal()
        for _ in range(rng.randint(1, 5))
    )


def _date(rng: random.Random) -> str:
    return f"{rng.randint(1900, 2099)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def _phrase(rng: random.Random) -> str:
    return " ".join(rng.choice((_word, _word, _capital, _number))(rng) for _ in range(rng.randint(1, 4)))


def _known_name(rng: random.Random) -> str:
    """A name of the families: its tokens after a space are others than after a quote, and both must be known."""
    return rng.choice(_KNOWN_NAMES)


def _capital(rng: random.Random) -> str:
    return _word(rng).capitalize()


def _number(rng: random.Random) -> str:
    return str(rng.randint(0, 10 ** rng.randint(1, 6)))
