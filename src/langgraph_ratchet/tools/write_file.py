"""`write_file`: makes or replaces a text file below a root, whole or not at all."""

from pathlib import Path

from langchain_core.tools import BaseTool, StructuredTool

from langgraph_ratchet.core.ids import clean_text
from langgraph_ratchet.core.settings import Settings
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.files.paths import shown
from langgraph_ratchet.tools.files.root import Root
from langgraph_ratchet.tools.spec import Effect, ToolSpec

SPEC = ToolSpec(effects=frozenset({Effect.WRITES}), timeout_s=10.0, output_cap=400, trust=Trust.OWN)


def write_file_tool(root: Path | None = None) -> BaseTool:
    """The tool `write_file(path, text)`.

    It makes the folders on the way and replaces what is there; a file of up to a megabyte, in UTF-8.

    Args:
        root: the folder of files, made when first written to; `None`: the one in the settings.

    Raises:
        BadInputError: this system cannot keep the tool inside the folder.
    """
    files = Root(root or Settings().files_root)

    def write(path: str, text: str) -> str:
        text = clean_text(text)
        replaced = files.write(path, text.encode())
        return f"{'replaced' if replaced else 'made'} {shown(path)}: {len(text):,} characters"

    return StructuredTool.from_function(
        write,
        name="write_file",
        description="Write a text file: the whole text; a file that is there is replaced.",
        metadata=SPEC.metadata(),
    )
