"""`ratchet mcp`: Ratchet as an MCP server, over stdin and stdout or over HTTP."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langgraph_ratchet.cli.chosen import TOOLS_HELP, Allow, Documents, allowed, chosen_tools
from langgraph_ratchet.cli.terminal import Terminal, open_terminal
from langgraph_ratchet.cli.verb import AsJson, new_verb
from langgraph_ratchet.core.errors import MissingExtraError

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

    from langgraph_ratchet.core.settings import Settings
    from langgraph_ratchet.tools.memory import Memory

    McpServer = Server[object, object]

app = new_verb()
app.info.no_args_is_help = False  # without arguments it serves on stdin and stdout

_MODELS = "pocket, local:PATH, hf:ID (each with @ADAPTER), champion, vllm:NAME@URL, or provider:model"
_EXTRAS = {"mcp": "mcp", "prometheus_client": "serve", "starlette": "serve", "uvicorn": "serve", "httpx": "serve"}
"""Package to the extra that brings it."""


@app.command()
def mcp(
    http: Annotated[bool, typer.Option("--http", help="Serve over HTTP instead of stdin and stdout.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond this machine with API keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 picks a free one.")] = 8001,
    allow_host: Annotated[
        str, typer.Option(help="Further names, with commas, by which clients call this server: NAME or NAME:PORT.")
    ] = "",
    no_keys: Annotated[bool, typer.Option("--no-keys", help="Serve anybody, whatever keys there are.")] = False,
    model: Annotated[str | None, typer.Option(help=f"{_MODELS}. Default: RATCHET_MODEL, else pocket.")] = None,
    tools: Annotated[str | None, typer.Option(help=f"Of reason. {TOOLS_HELP}")] = None,
    documents: Documents = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Offer reason, remember, recall and traces to an MCP client; with --http to many."""
    if as_json and not http:
        raise typer.BadParameter("--json goes with --http: otherwise stdout belongs to the protocol")
    make = partial(_server, model, tools, documents, allow)
    with _extras_installed():
        if not http:
            _serve_stdio(make)
            return
        with open_terminal(as_json) as terminal:
            _serve_http(make, terminal, host, port, allow_host, no_keys=no_keys)


def _server(model: str | None, tools: str | None, documents: Path | None, allow: str | None) -> "McpServer":
    """The server's tools, on the settings' store and memory."""
    from langgraph_ratchet.chat_models.resolver import resolve_model
    from langgraph_ratchet.cli.environment import read_settings
    from langgraph_ratchet.reasoning.graph import create_reasoner
    from langgraph_ratchet.serving.mcp.memory import memory_offers
    from langgraph_ratchet.serving.mcp.reason import Runs, reason_offer
    from langgraph_ratchet.serving.mcp.server import create_mcp_server
    from langgraph_ratchet.serving.mcp.traces import traces_offer
    from langgraph_ratchet.tools import memory_of
    from langgraph_ratchet.traces.store import TraceStore

    # All that cannot be used is said now, and not at a client's first call.
    settings = read_settings()
    chosen = chosen_tools(tools, settings, documents)
    may_act = allowed(allow, settings, chosen)
    chat_model = resolve_model(model or settings.ratchet_model)
    store = TraceStore(settings.trace_store)
    own_memory = memory_of(chosen)
    runs = Runs(lambda: create_reasoner(chat_model, chosen, store=store, allow=may_act, memory=own_memory))
    memory = cache(partial(_opened_memory, settings))
    return create_mcp_server([reason_offer(runs), *memory_offers(memory), traces_offer(store)])


def _opened_memory(settings: "Settings") -> "Memory":
    from langgraph_ratchet.tools.memory import settings_memory

    return settings_memory(settings)


def _serve_stdio(make: "Callable[[], McpServer]") -> None:
    from langgraph_ratchet.serving.mcp.stdio import claim_pipes, serve_stdio

    if sys.stdin.isatty():
        typer.echo(
            "This waits for an MCP client on stdin. To use it, give a client the command 'ratchet mcp'; or serve many "
            "with 'ratchet mcp --http'. Ctrl-C stops.",
            err=True,
        )
    pipes = claim_pipes()  # before anything is imported or started that might print or read
    serve_stdio(make(), pipes)


def _serve_http(
    make: "Callable[[], McpServer]",
    terminal: Terminal,
    host: str,
    port: int,
    further_hosts: str,
    *,
    no_keys: bool,
) -> None:
    from langgraph_ratchet.cli.serve.keys import key_file
    from langgraph_ratchet.core.settings import names_in
    from langgraph_ratchet.serving.mcp.http import PATH, answered_hosts, serve_mcp
    from langgraph_ratchet.serving.server import listen
    from langgraph_ratchet.serving.start import Place

    with listen(host, port) as listener:
        place = Place(listener, None if no_keys else key_file())
        hosts = answered_hosts(place, names_in(further_hosts))

        def on_ready() -> None:
            terminal.row("Listens on", f"{place.address}{PATH}", "bold")
            terminal.row("Called as", f"{', '.join(hosts)}; other names with --allow-host")
            said = "every request needs one" if place.needs_keys else "none: whoever reaches it may ask"
            terminal.row("API keys", said)
            terminal.row("Stop", "Ctrl-C; what runs comes to its end, a second Ctrl-C ends it at once")
            terminal.result({"url": f"{place.address}{PATH}", "keys": place.needs_keys, "hosts": hosts})

        all_ended = serve_mcp(make(), place, hosts=hosts, on_ready=on_ready)
        terminal.line("Stopped." if all_ended else "Stopped; what ran too long was cut off.")


@contextmanager
def _extras_installed() -> Iterator[None]:
    """Turns the lack of a package into the command that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        raise MissingExtraError("ratchet mcp --http" if extra == "serve" else "ratchet mcp", extra) from error
