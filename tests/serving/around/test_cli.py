"""`ratchet serve` as a process: what it prints, how it ends, and what it says when it cannot begin."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from typer.testing import CliRunner

from langgraph_ratchet.cli.app import app
from langgraph_ratchet.serving.surroundings import Surroundings

CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


@pytest.fixture
def ratchet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["serve", "--no-restart", *arguments])


@pytest.fixture
def upstream(run: Callable[..., Any]) -> Any:
    """A server whose stream ends when its `may_end` is set."""

    async def chat(request: Request) -> Any:
        if not (await request.json()).get("stream"):
            return JSONResponse({"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]})

        async def pieces() -> Any:
            yield CHUNK
            while not server.may_end:  # noqa: ASYNC110  # set from another thread
                await asyncio.sleep(0.01)
            yield LAST

        return StreamingResponse(pieces(), media_type="text/event-stream")

    server = run(Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])]), Surroundings())
    server.may_end = False
    yield server
    server.may_end = True


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., tuple[Any, dict[str, Any]]]]:
    """Starts `ratchet serve --json` and gives the process and the object that it prints when it is ready."""
    started = []

    def call(*arguments: str) -> tuple[Any, dict[str, Any]]:
        main = "from langgraph_ratchet.cli import main; main()"
        command = [sys.executable, "-c", main, "serve", "--port", "0", "--json", *arguments]
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "COLUMNS": "200"}
        )
        started.append(process)
        assert process.stdout is not None
        lines = []
        while (line := process.stdout.readline()) not in (b"}\n", b""):
            lines.append(line)
        assert line, process.communicate()[1].decode()
        return process, json.loads(b"".join([*lines, line]))

    yield call
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_it_serves_drains_and_exits_with_0(start: Callable[..., Any], upstream: Any, tmp_path: Path) -> None:
    process, said = start("--upstream", upstream.url, "--record")
    assert said["url"].startswith("http://127.0.0.1:")
    told = {"url": said["url"], "keys": False, "pid": said["pid"]}
    assert said == {**told, "upstream": upstream.url, "records": True, "pushes": False}
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": True}
    with httpx.Client(base_url=said["url"], timeout=20) as client:
        assert client.get("/ready").json() == {"status": "ready"}
        with client.stream("POST", "/v1/chat/completions", json=body) as response:
            pieces = response.iter_bytes()
            assert next(pieces) == CHUNK
            process.send_signal(signal.SIGTERM)
            while client.get("/ready").status_code == 200:
                pass
            assert client.post("/v1/chat/completions", json=body).status_code == 503
            upstream.may_end = True
            assert b"".join(pieces) == LAST
    assert process.wait(10) == 0
    assert "Stopped." in process.stderr.read().decode()
    listed = CliRunner(env={"TRAINING_DATA_PATH": str(tmp_path / ".ratchet")}).invoke(app, ["traces", "ls", "--json"])
    assert [trace["question"] for trace in json.loads(listed.stdout)["traces"]] == ["hello"]


@pytest.mark.slow
def test_it_serves_the_pocket_model(start: Callable[..., Any]) -> None:
    process, said = start("--tools", "calculator")
    assert said["models"][:3] == ["pocket", "champion", "reasoner"]
    body = {"model": "champion", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
    assert httpx.post(f"{said['url']}/v1/chat/completions", json=body, timeout=60).status_code == 200
    metrics = httpx.get(f"{said['url']}/metrics").text
    assert "ratchet_engine_running 0.0" in metrics
    assert 'ratchet_champion_info{version="base"} 1.0' in metrics
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--model", "nonsense"], 1, "unknown model 'nonsense'"),
        (["--model", "local:/no/such/folder"], 1, "holds no config.json"),
        (["--tools", "hammer"], 1, "unknown tool 'hammer'"),
        (["--host", "no.such.host.invalid"], 1, "cannot listen"),
        (["--host", "0.0.0.0"], 1, "ratchet serve keys add"),
        (["--upstream", "localhost"], 1, "no address"),
        (["--upstream", "http://h", "--upstream-key-env", "NO_SUCH_VARIABLE"], 1, "NO_SUCH_VARIABLE is not set"),
        (["--upstream", "http://h", "--engine", "vllm:http://h"], 2, "exclude each other"),
        (["--upstream", "http://h", "--model", "pocket"], 2, "leave it out"),
        (["--engine", "http://h"], 2, "vllm:URL"),
        (["--record"], 2, "go with --upstream"),
        (["--port", "65536"], 2, "65535"),
        (["--max-running", "0"], 2, "max-running"),
    ],
)
def test_what_cannot_be_is_one_clear_error(
    ratchet: Callable[..., Any], arguments: list[str], status: int, said: str
) -> None:
    result = ratchet("--port", "0", *arguments)
    assert result.exit_code == status, result.output
    assert said in " ".join(result.output.replace("│", " ").split())
    assert "Traceback" not in result.output


def test_a_port_that_is_taken_is_said(ratchet: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = ratchet("--port", str(port), "--upstream", "http://h")
    assert result.exit_code == 1
    assert f"port {port}: Address already in use" in result.output


def test_without_the_extra_it_says_what_to_install(
    ratchet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("langgraph_ratchet.serving.s")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = ratchet("--port", "0")
    assert result.exit_code == 1
    assert "pip install 'langgraph-ratchet[serve]'" in result.output


def test_keys_are_made_listed_and_revoked(ratchet: Callable[..., Any], tmp_path: Path) -> None:
    made = json.loads(ratchet("keys", "add", "ann", "--json").stdout)
    assert made["key"].startswith("ratchet-")
    kept = (tmp_path / ".ratchet" / "keys.json").read_text()
    assert made["key"] not in kept
    listed = json.loads(ratchet("keys", "ls", "--json").stdout)
    assert [key["name"] for key in listed["keys"]] == ["ann"]
    assert "key" not in listed["keys"][0]
    again = ratchet("keys", "add", "ann")
    assert (again.exit_code, "already" in again.output) == (1, True)
    assert ratchet("keys", "revoke", "ann").exit_code == 0
    unknown = ratchet("keys", "revoke", "ann")
    assert (unknown.exit_code, "unknown API key" in unknown.output) == (1, True)
