"""`python`: runs code that the model wrote, shut in by the operating system (`core.sandbox`), or not at all.

The code has the standard library, a folder of its own that is gone afterwards, and limits on everything. It reaches
no network, no file, no environment variable and no process of this machine. Each call begins anew.
"""

import os
import threading

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from langgraph_ratchet.core.errors import SandboxError
from langgraph_ratchet.core.sandbox import Ending, Limits, Ran, find_sandbox
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.spec import Effect, ToolSpec

_OUTPUT_CAP = 8_000
_MAX_LENGTH = 20_000
_QUEUE_S = 30.0
_STARTING_S = 15.0
_SHOWN_CHARS = 160

# More at once than the machine has cores would only take each other's time, and their memory adds up.
_places = threading.BoundedSemaphore(max(2, os.cpu_count() or 1))


def run_python(code: str, limits: Limits | None = None) -> str:
    """What the code writes and the value of its last expression, as Python's prompt shows them; or the traceback.

    Args:
        code: Python.
        limits: of time, memory, files and output; the usual ones by default.

    Raises:
        ToolException: there is no sandbox here, so nothing was run; or the code met a limit, which the message names.
    """
    limits = limits or Limits()
    if len(code) > _MAX_LENGTH:
        raise ToolException(f"the code has {len(code)} characters, at most {_MAX_LENGTH} are allowed")
    if not code.strip():
        raise ToolException("the code is empty")
    if not _places.acquire(timeout=_QUEUE_S):
        raise ToolException(f"other code was still running after {_QUEUE_S:g} seconds: nothing was run")
    try:
        ran = find_sandbox().run(code, limits)
    except SandboxError as error:
        raise ToolException(f"nothing was run: {error}") from error
    finally:
        _places.release()
    if (stopped := _stopped(ran, limits)) is None:
        return _shortened(ran.output.rstrip("\n")) or "no output: print what is wanted, or end with an expression"
    said = " ".join(ran.output.split())
    raise ToolException(stopped + (f"; it had written: {said[:_SHOWN_CHARS]}" if said else ""))


def _stopped(ran: Ran, limits: Limits) -> str | None:
    """Which limit the code met; `None` when it came to an end of its own."""
    return {
        Ending.TIME: f"the code was stopped after {limits.wall_s:g} seconds",
        Ending.CPU: f"the code was stopped after {limits.cpu_s:g} seconds of processor time",
        Ending.OUTPUT: f"the code was stopped: it wrote more than {limits.output_bytes:,} bytes",
        Ending.FILES: f"the code was stopped: it made more than {limits.files:,} files",
        Ending.DIED: f"the code died of {ran.signal}",
    }.get(ran.ending)


def _shortened(text: str) -> str:
    """The beginning and the end: what matters most, the result or the error, stands last."""
    if len(text) <= _OUTPUT_CAP:
        return text
    note = f"\n… [cut: {len(text) - _OUTPUT_CAP} characters] …\n"
    kept = _OUTPUT_CAP - len(note)
    return text[: kept // 2] + note + text[-(kept - kept // 2) :]


def python_tool(limits: Limits | None = None) -> BaseTool:
    """The tool `python(code)`.

    Whether a sandbox works here is looked at with the first call; `ratchet doctor` says it beforehand.

    Args:
        limits: what the code may use; the usual ones by default.
    """
    limits = limits or Limits()

    def run(code: str) -> str:
        return run_python(code, limits)

    return StructuredTool.from_function(
        run,
        name="python",
        description="Run Python code, standard library only: gives what it prints and its last value.",
        metadata=ToolSpec(
            effects=frozenset({Effect.EXECUTES}),
            timeout_s=_QUEUE_S + _STARTING_S + limits.wall_s,
            output_cap=_OUTPUT_CAP,
            trust=Trust.OWN,
        ).metadata(),
    )
