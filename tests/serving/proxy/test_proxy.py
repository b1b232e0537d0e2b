"""The proxy: what an app gets is what the server sent, whatever is recorded on the way."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.trace import Outcome
from langgraph_ratchet.serving.proxy.upstream import Upstream
from langgraph_ratchet.traces.store import TraceStore

ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is it?"}]
SECRET = "sk-a-key-that-must-not-be-kept"


def ask(server: Any, *, headers: dict[str, str] | None = None, **given: Any) -> httpx.Response:
    body = {"model": "base-model", "messages": ASKED, **given}
    return server.http.post("/v1/chat/completions", json=body, headers=headers or {})


def direct(url: str, **given: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/chat/completions", json={"model": "base-model", "messages": ASKED, **given})


@pytest.mark.parametrize("ids", ["gives", "ignores", "refuses"])
@pytest.mark.parametrize("given", [{}, {"logprobs": True}, {"return_token_ids": True}, {"n": 2}])
def test_a_reply_is_what_it_would_be_without_the_proxy(
    proxy: Callable[..., Any], vllm: Any, upstream_url: str, ids: str, given: dict[str, Any]
) -> None:
    vllm.ids = ids
    wanted = direct(upstream_url, **given)
    got = ask(proxy(), **given)
    assert (got.status_code, got.json()) == (wanted.status_code, wanted.json())


@pytest.mark.parametrize("ids", ["gives", "ignores", "refuses"])
@pytest.mark.parametrize("given", [{}, {"logprobs": True, "return_token_ids": True}])
def test_a_stream_is_what_it_would_be_without_the_proxy(
    proxy: Callable[..., Any], vllm: Any, upstream_url: str, ids: str, given: dict[str, Any]
) -> None:
    vllm.ids = ids

    def events(response: httpx.Response) -> list[Any]:
        assert response.status_code in (200, 400)
        lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]

    without_nulls = {"logprobs": None}
    wanted, got = events(direct(upstream_url, stream=True, **given)), events(ask(proxy(), stream=True, **given))
    if ids != "refuses":
        assert wanted[-1] == "[DONE]"
    for event in [*wanted, *got]:
        for choice in event["choices"] if isinstance(event, dict) and "choices" in event else []:
            choice.update({name: choice.get(name) for name in without_nulls})
    assert got == wanted


def test_bytes_pass_as_they_are_when_nothing_was_added(proxy: Callable[..., Any], upstream_url: str) -> None:
    server = proxy(record=False)
    assert ask(server, stream=True).content == direct(upstream_url, stream=True).content
    assert ask(server).content == direct(upstream_url).content


def test_a_server_that_gives_no_ids_is_not_asked_again(proxy: Callable[..., Any], vllm: Any) -> None:
    vllm.ids = "refuses"
    server = proxy()
    for _ in range(3):
        assert ask(server).status_code == 200
    assert ["return_token_ids" in body for body in vllm.bodies] == [True, False, False, False]


def test_a_stream_comes_as_it_is_made(proxy: Callable[..., Any], vllm: Any) -> None:
    vllm.gate = threading.Event()
    server = proxy()
    with server.http.stream(
        "POST", "/v1/chat/completions", json={"model": "base-model", "messages": ASKED, "stream": True}
    ) as response:
        pieces = response.iter_text()
        assert "The answer" in next(pieces)
        vllm.gate.set()
        assert "[DONE]" in "".join(pieces)


def test_the_sdk_works_through_it(proxy: Callable[..., Any]) -> None:
    server = proxy()
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=SECRET, max_retries=0) as client:
        whole = client.chat.completions.create(model="base-model", messages=ASKED)  # type: ignore[arg-type]
        assert whole.choices[0].message.content == "The answer is 42."
        stream = client.chat.completions.create(model="base-model", messages=ASKED, stream=True)  # type: ignore[arg-type]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "The answer is 42."
        assert [model.id for model in client.models.list()] == ["base-model"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, {"error": {"message": "slow down", "type": "t", "param": None, "code": "c"}}),
        (500, {"detail": "x"}),
        (404, []),
    ],
)
def test_errors_pass_as_they_are(proxy: Callable[..., Any], vllm: Any, status: int, body: Any) -> None:
    vllm.fails = (status, body)
    server = proxy()
    got = ask(server)
    assert (got.status_code, got.json(), got.headers["x-request-id"]) == (status, body, "r1")
    assert server.recorded() == []


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b"\xff\xfe", b'"text"'])
def test_a_body_that_is_no_request_is_for_the_server_to_judge(
    proxy: Callable[..., Any], vllm: Any, body: bytes
) -> None:
    vllm.fails = (400, {"error": "no"})
    response = proxy().http.post("/v1/completions", content=body)
    assert response.status_code == 418
    assert response.text == f"POST /v1/completions {body.decode(errors='replace')}"


def test_other_paths_pass_and_none_leads_out(proxy: Callable[..., Any], vllm: Any) -> None:
    server = proxy(record=False)
    response = server.http.put("/v1/files/a%20b?x=1", content=b"data")
    assert (response.status_code, response.text) == (418, "PUT /v1/files/a b data")
    for path in ("/v1/../secret", "/v1/%2e%2e/secret", "/metrics2"):
        request = server.http.build_request("GET", server.url)
        request.url = httpx.URL(server.url).copy_with(raw_path=path.encode())
        assert server.http.send(request).status_code == 404, path
    assert vllm.paths == ["/v1/files/a b"]


def test_a_server_that_is_not_there_is_a_502(proxy: Callable[..., Any]) -> None:
    server = proxy(url="http://127.0.0.1:9")
    response = ask(server)
    assert response.status_code == 502
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert response.json()["error"]["code"] == "upstream_unreachable"
    assert server.recorded() == []


def test_a_stream_that_breaks_off_ends_with_an_error(proxy: Callable[..., Any], vllm: Any) -> None:
    vllm.breaks_off = True
    server = proxy()
    text = ask(server, stream=True).text
    assert "The answer" in text
    assert "upstream_broke_off" in text
    assert "[DONE]" not in text
    (trace,) = server.recorded()
    assert trace.outcome is Outcome.MODEL_FAILED
    assert "broke off" in trace.error
    assert trace.calls[0].reply["content"] == "The answer"


def test_a_client_that_leaves_takes_the_server_along(proxy: Callable[..., Any], vllm: Any) -> None:
    vllm.gate = threading.Event()
    server = proxy()
    body = {"model": "base-model", "messages": ASKED, "stream": True}
    with server.http.stream("POST", "/v1/chat/completions", json=body) as response:
        assert "The answer" in next(response.iter_text())
    assert vllm.left.wait(5), "the server goes on generating for nobody"
    (trace,) = server.recorded()
    assert trace.calls[0].reply["content"] == "The answer"
    assert trace.outcome is Outcome.MODEL_FAILED
    assert "went away" in trace.error
    assert trace.answer is None


def test_the_clients_key_goes_on_and_is_kept_nowhere(
    proxy: Callable[..., Any], vllm: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    server = proxy()
    ask(server, headers={"authorization": f"Bearer {SECRET}"})
    assert vllm.headers[0]["authorization"] == f"Bearer {SECRET}"
    (trace,) = server.recorded()
    assert SECRET not in trace.model_dump_json()
    assert not any(SECRET.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert SECRET not in caplog.text


def test_a_key_of_the_operators_goes_instead(proxy: Callable[..., Any], vllm: Any) -> None:
    ask(proxy(key="operators"), headers={"authorization": f"Bearer {SECRET}"})
    assert vllm.headers[0]["authorization"] == "Bearer operators"
    assert "x-ratchet-run" not in vllm.headers[0]


def test_a_store_that_fails_is_no_concern_of_the_apps(
    proxy: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "broken.db").write_bytes(b"this is no database" * 100)
    server = proxy(store=TraceStore(f"sqlite:///{tmp_path / 'broken.db'}"))
    assert [ask(server).status_code for _ in range(3)] == [200] * 3
    deadline = time.monotonic() + 5
    while server.recorder.lost < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "ratchet_recording_lost 3.0" in server.http.get("/metrics").text
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://a", "http://", "http://a b"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BadInputError, match="no address"):
        Upstream(url)


def test_v1_at_the_end_of_the_address_counts_once() -> None:
    assert Upstream("http://h:1/v1/").url == Upstream("http://h:1").url == "http://h:1"
    assert Upstream("https://h/openai/v1").url == "https://h/openai"


def test_nothing_is_left_open(proxy: Callable[..., Any], tmp_path: Path) -> None:
    server = proxy()
    ask(server)
    server.recorded()
    with sqlite3.connect(tmp_path / "traces.db") as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    database.close()
