"""`remember` and `recall` as a run calls them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolCall

from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools import conformance, get_tools
from langgraph_ratchet.tools.memory import Memory
from langgraph_ratchet.tools.recall import recall_tool
from langgraph_ratchet.tools.remember import remember_tool
from langgraph_ratchet.tools.runner import RunInfo, ToolResult, run_tool
from langgraph_ratchet.tools.spec import Effect, spec_of

PISA = "The tower of Pisa leans by four degrees."


@pytest.fixture
def use(memory: Memory) -> Callable[..., ToolResult]:
    def call(name: str, run: RunInfo | None = None, **arguments: Any) -> ToolResult:
        tool = {"remember": remember_tool, "recall": recall_tool}[name](memory)
        return run_tool(tool, ToolCall(name=name, args=arguments, id="1"), run=run)

    return call


def in_run(*, untrusted: bool) -> RunInfo:
    return RunInfo(trace_id="trace_1", started_at=0.0, untrusted=untrusted)


def test_what_they_declare() -> None:
    remember, recall = (spec_of(tool) for tool in get_tools("memory"))
    assert (remember.effects, remember.trust) == ({Effect.WRITES}, Trust.OWN)
    assert (recall.effects, recall.trust) == ({Effect.READS}, Trust.UNTRUSTED)


@pytest.mark.parametrize(
    ("run", "trust"),
    [(in_run(untrusted=False), "own"), (in_run(untrusted=True), "untrusted"), (None, "untrusted")],
    ids=["a run that read nothing", "a run that read untrusted text", "no run that is known"],
)
def test_a_record_is_trusted_as_far_as_its_run(
    use: Callable[..., ToolResult], memory: Memory, run: RunInfo | None, trust: str
) -> None:
    said = use("remember", run, text=PISA, kind="lesson", source=" https://pisa.example ")
    (record,) = memory.records()
    assert said.text == f"remembered as {record.id}"
    assert (record.text, record.kind, record.writer) == (PISA, "lesson", "model")
    assert (record.source, record.run, record.trust) == ("https://pisa.example", run.trace_id if run else None, trust)


def test_a_result_is_trusted_when_all_its_records_are(use: Callable[..., ToolResult], memory: Memory) -> None:
    memory.remember(PISA, writer="Ada", trust="own")
    own = use("recall", query="tower of Pisa")
    assert (own.text, own.trust) == (f"[fact] {PISA}", Trust.OWN)
    memory.remember(
        "The tower of Pisa\nis white.", kind="lesson", writer="w", source="https://p.example", trust="untrusted"
    )
    mixed = use("recall", query="tower of Pisa")
    assert set(mixed.text.splitlines()) == {
        f"[fact] {PISA}",
        "[lesson, untrusted, from https://p.example] The tower of Pisa is white.",
    }
    assert mixed.trust == Trust.UNTRUSTED


def test_nothing_found_is_said(use: Callable[..., ToolResult], memory: Memory, folder: Path) -> None:
    assert use("recall", query="Pisa").text == "nothing found for 'Pisa': nothing is remembered yet"
    assert not folder.exists()
    memory.remember(PISA, writer="w", trust="own")
    assert use("recall", query="quantum").text == "nothing found for 'quantum'"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"text": "  "}, "error: this cannot be remembered: text: .*is blank"),
        ({"text": "x" * 9_000}, "error: this cannot be remembered: text: .*8000 characters"),
        ({"text": "a", "kind": "experience"}, "error: bad arguments for remember: kind: .*'fact' or 'lesson'"),
    ],
)
def test_what_cannot_be_remembered_is_an_error_text(
    use: Callable[..., ToolResult], arguments: dict[str, str], said: str, memory: Memory
) -> None:
    result = use("remember", **arguments)
    assert result.failed
    assert re.match(said, result.text)
    assert len(memory) == 0


def test_a_memory_that_cannot_be_used_is_an_error_text(use: Callable[..., ToolResult], folder: Path) -> None:
    folder.mkdir()
    (folder / "memory.json").write_text(json.dumps({"schema_version": 1}))
    for name, arguments in (("remember", {"text": "a"}), ("recall", {"query": "a"})):
        result = use(name, **arguments)
        assert result.failed
        assert "MemoryStoreError" in result.text
        assert "memory.json is damaged" in result.text


def test_both_keep_what_tools_promise_with_a_memory_that_is_thrown_away(
    memory: Memory, naughty_strings: list[str]
) -> None:
    for tool in (remember_tool(memory), recall_tool(memory)):
        for check in conformance.CHECKS:
            check(tool)
        conformance.check_naughty_texts(tool, naughty_strings[:10], contained=True)
    assert len(memory) > 5


def test_the_settings_name_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAINING_DATA_PATH", "data")
    remember, recall = get_tools("memory")
    run_tool(remember, ToolCall(name="remember", args={"text": PISA}, id="1"))
    # Two tools, and a third memory: one folder, opened once.
    with Memory("data/memory") as memory:
        assert PISA in run_tool(recall, ToolCall(name="recall", args={"query": "Pisa"}, id="1")).text
        assert len(memory) == 1
