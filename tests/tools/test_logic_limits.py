"""The logic tool is unharmed by what is hard or hostile, and serves threads and forks."""

import itertools
import os
import threading
from pathlib import Path

import pytest
from langchain_core.tools import ToolException

from langgraph_ratchet.tools.logic import decide

pytest.importorskip("z3", reason="needs the extra 'logic'")


@pytest.mark.parametrize(
    "command",
    [
        '(set-option :regular-output-channel "{file}")(echo "hi")',
        '(set-option :diagnostic-output-channel "{file}")',
        '(set-option :produce-proofs true)',
        '(include "{file}")',
        '(echo "hi")',
        "(get-info :version)",
        "(reset)",
        '(model-add x () Int 3)',
        "(help)",
        '(dbg-set-cfg "{file}")',
        '(set-info :status sat)(assert true)(SET-OPTION :regular-output-channel "{file}")',
        '(|set-option| :regular-output-channel "{file}")',
        '; (assert true)\n(set-option :regular-output-channel "{file}")',
        '(declare-const s String)(assert (= s "\n(set-option :a |"))(set-option :regular-output-channel "{file}")',
    ],
)  # fmt: skip
@pytest.mark.parametrize("first", [False, True])
def test_commands_that_touch_files_or_options_are_refused(tmp_path: Path, command: str, first: bool) -> None:
    file = tmp_path / "canary"
    text = command.format(file=file)
    with pytest.raises(ToolException, match="is not allowed|one too many"):
        decide(text + "(assert true)" if first else "(assert true)" + text)
    assert not file.exists()


def _pigeons(holes: int) -> str:
    """One pigeon too many, in words: hard for every solver of this kind."""
    cell = "p{}_{}".format
    somewhere = [" or ".join(cell(pigeon, hole) for hole in range(holes)) for pigeon in range(holes + 1)]
    alone = [
        f"not ({cell(one, hole)} and {cell(other, hole)})"
        for hole in range(holes)
        for one, other in itertools.combinations(range(holes + 1), 2)
    ]
    return "\n".join(somewhere + alone)


_CUBES = " ".join(f"(* {name} {name} {name})" for name in "xyz")
_HUGE = "(_ BitVec 60000)"


@pytest.mark.parametrize(
    "premises",
    [
        _pigeons(9),
        "".join(f"(declare-const {name} Int)" for name in "xyz") + f"(assert (= (+ {_CUBES}) 114))",
    ],
    ids=["pigeons", "cubes"],
)
def test_a_problem_that_is_too_hard_costs_one_error(premises: str) -> None:
    claim = "true" if premises.startswith("p") else ""
    with pytest.raises(ToolException, match="the problem is too hard"):
        decide(premises, claim)
    assert decide("p", "p") == "follows"


def test_it_gives_up_by_steps_counted_and_not_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    from langgraph_ratchet.tools.logic import solve

    monkeypatch.setattr(solve, "_STEPS", 1_000)
    assert solve._reply({"premises": "p -> q; p", "claim": "q"}) == {"said": "follows"}
    assert solve._reply({"premises": _pigeons(6), "claim": "p"}) == {"spent": "steps"}


def test_a_problem_that_eats_memory_is_stopped_at_the_limit_of_memory() -> None:
    with pytest.raises(ToolException, match=r"limit of memory|after 5 seconds"):  # The latter on a busy machine.
        decide(f"(declare-const x {_HUGE})(declare-const y {_HUGE})(assert (= (bvmul x y) (bvadd x y)))")
    assert decide("p", "p") == "follows"


def test_threads_get_their_own_answers() -> None:
    wrong: list[str] = []

    def ask(number: int) -> None:
        for turn in range(8):
            name = f"n{number}_{turn}"
            said = [decide(f"{name} -> q; {name}", claim) for claim in ("q", "not q", "r")]
            if said != ["follows", "contradicted", "open"]:
                wrong.append(name)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_decides_for_itself() -> None:
    assert decide("p", "p") == "follows"
    child = os.fork()
    if child == 0:
        os._exit(0 if decide("p; not q", "q") == "contradicted" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert decide("p", "p") == "follows"
