"""`langgraph dev` as a process of its own, in a folder like a user's, watched for whom it talks to."""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_sync_client

ROOT = Path(__file__).parents[2]
WATCH = """
import os, sys

def watch(event, arguments):
    if event not in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        return
    address = arguments[1] if event == "socket.connect" else arguments[0]
    host = address[0] if isinstance(address, tuple) else address
    if host not in (None, "", "127.0.0.1", "::1", "localhost", b"127.0.0.1", b"localhost"):
        with open(os.environ["REACHED"], "a") as file:
            print(event, address, file=file)

sys.addaudithook(watch)
"""
"""A `sitecustomize` that writes down every address outside this machine that Python code reaches for."""


class Canary:
    """A proxy that answers nobody, and counts who asked: HTTP clients that do not use Python's sockets end here."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.asked: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(200))


class Server:
    """`langgraph dev` on a copy of the repository's `langgraph.json` and `graphs/`.

    Args:
        folder: where it runs.
        further: files of more graphs, by the names of the graphs.
    """

    def __init__(self, folder: Path, further: Mapping[str, Path] | None = None) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        self.reached = folder / "reached.txt"
        self.canary = Canary()
        shutil.copytree(ROOT / "graphs", folder / "graphs", ignore=shutil.ignore_patterns("__pycache__"))
        settings = json.loads((ROOT / "langgraph.json").read_text())
        for name, path in (further or {}).items():
            settings["graphs"][name] = f"{path}:graph"
        (folder / "langgraph.json").write_text(json.dumps(settings))
        (folder / "watch").mkdir()
        (folder / "watch" / "sitecustomize.py").write_text(WATCH)
        self.start()

    def start(self) -> None:
        """Starts it as `make studio` does, and waits until it answers."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = {
            **os.environ,
            "LANGGRAPH_NO_VERSION_CHECK": "true",
            "LANGGRAPH_CLI_NO_ANALYTICS": "1",
            "PYTHONPATH": str(self.folder / "watch"),
            "REACHED": str(self.reached),
            "HTTP_PROXY": self.canary.url,
            "HTTPS_PROXY": self.canary.url,
            "NO_PROXY": "127.0.0.1,localhost",
        }
        command = [sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload"]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(port), "--n-jobs-per-worker", "4"],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.client = get_sync_client(url=self.url)
        deadline = time.monotonic() + 100
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.2)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends it: politely, or with SIGKILL."""
        self.client.close()
        self.process.send_signal(how)
        self.process.wait(60)

    def round(self) -> dict[str, Any]:
        """Input of an improvement run that takes seconds."""
        spec = importlib.util.spec_from_file_location("tiny_run", ROOT / "tests" / "improvement" / "tiny_run.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return dict(module.tiny_settings(self.folder))

    def assistant(self, graph: str) -> str:
        """Id of the assistant that the server made for a graph."""
        (found,) = self.client.assistants.search(graph_id=graph)
        return str(found["assistant_id"])

    def thread(self) -> str:
        """Id of a new thread."""
        return str(self.client.threads.create()["thread_id"])

    def stream(self, thread: str, graph: str, given: Any = None, **settings: Any) -> list[tuple[str, Any]]:
        """A run's events: what they are, and their data."""
        parts = self.client.runs.stream(thread, graph, input=given, **settings)
        events = [(part.event, part.data) for part in parts]
        assert not [data for event, data in events if event == "error"]
        return events

    def _answers(self) -> bool:
        try:
            self.client.assistants.search()
        except Exception:
            return False
        return True


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    """One server for all tests of a module, with its `FURTHER` graphs; a test that stops it starts it again."""
    server = Server(tmp_path_factory.mktemp("studio"), getattr(request.module, "FURTHER", None))
    yield server
    if server.process.poll() is None:
        server.stop()
    server.canary.socket.close()
