"""Calculator and logic under what is meant to harm: nothing is run, opened, connected or read, and it ends soon.

What is done in this process an audit hook sees. z3 works in a process of its own: what that one uses is measured.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolCall
from langchain_core.tools import StructuredTool, ToolException

from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.tools.runner import run_tool

MIB = 1 << 20

HARMFUL = (
    "9**9**9",
    "9**9**9**9**9",
    "(" * 100_000,
    "-" * 100_000 + "1",
    "'a' * 10**10",
    "[0] * 3_000_000_000",
    "bytearray(3 << 30)",
    "round(7, -10**9)",
    "10**100**100 % 7",
    "while True: pass",
    "(lambda f: f(f))(lambda f: f(f))",
    "[__import__('os').fork() for _ in range(10**9)]",
    "__import__('os').fork()",
    "__import__('os').environ",
    "__import__('os').system('touch CANARY')",
    "__import__('socket').create_connection(('127.0.0.1', 1))",
    "open('CANARY', 'w').write('touched')",
    "().__class__.__base__.__subclasses__()",
    "exec('import os')",
    "eval('9**9**9')",
    ":(){ :|:& };:",
    "$(touch CANARY)",
    "\x00",
    "\ud800",
)
HARMFUL_SMT = (
    '(set-option :regular-output-channel "CANARY")',
    '(set-option :diagnostic-output-channel "CANARY")(get-info :version)',
    "(assert " + "(not " * 100_000 + "true" + ")" * 100_000 + ")",
    '(include "/etc/passwd")',
    '(echo "(get-option")',
    "(declare-const x (_ BitVec 4000000000))(assert (= (bvmul x x) x))",
    "(declare-const x Int)(assert (= x (^ 9 (^ 9 9))))",
    "(assert " + "(and true true " * 100 + ")" * 100 + " true)",
)

# What a calculation has no use for. `open` of a module is Python's own, when something is imported late.
FORBIDDEN = ("exec", "ctypes.", "os.", "socket.", "subprocess.", "shutil.", "open", "pty.")
_seen: list[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is not None and event.startswith(FORBIDDEN):
        _seen.append(f"{event} {arguments}"[:200])


sys.addaudithook(_note)


@contextmanager
def watched() -> Iterator[list[str]]:
    """What was tried in this process meanwhile."""
    global _seen
    _seen = seen = []
    try:
        yield seen
    finally:
        _seen = None


@pytest.fixture(params=["calculator", "logic"])
def ask(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Asks the tool's function, past LangChain, which evaluates type hints at each call."""
    (tool,) = get_tools(request.param)
    assert isinstance(tool, StructuredTool)
    function, names = tool.func, list(tool.args)
    assert function is not None

    def run(text: str) -> str:
        with pytest.raises(ToolException) as refused:
            function(**dict.fromkeys(names, text))
        return str(refused.value)

    for text in ("(", "9**9**9"):  # what it needs it has then loaded and started
        run(text)
    return run


def test_nothing_comes_of_it(ask: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CANARY", "secret-of-the-environment")
    before = children()
    for text in (*HARMFUL, *HARMFUL_SMT):
        used = time.process_time()
        with watched() as seen:
            said = ask(text)
        assert seen == [], text[:80]
        assert len(said) < 300
        assert "secret-of-the-environment" not in said
        assert time.process_time() - used < 1, text[:80]
    assert list(tmp_path.iterdir()) == []
    assert len(children()) <= max(len(before), 1)  # z3's


def test_the_hook_would_see_it(tmp_path: Path) -> None:
    with watched() as seen:
        (tmp_path / "file").write_text("")
        with suppress(OSError):
            os.listdir("/nowhere")
    assert [event.split()[0] for event in seen] == ["open", "os.listdir"]


@pytest.mark.slow
@pytest.mark.parametrize("text", HARMFUL_SMT[-3:], ids=["bits", "power", "conjunctions"])
def test_logic_stays_within_its_time_and_memory(text: str) -> None:
    (tool,) = get_tools("logic")
    before, peaks, over = children(), [0], threading.Event()

    def measure() -> None:
        while not over.wait(0.02):
            for child in children():
                with suppress(OSError, StopIteration):
                    if b"langgraph_ratchet.core.inside" in (child / "cmdline").read_bytes():
                        lines = (child / "status").read_text().splitlines()
                        peaks.append(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]))

    measuring = threading.Thread(target=measure)
    measuring.start()
    result = run_tool(tool, ToolCall(name="logic", args={"premises": text}, id="1"))
    over.set()
    measuring.join()
    assert result.seconds < 15
    assert 0 < max(peaks) < MIB  # in KiB
    assert len(children()) <= len(before) + 1


def children() -> list[Path]:
    """Processes that this one has started."""
    if not Path("/proc/self/task").exists():
        pytest.skip("not verified here: what processes are left (no /proc)")
    found = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread that has just ended has none
            found += [Path("/proc") / number for number in (task / "children").read_text().split()]
    return found
