"""Each way of shutting code in that works here, and what a run of it is on the host."""

import os
import secrets
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from langgraph_ratchet.core.sandbox import Limits, Ran
from langgraph_ratchet.core.sandbox.find import SANDBOXES, Sandbox

_MOUNT = ("mount", "-t", "tmpfs", "tmpfs", "/tmp")
# What a machine must allow: where these work and a sandbox does not, the fault is ours.
ALLOWED = {
    "bwrap": ("bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--ro-bind", "/", "/", "true"),
    "unshare": ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--net", "--fork", *_MOUNT),
}
_FAULTS: dict[str, str | None] = {}


@pytest.fixture(params=SANDBOXES, ids=lambda each: each.name)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    found: Sandbox = request.param
    if found.name not in _FAULTS:
        _FAULTS[found.name] = found.fault()
    if (fault := _FAULTS[found.name]) is not None:
        assert not allowed(found.name), f"the machine allows {found.name}, which does not work: {fault}"
        pytest.skip(f"not verified here: {found.name} shuts code in ({fault})")
    return found


def allowed(name: str) -> bool:
    try:
        return subprocess.run(ALLOWED[name], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture
def watch(sandbox: Sandbox) -> "Callable[..., Watch]":
    """Makes a `Watch` over runs in the sandbox."""
    return lambda wall_s=20.0, cpu_s=10: Watch(sandbox, wall_s, cpu_s)


class Watch:
    """Counts the processes of one run on the host, and their memory, while it lasts.

    A number that no other run has, among the limits, stands in their command lines.
    """

    def __init__(self, sandbox: Sandbox, wall_s: float, cpu_s: int) -> None:
        self.sandbox = sandbox
        self.limits = Limits(memory_bytes=(256 << 20) + secrets.randbelow(1 << 20), cpu_s=cpu_s, wall_s=wall_s)
        self.mark = str(self.limits.memory_bytes).encode()
        self.most_processes = self.most_threads = self.most_bytes = 0

    def processes(self) -> Iterator[Path]:
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and self.mark in (folder / "cmdline").read_bytes().split(b"\0"):
                    yield folder
            except OSError:  # it has just ended
                continue

    def look(self) -> None:
        threads, size, found = 0, 0, 0
        for folder in self.processes():
            try:
                pages = int((folder / "statm").read_text().split()[1])
                threads += len(os.listdir(folder / "task"))
            except OSError:
                continue
            found, size = found + 1, size + pages * os.sysconf("SC_PAGE_SIZE")
        self.most_processes = max(self.most_processes, found)
        self.most_threads = max(self.most_threads, threads)
        self.most_bytes = max(self.most_bytes, size)

    def run(self, code: str) -> Ran:
        over = threading.Event()

        def keep_looking() -> None:
            while not over.wait(0.005):
                self.look()

        looking = threading.Thread(target=keep_looking)
        looking.start()
        try:
            return self.sandbox.run(code, self.limits)
        finally:
            over.set()
            looking.join()
            assert not list(self.processes()), "something is left"
