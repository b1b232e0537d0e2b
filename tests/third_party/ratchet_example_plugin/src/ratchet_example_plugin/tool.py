"""The tool `count_letters`."""

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.spec import ToolSpec

SPEC = ToolSpec(timeout_s=5.0, output_cap=20, trust=Trust.OWN)


def count(letter: str, text: str) -> str:
    """How often `letter` occurs in `text`, whatever its case."""
    if len(letter) != 1:
        raise ToolException(f"letter has {len(letter)} characters; give one")
    return str(text.lower().count(letter.lower()))


def count_letters_tool() -> BaseTool:
    """The tool `count_letters`."""
    return StructuredTool.from_function(
        count, name="count_letters", description="Count how often a letter occurs in a text.", metadata=SPEC.metadata()
    )
