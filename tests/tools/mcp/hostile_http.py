"""An MCP server over HTTP in plain Python, whose answer to a tool call is up to the test."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # the client has had enough


class Hostile:
    """A server whose answer to a tool call is up to the test; `seen` has the method of each request."""

    def __init__(self, answer: Answer) -> None:
        self.seen: list[str] = []
        handler = type("Handler", (_Handler,), {"answer": staticmethod(answer), "seen": self.seen})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answer: Answer
    seen: list[str]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.seen.append("GET")
        if "last-event-id" in self.headers:
            broken_off(self, {})
        else:
            body(self, b"", 405)

    def do_DELETE(self) -> None:
        self.seen.append("DELETE")
        body(self, b"", 204)

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        method = message["method"]
        self.seen.append(method)
        if method == "tools/call":
            type(self).answer(self, message)
        elif "id" not in message:
            body(self, b"", 202)
        else:
            info = {"serverInfo": {"name": "h", "version": "1"}, "protocolVersion": "2025-06-18", "capabilities": {}}
            tools = {"tools": [{"name": "do", "inputSchema": {"type": "object"}}]}
            reply(self, message, info if method == "initialize" else tools, mcp_session_id="1")


def body(handler: BaseHTTPRequestHandler, text: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in ({"content-type": "application/json", "content-length": str(len(text))} | given).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(text)


def reply(handler: BaseHTTPRequestHandler, message: dict[str, Any], result: Any, **headers: str) -> None:
    body(handler, json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode(), **headers)


def text(value: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value}]}


def stream(handler: BaseHTTPRequestHandler, pieces: Iterator[bytes]) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "text/event-stream")
    handler.end_headers()
    handler.close_connection = True
    for piece in pieces:
        handler.wfile.write(piece)


def endless(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


def broken_off(handler: BaseHTTPRequestHandler, message: dict[str, Any]) -> None:
    stream(handler, iter([b"id: 1\nretry: 0\ndata:\n\n"]))
