"""Carries out one tool call of the last reply, and records it as a step; it is run again while there are more."""

from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage

from langgraph_ratchet.core.ids import clean_json
from langgraph_ratchet.core.step import Step, Trust
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.pending import changed_from, unanswered
from langgraph_ratchet.reasoning.request import Body, Used, use_tool
from langgraph_ratchet.reasoning.services import Services
from langgraph_ratchet.reasoning.state import ReasoningState
from langgraph_ratchet.reasoning.wording import arguments_text
from langgraph_ratchet.tools.replay import ReplayedTool

_CHANGED = "(The user changed the arguments of this call before it was made.)"


def tools(state: ReasoningState, services: Services, context: Context) -> Body:
    """One call an execution: a run that waits for a person in between, or is killed, repeats no call that was made.

    A tool that fails is answered with its error; the budget of failures ends the run, not the tool.
    """
    transcript = state["transcript"]
    pending = unanswered(transcript)
    if not pending:  # a person has taken the calls out of the transcript
        return {}
    at = max(place for place, message in enumerate(transcript) if isinstance(message, AIMessage))
    request, place = transcript[at], len(transcript) - at - 1
    assert isinstance(request, AIMessage), "that is where it was looked for"
    used = yield from use_tool(pending[0])
    result, proposed = used.result, changed_from(state, used.call, place)
    step = Step(
        number=len(state.get("steps", [])) - state.get("first_step", 0) + 1,
        description=f"{used.call['name']}({arguments_text(used.call['args'])})",
        reasoning=str(request.text).strip(),
        tool=used.call["name"],
        input=clean_json(used.call["args"]),
        output=result.text,
        failed=result.failed,
        call_id=state["acting_call"],
        trust=result.trust,
        approval=used.approval,
        proposed=clean_json(proposed),
        replayed=isinstance(services.tools.get(used.call["name"]), ReplayedTool),
    )
    return {
        "transcript": [
            *transcript[:at],
            _with_call(request, place, used.call),
            *transcript[at + 1 :],
            _answer(used, changed=proposed is not None),
        ],
        "steps": [step.model_dump(mode="json")],
        "untrusted": bool(state.get("untrusted")) or result.trust is Trust.UNTRUSTED,
    }


def _with_call(request: AIMessage, place: int, call: ToolCall) -> AIMessage:
    """The reply with the call as it was made, so that the conversation says what happened."""
    calls = [call if each == place else other for each, other in enumerate(request.tool_calls)]
    return request if calls == request.tool_calls else request.model_copy(update={"tool_calls": calls})


def _answer(used: Used, *, changed: bool) -> AnyMessage:
    result = used.result
    return ToolMessage(
        f"{_CHANGED}\n{result.text}" if changed else result.text,
        tool_call_id=used.call["id"] or "",
        name=used.call["name"],
        status="error" if result.failed else "success",
        # Stays on the message for whoever renders or curates it: this text is not the model's own.
        additional_kwargs={"trust": result.trust.value},
    )
