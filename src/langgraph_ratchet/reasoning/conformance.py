"""What every strategy promises, as checks: each takes a strategy and raises `ConformanceError`."""

import re
from collections.abc import Callable

from langgraph_ratchet.chat_models.scripted import ScriptedChatModel
from langgraph_ratchet.core.conformance import require
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.reasoning.prompts import prompt
from langgraph_ratchet.reasoning.strategy import Strategy, strategies

_LONGEST_NAME = 30
_LONGEST_WHEN = 60
_LONGEST_INSTRUCTION = 300


def check_name(strategy: Strategy) -> None:
    """One short word of letters, that a model's reply can be searched for."""
    word = re.fullmatch(r"[a-z][a-z_]*", strategy.name) and len(strategy.name) <= _LONGEST_NAME
    require(word, strategy.name, f"its name is one lower-case word of at most {_LONGEST_NAME} letters")


def check_when(strategy: Strategy) -> None:
    """A few words on one line; names and their `when` are listed in one sentence, which its marks must not break."""
    when = strategy.when
    require(0 < len(when) <= _LONGEST_WHEN, strategy.name, f"`when` has 1 to {_LONGEST_WHEN} characters", len(when))
    require(when.isprintable() and when == when.strip(), strategy.name, "`when` is one line", repr(when))
    require(not set(when) & set(";(){}"), strategy.name, "`when` has no brackets and no semicolon", when)
    known = {item.when for item in strategies().values() if item.name != strategy.name}
    require(when not in known, strategy.name, "`when` tells it apart from the others", when)


def check_instruction(strategy: Strategy) -> None:
    """One or two short sentences on one line: they open every prompt of a run."""
    text = strategy.instruction
    longest = _LONGEST_INSTRUCTION
    require(0 < len(text) <= longest, strategy.name, f"its instruction has 1 to {longest} characters", len(text))
    require(text.isprintable() and text == text.strip(), strategy.name, "its instruction is one line", repr(text))
    require(text.endswith("."), strategy.name, "its instruction is made of sentences", text)
    require(not set(text) & set("{}"), strategy.name, "its instruction has no braces", text)
    require(text in prompt("act").format(instruction=text), strategy.name, "its instruction fits the prompt")


def check_a_model_can_select_it(strategy: Strategy) -> None:
    """Offered beside another one, it is selected by its name, and its instruction is what the model then works by."""
    other = "direct" if strategy.name != "direct" else "deductive"
    model = ScriptedChatModel.of("1. Think.", f"I choose {strategy.name}.", "The result is 4.", "4", "yes")
    reasoner = create_reasoner(model, store=None, strategies=[other, strategy.name]).compile()
    out = reasoner.invoke({"question": "What is 2 + 2?"})
    require(out["answer"] == "4", strategy.name, "a run with it comes to its answer", out.get("error") or out["answer"])
    shown = [str(messages[0].content) for messages in model.asked]
    require(f"{strategy.name} ({strategy.when})" in shown[1], strategy.name, "is offered to the model", shown[1])
    require(strategy.instruction in shown[2], strategy.name, "tells the model how to work", shown[2])


CHECKS: tuple[Callable[[Strategy], None], ...] = (
    check_name,
    check_when,
    check_instruction,
    check_a_model_can_select_it,
)
