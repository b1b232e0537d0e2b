"""`list_files`: what a folder below a root holds."""

from pathlib import Path

from langchain_core.tools import BaseTool, StructuredTool

from langgraph_ratchet.core.settings import Settings
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.files.paths import listed
from langgraph_ratchet.tools.files.root import Entry, Root
from langgraph_ratchet.tools.spec import Effect, ToolSpec

_MOST = 200
"""Entries that are shown."""
_LIST_CHARS = 6_000
_NOTE_CHARS = 200

SPEC = ToolSpec(
    effects=frozenset({Effect.READS}), timeout_s=10.0, output_cap=_LIST_CHARS + _NOTE_CHARS, trust=Trust.UNTRUSTED
)


def list_files_tool(root: Path | None = None) -> BaseTool:
    """The tool `list_files(folder)`: one entry per line, by name, hidden ones left out.

    Args:
        root: the folder of files; `None`: the one in the settings.

    Raises:
        BadInputError: this system cannot keep the tool inside the folder.
    """
    files = Root(root or Settings().files_root)

    def show(folder: str = "") -> str:
        entries, count, all_counted = files.entries(folder, _MOST)
        return _list(entries, count, all_counted)

    return StructuredTool.from_function(
        show,
        name="list_files",
        description='List a folder: its files with their sizes, and its folders; "" is the uppermost.',
        metadata=SPEC.metadata(),
    )


def _list(entries: list[Entry], count: int, all_counted: bool) -> str:
    """A line for each entry while there is room, and how many more there are."""
    lines: list[str] = []
    room = _LIST_CHARS
    for entry in entries:
        line = _line(entry)
        room -= len(line) + 1
        if room < 0:
            break
        lines.append(line)
    left = count - len(lines)
    if left or not all_counted:
        lines.append(f"[{'' if all_counted else 'at least '}{left:,} more]")
    return "\n".join(lines) or "the folder is empty"


def _line(entry: Entry) -> str:
    name = listed(entry.name)
    if entry.kind == "folder":
        return f"{name}/"
    return f"{name} ({entry.size:,} bytes)" if entry.kind == "file" else f"{name} (not a plain file: cannot be read)"
