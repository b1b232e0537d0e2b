"""A process that fetches, and tells which connections it tried to make. Run by the tests; a plan in, results out.

An audit hook records every connect and lets only the permitted ones happen, so that nothing leaves the machine
whatever the code does. It is a process of its own because a hook stays for good, and because the test runner's own
guard against sockets would hide from it what is tried.
"""

import json
import resource
import sys
from typing import Any

tried: list[list[Any]] = []
looked_up: list[str] = []
permitted: set[tuple[str, int]] = set()


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        tried.append([*address[:2]] if isinstance(address, tuple) else [str(address)])
        if not isinstance(address, tuple) or tuple(address[:2]) not in permitted:
            raise ConnectionRefusedError("stopped by the test")


sys.addaudithook(hook)

from langchain_core.messages import ToolCall  # noqa: E402

from langgraph_ratchet.tools.runner import run_tool  # noqa: E402
from langgraph_ratchet.tools.web_fetch import web_fetch_tool  # noqa: E402


class Answers:
    """A resolver that answers as it is told: one list of addresses per look-up, the last one for ever after."""

    def __init__(self, names: dict[str, list[list[str]]]) -> None:
        self.names = names
        self.asked: dict[str, int] = {}

    def __call__(self, host: str) -> list[str]:
        looked_up.append(host)
        answers = self.names.get(host, self.names.get("*", [[]]))
        nth = self.asked[host] = self.asked.get(host, -1) + 1
        return answers[min(nth, len(answers) - 1)]


def fetch(case: dict[str, Any], allowed: list[str], **options: Any) -> dict[str, Any]:
    tried.clear()
    looked_up.clear()
    tool = web_fetch_tool(allowed, resolver=Answers(case["names"]), **options)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = run_tool(tool, ToolCall(name="web_fetch", args={"url": case["url"]}, id="1"))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "url": case["url"],
        "text": result.text,
        "failed": result.failed,
        "seconds": result.seconds,
        "tried": [list(address) for address in tried],
        "looked_up": list(looked_up),
        "grown_kib": grown,
    }


for line in sys.stdin:
    plan = json.loads(line)
    permitted.clear()
    permitted.update((host, port) for host, port in plan["permitted"])
    print(json.dumps([fetch(case, plan["allowed"], **plan["options"]) for case in plan["cases"]]), flush=True)
