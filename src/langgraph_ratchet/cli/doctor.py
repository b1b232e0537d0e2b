"""`ratchet doctor`: what is installed and works, and the fix for each lack."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from langgraph_ratchet.cli.exit_status import ExitStatus
from langgraph_ratchet.cli.printable import one_line
from langgraph_ratchet.cli.terminal import Terminal, open_terminal
from langgraph_ratchet.cli.verb import AsJson, new_verb
from langgraph_ratchet.core.errors import RatchetError
from langgraph_ratchet.core.finding import Finding, State
from langgraph_ratchet.core.visible import counted

if TYPE_CHECKING:
    from langgraph_ratchet.core.settings import Settings

app = new_verb()

Check = Callable[[], Finding | Iterable[Finding]]

_STYLES = {State.OK: "green", State.LACK: "yellow", State.BROKEN: "bold red"}


@app.command()
def doctor(
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out what takes seconds: torch's device, and reading the whole store.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what is installed and works, and the fix for each lack.

    Exit status 0 when what Ratchet itself needs works, whatever optional parts lack; 1 when something is broken.
    Nothing is sent anywhere, and no key's value is shown.
    """
    with open_terminal(as_json) as terminal:
        findings = list(examine(quick=quick))
        broken = [finding for finding in findings if finding.state is State.BROKEN]
        lacks = [finding for finding in findings if finding.state is State.LACK]
        _print(terminal, findings)
        terminal.blank()
        terminal.line(_summary(len(broken), len(lacks)), style="bold")
        terminal.result({"healthy": not broken, "findings": [asdict(finding) for finding in findings]})
    raise typer.Exit(ExitStatus.FAILED if broken else ExitStatus.DONE)


def examine(*, quick: bool = False) -> Iterator[Finding]:
    """Every finding, in the order they are shown. A check that fails unexpectedly is a finding too."""
    with ThreadPoolExecutor() as pool:  # what waits for a process waits beside the others
        for name, found in [(name, pool.submit(_run, name, check)) for name, check in _checks(quick)]:
            yield from found.result() or [Finding(name, name, State.OK, "nothing to look at")]


def _checks(quick: bool) -> Iterator[tuple[str, Check]]:
    yield "install", _installation
    yield "device", lambda: _device(ask=not quick)
    yield "settings", lambda: _in_force(whole=not quick)
    yield "plugins", _plugins
    yield "sandbox", _sandbox


# Each imports its part itself: what is broken there is then said of that part alone.


def _installation() -> Iterator[Finding]:
    from langgraph_ratchet.core.installation import check_packages, check_python

    yield check_python()
    yield from check_packages()


def _device(*, ask: bool) -> Iterator[Finding]:
    from langgraph_ratchet.chat_models.device import check_device, check_machine

    yield check_machine()
    yield check_device(ask=ask)


def _plugins() -> Iterator[Finding]:
    from importlib.metadata import entry_points

    if not any(group.startswith("langgraph_ratchet.") for group in entry_points().groups):
        yield Finding("plugin", "plugins", State.OK, "no other package offers any")
        return
    from langgraph_ratchet.grading.graders import graders_of
    from langgraph_ratchet.problems import FAMILIES
    from langgraph_ratchet.reasoning.strategy import STRATEGIES
    from langgraph_ratchet.tools import TOOLS
    from langgraph_ratchet.training.trainers import TRAINERS

    for kind in (TOOLS, STRATEGIES, FAMILIES, graders_of(), TRAINERS):
        for plugin in kind.others():
            state = State.OK if plugin.fault is None else State.LACK
            fix = None if plugin.fault is None else f"mend, update or uninstall {plugin.package}"
            said = plugin.fault or f"of {plugin.package}"
            yield Finding("plugin", f"{plugin.kind} {plugin.name}", state, said, fix, asdict(plugin))


def _sandbox() -> Iterator[Finding]:
    from langgraph_ratchet.core.sandbox import check_sandbox

    yield check_sandbox()


def _in_force(*, whole: bool) -> Iterator[Finding]:
    import tempfile
    from pathlib import Path

    from langgraph_ratchet.cli.environment import read_settings
    from langgraph_ratchet.core.disk import check_folder
    from langgraph_ratchet.core.in_force import check_keys, check_settings, check_strict_checkpoints

    yield check_strict_checkpoints()
    try:
        settings = read_settings()
    except RatchetError as error:
        yield Finding("setting", "settings", State.BROKEN, str(error), "correct it in the environment or in .env")
        return
    yield from check_settings(settings)
    yield from check_keys(settings.ratchet_model)
    yield check_folder("temporary files", Path(tempfile.gettempdir()))
    yield check_folder("training data", settings.training_data_path)
    yield check_folder("models", settings.model_save_path)
    yield from _stored(settings, whole=whole)


def _stored(settings: "Settings", *, whole: bool) -> Iterator[Finding]:
    from langgraph_ratchet.registry import Registry
    from langgraph_ratchet.registry.health import check_registry
    from langgraph_ratchet.traces.health import check_store

    yield check_registry(Registry(settings.model_save_path))
    yield check_store(settings.training_data_path / "traces.db", whole=whole)


def _run(name: str, check: Check) -> list[Finding]:
    found: list[Finding] = []
    try:
        result = check()
        for finding in [result] if isinstance(result, Finding) else result:
            found.append(finding)
    except Exception as error:  # A doctor must not die of what it was called for.
        said = f"could not be looked at: {type(error).__name__}: {error}"
        found.append(
            Finding(name, name, State.BROKEN, said, "reinstall: pip install --force-reinstall langgraph-ratchet")
        )
    return found


def _print(terminal: Terminal, findings: list[Finding]) -> None:
    from rich.text import Text

    width = max(len(f"{finding.part} {finding.name}") for finding in findings)
    part = ""
    for finding in findings:
        if part and finding.part != part:
            terminal.blank()
        part = finding.part
        line = Text.assemble(
            (f"{finding.state.value:<7}", _STYLES[finding.state]),
            (f"{finding.part} {finding.name}".ljust(width + 2), "dim"),
            one_line(finding.said, limit=2_000),
        )
        terminal.console.print(line, soft_wrap=True)
        if finding.fix is not None:
            terminal.line(f"{'':<7}{'':<{width + 2}}fix: {one_line(finding.fix, limit=2_000)}", style="")


def _summary(broken: int, lacks: int) -> str:
    if broken:
        return f"{broken} broken: Ratchet does not work as it should until that is mended."
    return "All is well." if not lacks else f"Ratchet works; {counted(lacks, 'optional part')} could be better."
