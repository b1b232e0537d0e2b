"""What recording costs a call: the same graph with a store on disk and without, interleaved in one run.

`python benchmarks/recorded_graph.py` prints the median milliseconds per model call of both and their difference.
"""

import statistics
import tempfile
import time
from pathlib import Path

from langchain_core.messages import AIMessage, BaseMessage

from langgraph_ratchet.chat_models.scripted import PolicyChatModel
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.reasoning.rollouts import Reasoner
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.traces.store import TraceStore

RUNS, CALLS = 150, 6


def reply(messages: list[BaseMessage], kwargs: dict[str, object]) -> AIMessage:
    """A run of six calls, one of them a tool call."""
    opening = str(messages[0].content)
    if "Choose how" in opening:
        return AIMessage("direct")
    if "Check the answer" in opening:
        return AIMessage("yes")
    if kwargs.get("tools") and messages[-1].type == "human":
        return AIMessage("", tool_calls=[{"name": "calculator", "args": {"expression": "2 + 2"}, "id": "call_0"}])
    return AIMessage("1. Calculate with calculator.")


def reasoner(store: TraceStore | None) -> Reasoner:
    """The graph, compiled."""
    model = PolicyChatModel(policy=reply)
    return create_reasoner(model, get_tools(), store=store).compile()


def seconds(graph: Reasoner) -> float:
    """Wall time of one run."""
    started = time.perf_counter()
    graph.invoke({"question": "What is 2 + 2?"})
    return time.perf_counter() - started


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        recorded, bare = reasoner(TraceStore(f"sqlite:///{Path(folder) / 'traces.db'}")), reasoner(None)
        for graph in (recorded, bare):
            seconds(graph)
        pairs = [(seconds(recorded), seconds(bare)) for _ in range(RUNS)]
    with_store, without = (1000 * statistics.median(side) / CALLS for side in zip(*pairs, strict=True))
    difference = 1000 * statistics.median(a - b for a, b in pairs) / CALLS
    print(
        f"medians per call: recorded {with_store:.2f} ms, not recorded {without:.2f} ms, "
        f"recording costs {difference:.2f} ms"
    )
