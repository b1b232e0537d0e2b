"""The ways of shutting code in, and which of them works here: `ratchet doctor` and the tool `python` ask the same."""

import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from langgraph_ratchet.core.errors import SandboxError
from langgraph_ratchet.core.finding import Finding, State
from langgraph_ratchet.core.sandbox.box import Ending, Limits, Ran, arguments_inside, run_shut_in
from langgraph_ratchet.core.sandbox.calls import refusing
from langgraph_ratchet.core.sandbox.layout import PYTHON, interpreter, operations, surroundings

_PROBE, _PROVED = "6 * 7", "42\n"
_PYTHON_OPTIONS = ("-I", "-S", "-B", "-X", "utf8", "-c")
_BUBBLEWRAP_OPTIONS = (
    *("--unshare-user", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"),
    *("--unshare-pid", "--as-pid-1", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--hostname", "sandbox"),
    *("--unshare-cgroup-try", "--die-with-parent"),
)


@dataclass(frozen=True)
class Sandbox:
    """A way of shutting code in: `bwrap` or `unshare`."""

    name: str

    def run(self, code: str, limits: Limits | None = None) -> Ran:
        """Runs Python code that sees an interpreter, its standard library, an empty folder, and nothing else.

        It has no network, no environment, one thread, and no way to start a process. Each run begins anew.

        Args:
            code: any text; what is no Python ends in a traceback.
            limits: the usual ones by default.

        Raises:
            SandboxError: the sandbox cannot be made; the code was not run.
        """
        limits = limits or Limits()
        command = [*_WAYS[self.name](limits), "--", PYTHON, *_PYTHON_OPTIONS, _source("inside")]
        environment = surroundings() if self.name == "unshare" else {}
        return run_shut_in([*command, *arguments_inside(limits, refusing())], environment, code, limits)

    def fault(self) -> str | None:
        """Why this does not work here; `None` when it does. Found by running code."""
        if sys.platform != "linux":
            return f"needs Linux, this is {sys.platform}"
        try:
            ran = self.run(_PROBE)
        except SandboxError as error:
            return str(error)
        said = " ".join(ran.output.split())[-300:]
        return None if (ran.output, ran.ending) == (_PROVED, Ending.DONE) else f"{ran.ending}: {said}"


def _bubblewrap(limits: Limits) -> list[str]:
    program = shutil.which("bwrap")
    if program is None:
        raise SandboxError("not installed")
    return [program, *_BUBBLEWRAP_OPTIONS, *operations(limits.folder_bytes)]


def _unshare(limits: Limits) -> list[str]:
    return [interpreter(), *_PYTHON_OPTIONS, _source("namespaces"), *operations(limits.folder_bytes)]


_WAYS: dict[str, Callable[[Limits], list[str]]] = {"bwrap": _bubblewrap, "unshare": _unshare}
SANDBOXES = tuple(Sandbox(name) for name in _WAYS)
"""All there are, the preferred one first."""

_found: list[Sandbox] = []
_finding = threading.Lock()


def find_sandbox() -> Sandbox:
    """The first one that works here. Looked for until one was found, then remembered.

    Raises:
        SandboxError: none works; the message says why, and what to do.
    """
    with _finding:
        if not _found:
            faults: dict[str, str] = {}
            for sandbox in SANDBOXES:
                fault = sandbox.fault()
                if fault is None:
                    _found.append(sandbox)
                    break
                faults[sandbox.name] = fault
            else:
                raise SandboxError(f"no sandbox works here ({_told(faults)}): {_fix()}")
        return _found[0]


def check_sandbox() -> Finding:
    """Whether each of them works, found by running code in it."""
    faults = {sandbox.name: sandbox.fault() for sandbox in SANDBOXES}
    facts = {name: {"works": fault is None, "fault": fault} for name, fault in faults.items()}
    found = {name: fault for name, fault in faults.items() if fault is not None}
    working = [name for name in faults if name not in found]
    if not working:
        said = f"the tool 'python' refuses to run anything: {_told(found)}"
        return Finding("sandbox", "sandbox", State.LACK, said, _fix(), facts)
    said = f"the tool 'python' shuts code in with {working[0]}" + (f" ({_told(found)})" if found else "")
    return Finding("sandbox", "sandbox", State.OK, said, None, facts)


def _told(faults: dict[str, str]) -> str:
    return "; ".join(f"{name}: {fault}" for name, fault in faults.items())


def _fix() -> str:
    if sys.platform != "linux":
        return "run Ratchet in a Linux container or virtual machine"
    if shutil.which("bwrap") is None:
        return "install bubblewrap (apt install bubblewrap, dnf install bubblewrap)"
    return (
        "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1; on Ubuntu also "
        "kernel.apparmor_restrict_unprivileged_userns=0), or run outside of the container"
    )


@cache
def _source(name: str) -> str:
    return (files("langgraph_ratchet.core.sandbox") / f"{name}.py").read_text(encoding="utf-8")
