"""What runs inside the grading worker. An answer that got a grader to try what `core.inside` forbids is unjudged.

A request is `{"key": {...}, "answer": "..."}`; a verdict is `{"strict", "lenient", "reason"}`, or
`{"unjudged": reason}`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import RatchetError
from langgraph_ratchet.core.inside import Service
from langgraph_ratchet.grading.graders import Grader, graders_of


def service(package: str, timeout_s: float, names: Sequence[str]) -> Service:
    """Judges with the graders `names`, without names with those in the files of `package`."""
    kind = graders_of(package)
    # The built-in ones without a look at other packages: the caller has seen that nobody else offers the same.
    kind = kind if names else replace(kind, group=None)
    graders = {name: kind.load(name) for name in names or kind.names()}
    return Service(answer=lambda request: _verdict(request, graders), who="a grader", timeout_s=timeout_s)


def _verdict(request: dict[str, Any], graders: Mapping[str, Grader]) -> dict[str, Any]:
    try:
        key = AnswerKey.model_validate(request["key"])
        judgement = graders[key.grader].judge(key, request["answer"])
        return {"strict": bool(judgement.strict), "lenient": bool(judgement.lenient), "reason": str(judgement.reason)}
    except RatchetError as error:
        return {"unjudged": str(error)}
    except Exception as error:  # Whatever a grader stumbles over is a fault of the grader, not of the answer.
        return {"unjudged": f"the grader failed: {type(error).__name__}: {error}"[:500]}
