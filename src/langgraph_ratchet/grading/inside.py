"""What runs inside the grading worker: reads requests, judges them one by one, writes verdicts.

One JSON object per line. A request is `{"key": {...}, "answer": "..."}`; a verdict is `{"strict", "lenient",
"reason"}`, or `{"unjudged": reason}`. The first line out says that all graders are loaded.

Once they are, the process gives up what no grader needs: it opens no file, starts no process, speaks to no network,
imports nothing, and above all compiles and evaluates nothing. An answer that got a grader to try would be unjudged.
"""

import json
import os
import signal
import sys
from typing import Any, BinaryIO

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import RatchetError
from langgraph_ratchet.grading.graders import get_grader, grader_names

_MEMORY_BYTES = 2 << 30

_FORBIDDEN = ("compile", "ctypes.", "exec", "import", "open", "os.", "pty.", "shutil.", "socket.", "subprocess.")
"""Audit events, by how they begin."""


def main(package: str, timeout_s: float) -> None:
    """Judges with the graders of `package` until standard input ends.

    A grader that hangs is killed from outside; `timeout_s` is for when there is no outside any more.
    """
    requests, verdicts = _take_over_pipes()
    for name in grader_names(package):
        get_grader(name, package)
    verdicts.write(b'{"ready":true}\n')
    _give_up_rights()
    alarm = getattr(signal, "setitimer", None)
    for line in requests:
        if alarm:
            alarm(signal.ITIMER_REAL, 2 * timeout_s + 1)
        verdict = _verdict(json.loads(line), package)
        if alarm:
            alarm(signal.ITIMER_REAL, 0)
        verdicts.write(json.dumps(verdict).encode() + b"\n")


def _take_over_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The request and verdict pipes, moved away from where a grader that prints or reads would meet them."""
    requests = os.fdopen(os.dup(0), "rb")
    verdicts = os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    return requests, verdicts


def _give_up_rights() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits; the rest holds there too.
        pass
    else:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(_FORBIDDEN):
        raise PermissionError(f"a grader tried what no grader may: {event}")


def _verdict(request: dict[str, Any], package: str) -> dict[str, Any]:
    try:
        key = AnswerKey.model_validate(request["key"])
        judgement = get_grader(key.grader, package).judge(key, request["answer"])
    except RatchetError as error:
        return {"unjudged": str(error)}
    except Exception as error:  # Whatever a grader stumbles over is a fault of the grader, not of the answer.
        return {"unjudged": f"the grader failed: {type(error).__name__}: {error}"[:500]}
    return {"strict": judgement.strict, "lenient": judgement.lenient, "reason": judgement.reason}
