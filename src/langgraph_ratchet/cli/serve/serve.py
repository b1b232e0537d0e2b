"""`ratchet serve`: serve a model, or pass on and record what another server answers."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langgraph_ratchet.cli.chosen import TOOLS_HELP, Allow, allowed, chosen_tools
from langgraph_ratchet.cli.serve.keys import key_file
from langgraph_ratchet.cli.terminal import Terminal, open_terminal
from langgraph_ratchet.cli.verb import AsJson
from langgraph_ratchet.core.errors import BadInputError, MissingExtraError
from langgraph_ratchet.serving.limits import Limits

if TYPE_CHECKING:
    from langgraph_ratchet.core.settings import Settings
    from langgraph_ratchet.serving.proxy.recording import ExchangeRecorder
    from langgraph_ratchet.serving.start import Place

_MODELS = "pocket, local:PATH, hf:ID (each with @ADAPTER), champion, vllm:NAME@URL, or provider:model"
_DEFAULT = Limits()
_EXTRA = {"anyio", "httpx", "prometheus_client", "starlette", "uvicorn"}
"""Packages of the extra `serve`."""


Say = Callable[[str, str, dict[str, Any]], None]
"""Says what is served: a title, a text, and the same as JSON."""


@dataclass(frozen=True)
class Behind:
    """What generates when it is not this process."""

    url: str
    pushes: bool
    """Whether the registry's adapters are pushed there."""
    record: bool
    base: str | None
    key: str | None


def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond this machine with API keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 picks a free one.")] = 8000,
    model: Annotated[str | None, typer.Option(help=f"{_MODELS}. Default: RATCHET_MODEL, else pocket.")] = None,
    tools: Annotated[str | None, typer.Option(help=f"Of the reasoner. {TOOLS_HELP}")] = None,
    allow: Allow = None,
    upstream: Annotated[str | None, typer.Option(help="Pass on what the server at this URL answers.")] = None,
    engine: Annotated[
        str | None, typer.Option(help="vllm:URL serves through vLLM, and keeps the champion loaded there.")
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Record what passes to an upstream or engine.")] = False,
    base: Annotated[
        str | None, typer.Option(help="Local copy of the model behind an upstream: its token ids can be trained on.")
    ] = None,
    upstream_key_env: Annotated[
        str | None, typer.Option(help="Variable that holds the key for the upstream; else the client's is passed on.")
    ] = None,
    no_keys: Annotated[bool, typer.Option("--no-keys", help="Serve anybody, whatever keys there are.")] = False,
    max_body: Annotated[int, typer.Option(min=1, help="Bytes of a request.")] = _DEFAULT.body_bytes,
    max_messages: Annotated[int, typer.Option(min=1, help="Messages of a request.")] = _DEFAULT.messages,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens that a request may ask for.")] = None,
    max_running: Annotated[int, typer.Option(min=1, help="Requests at the same time.")] = _DEFAULT.running,
    max_waiting: Annotated[int, typer.Option(min=1, help="Requests that wait for a place.")] = _DEFAULT.waiting,
    drain_seconds: Annotated[float, typer.Option(min=0.1, help="For what runs at the end.")] = _DEFAULT.drain_seconds,
    restart: Annotated[
        bool, typer.Option("--restart/--no-restart", help="Start the server anew when it is killed (on Linux).")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Serve a model, its versions, the champion and the reasoner to any OpenAI client; Ctrl-C stops."""
    if context.invoked_subcommand is not None:
        return
    behind = _behind(upstream, engine, record=record, base=base, key_variable=upstream_key_env, model=model)
    limits = Limits(
        body_bytes=max_body,
        messages=max_messages,
        tokens=max_tokens,
        running=max_running,
        waiting=max_waiting,
        drain_seconds=drain_seconds,
    )
    with open_terminal(as_json) as terminal, _extra_installed():
        from langgraph_ratchet.cli.environment import read_settings
        from langgraph_ratchet.serving.server import listen
        from langgraph_ratchet.serving.start import Place

        settings = read_settings()
        with listen(host, port) as listener:
            place = Place(listener, None if no_keys else key_file(), limits)
            name = model or settings.ratchet_model
            starts = _supervise(None if behind is not None else name, terminal) if restart else 0
            say = partial(_say, place, terminal) if starts == 0 else _say_nothing
            if behind is not None:
                all_ended = _serve_behind(place, behind, settings, say)
            else:
                all_ended = _serve_model(place, name, tools, allow, settings, say)
        terminal.line("Stopped." if all_ended else f"Stopped; what ran longer than {drain_seconds:g} s was cut off.")


def _behind(
    upstream: str | None,
    engine: str | None,
    *,
    record: bool,
    base: str | None,
    key_variable: str | None,
    model: str | None,
) -> Behind | None:
    """What the options say of another server; wrong usage when they exclude each other."""
    if upstream is None and engine is None:
        if record or base or key_variable:
            raise typer.BadParameter("--record, --base and --upstream-key-env go with --upstream or --engine")
        return None
    if upstream is not None and engine is not None:
        raise typer.BadParameter("--upstream and --engine exclude each other: vLLM is behind both")
    if model is not None:
        raise typer.BadParameter("--model is for serving from this process: leave it out with --upstream and --engine")
    if engine is not None and not engine.startswith("vllm:"):
        raise typer.BadParameter(f"--engine is {engine!r}: give vllm:URL, such as vllm:http://127.0.0.1:8001")
    key = None
    if key_variable is not None and not (key := os.environ.get(key_variable)):
        raise BadInputError(f"the variable {key_variable} is not set: put the upstream's key in it")
    url = upstream if engine is None else engine.removeprefix("vllm:")
    assert url is not None
    return Behind(url=url, pushes=engine is not None, record=record, base=base, key=key)


@contextmanager
def _extra_installed() -> Iterator[None]:
    """Turns the lack of a package into the command that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise MissingExtraError("ratchet serve", "serve") from error


def _supervise(model: str | None, terminal: Terminal) -> int:
    """Returns, in the process that serves, how often it was started before; the other one waits for it.

    Args:
        model: what will be served: all that this needs is imported before; `None` needs nothing.
        terminal: where waiting is shown.
    """
    from langgraph_ratchet.serving.supervisor import preload, supervise

    if model is not None:
        with terminal.console.status(f"loading what {model} needs"):
            preload(model)
    return supervise()


def _serve_model(
    place: "Place", name: str, tools: str | None, allow: str | None, settings: "Settings", say: Say
) -> bool:
    from langgraph_ratchet.registry import Registry
    from langgraph_ratchet.serving.start import serve_models
    from langgraph_ratchet.traces.store import TraceStore

    chosen = chosen_tools(tools, settings)

    def on_ready(ids: list[str]) -> None:
        say("Models", ", ".join(ids), {"models": ids})

    return serve_models(
        place,
        name,
        registry=Registry(settings.model_save_path),
        tools=chosen,
        allow=allowed(allow, settings, chosen),
        store=TraceStore(settings.trace_store),
        on_ready=on_ready,
    )


def _serve_behind(place: "Place", behind: Behind, settings: "Settings", say: Say) -> bool:
    from langgraph_ratchet.registry import Registry
    from langgraph_ratchet.serving.proxy.upstream import Upstream
    from langgraph_ratchet.serving.start import serve_upstream

    # A key of this server's own is no business of the other's.
    upstream = Upstream(behind.url, key=behind.key, pass_keys=not place.needs_keys)
    said: dict[str, Any] = {"upstream": upstream.url, "records": behind.record, "pushes": behind.pushes}
    shown = upstream.url + (f", recorded in {settings.trace_store}" if behind.record else "")
    return serve_upstream(
        place,
        upstream,
        recorder=_recorder(behind, settings) if behind.record else None,
        registry=Registry(settings.model_save_path) if behind.pushes else None,
        on_ready=lambda: say("Passes to", shown, said),
    )


def _recorder(behind: Behind, settings: "Settings") -> "ExchangeRecorder":
    from langgraph_ratchet.chat_models.base import base_fingerprint
    from langgraph_ratchet.serving.proxy.recording import ExchangeRecorder
    from langgraph_ratchet.traces.store import TraceStore

    fingerprint = None if behind.base is None else base_fingerprint(behind.base)
    return ExchangeRecorder(TraceStore(settings.trace_store), fingerprint=fingerprint)


def _say(place: "Place", terminal: Terminal, what: str, shown: str, said: dict[str, Any]) -> None:
    """The address and what is served there, as soon as it is."""
    terminal.row("Listens on", f"{place.address}/v1", "bold")
    terminal.row(what, shown)
    terminal.row("API keys", "every request needs one" if place.needs_keys else "none: whoever reaches it may ask")
    terminal.row("Stop", "Ctrl-C; what runs comes to its end, a second Ctrl-C ends it at once")
    terminal.result({"url": place.address, "keys": place.needs_keys, "pid": os.getpid(), **said})


def _say_nothing(what: str, shown: str, said: dict[str, Any]) -> None:
    """A server that was started anew is where it was, and the one JSON object has been printed."""
