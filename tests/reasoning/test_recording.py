"""The store's trouble is not the run's: it goes on, and what is not whole is not written."""

import logging
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from langgraph_ratchet.chat_models.scripted import PolicyChatModel
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.traces.store import TraceStore


def reasoner_with(policy: Any, store: Any) -> Any:
    return create_reasoner(PolicyChatModel(policy=policy), get_tools("calculator"), store=store).compile()


def test_a_store_that_cannot_be_opened_does_not_stop_the_run(
    adder: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    store = TraceStore(f"sqlite:///{tmp_path}/file/traces.db")
    reasoner = reasoner_with(adder, store)
    for _ in range(2):
        assert reasoner.invoke({"question": "What is 1 + 2?"})["answer"] == "3"
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]  # said once
    assert "is not recorded and will not be trained on" in warning.getMessage()
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_store_that_fails_midway_leaves_no_trace(adder: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/traces.db"
    store, asked = TraceStore(url), []

    def policy(messages: Any, kwargs: Any) -> AIMessage:
        asked.append(messages)
        if len(asked) == 4:
            store.close()
        return adder(messages, kwargs)

    out = reasoner_with(policy, store).invoke({"question": "What is 1 + 2?"})
    assert out["answer"] == "3"
    reopened = TraceStore(url)
    assert reopened.traces(limit=None) == []
    assert len(reopened.calls(out["trace_id"])) == 3  # what was acknowledged is kept
    reopened.close()


async def test_a_failing_store_does_not_stop_an_async_run(adder: Any, tmp_path: Path) -> None:
    store = TraceStore(f"sqlite:///{tmp_path}/traces.db")
    store.close()
    out = await reasoner_with(adder, store).ainvoke({"question": "What is 1 + 2?"})
    assert out["answer"] == "3"


def test_recording_can_be_turned_off(adder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert reasoner_with(adder, None).invoke({"question": "What is 1 + 2?"})["answer"] == "3"
    assert list(tmp_path.iterdir()) == []


def test_the_default_store_is_that_of_the_settings(adder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAINING_DATA_PATH", "data")
    reasoner = create_reasoner(PolicyChatModel(policy=adder), get_tools("calculator")).compile()
    assert not (tmp_path / "data").exists()  # opened at the first run
    out = reasoner.invoke({"question": "What is 1 + 2?"})
    store = TraceStore(f"sqlite:///{tmp_path}/data/traces.db")
    assert store.trace(out["trace_id"]).answer == "3"
    store.close()
