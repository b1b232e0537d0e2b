"""The logic tool: right on what a truth table decides, and clear about what it cannot read."""

import importlib.util
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from langchain_core.tools import ToolException

from langgraph_ratchet.core.errors import MissingExtraError
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.tools.logic import decide
from langgraph_ratchet.tools.runner import ToolResult

pytest.importorskip("z3", reason="needs the extra 'logic'")

Use = Callable[..., ToolResult]
_NAMES = "pqr"


@pytest.mark.parametrize(
    ("premises", "claim", "said"),
    [
        ("rain -> wet; not wet", "not rain", "follows"),
        ("rain -> wet; rain", "not wet", "contradicted"),
        ("rain -> wet; wet", "rain", "open"),
        ("rain; not rain", "anything", "inconsistent premises"),
        ("p <-> q\nq <-> r\n\nr", "p and q", "follows"),
        ("", "p or not p", "follows"),
        ("", "p", "open"),
        ("(p or q) and not p;", "q", "follows"),
        ("NOT p Or q", "p Implies q", "follows"),
        ("~p & (q | r)", "¬p ∧ (q ∨ r)", "follows"),
        ("!a || b", "a ⇒ b", "follows"),
        ("a ↔ b", "(a → b) && (b => a)", "follows"),
        ("a iff b", "a <=> b", "follows"),
        ("⊥ -> p", "true", "follows"),
        ("it_rains", "It_rains", "open"),
        ("été", "été", "follows"),
        ("(help -> exit) and (push or help); not push", "exit", "follows"),
    ],
)
def test_decides(premises: str, claim: str, said: str) -> None:
    assert decide(premises, claim) == said


@pytest.mark.parametrize(
    ("formula", "grouped"),
    [
        ("p -> q -> r", "p -> (q -> r)"),
        ("p and q or r", "(p and q) or r"),
        ("p or q and r", "p or (q and r)"),
        ("not p and q", "(not p) and q"),
        ("p or q -> r", "(p or q) -> r"),
        ("p -> q <-> r", "(p -> q) <-> r"),
        ("p <-> q -> r", "p <-> (q -> r)"),
        ("p <-> q <-> r", "(p <-> q) <-> r"),
        ("not not p or q", "(not (not p)) or q"),
    ],
)
def test_operators_bind_as_documented(formula: str, grouped: str) -> None:
    assert decide("", f"({formula}) <-> ({grouped})") == "follows"


_formulas = st.recursive(
    st.sampled_from([*_NAMES, "True", "False"]).map(lambda name: (name,)),
    lambda inner: (
        st.tuples(st.just("not"), inner) | st.tuples(st.sampled_from(["and", "or", "->", "<->"]), inner, inner)
    ),
    max_leaves=6,
)


def _holds(formula: tuple[Any, ...], world: dict[str, bool]) -> bool:
    head, *parts = formula
    values = [_holds(part, world) for part in parts]
    match head:
        case "not":
            return not values[0]
        case "and":
            return values[0] and values[1]
        case "or":
            return values[0] or values[1]
        case "->":
            return not values[0] or values[1]
        case "<->":
            return values[0] == values[1]
    return world[head]


def _written(formula: tuple[Any, ...]) -> str:
    head, *parts = formula
    texts = [_written(part) for part in parts]
    return head if not texts else f"not {texts[0]}" if head == "not" else f"({texts[0]} {head} {texts[1]})"


@settings(max_examples=150)
@given(st.lists(_formulas, max_size=3), _formulas)
def test_says_what_the_truth_table_says(premises: list[tuple[Any, ...]], claim: tuple[Any, ...]) -> None:
    worlds = [
        {"True": True, "False": False, **dict(zip(_NAMES, values, strict=True))}
        for values in itertools.product((True, False), repeat=len(_NAMES))
    ]
    seen = {_holds(claim, world) for world in worlds if all(_holds(premise, world) for premise in premises)}
    expected = (
        "inconsistent premises"
        if not seen
        else "open"
        if len(seen) == 2
        else "follows"
        if True in seen
        else "contradicted"
    )
    assert decide("; ".join(map(_written, premises)), _written(claim)) == expected


_X = "(declare-const x Int)(assert (> x 3))"
_ALL = "(declare-sort S 0)(declare-fun f (S) Bool)(assert (forall ((a S)) (f a)))"


@pytest.mark.parametrize(
    ("premises", "claim", "said"),
    [
        (_X, "(> x 2)", "follows"),
        (_X, "(< x 2)", "contradicted"),
        (_X, "(> x 9)", "open"),
        (_X + "(assert (< x 4))", "(= x 5)", "inconsistent premises"),
        (_X, "true", "follows"),
        (_X + "(assert (< x 5))", "", "sat: x = 4"),
        (_X + "(assert (< x 4))", "", "unsat"),
        ("(assert true)", "", "sat"),
        ("(declare-fun p () Bool)(assert (and p (! true :named t)))(assert (and p p))(assert true)", "p", "follows"),
        (f"; a comment (\n(set-logic QF_LIA)\n{_X}\n(check-sat)\n(get-model)", "(> x 3)", "follows"),
        ("(declare-fun |a b ;(| () Bool)(assert |a b ;(|)", "|a b ;(|", "follows"),
        (_ALL, "(exists ((a S)) (f a))", "follows"),
        ('(declare-const s String)(assert (= s "a""b;("))', '(= (str.len s) 5)', "follows"),
        ('(set-info :status sat)(declare-const s String)(assert (= s "\\"))(assert (! false :named a))', "", "unsat"),
    ],
)  # fmt: skip
def test_decides_smt_lib(premises: str, claim: str, said: str) -> None:
    assert decide(premises, claim) == said


def test_a_long_model_is_cut() -> None:
    names = [f"name_{number}" for number in range(200)]
    said = decide("".join(f"(declare-const {name} Int)(assert (= {name} 7))" for name in names))
    assert said.startswith("sat: name_0 = 7, name_1 = 7")
    assert said.endswith("…")
    assert len(said) < 500


@pytest.mark.parametrize(
    ("premises", "claim", "why"),
    [
        ("p", "", "the claim is empty"),
        ("p q", "p", "'q' is one too many"),
        ("p and", "p", "a name is missing at the end"),
        ("-> p", "p", "a name is missing before '->'"),
        ("(p", "p", r"a '\)' is missing"),
        ("p)", "p", "one too many"),
        ("p = q", "p", "'=' is not allowed"),
        ("2 > 1", "p", "'2' is not allowed"),
        ("__import__('os').system('true')", "p", "' is not allowed"),
        ("p\ud800", "p", "not allowed"),
        ("a" * 61, "p", "61 letters"),
        (" and ".join(f"p{n}" for n in range(201)), "p0", "201 names"),
        ("(" * 9_000 + "p" + ")" * 9_000, "p", "nested too deeply"),
        ("(" * 100_000 + "p" + ")" * 100_000, "p", "too long: 200001 characters of premises"),
        ("p", "(" * 100_000, "too long: 100000 characters of claim"),
        ("p and " * 180_000 + "p", "p", "too long"),
        ("not " * 4_000 + "p", "p", "nested too deeply"),
        ("p -> " * 3_000 + "p", "p", "nested too deeply"),
        ("p <-> " * 3_000 + "p", "p", "nested too deeply"),
        (_X, "(> y 2)", "unknown constant y"),
        (_X, "x", "Bool"),
        (_X + "(assert (! (> x 1) :print-success true))", "", "':print-success' is not allowed"),
        (_X, "(! (> x 1) :a b)", "':a' is not allowed"),
        (_X, "(> x 2) (> x 3)", "must be one SMT-LIB term"),
        (_X, "true) (exit", r"a '\)' too many"),
        (_X, "x -> y", "must be one SMT-LIB term"),
        (_X + "(", "", r"a '\)' is missing"),
        (_X + '(assert (= x "a))', "", "not closed"),
        (_X + "(assert " + "(not " * 300 + "true" + ")" * 301, "", "nested too deeply"),
        ("(declare-const a Bool)" * 501, "", "501 declarations|already"),
        ("(assert true)(push)", "", "'push' is not allowed"),
        ("(define-fun-rec f ((x Int)) Int (f x))", "(= (f 1) 1)", "'define-fun-rec' is not allowed"),
    ],
)
def test_refuses_and_says_why(use: Use, premises: str, claim: str, why: str) -> None:
    with pytest.raises(ToolException, match=why) as caught:
        decide(premises, claim)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)
    result = use("logic", premises=premises, claim=claim)
    assert result.failed
    assert result.text.startswith("error: ")


@pytest.mark.parametrize("length", [19_990])
def test_what_is_long_but_allowed_is_decided(length: int) -> None:
    assert decide(" and ".join(["p"] * (length // 6)), "p") == "follows"
    assert decide("p" + " " * length, "p") == "follows"
    assert decide("p" + ";" * length, "p") == "follows"


async def test_through_the_runner_as_a_model_calls_it(use: Use) -> None:
    (tool,) = get_tools("logic")
    assert set(tool.args) == {"premises", "claim"}
    assert use("logic", premises="p -> q; p", claim="q").text == "follows"
    assert await tool.ainvoke({"premises": "p -> q; p", "claim": "q"}) == "follows"


def test_without_z3_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("langgraph_ratchet.tools.logic.find_spec", lambda name: None if name == "z3" else find(name))
    with pytest.raises(MissingExtraError, match=r"langgraph-ratchet\[logic\]"):
        get_tools("logic")
