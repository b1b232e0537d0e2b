"""A root with a world around it that must stay as it is, and a record of what the tools ask the system for."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_core.messages import ToolCall
from langchain_core.tools import BaseTool

from langgraph_ratchet.tools.list_files import list_files_tool
from langgraph_ratchet.tools.read_file import read_file_tool
from langgraph_ratchet.tools.runner import ToolResult, run_tool
from langgraph_ratchet.tools.write_file import write_file_tool

SECRET = "the canary sings"
_DEPTH = 12
_FILE_EVENTS = ("open", "os.", "shutil.", "glob.", "pathlib.")

Event = tuple[str, tuple[Any, ...]]
_watchers: dict[int, Callable[[Event], None]] = {}
"""What each watched thread's events go to."""
_installed: list[Any] = []
"""The hook, once there is one: it can't be taken away again."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watchers and event.startswith(_FILE_EVENTS):
        see = _watchers.pop(threading.get_ident(), None)
        if see is not None:  # away meanwhile: what it does itself is not watched
            see((event, arguments))
            _watchers[threading.get_ident()] = see


@contextmanager
def watched(see: Callable[[Event], None]) -> Iterator[None]:
    """Tells `see` of each thing that this thread asks of the file system, before it is done."""
    if _audit not in _installed:
        sys.addaudithook(_audit)
        _installed.append(_audit)
    _watchers[threading.get_ident()] = see
    try:
        yield
    finally:
        _watchers.pop(threading.get_ident(), None)


def beyond(root: Path, event: Event) -> bool:
    """Whether an event is anything but: opening the root, or one name below an open folder without following links."""
    name, arguments = event
    if name == "open":
        path, _, flags = arguments
        return path != str(root) and not (_is_name(path) and flags & os.O_NOFOLLOW)
    if name == "os.mkdir":
        path, _, folder = arguments
        return path != str(root) and (folder < 0 or not _is_name(path))
    if name == "os.rename":
        source, target, *folders = arguments
        return min(folders) < 0 or not (_is_name(source) and _is_name(target))
    if name == "os.remove":
        return arguments[1] < 0 or not _is_name(arguments[0])
    return not (name in ("os.scandir", "os.chmod") and isinstance(arguments[0], int))


def _is_name(path: Any) -> bool:
    return isinstance(path, str) and path not in ("", ".", "..") and "/" not in path


def snapshot(folder: Path, without: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every name below a folder but those below `without`: mode, time of the last change and content."""
    found = {}
    for above, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if Path(above, name) != without]
        for name in [*folders, *files]:
            path = Path(above, name)
            status = path.lstat()
            found[str(path)] = (status.st_mode, status.st_mtime_ns, path.read_bytes() if path.is_file() else b"")
    return found


class Files:
    """The three tools on a root deep in a folder of their own, with a canary in every folder above it."""

    def __init__(self, world: Path) -> None:
        self.world = world
        self.root = world.joinpath(*(f"level{n}" for n in range(_DEPTH)), "root")
        self.root.mkdir(parents=True)
        for above in self.root.parents[:_DEPTH]:
            (above / "canary.txt").write_text(SECRET)
        made: list[BaseTool] = [read_file_tool(self.root), write_file_tool(self.root), list_files_tool(self.root)]
        self.tools = {tool.name: tool for tool in made}

    @property
    def outside(self) -> Path:
        """The folder just above the root."""
        return self.root.parent

    def use(self, name: str, **arguments: Any) -> ToolResult:
        return run_tool(self.tools[name], ToolCall(name=name, args=arguments, id="1"))

    def read(self, path: str, **arguments: Any) -> ToolResult:
        return self.use("read_file", path=path, **arguments)

    def write(self, path: str, text: str) -> ToolResult:
        return self.use("write_file", path=path, text=text)

    def list(self, folder: str = "") -> ToolResult:
        return self.use("list_files", folder=folder)
