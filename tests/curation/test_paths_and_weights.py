"""One run of each path, each run counting once, no type and no node counting for too much."""

import json
import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.example import Dataset
from langgraph_ratchet.core.question import QuestionType
from langgraph_ratchet.curation import CurationSettings, curate, summary
from langgraph_ratchet.curation.weigh import factors_to_cap

Make = Callable[..., Any]

_ALL = CurationSettings(mixed_only=False, max_type_share=1, max_node_share=1)


def _shares(dataset: Dataset, group: str) -> dict[str, float]:
    totals: dict[str, float] = defaultdict(float)
    for example in dataset.examples:
        totals[getattr(example, group)] += example.weight
    return {name: total / sum(totals.values()) for name, total in totals.items()}


def test_of_equal_paths_one_is_kept(solved: Make, new_problem: Make, fingerprint: Fingerprint) -> None:
    other = new_problem("What is 5 + 2?", "7")
    rolled = [
        solved(trace_id="a"),
        solved(trace_id="b", plan="Calculate   with\ncalculator. "),  # only its spacing differs
        solved(trace_id="c", plan="Add with calculator."),
        solved(trace_id="d", calls=2),
        solved(other, "e"),  # the same replies to another problem
    ]
    dataset = curate(rolled, held_out=(), fingerprint=fingerprint, settings=_ALL)
    assert len({example.trace_id for example in dataset.examples}) == 4
    assert [(drop.reason, drop.count, drop.unit) for drop in dataset.dropped] == [("duplicate_path", 1, "traces")]


def test_tool_calls_are_equal_by_name_and_arguments(new_run: Make, fingerprint: Fingerprint) -> None:
    texts = ['{"a": 1, "b": 2}', '{"b":2,"a":1}', '{"a": 1, "b": 3}', "not json", ""]
    rolled = []
    for number, text in enumerate(texts):
        item = new_run(trace_id=f"t{number}").call("act", tool=("calculator", {"a": 1})).step("calculator", "7")
        reply = {
            **item.calls[0].reply,
            "tool_calls": [{"id": f"{number}", "function": {"name": "calculator", "arguments": text}}],
        }
        item.calls[0] = item.calls[0].model_copy(update={"reply": reply})
        rolled.append(item.rolled("7", 1.0))
    dataset = curate(rolled, held_out=(), fingerprint=fingerprint, settings=_ALL)
    assert len(dataset.examples) == 4
    assert dataset.dropped[0].count == 1


def test_every_run_weighs_one_whatever_its_length(solved: Make, fingerprint: Fingerprint) -> None:
    rolled = [solved(trace_id=f"t{number}", calls=number) for number in range(1, 6)]
    dataset = curate(rolled, held_out=(), fingerprint=fingerprint, settings=_ALL)
    weights: dict[str, float] = defaultdict(float)
    for example in dataset.examples:
        weights[example.trace_id] += example.weight
    assert weights == pytest.approx({f"t{number}": 1.0 for number in range(1, 6)})


def test_no_type_has_more_than_its_share(solved: Make, new_problem: Make, fingerprint: Fingerprint) -> None:
    kinds = [QuestionType.MATHEMATICAL] * 16 + [QuestionType.TEMPORAL] * 3 + [None]
    rolled = [solved(new_problem(f"Question {n}?", "7", type=kind), f"t{n}") for n, kind in enumerate(kinds)]
    even = curate(rolled, held_out=(), fingerprint=fingerprint, settings=_ALL)
    assert _shares(even, "question_type") == pytest.approx({"mathematical": 0.8, "temporal": 0.15, None: 0.05})
    settings = CurationSettings(mixed_only=False, max_type_share=0.5, max_node_share=1)
    dataset = curate(rolled, held_out=(), fingerprint=fingerprint, settings=settings)
    assert len(dataset.examples) == len(even.examples)
    assert _shares(dataset, "question_type") == pytest.approx({"mathematical": 0.5, "temporal": 0.375, None: 0.125})


def test_no_node_has_more_than_its_share(solved: Make, fingerprint: Fingerprint) -> None:
    settings = CurationSettings(mixed_only=False, max_node_share=0.4)
    dataset = curate([solved(calls=5)], held_out=(), fingerprint=fingerprint, settings=settings)
    shares = _shares(dataset, "node")
    assert shares == pytest.approx({"act": 0.4, "plan": 0.3, "synthesize": 0.3})


@given(
    st.dictionaries(st.text(max_size=3), st.floats(1e-3, 1e3), min_size=1, max_size=8),
    st.floats(0.01, 1.0),
)
def test_capped_shares_are_within_the_cap_or_equal(totals: dict[str, float], cap: float) -> None:
    factors = factors_to_cap(totals, cap)
    scaled = {group: total * factors[group] for group, total in totals.items()}
    most = max(cap, 1 / len(totals))
    assert max(scaled.values()) <= most * sum(scaled.values()) * (1 + 1e-6)
    assert all(0 < factor <= 1 for factor in factors.values())
    # Only what is over the cap is scaled: whoever is scaled stands at the level, and the level is the largest.
    largest = max(scaled.values())
    for group, factor in factors.items():
        assert factor == 1 or scaled[group] == pytest.approx(largest)


def test_the_dataset_does_not_depend_on_order_or_on_random_ids(
    solved: Make, new_problem: Make, fingerprint: Fingerprint
) -> None:
    def rolled(mark: str) -> list[Any]:
        problems = [new_problem(f"What is {number} + 3?", "7") for number in range(6)]
        return [
            solved(problem, f"{mark}{number}.{run}", plan=f"Plan {run // 2}.", score=float(run > 0), calls=1 + run % 2)
            for number, problem in enumerate(problems)
            for run in range(5)
        ]

    first = curate(rolled("a"), held_out=(), fingerprint=fingerprint)
    assert len(first.examples) > 20
    for seed in range(3):
        shuffled = rolled("a")
        random.Random(seed).shuffle(shuffled)
        again = curate(shuffled, held_out=(), fingerprint=fingerprint)
        assert again == first
    renamed = curate(rolled("z"), held_out=(), fingerprint=fingerprint)
    assert renamed.hash == first.hash
    assert [example.id for example in renamed.examples] == [example.id for example in first.examples]
    assert len({example.id for example in first.examples}) == len(first.examples)


def test_the_summary_adds_up_and_is_json(solved: Make, new_problem: Make, fingerprint: Fingerprint) -> None:
    rolled = [
        solved(),
        solved(trace_id="t2", score=0.0),
        solved(new_problem("When?", "7", type=QuestionType.TEMPORAL), "t3", calls=2),
    ]
    settings = CurationSettings(mixed_only=False)
    dataset = curate(rolled, held_out=(), fingerprint=fingerprint, settings=settings)
    figures = summary(dataset)
    assert json.loads(json.dumps(figures)) == figures
    assert (figures["traces"], figures["calls"]) == (2, 9)
    assert figures["tokens"] == sum(sum(example.loss_mask) for example in dataset.examples)
    for groups in (figures["by_type"], figures["by_node"]):
        assert sum(group["calls"] for group in groups.values()) == 9
        assert sum(group["tokens"] for group in groups.values()) == figures["tokens"]
        assert sum(group["share"] for group in groups.values()) == pytest.approx(1)
    assert figures["by_node"]["act"]["calls"] == 5
    assert figures["by_type"]["temporal"]["traces"] == 1
    assert figures["dropped"] == [
        {"reason": "wrong_answer", "explanation": "The answer is wrong.", "count": 1, "unit": "traces"}
    ]


def test_the_summary_of_nothing_is_zeros(fingerprint: Fingerprint) -> None:
    figures = summary(curate([], held_out=(), fingerprint=fingerprint))
    assert figures == {"traces": 0, "calls": 0, "tokens": 0, "by_type": {}, "by_node": {}, "dropped": []}
