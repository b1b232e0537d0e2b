"""Where the run goes next: pure functions of the state, whose `Literal` returns are the edges of the picture."""

from typing import Literal

from langchain_core.messages import AIMessage

from langgraph_ratchet.reasoning.pending import unanswered
from langgraph_ratchet.reasoning.state import ReasoningState


def after_plan(state: ReasoningState) -> Literal["select_strategy", "finish"]:
    """On, unless the run has ended."""
    return "finish" if state.get("outcome") else "select_strategy"


def after_select_strategy(state: ReasoningState) -> Literal["act", "finish"]:
    """On, unless the run has ended."""
    return "finish" if state.get("outcome") else "act"


def after_act(state: ReasoningState) -> Literal["tools", "synthesize", "finish"]:
    """To the tools while they are called, then to the answer."""
    if state.get("outcome"):
        return "finish"
    last = state["transcript"][-1]
    return "tools" if isinstance(last, AIMessage) and last.tool_calls else "synthesize"


def after_tools(state: ReasoningState) -> Literal["tools", "act", "finish"]:
    """To the next call of the same reply, then back to acting, unless the run has ended."""
    if state.get("outcome"):
        return "finish"
    return "tools" if unanswered(state["transcript"]) else "act"


def after_synthesize(state: ReasoningState) -> Literal["self_check", "finish"]:
    """On, unless the run has ended."""
    return "finish" if state.get("outcome") else "self_check"


def after_self_check(state: ReasoningState) -> Literal["plan", "act", "finish"]:
    """Rejected answers go back: to a new plan first, to acting once more after that.

    A wrong answer mostly comes from a wrong plan; when a second plan led to a rejected answer too, the plan is kept
    and the work is done again.
    """
    if state.get("outcome") or state.get("answer") is not None:
        return "finish"
    return "plan" if state.get("revisions", 0) <= 1 else "act"
