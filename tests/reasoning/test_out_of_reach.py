"""What the model can see: never an answer key, never an attachment that it did not look up."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import langgraph_ratchet
from langgraph_ratchet.core.question import Attachment, Question
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.reasoning.state import ReasoningInput
from langgraph_ratchet.tools import get_tools

PACKAGE = Path(langgraph_ratchet.__file__).parent
KEY_HOLDERS = ("langgraph_ratchet.grading", "langgraph_ratchet.problems", "langgraph_ratchet.core.answer_key")


def imports_of(module: str) -> set[str]:
    """Modules of the package that `module` imports anywhere in its text, in functions too."""
    path = PACKAGE.parent / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.startswith("langgraph_ratchet.") and is_module(name)}


def is_module(name: str) -> bool:
    path = PACKAGE.parent / Path(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_no_module_within_reach_knows_a_key() -> None:
    folder = PACKAGE / "reasoning"
    parts = [path.relative_to(PACKAGE.parent).with_suffix("").parts for path in folder.rglob("*.py")]
    waiting = {".".join(part for part in names if part != "__init__") for names in parts}
    assert {"langgraph_ratchet.reasoning.graph", "langgraph_ratchet.reasoning.nodes.act"} <= waiting
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        seen.add(module)
        waiting |= imports_of(module) - seen
    assert "langgraph_ratchet.traces.store" in seen  # the search does reach other areas
    assert not [module for module in seen if module.startswith(KEY_HOLDERS)]


def test_nothing_that_holds_a_key_is_loaded_by_a_run() -> None:
    code = """
import sys
from langgraph_ratchet.chat_models.scripted import ScriptedChatModel
from langgraph_ratchet.reasoning.graph import create_reasoner
from langgraph_ratchet.reasoning.rollouts import roll_out
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.traces.store import TraceStore
model = ScriptedChatModel.of("1. Add.", "direct", "The result is 4.", "4", "yes")
reasoner = create_reasoner(model, get_tools(), store=TraceStore(":memory:")).compile()
print(reasoner.invoke({"question": "What is 2 + 2?"})["answer"], *sorted(sys.modules))
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert shown[0] == "4"
    assert "langgraph_ratchet.reasoning.nodes.finish" in shown
    assert not [module for module in shown if module.startswith(KEY_HOLDERS)]


def test_a_question_has_no_place_for_a_key() -> None:
    assert Question.model_fields.keys() == {"type", "text", "context", "attachments"}
    assert Attachment.model_fields.keys() == {"name", "text"}
    assert ReasoningInput.__annotations__.keys() == {"messages", "question"}


def test_attachments_reach_the_tool_and_not_the_prompt(reason: Any, lines: Any, tool_call: Any) -> None:
    facts = "The manager of Ada is Bo.\nThe manager of Cy is Di."
    question = Question(text="Who is the manager of Ada?", attachments=(Attachment(name="staff.txt", text=facts),))
    script = lines(act=[tool_call("documents", query="manager of Ada"), "The manager is Bo."], synthesize="Bo")
    ran = reason(script, question=question.model_dump(mode="json"), tools=get_tools("documents"))
    (step,) = ran.trace.steps
    assert "The manager of Ada is Bo." in step.output
    assert step.trust == Trust.UNTRUSTED
    for call in (0, 1, 2):
        assert "Bo" not in ran.asked(call)
        assert "staff.txt" not in ran.asked(call)
    assert "documents(manager of Ada) found: The manager of Ada is Bo." in ran.asked(4)
    tool_message = ran.model.asked[3][-1]
    assert tool_message.additional_kwargs["trust"] == "untrusted"


def test_attachments_are_given_to_no_other_tool(reason: Any, lines: Any, tool_call: Any) -> None:
    def peek(query: str, attachments: str = "none") -> str:
        """Looks for attachments."""
        return attachments

    question = {"text": "Who?", "attachments": [{"name": "staff.txt", "text": "secret"}]}
    ran = reason(lines(act=[tool_call("peek", query="a"), "Done."]), question=question, tools=[peek], allow=["peek"])
    assert ran.trace.steps[0].output == "none"


def test_texts_from_memory_are_shown_as_unchecked(reason: Any, lines: Any) -> None:
    asked: list[Question] = []

    def memory(question: Question) -> list[str]:
        asked.append(question)
        return ["45 + 33 is 78.", "Sums are \ud800 easy."]

    ran = reason(lines(), memory=memory)
    assert [question.text for question in asked] == ["What is 45 + 33?"]
    unchecked = "From memory, unchecked:\n- 45 + 33 is 78.\n- Sums are \ufffd easy."
    for call in range(6):
        assert unchecked in ran.asked(call)
        assert unchecked not in str(ran.model.asked[call][0].content)  # never in the system prompt


def test_without_memory_nothing_is_said_of_it(reason: Any, lines: Any) -> None:
    ran = reason(lines())
    assert "memory" not in "".join(ran.asked(call) for call in range(6))


def test_memory_that_fails_is_left_out_and_the_run_goes_on(
    reason: Any, lines: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def memory(question: Question) -> list[str]:
        raise OSError("the folder is gone")

    ran = reason(lines(), memory=memory)
    assert ran.out["answer"] == "78"
    assert "the folder is gone" in caplog.text
