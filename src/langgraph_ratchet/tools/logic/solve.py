"""What runs inside the logic worker: the only code that imports z3, which may hang, crash and eat memory.

A request is `{"premises", "claim"}`; a reply is `{"said"}`, `{"failed"}`, or `{"spent"}`: `steps` or `memory`. After
`memory` the process is not to be used again.
"""

import re
from typing import Any

import z3  # type: ignore[import-untyped]  # z3 ships no types

from langgraph_ratchet.core.inside import Service
from langgraph_ratchet.tools.logic.propositional import Formula, FormulaError, names_of, read_formula, read_premises
from langgraph_ratchet.tools.logic.smt import SmtError, checked_script, checked_term, is_smt

_STEPS = 1_000_000
"""z3's own count of what it does: the same problem is given up at the same point on every machine. About 2 seconds."""
_SMT_STEPS = 10_000_000
"""Arithmetic counts ten times as fast."""
_MEMORY_MIB = 512
"""What z3 may allocate."""
_ADDRESS_SPACE_BYTES = 1 << 30
_MODEL_CHARS = 400
_MEMORY_MESSAGES = ("out of memory", "max. memory exceeded")


class _SpentError(Exception):
    """The problem is too hard for the limits."""


def service(timeout_s: float) -> Service:
    """Decides."""
    z3.set_param("memory_max_size", _MEMORY_MIB)
    # The first use of each kind loads and allocates what later ones share.
    for premises, claim in (("p -> q; p", "q"), ("(declare-const x Int)(assert (> x 0))", "(> x 1)")):
        decide(premises, claim)
    return Service(answer=_reply, who="the solver", timeout_s=timeout_s, memory_bytes=_ADDRESS_SPACE_BYTES, native=True)


def _reply(request: dict[str, Any]) -> dict[str, str]:
    try:
        return {"said": decide(request["premises"], request["claim"])}
    except (FormulaError, SmtError) as error:
        return {"failed": str(error)}
    except _SpentError as error:
        return {"spent": str(error)}
    except MemoryError:
        return {"spent": "memory"}
    except z3.Z3Exception as error:
        said = _message(error)
        return {"spent": "memory"} if said in _MEMORY_MESSAGES else {"failed": said}
    except Exception as error:  # A fault of ours, or of z3's; the next problem is not to pay for it.
        return {"failed": f"the solver failed: {type(error).__name__}: {error}"[:200]}


def decide(premises: str, claim: str) -> str:
    """What the tool says; see `langgraph_ratchet.tools.logic`."""
    if is_smt(premises):
        return _decide_smt(premises, claim)
    formulas = [*read_premises(premises), read_formula(claim)]
    # Names of our own: what is written in the text never reaches z3, and its table of names does not grow.
    atoms = {name: z3.Bool(f"p{number}") for number, name in enumerate(names_of(formulas))}
    terms = [_term(formula, atoms) for formula in formulas]
    return _entailment(terms[:-1], terms[-1], z3.main_ctx(), _STEPS)


def _term(formula: Formula, atoms: dict[str, z3.BoolRef]) -> Any:
    parts = [_term(part, atoms) for part in formula.parts]
    match formula.operator:
        case "name":
            return atoms[formula.name]
        case "not":
            return z3.Not(parts[0])
        case "and":
            return z3.And(*parts)
        case "or":
            return z3.Or(*parts)
        case "->":
            return z3.Implies(*parts)
        case "<->":
            return parts[0] == parts[1]
    return z3.BoolVal(formula.operator == "true")


def _decide_smt(premises: str, claim: str) -> str:
    script, n_terms = checked_script(premises)
    if claim.strip():
        script += f"\n(assert {checked_term(claim)})"
        n_terms += 1
    # A context of its own: names of one request mean nothing to the next.
    context = z3.Context()
    terms = list(z3.parse_smt2_string(script, ctx=context))
    if len(terms) != n_terms:  # z3 and we do not read the same text: then nothing that it says can be trusted.
        raise SmtError(f"z3 reads {len(terms)} assertions, expected {n_terms}")
    if claim.strip():
        return _entailment(terms[:-1], terms[-1], context, _SMT_STEPS)
    found, solver = _check(terms, context, _SMT_STEPS)
    return f"sat: {_shown(solver.model())}".removesuffix(": ") if found == z3.sat else str(found)


def _entailment(premises: list[Any], claim: Any, context: z3.Context, steps: int) -> str:
    with_claim, _ = _check([*premises, claim], context, steps)
    without, _ = _check([*premises, z3.Not(claim)], context, steps)
    if z3.unknown in (with_claim, without):
        raise SmtError("z3 cannot decide this kind of problem")
    if with_claim == without == z3.unsat:
        return "inconsistent premises"
    return "follows" if without == z3.unsat else "contradicted" if with_claim == z3.unsat else "open"


def _check(terms: list[Any], context: z3.Context, steps: int) -> tuple[z3.CheckSatResult, z3.Solver]:
    """Whether the terms can all hold, and the solver that says so."""
    # The simple solver first: it starts in a fifth of the time and decides all that a puzzle asks.
    for make in (z3.SimpleSolver, z3.Solver):
        solver = make(ctx=context)
        solver.set("rlimit", steps)
        solver.add(*terms)
        found = solver.check()
        if found != z3.unknown:
            break
        reason = solver.reason_unknown()
        if "memory" in reason or "memout" in reason:
            raise _SpentError("memory")
        if any(word in reason for word in ("canceled", "resource", "timeout")):
            raise _SpentError("steps")
    return found, solver


def _shown(model: z3.ModelRef) -> str:
    text = ", ".join(sorted(f"{name} = {' '.join(str(model[name]).split())}" for name in model.decls()))
    return text if len(text) <= _MODEL_CHARS else text[:_MODEL_CHARS] + "…"


def _message(error: BaseException) -> str:
    """What z3 says is wrong with the text, in one line."""
    said = error.args[0] if error.args else ""
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    first = re.search(r'\(error "(?:line \d+ column \d+: )?(.*?)"\)', text, re.S)
    return " ".join((first[1] if first else text).split())[:200]
