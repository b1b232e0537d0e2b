"""What cannot be reasoned about is refused with one clear error, before the model is asked and without a trace."""

from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage

from langgraph_ratchet.chat_models.scripted import ScriptedChatModel
from langgraph_ratchet.core.errors import BadInputError, ToolCallingError, UnknownNameError
from langgraph_ratchet.core.question import Attachment, Question
from langgraph_ratchet.reasoning.budgets import Budgets
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.traces.store import TraceStore


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"question": ""}, "the question is empty"),
        ({"question": " \n\t"}, "the question is empty"),
        ({"question": "\x00"}, "the question is empty"),
        ({"question": {"text": "  "}}, "the question is empty"),
        ({"question": {}}, "the question is empty"),
        ({"messages": [("user", "")]}, "the question is empty"),
        ({"messages": []}, "no question: give `question`"),
        ({"messages": [("user", "Hi"), ("assistant", "Hello")]}, "`messages` that end with a human one"),
        ({"question": None}, "no question"),
        ({"question": 5}, "no question"),
        ({"question": {"text": 5}}, "not a question: text: Input should be a valid string"),
        ({"question": {"text": "a?", "answer": "78"}}, "not a question: answer: Extra inputs are not permitted"),
        ({"question": {"text": "a?", "type": "tricky"}}, "not a question: type: Input should be"),
        ({"question": {"text": "a?", "attachments": ["b"]}}, r"not a question: attachments\.0"),
    ],
)
def test_what_is_no_question_is_refused(given: Any, says: str, store: TraceStore) -> None:
    model = ScriptedChatModel.of()
    reasoner = create_reasoner(model, get_tools("calculator"), store=store).compile()
    with pytest.raises(BadInputError, match=says):
        reasoner.invoke(given)
    assert model.asked == []
    assert store.open_runs() == []


@pytest.mark.parametrize(
    "question",
    ["x" * 1_000_000, {"text": "Short?", "context": "x" * 1_000_000}, {"text": "x" * 60_000, "context": "x" * 60_000}],
)
def test_a_question_of_a_megabyte_is_refused_with_the_limit(question: Any) -> None:
    reasoner = create_reasoner(ScriptedChatModel.of(), store=None).compile()
    with pytest.raises(BadInputError, match=r"characters with its context, the limit is 100,000.*question_chars"):
        reasoner.invoke({"question": question})


async def test_it_is_refused_when_async_too() -> None:
    reasoner = create_reasoner(ScriptedChatModel.of(), store=None).compile()
    with pytest.raises(BadInputError, match="1,000,000 characters"):
        await reasoner.ainvoke({"messages": [HumanMessage("x" * 1_000_000)]})


def test_the_limit_of_the_question_is_a_budget_and_leaves_out_attachments(reason: Any, lines: Any) -> None:
    question = Question(text="x" * 20, attachments=(Attachment(name="a", text="x" * 1_000_000),))
    given = question.model_dump(mode="json")
    assert reason(lines(), question=given, budgets=Budgets(question_chars=20)).out["answer"] == "78"
    with pytest.raises(BadInputError, match="20 characters with its context, the limit is 19"):
        reason(lines(), question=given, budgets=Budgets(question_chars=19))


@pytest.mark.parametrize("field", ["question", "messages"])
def test_a_lone_surrogate_is_cleaned_and_answered(field: str, lines: Any, store: TraceStore) -> None:
    text = "What \ud800is 45 + 33?"
    given = {"question": text} if field == "question" else {"messages": [("user", text)]}
    model = ScriptedChatModel.of(*lines())
    out = create_reasoner(model, get_tools("calculator"), store=store).compile().invoke(given)
    assert out["answer"] == "78"
    assert store.trace(out["trace_id"]).question.text == "What \ufffdis 45 + 33?"
    assert model.asked[0][1].content == "What \ufffdis 45 + 33?"


def test_an_unknown_strategy_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UnknownNameError, match="unknown strategy 'magic'; known: abductive, analogical"):
        create_reasoner(ScriptedChatModel.of(), strategies=["direct", "magic"], store=None)
    reasoner = create_reasoner(ScriptedChatModel.of(), store=None).compile()
    with pytest.raises(UnknownNameError, match="unknown strategy 'magic'"):
        reasoner.invoke({"question": "a?"}, context=Context(strategy="magic"))


def test_a_model_that_cannot_call_tools_is_refused_when_tools_are_given() -> None:
    model = GenericFakeChatModel(messages=iter([]))
    with pytest.raises(ToolCallingError, match="GenericFakeChatModel cannot call tools, and 1 were given.*bind_tools"):
        create_reasoner(model, get_tools("calculator"), store=None)


def test_a_model_that_cannot_call_tools_reasons_without_them() -> None:
    script = ["1. Add.", "direct", "The result is 78.", "78", "yes"]
    model = GenericFakeChatModel(messages=iter([AIMessage(line) for line in script]))
    assert create_reasoner(model, store=None).compile().invoke({"question": "a?"})["answer"] == "78"


def test_two_tools_of_one_name_are_refused() -> None:
    def calculator(expression: str) -> str:
        """Calculates."""
        return expression

    with pytest.raises(BadInputError, match="two tools are called 'calculator'"):
        create_reasoner(ScriptedChatModel.of(), [*get_tools("calculator"), calculator], store=None)
