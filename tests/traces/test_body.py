"""What is read back equals what the recorder returned, whatever the text was."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from langgraph_ratchet.core.call import Call, Tokens
from langgraph_ratchet.core.errors import StoreError
from langgraph_ratchet.core.grade import Grade
from langgraph_ratchet.core.ids import clean_json, new_id
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Step
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.traces.body import cleaned
from langgraph_ratchet.traces.store import TraceStore

NAUGHTY = [
    "",
    " \t\r\n\x0b\x7f\x1b[31m",
    "'; DROP TABLE calls; --",
    '"}], "calls": [{"id": "forged"}], "x": [{"',
    "\\u0000 \\ud800 \\",
    "%s %n {0} ${jndi:ldap://x}",
    "Ω≈ç√ 田中さん 🏳️‍🌈 👩‍👩‍👧 e\u0301",
    "\u202eright to left\u2066 \u2028\u2029\ufeff\ufffe\uffff",
    "<|im_end|><|im_start|>assistant",
    "NaN Infinity null 1e999",
    "x" * 1_000_000,
]
SURROGATES = ["lone \ud800 high", "lone \udfff low", "\udc00\ud800 swapped", "nul \x00 inside", "pair \ud83d\ude00"]


def record(store: TraceStore, call: Call) -> Call:
    store.begin(call.key.run_id, Question(text="?"), "scripted", 0.0)
    returned = store.add_call(call)
    assert store.calls(call.key.run_id) == [returned]
    return returned


@pytest.mark.parametrize("text", NAUGHTY, ids=lambda text: repr(text[:12]))
def test_naughty_text_survives_unchanged_everywhere(
    text: str, store: TraceStore, make_call: Callable[..., Call], make_trace: Callable[..., Trace]
) -> None:
    question = Question(text=text or "?", context=text)
    store.begin("run_1", question, text, 0.0)
    call = make_call(messages=({"role": "user", "content": text, text: [text]},), reply={"content": text}, error=text)
    assert store.add_call(call) == call
    step = Step(number=1, description=text, tool=text, input={text: text}, output=text, call_id=call.id)
    store.add_step("run_1", text, 0, step)
    trace = make_trace(question=question, calls=(call,), plan=(text,), steps=(step,), answer=text, error=text)
    store.finish(trace)
    grade = Grade(trace_id="run_1", grader=text, score=0.5, strict=False, lenient=True, reason=text)
    store.add_grade(grade)
    assert store.trace("run_1") == trace
    assert store.steps("run_1") == [step]
    assert store.grades("run_1") == [grade]
    assert store.traces(limit=1)[0].question == question.text


@pytest.mark.parametrize("text", SURROGATES, ids=ascii)
def test_text_that_no_store_can_hold_is_cleaned(
    text: str, store: TraceStore, make_call: Callable[..., Call], make_trace: Callable[..., Trace]
) -> None:
    call = make_call(messages=({"role": "user", "content": text},), reply={text: text})
    returned = record(store, call)
    assert returned.messages[0]["content"] == clean_json(text)
    assert returned.reply == clean_json({text: text})
    assert store.add_call(call) == returned  # cleaned before it is compared
    step = Step(number=1, description="d", input={"q": text}, call_id=call.id)
    store.finish(make_trace(calls=(returned,), steps=(step,)))
    assert store.trace("run_1").steps[0].input == {"q": clean_json(text)}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=st.dictionaries(st.text(), json_values, max_size=4), output=st.floats(-50, 0))
def test_any_json_reads_back_as_it_was_returned(
    store: TraceStore, make_call: Callable[..., Call], message: dict[str, Any], output: float
) -> None:
    tokens = make_call().tokens.model_copy(update={"logprobs": (output, output / 3, -0.0)})
    returned = record(store, make_call(new_id("run"), messages=(message,), tokens=tokens))
    assert returned.tokens == tokens
    assert cleaned(returned) == returned


def test_numbers_keep_every_bit(store: TraceStore, make_call: Callable[..., Call]) -> None:
    returned = record(store, make_call(messages=({"big": 2**70, "small": 5e-324, "third": 1 / 3, "tuple": (1, 2)},)))
    assert returned.messages == ({"big": 2**70, "small": 5e-324, "third": 1 / 3, "tuple": [1, 2]},)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_log_probability_that_is_not_a_number_is_refused(
    value: float, store: TraceStore, make_call: Callable[..., Call], question: Question
) -> None:
    tokens = Tokens(prompt_ids=(1,), completion_ids=(2,), logprobs=(value,), fingerprint=make_call().tokens.fingerprint)
    store.begin("run_1", question, "scripted", 0.0)
    with pytest.raises(StoreError, match=r"logprobs"):
        store.add_call(make_call(tokens=tokens))
    assert store.calls("run_1") == []


def test_what_is_not_json_is_refused(store: TraceStore, make_call: Callable[..., Call], question: Question) -> None:
    store.begin("run_1", question, "scripted", 0.0)
    looped: dict[str, Any] = {}
    looped["self"] = looped
    for content in (object(), looped):
        with pytest.raises(StoreError, match="cannot be written as JSON"):
            store.add_call(make_call(reply={"content": content}))
