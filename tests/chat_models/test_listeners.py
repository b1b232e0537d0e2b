"""Who listens while a reply is written: callbacks, graphs that stream, events."""

import time

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from tests.chat_models.sums import said, total


@tool
def calculator(expression: str, n: int = 1) -> str:
    """Calculates."""
    return expression


def test_callbacks_are_told_of_each_piece_that_a_stream_gives(speaker):
    class Listener(BaseCallbackHandler):
        def __init__(self) -> None:
            self.heard: list[str] = []

        def on_llm_new_token(self, token: str, **kwargs) -> None:
            self.heard.append(token)

    listener = Listener()
    model = speaker("One two three.<|im_end|>", pace=lambda: time.sleep(0.02))
    pieces = [chunk.text for chunk in model.stream("?", config={"callbacks": [listener]})]
    assert listener.heard == pieces
    assert "".join(pieces) == "One two three."
    assert len(pieces) > 2


def test_a_graph_streams_messages(speaker):
    text = 'So.<tool_call>calculator {"expression": "1"}</tool_call><|im_end|>'
    model = speaker(text, pace=lambda: time.sleep(0.02))
    graph = StateGraph(MessagesState)
    graph.add_node("ask", lambda state: {"messages": [model.invoke(state["messages"], tools=[calculator])]})
    graph.add_edge(START, "ask")
    compiled = graph.compile()
    question = {"messages": [HumanMessage("?")]}
    chunks = [chunk for chunk, _ in compiled.stream(question, stream_mode="messages")]
    assert len(chunks) > 2
    assert said(total(chunks)) == said(model.invoke("?", tools=[calculator]))
    result = compiled.invoke(question)["messages"][-1]
    assert result.tool_calls[0]["args"] == {"expression": "1"}
    request = model.scripted.requests[-1]
    assert request.run is not None  # the calls of one run take turns with those of others


async def test_a_graph_streams_events(speaker):
    model = speaker("One two three.<|im_end|>", pace=lambda: time.sleep(0.02))
    events = [event async for event in model.astream_events("?", version="v2")]
    pieces = [event["data"]["chunk"].text for event in events if event["event"] == "on_chat_model_stream"]
    assert "".join(pieces) == "One two three."
    assert len(pieces) > 2


def test_several_replies_are_given_although_somebody_listens(speaker):
    model = speaker("Yes.<|im_end|>")
    graph = StateGraph(MessagesState)
    replies: list = []

    def ask(state: MessagesState) -> dict:
        replies.extend(model.generate([state["messages"]], n=3).generations[0])
        return {}

    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    list(graph.compile().stream({"messages": [HumanMessage("?")]}, stream_mode="messages"))
    assert [reply.text for reply in replies] == ["Yes."] * 3
