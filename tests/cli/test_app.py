"""The list of verbs, and what becomes of errors."""

import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import Result

from langgraph_ratchet.cli import app as command
from langgraph_ratchet.cli.exit_status import ExitStatus, status_of
from langgraph_ratchet.cli.verb import new_verb
from langgraph_ratchet.core.decision import Verdict
from langgraph_ratchet.core.errors import BadInputError

Ratchet = Callable[..., Result]


def leaves(commands: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Commands that do something, with how they are called."""
    if hasattr(commands, "commands"):
        for child, inner in commands.commands.items():
            yield from leaves(inner, f"{name} {child}")
    else:
        yield name, commands


def test_help_lists_every_verb_with_its_line(ratchet: Ratchet) -> None:
    shown = ratchet("--help")
    assert shown.exit_code == 0
    for name, line in command.VERBS.items():
        assert f"{name} " in shown.stdout
        assert line in shown.stdout


def test_help_imports_no_verb_and_nothing_slow() -> None:
    code = (
        "import sys; sys.argv = ['ratchet', '--help']\n"
        "from langgraph_ratchet.cli import main\n"
        "try: main()\n"
        "except SystemExit: print('loaded', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split("loaded")[1].split())
    verbs = {f"langgraph_ratchet.cli.{name}" for name in command.VERBS}
    slow = {
        "langgraph",
        "langchain_core",
        "pydantic",
        "pydantic_settings",
        "rich",
        "sqlalchemy",
        "torch",
        "transformers",
    }
    assert not loaded & (verbs | slow)


@pytest.mark.parametrize("verb", command.VERBS)
def test_every_verb_is_there_takes_json_and_says_what_it_does(verb: str) -> None:
    commands = get_command(import_module(f"langgraph_ratchet.cli.{verb}").app)
    found = list(leaves(commands, verb))
    assert found
    for name, leaf in found:
        options = {option for parameter in leaf.params for option in parameter.opts}
        assert "--json" in options, name
        assert leaf.help, name


@pytest.mark.parametrize("verb", command.VERBS)
def test_every_verb_shows_its_help(ratchet: Ratchet, verb: str) -> None:
    for flag in ("--help", "-h"):
        shown = ratchet(verb, flag)
        assert (shown.exit_code, shown.stderr) == (0, "")
        assert f"Usage: ratchet {verb}" in shown.stdout


def test_an_unknown_verb_is_wrong_usage_and_a_near_one_is_named(ratchet: Ratchet) -> None:
    done = ratchet("rolback")
    assert done.exit_code == ExitStatus.WRONG_USAGE
    assert "Did you mean 'rollback'?" in done.stderr


def test_wrong_usage_of_a_verb(ratchet: Ratchet) -> None:
    assert ratchet("traces", "ls", "--limit", "none").exit_code == ExitStatus.WRONG_USAGE
    assert ratchet("traces", "ls", "--outcome", "happy").exit_code == ExitStatus.WRONG_USAGE
    assert ratchet("solve").exit_code == ExitStatus.WRONG_USAGE


def test_the_version(ratchet: Ratchet) -> None:
    shown = ratchet("--version")
    assert shown.exit_code == 0
    assert shown.stdout.startswith("langgraph-ratchet ")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Adds a verb `fail` that raises what it is given."""

    def add(error: BaseException, *, resumable: bool = False) -> None:
        def fail(resume: bool = False) -> None:
            raise error

        def fail_for_good() -> None:
            raise error

        module = types.ModuleType("langgraph_ratchet.cli.fail")
        module.app = new_verb()  # type: ignore[attr-defined]
        module.app.command()(fail if resumable else fail_for_good)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(command.VERBS, "fail", "Fails")

    return add


def test_an_error_is_one_line_without_control_codes(ratchet: Ratchet, failing: Callable[..., None]) -> None:
    failing(BadInputError("first\nsecond \x1b[2Jthird"))
    done = ratchet("fail")
    assert done.exit_code == ExitStatus.FAILED
    assert (done.stdout, done.stderr) == ("", "error: first second \\x1b[2Jthird\n")


@pytest.mark.parametrize(("resumable", "advice"), [(True, " Go on with --resume"), (False, "")])
def test_ctrl_c_says_what_is_left(ratchet: Ratchet, failing: Callable[..., None], resumable: bool, advice: str) -> None:
    failing(KeyboardInterrupt(), resumable=resumable)
    done = ratchet("fail")
    assert done.exit_code == ExitStatus.STOPPED
    assert done.stderr.strip() == f"stopped; nothing recorded is lost.{advice}"


def test_a_bug_keeps_its_traceback(ratchet: Ratchet, failing: Callable[..., None]) -> None:
    failing(ZeroDivisionError("a bug"))
    assert isinstance(ratchet("fail").exception, ZeroDivisionError)


def test_ctrl_c_in_a_process(folder: Path) -> None:
    # The settings are read from a pipe that nobody fills: so it is known where the process waits.
    os.mkfifo(folder / ".env")
    code = "from langgraph_ratchet.cli import main; main()"
    command_line = [sys.executable, "-c", code, "models"]
    with subprocess.Popen(command_line, stderr=subprocess.PIPE, text=True) as child, open(folder / ".env", "w"):
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert child.returncode == ExitStatus.STOPPED
    assert said.strip() == "stopped; nothing recorded is lost."


def test_an_unusable_setting_is_named(ratchet: Ratchet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_PROMOTION", "perhaps")
    done = ratchet("models")
    assert done.exit_code == ExitStatus.FAILED
    assert "RATCHET_PROMOTION='perhaps'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_status_says_the_verdict() -> None:
    assert [status_of(verdict) for verdict in Verdict] == [0, 3, 4]
