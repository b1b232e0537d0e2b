"""Plugins that are offered twice or cannot be used: loud for whoever asks for them, and for nobody else."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from langgraph_ratchet import AnswerKey, create_reasoner, get_tools
from langgraph_ratchet.chat_models.scripted import ScriptedChatModel
from langgraph_ratchet.core.errors import (
    BadInputError,
    PluginError,
    RatchetError,
    TrainingFailedError,
    UnknownNameError,
)
from langgraph_ratchet.grading import get_grader, grade
from langgraph_ratchet.problems import get_family
from langgraph_ratchet.reasoning.strategy import get_strategy
from langgraph_ratchet.tools import TOOLS, tool_names
from langgraph_ratchet.training.job import Job
from langgraph_ratchet.training.run import run_job
from langgraph_ratchet.training.trainers import train

Install = Callable[..., Path]

_TOOL = """
from langchain_core.tools import StructuredTool
def echo(text: str) -> str:
    "Give the text back."
    return text
def echo_tool():
    return StructuredTool.from_function(echo)
"""


def test_a_name_that_two_packages_offer_is_refused_with_both(install: Install) -> None:
    install("acme-tools", _TOOL, tools={"echo": "acme_tools:echo_tool"})
    install("zeta-tools", _TOOL, version="2.1", tools={"echo": "zeta_tools:echo_tool"})
    said = r"'echo' is offered by acme-tools 1\.0 \(echo = acme_tools:echo_tool\) and zeta-tools 2\.1 .*: uninstall or"
    with pytest.raises(PluginError, match=said):
        get_tools("echo")
    assert [tool.name for tool in get_tools("clock")] == ["clock"]
    assert "acme_tools" not in sys.modules, "nothing is imported to find out"


def test_a_built_in_name_is_not_taken_over(install: Install) -> None:
    install("acme-tools", _TOOL, tools={"calculator": "acme_tools:echo_tool"})
    with pytest.raises(PluginError, match=r"'calculator' is offered by langgraph-ratchet .* and acme-tools 1\.0"):
        get_tools("calculator")
    with pytest.raises(PluginError, match="calculator"):
        get_tools()
    assert [tool.name for tool in get_tools("clock", "documents")] == ["clock", "documents"]


def test_a_doubled_grader_stops_nobody_who_asks_for_another(install: Install) -> None:
    install("acme-graders", graders={"number": "acme_graders"})
    with pytest.raises(PluginError, match="grader 'number' is offered by"):
        grade(AnswerKey(value="1", grader="number"), "1")
    assert grade(AnswerKey(value="Peru", grader="exact"), "Peru").score == 1.0


def test_a_doubled_strategy_or_family_or_trainer_is_refused(install: Install, tmp_path: Path) -> None:
    install("acme", strategies={"causal": "acme:S"}, problem_families={"weekday": "acme:F"}, trainers={"sft": "acme:t"})
    with pytest.raises(PluginError, match="strategy 'causal'"):
        create_reasoner(ScriptedChatModel.of(), store=None)
    create_reasoner(ScriptedChatModel.of(), store=None, strategies=["direct", "deductive"])
    with pytest.raises(PluginError, match="problem family 'weekday'"):
        get_family("weekday")
    with pytest.raises(PluginError, match="trainer 'sft'"):
        run_job(Job(base="pocket", dataset=tmp_path / "none.json", out=tmp_path / "adapter"))


def test_listing_says_what_is_doubled(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    install("acme-tools", _TOOL, tools={"clock": "acme_tools:echo_tool", "echo": "acme_tools:echo_tool"})
    with caplog.at_level(logging.WARNING):
        assert {"clock", "echo"} <= set(tool_names())
        tool_names()
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "tool 'clock' is offered by langgraph-ratchet (langgraph_ratchet.tools.clock) and "
        "acme-tools 1.0 (clock = acme_tools:echo_tool)"
    ]
    assert {(plugin.name, plugin.fault is None) for plugin in TOOLS.others()} == {("clock", False), ("echo", True)}


@pytest.mark.parametrize(
    ("text", "value", "said"),
    [
        ("import no_such_module", "acme_tools:echo_tool", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("1 / 0", "acme_tools:echo_tool", "ZeroDivisionError"),
        ("import sys; sys.exit(3)", "acme_tools:echo_tool", "SystemExit: 3"),
        (_TOOL, "acme_tools:ecko_tool", "no attribute 'ecko_tool'"),
        (_TOOL, "elsewhere:echo_tool", "No module named 'elsewhere'"),
        (_TOOL, "not an entry point!", "AttributeError"),
        (_TOOL, "acme_tools", "'module' object is not callable"),
        ("echo_tool = lambda: 3", "acme_tools:echo_tool", "gave a int"),
        ("def echo_tool(a): ...", "acme_tools:echo_tool", "missing 1 required positional argument"),
        (_TOOL.replace("def echo(", "def shout(").replace("function(echo", "function(shout"), "acme_tools:echo_tool",
         "calls itself 'shout'"),
        (_TOOL.replace("tion(echo)", "tion(echo, metadata={'ratchet': {'timeout_s': -1}})"), "acme_tools:echo_tool",
         "not a tool spec"),
    ],
)  # fmt: skip
def test_a_broken_tool_is_named_with_its_package(install: Install, text: str, value: str, said: str) -> None:
    install("acme-tools", text, tools={"echo": value})
    with pytest.raises(PluginError) as raised:
        get_tools("echo")
    message = str(raised.value)
    assert said in message
    assert message.startswith("tool 'echo' of the package acme-tools 1.0 cannot be used: ")
    assert f"'echo = {value}' in the group 'langgraph_ratchet.tools' must be a function" in message
    assert message.endswith("mend, update or uninstall acme-tools 1.0")
    assert raised.value.__cause__ is not None
    assert [plugin.fault for plugin in TOOLS.others()] == [message]
    assert get_tools(), "the others are as they were"


@pytest.mark.parametrize(
    ("kind", "text", "ask", "said"),
    [
        ("strategies", "S = 3", get_strategy, "TypeError: it is a int"),
        ("strategies", "S = None", get_strategy, "must be a Strategy of that name"),
        ("problem_families", "class S: name = 'mine'", get_family, "has no type, levels, tools, size"),
        ("graders", "VERSION = 1", get_grader, "no attribute"),
        ("graders", "class S: VERSION = '1'; GOLD = (); judge = print", get_grader, "VERSION '1' is no integer"),
        ("trainers", "S = 3", lambda name: train(_job(name)), "TypeError: it is a int"),
    ],
)
def test_a_broken_plugin_of_another_kind_is_named_too(install: Install, kind: str, text: str, ask, said: str) -> None:
    install("acme", text, **{kind: {"mine": "acme:S"}})
    with pytest.raises(PluginError, match="of the package acme 1.0 cannot be used: ") as raised:
        ask("mine")
    assert said in str(raised.value)


def _job(trainer: str) -> Job:
    return Job(trainer=trainer, base="pocket", dataset=Path("none.json"), out=Path("no_such_folder/adapter"))


def test_a_trainer_that_leaves_nothing_has_failed(install: Install) -> None:
    install("acme", "def t(job, say): return None", trainers={"lazy": "acme:t"})
    with pytest.raises(
        TrainingFailedError, match=r"'lazy' ended without adapter_model\.safetensors and adapter_config"
    ):
        train(_job("lazy"))


def test_a_trainer_that_does_not_exist_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown trainer 'sfd'; known: sft"):
        run_job(_job("sfd"), folder=tmp_path / "job")
    assert not (tmp_path / "job").exists()


def test_a_name_that_cannot_be_written_everywhere_is_refused(install: Install) -> None:
    install("acme-tools", _TOOL, tools={"My Tool": "acme_tools:echo_tool"})
    with pytest.raises(PluginError, match="a name is one word"):
        get_tools("My Tool")


def test_a_grader_that_breaks_its_process_breaks_it_alone(install: Install) -> None:
    """It is imported where grades are asked for too, so it must behave there; in the grading process it does not."""
    install(
        "acme",
        "import os, sys\nVERSION, GOLD = 1, ()\ndef judge(key, answer): ...\n"
        "if 'langgraph_ratchet.grading.inside' in sys.modules: os._exit(3)",
        graders={"leaving": "acme"},
    )
    with pytest.raises(RatchetError, match="grading process ended before it was ready"):
        grade(AnswerKey(value="1", grader="leaving"), "1")
    assert grade(AnswerKey(value="1", grader="number"), "1").score == 1.0


def test_a_judgement_that_is_none_is_no_verdict(install: Install) -> None:
    install("acme", "VERSION, GOLD = 1, ()\ndef judge(key, answer): return 'right'", graders={"vague": "acme"})
    verdict = grade(AnswerKey(value="1", grader="vague"), "1")
    assert verdict.score is None
    assert "has no attribute 'strict'" in verdict.reason


def test_damaged_metadata_leaves_the_built_in_plugins(
    install: Install, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = install("acme-tools", _TOOL, tools={"echo": "acme_tools:echo_tool"})
    (folder / "acme_tools-1.0.dist-info" / "entry_points.txt").write_text("[langgraph_ratchet.tools]\nno equals sign\n")
    assert [tool.name for tool in get_tools("calculator")] == ["calculator"]
    assert "damaged metadata" in caplog.text


def test_names_from_data_are_never_imported(tmp_path: Path) -> None:
    for name in ("os", "os.path", "../calculator", "", "__init__", "conformance"):
        with pytest.raises(UnknownNameError):
            get_tools(name)
        with pytest.raises(UnknownNameError):
            get_family(name)
    with pytest.raises((UnknownNameError, BadInputError)):
        get_grader("conformance")
