"""Many runs with tools, 16 at once: whether all complete, in how much memory, and what they leave behind.

    python benchmarks/tool_load.py [--runs 1000] [--python-every 8] [--json]

The model follows a script; what costs is the graph, its recording in SQLite and the tools: a run writes a file, asks a
tool of an MCP server in a process of its own, calculates, reads its file back and looks its question up in a document.
One run in eight executes Python in the sandbox, where there is one. A few runs go before, so that what is counted is
what runs add and not what is opened once.
Targets: every run answers rightly, less than 1 GB resident, and no file handle, thread or child left. Exit status 1
when one is missed.
"""

import argparse
import gc
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import BaseTool

from langgraph_ratchet.chat_models.scripted import PolicyChatModel
from langgraph_ratchet.core.errors import SandboxError
from langgraph_ratchet.core.question import Attachment, Question
from langgraph_ratchet.core.sandbox import find_sandbox
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.reasoning.prompts import prompt
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.tools.mcp import McpServers
from langgraph_ratchet.tools.read_file import read_file_tool
from langgraph_ratchet.tools.write_file import write_file_tool
from langgraph_ratchet.traces.store import TraceStore

AT_ONCE = 16
WARM_UP = 2 * AT_ONCE
TARGET_MB = 1_000
ACTING = ("load__double", "python", "write_file")
NODES = ("plan", "select_strategy", "synthesize", "self_check")
SETTLING_S = 10.0
SERVER = '''
from mcp.server.fastmcp import FastMCP

server = FastMCP("load", log_level="ERROR")


@server.tool()
def double(number: int) -> str:
    """Double a number."""
    return str(2 * number)


server.run()
'''


def calls_of(number: int, *, python: bool) -> list[tuple[str, dict[str, Any]]]:
    """The tool calls of a run. What acts comes before other people's text is read: after that it would ask."""
    path = f"run_{number % 50}/{number}.txt"
    return [
        *([("python", {"code": f"print({number} + 1)"})] if python else []),
        ("write_file", {"path": path, "text": f"the number is {number}"}),
        ("load__double", {"number": number}),
        ("calculator", {"expression": f"{number} * 2"}),
        ("read_file", {"path": path}),
        ("documents", {"query": "number"}),
    ]


class Script:
    """What the model says. It keeps nothing in mind: the question says which run it is."""

    def __init__(self, python_every: int) -> None:
        self.python_every = python_every

    def __call__(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
        """The next reply."""
        opening = str(messages[0].content)
        node = next((name for name in NODES if opening.startswith(prompt(name).split("{")[0])), "act")
        if node != "act":
            said = {"plan": "1. Use the tools.", "select_strategy": "direct", "synthesize": _said(messages)}
            return AIMessage(said.get(node, "yes"))
        number = int(str(messages[1].content).split("number ")[1].split("?")[0])
        calls = calls_of(number, python=self.python_every > 0 and number % self.python_every == 0)
        results = [str(message.content) for message in messages if isinstance(message, ToolMessage)]
        if len(results) < len(calls):
            name, arguments = calls[len(results)]
            return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"call_{len(results)}"}])
        right = all(str(wanted) in result for wanted, result in zip(_results(number, len(calls)), results, strict=True))
        return AIMessage(f"The result is {number if right else results}.")


def _results(number: int, calls: int) -> list[str]:
    """What the results of a run's calls hold."""
    results = [str(number + 1), "made", str(2 * number), str(2 * number), f"the number is {number}", f"number {number}"]
    return results[-calls:]


def _said(messages: Sequence[BaseMessage]) -> str:
    return str(messages[-1].content).split("The result is ")[-1].split(".")[0]


@contextmanager
def opened(folder: Path) -> Iterator[tuple[list[BaseTool], TraceStore]]:
    """Tools, MCP server and store, open for as long as they are needed."""
    folder.mkdir()
    script = folder / "server.py"
    script.write_text(SERVER, "utf-8")
    entry = {"command": sys.executable, "args": [str(script)], "ratchet": {"described_by": "own"}}
    config = {"mcpServers": {"load": entry}}
    store = TraceStore(f"sqlite:///{folder / 'traces.db'}")
    try:
        with McpServers(config, pins=folder / "pins.json") as servers:
            files = [make(folder / "files") for make in (write_file_tool, read_file_tool)]
            yield [*servers.tools, *files, *get_tools("calculator", "documents", "python")], store
    finally:
        store.close()


def load(runs: int, folder: Path, *, python_every: int) -> Counter[str]:
    """Makes the runs; gives how many ended how: `answered`, `answered wrongly`, another outcome, and `not stored`."""
    with opened(folder) as (tools, store):
        model = PolicyChatModel(policy=Script(python_every))
        reasoner = create_reasoner(model, tools, store=store, strategies=["direct"], allow=ACTING).compile()
        asked = [
            Question(
                text=f"What is number {number}?",
                attachments=(Attachment(name="note.txt", text=f"This is number {number}."),),
            )
            for number in range(runs)
        ]
        given = [{"question": question.model_dump(mode="json")} for question in asked]
        ended = reasoner.batch(given, {"max_concurrency": AT_ONCE})
        stored = store.finished([out["trace_id"] for out in ended])
    counts = Counter(
        "answered wrongly" if out["outcome"] == "answered" and out["answer"] != str(number) else out["outcome"]
        for number, out in enumerate(ended)
    )
    if len(stored) < runs:
        counts["not stored"] = runs - len(stored)
    return counts


def left_behind() -> dict[str, int]:
    """What this process holds now: open files, threads, children."""
    gc.collect()
    children = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
    return {
        "files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "children": len(" ".join(children).split()),
    }


def measure(runs: int, python_every: int) -> dict[str, Any]:
    """Runs them, and says what it took."""
    with tempfile.TemporaryDirectory() as folder:
        load(min(WARM_UP, runs), Path(folder) / "before", python_every=python_every)
        before = left_behind()
        began = time.perf_counter()
        counts = load(runs, Path(folder) / "load", python_every=python_every)
        seconds = time.perf_counter() - began
        deadline = time.monotonic() + SETTLING_S
        while (after := left_behind()) != before and time.monotonic() < deadline:
            time.sleep(0.1)  # the last threads and processes are ending
    return {
        "runs": runs,
        "outcomes": dict(counts),
        "tool_calls": sum(len(calls_of(n, python=python_every > 0 and n % python_every == 0)) for n in range(runs)),
        "seconds": round(seconds, 1),
        "resident_mb": round(_peak_bytes() / 1e6, 1),
        "left": {name: after[name] - before[name] for name in before},
    }


def _peak_bytes() -> int:
    """The most memory that this process had resident; `ru_maxrss` would also count its parent's when it was started."""
    status = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return peak * 1024


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--python-every", type=int, default=8, help="0: no run executes Python")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    try:
        find_sandbox()
        python_every = arguments.python_every
    except SandboxError as error:
        print(f"no run executes Python: {error}", file=sys.stderr)
        python_every = 0
    figures = measure(arguments.runs, python_every)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:>12}: {figure}")
    met = figures["outcomes"] == {"answered": arguments.runs} and figures["resident_mb"] < TARGET_MB
    return 0 if met and not any(figures["left"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
