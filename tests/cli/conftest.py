"""The command in a folder of its own, and runs recorded there by the real graph over a scripted model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from typer.testing import CliRunner, Result

from langgraph_ratchet.chat_models.scripted import ScriptedChatModel
from langgraph_ratchet.cli.app import app
from langgraph_ratchet.cli.solve import answer
from langgraph_ratchet.cli.terminal import open_terminal
from langgraph_ratchet.core.ids import canonical_json
from langgraph_ratchet.reasoning.context import Context
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.traces.store import TraceStore

QUESTION = "What date is 45 days after 2024-03-05?"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: everything that the command writes lies in its `.ratchet`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


@pytest.fixture
def ratchet() -> Callable[..., Result]:
    """Runs the command in this process."""

    def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin, prog_name="ratchet")

    return run


@pytest.fixture
def store(folder: Path) -> TraceStore:
    """The store that the command reads."""
    return TraceStore("sqlite:///.ratchet/traces.db")


def said(text: str) -> AIMessage:
    """A reply whose model counts its tokens: 40 in, 5 out."""
    return AIMessage(text, usage_metadata={"input_tokens": 40, "output_tokens": 5, "total_tokens": 45})


def called(tool: str, **arguments: Any) -> AIMessage:
    """A reply that calls a tool."""
    reply = said("")
    return reply.model_copy(update={"tool_calls": [{"name": tool, "args": arguments, "id": f"call_{tool}"}]})


GOOD_RUN = (
    said("1. Shift the date with clock."),
    said("direct"),
    called("clock", operation="add", start="2024-03-05", value="45 days"),
    said("The date is 2024-04-19."),
    said("2024-04-19"),
    said("yes"),
)


@pytest.fixture
def solve(store: TraceStore) -> Callable[..., str]:
    """Solves a question with a scripted model and prints as `ratchet solve` does; gives the outcome."""

    def run(*replies: Any, question: str = QUESTION, tools: Any = None, as_json: bool = False, **options: Any) -> str:
        with open_terminal(as_json) as terminal:
            return answer(
                question,
                ScriptedChatModel.of(*(replies or GOOD_RUN)),
                get_tools("calculator", "clock") if tools is None else tools,
                context=Context(),
                store=options.get("store", store),
                terminal=terminal,
                stream=options.get("stream", not as_json),
                allow=options.get("allow", ()),
            )

    return run


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama with the pocket model's tokenizer and template: it can be asked, and says nothing sensible."""
    import shutil

    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    from langgraph_ratchet.chat_models.base import POCKET
    from langgraph_ratchet.training.tokenizer import make_model_folder

    path = tmp_path_factory.mktemp("tiny")
    shutil.copy(POCKET / "chat_template.jinja", path)
    make_model_folder(path, [str(canonical_json(list(range(50))))], vocab_size=300, hidden=16, layers=1, heads=2)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(LlamaConfig.from_pretrained(path)).save_pretrained(path)
    return path
