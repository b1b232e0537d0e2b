"""An agent that is run again does nothing again: what answers its tools, what a miss comes to, and what is recorded."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool

from langgraph_ratchet.chat_models.scripted import PolicyChatModel
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.core.trace import Outcome, Trace
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.reasoning.reruns import Recordings, again
from langgraph_ratchet.reasoning.rollouts import Rollout, roll_out
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.tools.replay import ToolReplay
from langgraph_ratchet.tools.spec import Effect, ToolSpec
from langgraph_ratchet.traces.store import TraceStore

QUESTION = Question(text="Tell Ann that it rains.")
Agent = Callable[..., Any]


class Post:
    """Sends mails, and counts them: each says how many there were before it."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, to: str, text: str = "it rains") -> str:
        """Send a mail."""
        self.sent.append(to)
        return f"mail {len(self.sent)} sent to {to}"

    @property
    def tool(self) -> BaseTool:
        spec = ToolSpec(effects=frozenset({Effect.WRITES}), timeout_s=5, output_cap=100, trust=Trust.OWN)
        return StructuredTool.from_function(self.send, name="send", metadata=spec.metadata())


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def agent(
    post: Post, store: TraceStore, node_of: Callable[[Sequence[BaseMessage]], str], tool_call: Callable[..., AIMessage]
) -> Agent:
    """A reasoner that sends a mail to everybody in `to`, one after another, and says what the tool said."""

    def make(*to: str, tools: Sequence[BaseTool] | None = None) -> Any:
        def reply(messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
            node = node_of(messages)
            if node == "act":
                said = [str(message.content) for message in messages if isinstance(message, ToolMessage)]
                return tool_call("send", to=to[len(said)]) if len(said) < len(to) else AIMessage("; ".join(said))
            return AIMessage(
                {"plan": "1. Send it.", "select_strategy": "direct", "synthesize": "told"}.get(node, "yes")
            )

        model = PolicyChatModel(policy=reply)
        return create_reasoner(model, tools or [post.tool], store=store, allow=["send"]).compile()

    return make


def wanted(count: int, question: Question = QUESTION) -> list[Rollout]:
    return [Rollout(question, f"trace_again_{n}", temperature=1.0, seed=n) for n in range(count)]


def outputs(trace: Trace) -> list[str | None]:
    return [step.output for step in trace.steps]


def record(agent: Any, store: TraceStore) -> Trace:
    return store.trace(agent.invoke({"question": QUESTION.model_dump(mode="json")})["trace_id"])


@pytest.mark.parametrize("count", [20, pytest.param(1_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_a_recorded_agent_that_is_run_again_sends_nothing(
    agent: Agent, store: TraceStore, post: Post, count: int
) -> None:
    reasoner = agent("ann", "bob", "ann")
    recorded = record(reasoner, store)
    assert post.sent == ["ann", "bob", "ann"]
    traces = roll_out(reasoner, store, wanted(count), concurrency=16)
    assert post.sent == ["ann", "bob", "ann"]
    assert len(traces) == count
    assert Counter(tuple(outputs(trace)) for trace in traces) == {tuple(outputs(recorded)): count}
    assert {trace.outcome for trace in traces} == {Outcome.ANSWERED}


def test_a_call_that_was_not_recorded_ends_the_run_with_what_it_did_before(
    agent: Agent, store: TraceStore, post: Post
) -> None:
    record(agent("ann"), store)
    (trace,) = roll_out(agent("ann", "eve"), store, wanted(1))
    assert (trace.outcome, trace.answer) == (Outcome.NOT_RECORDED, None)
    assert 'no recording answers send({"text":"it rains","to":"eve"})' in str(trace.error)
    assert outputs(trace) == ["mail 1 sent to ann"]
    assert post.sent == ["ann"]


async def test_the_async_form_sends_nothing_either(agent: Agent, store: TraceStore, post: Post) -> None:
    record(agent("ann"), store)
    for to, outcome in (("ann", "answered"), ("eve", "not_recorded")):
        with again(Recordings(store), QUESTION.id):
            out = await agent(to).ainvoke({"question": QUESTION.text})
        assert out["outcome"] == outcome
    assert post.sent == ["ann"]


def test_a_replay_and_its_simulator_answer_instead_of_the_store(agent: Agent, store: TraceStore, post: Post) -> None:
    def simulate(tool: str, arguments: Mapping[str, Any]) -> str:
        return f"{tool} to {arguments['to']}, as if"

    record(agent("ann"), store)
    (trace,) = roll_out(agent("ann", "eve"), store, wanted(1), replay=ToolReplay(simulator=simulate))
    assert outputs(trace) == ["send to ann, as if", "send to eve, as if"]
    assert post.sent == ["ann"]


def test_what_was_answered_from_recordings_is_marked_and_is_no_recording(
    agent: Agent, store: TraceStore, post: Post
) -> None:
    live = record(agent("ann"), store)
    simulated = ToolReplay(simulator=lambda tool, arguments: "as if sent")
    (rerun,) = roll_out(agent("ann", "eve"), store, wanted(1), replay=simulated)
    assert [step.replayed for step in live.steps + rerun.steps] == [False, True, True]
    (later,) = roll_out(agent("ann", "eve"), store, [Rollout(QUESTION, "trace_later", temperature=0.0, seed=0)])
    assert (later.outcome, outputs(later)) == (Outcome.NOT_RECORDED, ["mail 1 sent to ann"])


def test_tools_without_effects_are_called(agent: Agent, store: TraceStore) -> None:
    calls: list[str] = []

    def look(to: str) -> str:
        """Look something up."""
        calls.append(to)
        return "found"

    spec = ToolSpec(timeout_s=5, output_cap=100, trust=Trust.OWN)
    pure = StructuredTool.from_function(look, name="send", metadata=spec.metadata())
    (trace,) = roll_out(agent("ann", tools=[pure]), store, wanted(1))
    assert (outputs(trace), calls) == (["found"], ["ann"])
    assert [step.replayed for step in trace.steps] == [False]


def test_the_default_tools_work_in_a_run_that_is_made_again() -> None:
    tools = {tool.name: tool for tool in get_tools()}
    with_stand_ins = Recordings(TraceStore(":memory:")).over(tools, QUESTION.id)
    assert {name for name in tools if with_stand_ins[name] is not tools[name]} == set()


def test_a_live_run_beside_one_that_is_made_again_is_live(agent: Agent, store: TraceStore, post: Post) -> None:
    record(agent("ann"), store)
    with again(Recordings(store), QUESTION.id):
        agent("ann").invoke({"question": QUESTION.text})
    assert post.sent == ["ann"]
    agent("ann").invoke({"question": QUESTION.text})
    assert post.sent == ["ann", "ann"]
