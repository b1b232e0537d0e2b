"""`read_file`: a text file below a root, a page at a time."""

from pathlib import Path

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from langgraph_ratchet.core.settings import Settings
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.files.paths import shown
from langgraph_ratchet.tools.files.root import Root
from langgraph_ratchet.tools.spec import Effect, ToolSpec

_PAGE_CHARS = 6_000
_NOTE_CHARS = 200

SPEC = ToolSpec(
    effects=frozenset({Effect.READS}), timeout_s=10.0, output_cap=_PAGE_CHARS + _NOTE_CHARS, trust=Trust.UNTRUSTED
)


def read_file_tool(root: Path | None = None) -> BaseTool:
    """The tool `read_file(path, start)`.

    It reads plain UTF-8 files of up to a megabyte; no links, and no file that has several names (hard links).

    Args:
        root: the folder of files; `None`: the one in the settings.

    Raises:
        BadInputError: this system cannot keep the tool inside the folder.
    """
    files = Root(root or Settings().files_root)

    def read(path: str, start: int = 0) -> str:
        return _page(_text(files.read(path), path), start)

    return StructuredTool.from_function(
        read,
        name="read_file",
        description=f"Read a text file, {_PAGE_CHARS:,} characters at a time; start: the first character to read.",
        metadata=SPEC.metadata(),
    )


def _text(data: bytes, path: str) -> str:
    if (position := data.find(b"\x00")) >= 0:
        raise ToolException(f"{shown(path)} is not a text: byte {position:,} is 0. Only UTF-8 texts are read")
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        byte = f"byte {error.start:,} is 0x{data[error.start]:02x}"
        raise ToolException(f"{shown(path)} is not UTF-8: {byte}. Only UTF-8 texts are read") from None


def _page(text: str, start: int) -> str:
    """Up to a page from `start`, ending with a line where it can, and what to ask for next."""
    if start < 0 or (start and start >= len(text)):
        raise ToolException(f"start must be from 0 to {max(len(text) - 1, 0)}, the file has {len(text)} characters")
    if not text:
        return "[the file is empty]"
    end = start + _PAGE_CHARS
    if end >= len(text):
        return text[start:]
    end = text.rfind("\n", start, end) + 1 or end
    page = text[start:end].removesuffix("\n")
    return f"{page}\n[characters {start} to {end} of {len(text)}; go on with start={end}]"
