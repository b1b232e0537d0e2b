"""Calls and traces: what is derived from what was recorded."""

import pytest
from pydantic import ValidationError

from langgraph_ratchet.core.call import Call, CallKey, Fingerprint, Tokens, Usage
from langgraph_ratchet.core.question import Question
from langgraph_ratchet.core.step import Step
from langgraph_ratchet.core.trace import Outcome, Trace

FINGERPRINT = Fingerprint(base="b", tokenizer="t", template="c")


def make_call(index: int = 0, **changes: object) -> Call:
    fields = {
        "id": f"call_{index}",
        "key": CallKey(run_id="trace_1", task_id="task_1", index=index),
        "node": "act",
        "messages": ({"role": "user", "content": "What is 2 + 2?"},),
        "reply": {"role": "assistant", "content": "4"},
        "seconds": 0.1,
    }
    return Call.model_validate({**fields, **changes})


def make_trace(*calls: Call, steps: tuple[Step, ...] = ()) -> Trace:
    return Trace(
        id="trace_1",
        question=Question(text="What is 2 + 2?"),
        model="scripted",
        model_version=None,
        strategy="direct",
        plan=("Add.",),
        steps=steps,
        calls=calls,
        answer="4",
        confidence=None,
        outcome=Outcome.ANSWERED,
        started_at=0.0,
        seconds=0.2,
        code_version="0.1.0",
    )


def test_a_call_is_exact_only_with_its_token_ids() -> None:
    tokens = Tokens(prompt_ids=(1, 2), completion_ids=(3,), logprobs=(-0.5,), fingerprint=FINGERPRINT)
    assert not make_call().exact
    assert make_call(tokens=tokens).exact


def test_logprobs_that_do_not_match_the_completion_are_refused() -> None:
    with pytest.raises(ValidationError, match="2 completion ids but 1 logprobs"):
        Tokens(prompt_ids=(1,), completion_ids=(2, 3), logprobs=(-0.5,), fingerprint=FINGERPRINT)


def test_ids_mean_the_same_on_the_same_base_whichever_adapter_sampled_them() -> None:
    assert FINGERPRINT.same_base(FINGERPRINT.model_copy(update={"adapter": "a"}))
    for part in ("base", "tokenizer", "template"):
        assert not FINGERPRINT.same_base(FINGERPRINT.model_copy(update={part: "other"}))


def test_tokens_of_a_trace_are_unknown_when_one_call_did_not_report() -> None:
    reported = make_call(0, usage=Usage(input_tokens=10, output_tokens=2))
    assert make_trace(reported).total_tokens == 12
    assert make_trace(reported, make_call(1)).total_tokens is None


def test_tool_calls_count_failed_ones_and_not_thoughts() -> None:
    steps = (
        Step(number=1, description="thinks", call_id="call_0"),
        Step(number=2, description="fails", tool="calculator", failed=True, call_id="call_1"),
        Step(number=3, description="adds", tool="calculator", call_id="call_2"),
    )
    assert make_trace(steps=steps).tool_calls == 2


def test_a_trace_reads_back_equal() -> None:
    tokens = Tokens(prompt_ids=(1, 2), completion_ids=(3,), logprobs=(-0.1234567890123,), fingerprint=FINGERPRINT)
    trace = make_trace(make_call(tokens=tokens))
    assert Trace.model_validate_json(trace.model_dump_json()) == trace


def test_what_was_written_in_an_older_schema_is_read_as_one_of_this() -> None:
    now = make_trace(make_call())
    written = now.model_dump(mode="json") | {"schema_version": 1}
    for added in ("agent", "thread", "provider", "imported_from"):
        del written[added]
    (call,) = written["calls"]
    call["schema_version"] = 1
    for added in ("origins", "model", "provider", "redactions", "reply_redacted"):
        del call[added]
    assert Trace.model_validate(written) == now
