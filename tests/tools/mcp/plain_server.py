"""An MCP server over standard input and output in plain Python, which does on request what no server should.

Run with the path of a JSON file, which may have `tools` (as it lists them) and `start` (a misbehaviour at the start),
and with what a test wants to find it by among the processes. It starts in some milliseconds: only the standard library.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ORDERS: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
MARK = sys.argv[2]
TOOL = {"name": "do", "description": "Does something.", "inputSchema": {"type": "object"}}
CALLS = 0


def send(message: Any) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def text(value: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": str(value)}]}


def hang(_: Any) -> dict[str, Any]:
    time.sleep(1000)
    return text("")


def die(_: Any) -> dict[str, Any]:
    print("dying \x1b[31mwords", file=sys.stderr)
    os._exit(3)


def garbage(_: Any) -> dict[str, Any]:
    for _ in range(200):
        sys.stdout.buffer.write(b"\xff\xfe not a message \x1b[2J {]\n")
    sys.stdout.flush()
    return hang(None)


def some_garbage(_: Any) -> dict[str, Any]:
    print("Welcome!\n\n{}", flush=True)
    return text("after some garbage")


def flood(size: int) -> dict[str, Any]:
    for _ in range(size >> 16):
        sys.stdout.buffer.write(b"x" * (1 << 16))
    print(flush=True)
    return text("")


def notify(_: Any) -> dict[str, Any]:
    while True:
        send({"method": "notifications/message", "params": {"level": "info", "data": "x" * 5000}})


def child(_: Any) -> dict[str, Any]:
    """Starts a process that wants to stay, and dies or goes on."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)"
    started = subprocess.Popen([sys.executable, "-I", "-S", "-c", code, MARK], close_fds=False)
    return text(started.pid)


def slow(seconds: float) -> dict[str, Any]:
    time.sleep(seconds)
    return text("slow")


def ask(_: Any) -> dict[str, Any]:
    """Asks for what a client may offer, and gives what it said."""
    answers = []
    for method in ("sampling/createMessage", "elicitation/create", "roots/list", "no/such"):
        send({"id": method, "method": method, "params": {}})
        answers.append(json.loads(sys.stdin.readline()).get("error", {}).get("message", "granted"))
    return text(answers)


def count(_: Any) -> dict[str, Any]:
    return text(CALLS)


ACTIONS: dict[str, Callable[[Any], Any]] = {
    "ask": ask,
    "child": child,
    "count": count,
    "cwd": lambda _: text(os.getcwd()),
    "deep": lambda _: json.loads("[" * 900 + "]" * 900),
    "die": die,
    "env": lambda _: text(json.dumps(dict(os.environ))),
    "flood": flood,
    "garbage": garbage,
    "hang": hang,
    "large": lambda size: text("x" * size),
    "list": lambda _: [1, 2],
    "notify": notify,
    "pieces": lambda pieces: {"content": pieces},
    "pid": lambda _: text(os.getpid()),
    "refuse": lambda _: {**text("no such thing"), "isError": True},
    "slow": slow,
    "some_garbage": some_garbage,
    "structured": lambda _: {"content": [], "structuredContent": {"found": 3}},
}


def result(method: str, params: dict[str, Any]) -> Any:
    global CALLS
    if method == "initialize":
        version = params["protocolVersion"]
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "p", "version": "1"}}
    if method == "tools/list":
        again = {"nextCursor": "again"} if ORDERS.get("start") == "endless list" else {}
        return {"tools": tools(), **again}
    if method == "tools/call":
        CALLS += 1
        arguments = params.get("arguments") or {}
        if "action" not in arguments:
            return text(json.dumps(arguments))
        return ACTIONS[arguments["action"]](arguments.get("value"))
    return {}


def tools() -> Any:
    """What is offered; from the second start on it may be something else, which a file tells."""
    seen = ORDERS.get("seen")
    if seen is not None and Path(seen).exists():
        return ORDERS["tools_later"]
    if seen is not None:
        Path(seen).touch()
    return ORDERS.get("tools", [TOOL])


def answer(message: dict[str, Any]) -> None:
    if "id" in message and "method" in message:
        try:
            given = {"result": result(message["method"], message.get("params") or {})}
        except Exception as error:
            given = {"error": {"code": -32000, "message": f"{type(error).__name__}: {error}"}}
        send({"id": message["id"], **given})


def main() -> None:
    start = ORDERS.get("start")
    if start == "silent":
        time.sleep(1000)
    if start == "dies":
        sys.exit("nothing works here")
    if start == "stays":  # also when its input ends and when it is asked to end
        import signal

        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in sys.stdin:
        message = json.loads(line)
        if ORDERS.get("parallel"):
            threading.Thread(target=answer, args=(message,), daemon=True).start()
        else:
            answer(message)
    if start == "stays":
        time.sleep(1000)
    if "farewell" in ORDERS:
        time.sleep(0.1)
        Path(ORDERS["farewell"]).touch()


main()
