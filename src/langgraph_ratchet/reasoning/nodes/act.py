"""Works on the plan: calls tools, or says the result."""

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.reasoning.budgets import RunEnded
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.prompts import prompt
from langgraph_ratchet.reasoning.request import Body, ask
from langgraph_ratchet.reasoning.services import Services
from langgraph_ratchet.reasoning.state import ReasoningState
from langgraph_ratchet.reasoning.strategy import get_strategy
from langgraph_ratchet.reasoning.wording import plan_text

_WANTED = "Call a tool with valid JSON arguments, or say the result."


def act(state: ReasoningState, services: Services, context: Context) -> Body:
    """One reply: either tool calls, which `tools` carries out, or the conclusion.

    A call whose arguments are not JSON is answered with what was wrong, in the conversation, so that the model can
    mend it; an empty reply likewise.
    """
    strategy = state["strategy"]
    assert strategy is not None, "select_strategy comes before"
    instruction = get_strategy(strategy).instruction
    opening: list[BaseMessage] = [
        SystemMessage(prompt("act").format(instruction=instruction)),
        HumanMessage(plan_text(state)),
    ]
    transcript = list(state.get("transcript", []))
    for _ in range(services.budgets.malformed):
        reply = yield from ask([*opening, *transcript], with_tools=bool(services.tools))
        message = reply.message
        if message.invalid_tool_calls:
            transcript += _answered(message)
        elif message.tool_calls:
            # The id ties the steps that `tools` will take to the call that decided on them.
            proposed = [{"id": call["id"], "args": call["args"]} for call in message.tool_calls]
            return {"transcript": [*transcript, message], "acting_call": reply.call_id, "proposed": proposed}
        elif reply.text:
            return {"transcript": [*transcript, message], "conclusion": reply.text, "acting_call": reply.call_id}
        else:
            transcript += [AIMessage("(empty)"), HumanMessage(f"That reply was empty. {_WANTED}")]
    raise RunEnded(
        Outcome.MALFORMED_REPLY, f"{services.budgets.malformed} replies could not be read. Wanted: {_WANTED}"
    )


def _answered(message: AIMessage) -> list[AIMessage | HumanMessage]:
    """The malformed reply and an answer to it, as turns that every chat template can render."""
    faults = "; ".join(f"{call['name']}: {call['error'] or 'not JSON'}" for call in message.invalid_tool_calls)
    text = str(message.text).strip() or ", ".join(str(call["args"]) for call in message.invalid_tool_calls)
    return [AIMessage(text or "(unreadable)"), HumanMessage(f"The tool call could not be read ({faults}). {_WANTED}")]
