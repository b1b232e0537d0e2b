"""`ratchet solve`: reason about one question, shown node by node."""

import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langgraph_ratchet.cli.chosen import TOOLS_HELP, Allow, Documents, allowed, chosen_tools
from langgraph_ratchet.cli.exit_status import ExitStatus
from langgraph_ratchet.cli.narration import Narration, confidence_text
from langgraph_ratchet.cli.printable import short_id
from langgraph_ratchet.cli.terminal import Terminal, open_terminal
from langgraph_ratchet.cli.verb import AsJson, new_verb
from langgraph_ratchet.core.errors import BadInputError, UnknownNameError
from langgraph_ratchet.core.ids import clean_text
from langgraph_ratchet.core.visible import counted

if TYPE_CHECKING:  # LangGraph and the store are imported when a question is asked, not when help is
    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import RunnableConfig
    from langchain_core.tools import BaseTool
    from rich.status import Status

    from langgraph_ratchet.core.trace import Trace
    from langgraph_ratchet.reasoning.context import Context
    from langgraph_ratchet.traces.store import TraceStore

app = new_verb()

_THREAD: "RunnableConfig" = {"configurable": {"thread_id": "solve"}}
_MODELS = "pocket, local:PATH, hf:ID (each with @ADAPTER), champion, vllm:NAME@URL, or provider:model"


@app.command()
def solve(
    question: Annotated[str, typer.Argument(help="The question; - reads it from stdin.")],
    model: Annotated[str | None, typer.Option(help=f"{_MODELS}. Default: RATCHET_MODEL, else pocket.")] = None,
    tools: Annotated[str | None, typer.Option(help=TOOLS_HELP)] = None,
    documents: Documents = None,
    allow: Allow = None,
    strategy: Annotated[str | None, typer.Option(help="Strategy to reason with. Default: the model selects.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0.0, help="0 is greedy. Default: the model's own.")] = None,
    seed: Annotated[int | None, typer.Option(help="Makes sampling repeatable.")] = None,
    stream: Annotated[
        bool | None, typer.Option("--stream/--no-stream", help="Show every node. Default: unless --json.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Reason about a question with tools, and record the run; a tool that would change something asks first."""
    from langgraph_ratchet.cli.environment import read_settings
    from langgraph_ratchet.reasoning.context import Context
    from langgraph_ratchet.reasoning.strategy import get_strategy
    from langgraph_ratchet.traces.store import TraceStore

    with open_terminal(as_json) as terminal:
        # What needs no model is checked before the model is loaded.
        text = _text(question)
        if strategy is not None:
            get_strategy(strategy)
        settings = read_settings()
        chosen = chosen_tools(tools, settings, documents)
        may_act = allowed(allow, settings, chosen)
        name = model or settings.ratchet_model
        with terminal.console.status(f"loading {name}"):
            from langgraph_ratchet.chat_models.resolver import resolve_model

            chat_model = resolve_model(name)
        stream = not as_json if stream is None else stream
        if stream:
            terminal.row("model", f"{name}, with {', '.join(tool.name for tool in chosen) or 'no tools'}")
        outcome = answer(
            text,
            chat_model,
            chosen,
            allow=may_act,
            context=Context(strategy=strategy, temperature=temperature, seed=seed),
            store=TraceStore(settings.trace_store),
            terminal=terminal,
            stream=stream,
        )
    if outcome != "answered":
        raise typer.Exit(ExitStatus.FAILED)


def answer(
    question: str,
    model: "BaseChatModel",
    tools: "Sequence[BaseTool]",
    *,
    context: "Context",
    store: "TraceStore",
    terminal: Terminal,
    stream: bool,
    allow: "Collection[str]" = (),
) -> str:
    """Reasons about `question`, prints what happens (if `stream`) and what came of it.

    A tool that needs an approval is asked for on the terminal, unless it is in `allow`.

    Returns:
        The run's outcome, one of `core.trace.Outcome`.
    """
    if stream:
        terminal.row("question", question, "bold")
        terminal.blank()
    narration = Narration(terminal) if stream else None
    with terminal.console.status("reasoning") as status:
        from langgraph.checkpoint.memory import InMemorySaver

        from langgraph_ratchet.cli.approval import asker, can_ask
        from langgraph_ratchet.reasoning.attended import stream_attended
        from langgraph_ratchet.reasoning.graph import create_reasoner
        from langgraph_ratchet.tools import memory_of

        # The checkpointer holds the run while a tool waits for an approval; without one it refuses and goes on.
        saver = InMemorySaver() if can_ask(terminal) else None
        graph = create_reasoner(model, tools, store=store, allow=allow, memory=memory_of(tools))
        reasoner = graph.compile(checkpointer=saver)
        result: dict[str, Any] = {}
        asked = {"question": {"text": question}}
        decide = asker(terminal, lambda: _paused(status))
        for mode, chunk in stream_attended(reasoner, asked, decide, config=_THREAD, context=context):
            if mode == "values":
                result = chunk
            elif narration is not None:
                for node, update in chunk.items():
                    narration.tell(node, update or {})
    trace = _recorded(store, result["trace_id"])
    if stream:
        terminal.blank()
    _print_result(terminal, result, trace)
    terminal.result(_as_json(question, result, trace))
    return str(result["outcome"])


def _text(question: str) -> str:
    if question == "-":
        question = sys.stdin.buffer.read().decode("utf-8", "replace")
    text = clean_text(question).strip()
    if not text:
        raise BadInputError("the question is empty: give its text, or - and the text on stdin")
    return text


@contextmanager
def _paused(status: "Status") -> Iterator[None]:
    """Within it the terminal is free of the spinner, which would draw over what is typed."""
    status.stop()
    try:
        yield
    finally:
        status.start()


def _recorded(store: "TraceStore", trace_id: str) -> "Trace | None":
    """The run's trace; `None` when it could not be stored, of which the recorder has warned."""
    from langgraph_ratchet.core.errors import StoreError

    try:
        return store.trace(trace_id)
    except (UnknownNameError, StoreError):
        return None


def _print_result(terminal: Terminal, result: dict[str, Any], trace: "Trace | None") -> None:
    answered = result["outcome"] == "answered"
    if answered:
        terminal.row("Answer", result["answer"], "bold")
        terminal.row("Confidence", confidence_text(result["confidence"]))
    outcome = str(result["outcome"]).replace("_", " ")
    error = f": {result['error']}" if result.get("error") else ""
    terminal.row("Outcome", f"{outcome}{error}", "" if answered else "yellow")
    if trace is None:
        terminal.row("Trace", "not recorded", "yellow")
        return
    tokens = "" if trace.total_tokens is None else f", {counted(trace.total_tokens, 'token')}"
    calls = counted(len(trace.calls), "call")
    terminal.row(
        "Took", f"{trace.seconds:.1f} s, {calls} of the model, {counted(trace.tool_calls, 'tool call')}{tokens}"
    )
    terminal.row("Trace", f"ratchet traces show {short_id(trace.id)}")


def _as_json(question: str, result: dict[str, Any], trace: "Trace | None") -> dict[str, Any]:
    said = ("answer", "confidence", "outcome", "error", "strategy", "plan", "steps", "revisions", "trace_id")
    return {
        "question": question,
        **{name: result.get(name) for name in said},
        "recorded": trace is not None,
        "model": trace.model if trace else None,
        "model_version": trace.model_version if trace else None,
        "calls": len(trace.calls) if trace else None,
        "tokens": trace.total_tokens if trace else None,
        "seconds": trace.seconds if trace else None,
    }
