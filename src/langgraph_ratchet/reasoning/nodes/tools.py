"""Carries out the tool calls of the last reply, one after another, and records each as a step."""

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage

from langgraph_ratchet.core.ids import clean_json
from langgraph_ratchet.core.step import Step
from langgraph_ratchet.reasoning.budgets import RunEnded
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.request import Body, Update, use_tool
from langgraph_ratchet.reasoning.services import Services
from langgraph_ratchet.reasoning.state import ReasoningState
from langgraph_ratchet.reasoning.wording import arguments_text


def tools(state: ReasoningState, services: Services, context: Context) -> Body:
    """A tool that fails is answered with its error; the budget of failures ends the run, not the tool.

    A limit that is reached between two calls of one reply ends the run with the steps that were taken.
    """
    request = state["transcript"][-1]
    assert isinstance(request, AIMessage), "routes send only replies with tool calls here"
    steps = [Step.model_validate(step) for step in state.get("steps", [])]
    first = state.get("first_step", 0)
    taken: list[Step] = []
    answers: list[AnyMessage] = []
    end: Update = {}
    for call in request.tool_calls:
        try:
            result = yield from use_tool(call)
        except RunEnded as ended:
            end = ended.update
            break
        step = Step(
            number=len(steps) - first + len(taken) + 1,
            description=f"{call['name']}({arguments_text(call['args'])})",
            reasoning=str(request.text).strip(),
            tool=call["name"],
            input=clean_json(call["args"]),
            output=result.text,
            failed=result.failed,
            call_id=state["acting_call"],
            trust=result.trust,
        )
        taken.append(step)
        answers.append(
            ToolMessage(
                result.text,
                tool_call_id=call["id"] or "",
                name=call["name"],
                status="error" if result.failed else "success",
                # Stays on the message for whoever renders or curates it: this text is not the model's own.
                additional_kwargs={"trust": result.trust.value},
            )
        )
    steps_taken = [step.model_dump(mode="json") for step in taken]
    return {"transcript": [*state["transcript"], *answers], "steps": steps_taken, **end}
