"""Curation of what the reasoning graph really records: which of its calls are learned from."""

from typing import Any

from langchain_core.messages import AIMessage

from langgraph_ratchet.chat_models.scripted import ScriptedChatModel
from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.call import Fingerprint, Tokens
from langgraph_ratchet.core.problem import Problem, Split
from langgraph_ratchet.core.question import Question, QuestionType
from langgraph_ratchet.curation import CurationSettings, Rolled, curate
from langgraph_ratchet.grading import grade
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.traces.store import TraceStore


def _reply(text: str, number: int, fingerprint: Fingerprint, **calls: Any) -> AIMessage:
    ids = tuple(range(100 * number, 100 * number + 10))
    tokens = Tokens(prompt_ids=ids[:6], completion_ids=ids[6:], logprobs=(-0.1,) * 4, fingerprint=fingerprint)
    return AIMessage(text, response_metadata={"tokens": tokens.model_dump(mode="json")}, **calls)


def _calling(expression: str) -> dict[str, Any]:
    return {"tool_calls": [{"name": "calculator", "args": {"expression": expression}, "id": "c"}]}


_MALFORMED = {"invalid_tool_calls": [{"name": "calculator", "args": "{oops", "id": "c", "error": "not JSON"}]}

_SCRIPT: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("1. Guess.", {}, "revised_away"),
    ("direct", {}, "kept"),
    ("The result is 77.", {}, "revised_away"),
    ("77", {}, "revised_away"),
    ("no, nothing was calculated", {}, "kept"),
    ("1. Calculate with calculator.", {}, "kept"),
    ("", _MALFORMED, "unread"),
    ("", _calling("45 +"), "failed_tool"),
    ("", _calling("45 + 33"), "kept"),
    ("The result is 78.", {}, "kept"),
    ("78", {}, "kept"),
    ("yes", {}, "kept"),
)


def test_what_led_to_the_right_answer_is_kept_and_the_detours_are_not(fingerprint: Fingerprint) -> None:
    question = Question(type=QuestionType.MATHEMATICAL, text="What is 45 + 33?")
    key = AnswerKey(value="78", grader="number", question_id=question.id)
    problem = Problem(
        question=question,
        key=key,
        difficulty=1,
        required_tools=("calculator",),
        source="procedural",
        family="chain_sum",
        split=Split.TRAIN,
    )
    said = [_reply(text, number, fingerprint, **calls) for number, (text, calls, _) in enumerate(_SCRIPT)]
    store = TraceStore(":memory:")
    reasoner = create_reasoner(ScriptedChatModel.of(*said), get_tools("calculator"), store=store).compile()
    out = reasoner.invoke({"question": question.model_dump(mode="json")})
    trace = store.trace(out["trace_id"])
    store.close()
    assert len(trace.calls) == len(_SCRIPT)

    rolled = Rolled(problem, trace, grade(key, trace.answer, trace_id=trace.id))
    dataset = curate([rolled], held_out=(), fingerprint=fingerprint, settings=CurationSettings(mixed_only=False))

    fates = [fate for *_, fate in _SCRIPT]
    assert [example.input_ids[0] // 100 for example in dataset.examples] == [
        number for number, fate in enumerate(fates) if fate == "kept"
    ]
    assert {drop.reason: drop.count for drop in dataset.dropped} == {
        fate: fates.count(fate) for fate in fates if fate != "kept"
    }
