"""`logic`: does a claim follow from premises? Decided by z3, in a process with limits on time and memory.

Premises are formulas in a small propositional syntax (`logic.propositional`), or SMT-LIB text (`logic.smt`).
"""

import json
from importlib.util import find_spec

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from langgraph_ratchet.core.errors import MissingExtraError, WorkerError
from langgraph_ratchet.core.ids import clean_text
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.core.worker import Lost, Worker
from langgraph_ratchet.tools.spec import ToolSpec

_TIMEOUT_S = 5.0
"""For one problem. z3's own limit stops nearly all before; this one stops what z3 does without counting."""

SPEC = ToolSpec(timeout_s=30.0, output_cap=600, trust=Trust.OWN)
"""Its time is more than a problem's: the process may have to be started, and other threads' problems come first."""

_MAX_LENGTH = 20_000
_INSIDE = "langgraph_ratchet.tools.logic.solve"

# One for the whole process; it starts nothing until the first problem.
_worker = Worker("logic", _INSIDE, (_TIMEOUT_S,), timeout_s=_TIMEOUT_S)


def decide(premises: str, claim: str = "") -> str:
    """`follows`, `contradicted`, `open`, or `inconsistent premises`.

    Safe to call from several threads, which then take turns.

    Args:
        premises: formulas with names, not, and, or, ->, <-> and parentheses, one per line or separated by ";";
            or SMT-LIB text that declares and asserts.
        claim: a formula; for SMT-LIB a term over the declared names, or nothing: then the result is `sat` (with
            a model), `unsat` or `unknown`.

    Raises:
        ToolException: it cannot be decided; the message says why.
    """
    for name, text in (("premises", premises), ("claim", claim)):
        if len(text) > _MAX_LENGTH:
            raise ToolException(f"too long: {len(text)} characters of {name}, at most {_MAX_LENGTH} are allowed")
    request = json.dumps({"premises": clean_text(premises), "claim": clean_text(claim)}).encode()
    try:
        (reply,) = _worker.ask([request])
    except WorkerError as error:
        raise ToolException(str(error)) from error
    if reply is Lost.LATE:
        raise ToolException(f"the problem is too hard: stopped after {_TIMEOUT_S:g} seconds")
    if reply is Lost.DIED:
        raise ToolException("the problem is too hard: the solver died on it")
    if "spent" in reply:
        if reply["spent"] == "memory":
            _worker.close()
        raise ToolException(f"the problem is too hard: stopped at the limit of {reply['spent']}")
    if "failed" in reply:
        raise ToolException(reply["failed"])
    return str(reply["said"])


def logic_tool() -> BaseTool:
    """The tool `logic(premises, claim)`.

    Raises:
        MissingExtraError: z3 is not installed.
    """
    if find_spec("z3") is None:
        raise MissingExtraError("the tool 'logic'", "logic")
    return StructuredTool.from_function(
        decide,
        name="logic",
        description="Decide whether a claim follows from premises, e.g. rain -> wet; not wet. Claim: not rain.",
        metadata=SPEC.metadata(),
    )
