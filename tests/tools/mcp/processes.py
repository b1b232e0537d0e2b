"""Which processes a test has caused, and the types of its fixtures."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langgraph_ratchet.tools.mcp import McpServers
from langgraph_ratchet.tools.runner import ToolResult

Entry = Callable[..., dict[str, Any]]
Start = Callable[..., McpServers]
Do = Callable[..., ToolResult]


def processes(mark: str) -> list[str]:
    """Command lines of the processes that have `mark` in theirs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue  # it has ended
        if mark.encode() in line:
            found.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return found


def lives(pid: int) -> bool:
    """Whether there is such a process, and it has not merely yet to be waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def soon(holds: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether something holds now, or within some seconds."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def gone(mark: str, seconds: float = 5.0) -> bool:
    """Whether no process has `mark` in its command line, now or soon."""
    return soon(lambda: not processes(mark), seconds)


def descriptors() -> int:
    """How many files this process has open."""
    return len(os.listdir("/proc/self/fd"))
