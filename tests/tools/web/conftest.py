import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

Payload = bytes | Callable[[bytes], Iterable[bytes]]
Connects = Callable[..., list[dict[str, Any]]]


class Site(socketserver.ThreadingTCPServer):
    """A server on loopback that sends, for each path, exactly the bytes it was given, well-formed or not."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages: dict[str, Payload] = {}
        self.requests: list[bytes] = []
        self.sent_bytes = 0
        """Bytes that went out, over all answers."""
        self.hung_up = threading.Event()
        """Set when a client closed a connection before all was sent."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def page(self, path: str, body: bytes, content_type: str | None = "text/html", **headers: str) -> str:
        """Serves `body`, well-formed; the URL."""
        typed = {"Content-Type": content_type} if content_type else {}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        fields = {"Content-Length": str(len(body)), **typed, **given}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return self.raw(path, f"HTTP/1.1 200 OK\r\n{head}\r\n".encode("latin-1") + body)

    def raw(self, path: str, payload: Payload) -> str:
        """Serves `payload`, or what it makes of a request; the URL."""
        self.pages[path] = payload
        return f"http://127.0.0.1:{self.port}{path}"


class _Handler(socketserver.StreamRequestHandler):
    server: Site

    def handle(self) -> None:
        head = b""
        while (line := self.rfile.readline()) not in (b"\r\n", b"\n", b""):
            head += line
        length = next(
            (int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length:")), 0
        )
        request = head + b"\r\n" + self.rfile.read(length)
        self.server.requests.append(request)
        path = head.split(b" ")[1].decode("latin-1").partition("?")[0] if head else "/"
        payload = self.server.pages.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        try:
            for piece in [payload] if isinstance(payload, bytes) else payload(request):
                self.request.sendall(piece)
                self.server.sent_bytes += len(piece)
        except OSError:
            self.server.hung_up.set()


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.001}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


# A client that believed these would connect to no address that a test expects.
_PROXIES = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.9:9")


@pytest.fixture(scope="session")
def connects() -> Iterator[Connects]:
    """Fetches in a process with an audit hook (`connects.py`); what came of each case, and its tried connections."""
    program = [sys.executable, str(Path(__file__).with_name("connects.py"))]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **_PROXIES}
    ) as process:

        def fetched(
            cases: list[dict[str, Any]],
            allowed: Iterable[str] = (),
            permitted: Iterable[tuple[str, int]] = (),
            **options: Any,
        ) -> list[dict[str, Any]]:
            assert process.stdin
            assert process.stdout
            plan = {"cases": cases, "allowed": [*allowed], "permitted": [*permitted], "options": options}
            process.stdin.write(json.dumps(plan) + "\n")
            process.stdin.flush()
            found: list[dict[str, Any]] = json.loads(process.stdout.readline())
            return found

        yield fetched
