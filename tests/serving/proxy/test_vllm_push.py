"""The registry's champion on a vLLM server: loaded before it is used, unloaded when nobody uses it any more."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.registry import Registry

Add = Callable[[int], ModelVersion]


def ask(server: Any, model: str = "champion", **given: Any) -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **given}
    return server.http.post("/v1/chat/completions", json=body)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def promote(registry: Registry, version: ModelVersion) -> None:
    champion = registry.champion
    registry.promote(version.id, expected=champion.id if champion else None, reason="test")


def test_the_champion_is_loaded_before_the_server_is_ready(
    pushed: Callable[..., Any], vllm: Any, registry: Registry, add: Add
) -> None:
    version = add(1)
    promote(registry, version)
    server = pushed()
    assert server.http.get("/ready").status_code == 200
    assert vllm.adapters == {version.id: str(registry.path(version.id).resolve())}
    assert ask(server).json()["model"] == version.id
    assert f'ratchet_champion_info{{version="{version.id}"}} 1.0' in server.http.get("/metrics").text
    listed = [card["id"] for card in server.http.get("/v1/models").json()["data"]]
    assert listed == ["base-model", version.id, "champion"]


def test_without_a_champion_it_is_the_base(pushed: Callable[..., Any]) -> None:
    assert ask(pushed()).json()["model"] == "base-model"


def test_a_promotion_fails_no_request_and_each_stream_ends_with_its_adapter(
    pushed: Callable[..., Any], vllm: Any, registry: Registry, add: Add
) -> None:
    old, new = add(1), add(2)
    promote(registry, old)
    server = pushed()
    vllm.gate = threading.Event()
    with ThreadPoolExecutor(10) as pool:
        streams = [pool.submit(ask, server, stream=True) for _ in range(10)]
        until(lambda: vllm.log.count(f"begin {old.id}") == 10)
        promote(registry, new)
        until(lambda: ask(server).json()["model"] == new.id)
        assert old.id in vllm.adapters, "unloaded while streams use it"
        vllm.gate.set()
        answers = [stream.result() for stream in streams]
    assert all(answer.status_code == 200 and "[DONE]" in answer.text and old.id in answer.text for answer in answers)
    until(lambda: old.id not in vllm.adapters)
    assert vllm.log.index(f"load {new.id}") < vllm.log.index(f"unload {old.id}")
    last_end = max(number for number, entry in enumerate(vllm.log) if entry == f"end {old.id}")
    assert vllm.log.index(f"unload {old.id}") > last_end


def test_a_rollback_to_the_base_reaches_it(pushed: Callable[..., Any], vllm: Any, registry: Registry, add: Add) -> None:
    promote(registry, add(1))
    server = pushed()
    registry.rollback("worse")
    until(lambda: ask(server).json()["model"] == "base-model")
    until(lambda: not vllm.adapters)


def test_a_version_is_loaded_when_it_is_asked_for(
    pushed: Callable[..., Any], vllm: Any, registry: Registry, add: Add
) -> None:
    versions = [add(number) for number in range(6)]
    server = pushed()
    for version in versions:
        assert ask(server, version.id[:12]).json()["model"] == version.id
    until(lambda: len(vllm.adapters) == 4)
    assert versions[-1].id in vllm.adapters
    assert ask(server, versions[0].id).status_code == 200, "one that was unloaded is loaded again"
    assert ask(server, "base-model").json()["model"] == "base-model"
    assert ask(server, "nobody").status_code == 404


def test_a_version_that_is_asked_for_while_it_is_unloaded_is_loaded_again(
    pushed: Callable[..., Any], vllm: Any, registry: Registry, add: Add
) -> None:
    vllm.unload_seconds = 0.5
    first, *others = [add(number) for number in range(5)]
    server = pushed()
    for version in (first, *others):
        assert ask(server, version.id).status_code == 200
    until(lambda: f"unload {first.id}" in vllm.log)
    answer = ask(server, first.id)
    assert (answer.status_code, answer.json()["model"]) == (200, first.id)


def test_what_vllm_has_loaded_already_is_used(
    pushed: Callable[..., Any], vllm: Any, registry: Registry, add: Add
) -> None:
    version = add(1)
    promote(registry, version)
    vllm.adapters[version.id] = "elsewhere"
    vllm.adapters["somebody-elses"] = "elsewhere"
    server = pushed()
    assert ask(server).json()["model"] == version.id
    registry.rollback("worse")
    until(lambda: version.id not in vllm.adapters)
    assert "somebody-elses" in vllm.adapters, "what others loaded is theirs"


def test_an_adapter_that_vllm_cannot_load_leaves_the_champion(
    pushed: Callable[..., Any], vllm: Any, registry: Registry, add: Add, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = add(1), add(2)
    promote(registry, old)
    server = pushed()
    vllm.cannot_load = new.id
    promote(registry, new)
    until(lambda: server.http.get("/ready").status_code == 503)
    assert "max_lora_rank" in server.http.get("/ready").json()["status"]
    assert ask(server).json()["model"] == old.id
    time.sleep(0.3)
    assert len([record for record in caplog.records if "max_lora_rank" in record.getMessage()]) == 1, "said once"
    vllm.cannot_load = None
    until(lambda: ask(server).json()["model"] == new.id)
    until(lambda: server.http.get("/ready").status_code == 200)


def test_a_vllm_that_was_restarted_is_given_the_champion_again(
    pushed: Callable[..., Any], vllm: Any, registry: Registry, add: Add
) -> None:
    version = add(1)
    promote(registry, version)
    server = pushed()
    vllm.adapters.clear()
    until(lambda: version.id in vllm.adapters)
    assert ask(server).status_code == 200


def test_clients_do_not_reach_what_changes_vllm(pushed: Callable[..., Any], vllm: Any) -> None:
    server = pushed()
    for path in ("/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/v1/files", "/v1/models/x", "/load_lora_adapter"):
        response = server.http.post(path, json={"lora_name": "evil", "lora_path": "/etc"})
        assert response.status_code in (404, 405), path
    assert vllm.paths == []
    assert vllm.adapters == {}


def test_its_calls_are_recorded_with_the_version_and_its_base(
    pushed: Callable[..., Any], store: Any, registry: Registry, add: Add
) -> None:
    version = add(1)
    promote(registry, version)
    server = pushed(record=True)
    assert ask(server).status_code == 200
    server.close()
    (summary,) = store.traces(limit=None)
    assert summary.model_version == version.id
    (call,) = store.trace(summary.id).calls
    assert call.tokens.fingerprint == version.fingerprint


def test_a_vllm_without_adapters_at_run_time_is_told_how(
    vllm: Any, pushed: Callable[..., Any], registry: Registry, add: Add
) -> None:
    vllm.app.routes[:] = [route for route in vllm.app.routes if route.path in ("/v1/models", "/v1/chat/completions")]
    promote(registry, add(1))
    status = pushed().http.get("/ready").json()["status"]
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" in status
