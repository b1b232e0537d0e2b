"""`recall`: finds what was remembered, with who wrote it and how far it is trusted."""

from langchain_core.tools import BaseTool, StructuredTool

from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.memory import Memory, Recollection, settings_memory
from langgraph_ratchet.tools.spec import Effect, ToolSpec

# Untrusted as long as it is not known which records there are; a result of trusted ones only says so itself.
SPEC = ToolSpec(effects=frozenset({Effect.READS}), timeout_s=30.0, output_cap=4_000, trust=Trust.UNTRUSTED)

_MOST = 5
_SOURCE_CHARS = 200


def recall_tool(memory: Memory | None = None) -> BaseTool:
    """The tool `recall(query)`.

    Args:
        memory: where it looks; `None`: the one in the settings.

    Raises:
        MissingExtraError: the extra `memory` is not installed.
        BadInputError: the embedding in the settings cannot be made.
    """
    kept = memory or settings_memory()

    def recall(query: str) -> tuple[str, Trust]:
        found = kept.recall(query, k=_MOST)
        if not found:
            empty = "" if len(kept) else ": nothing is remembered yet"
            return f"nothing found for '{query.strip()[:60]}'{empty}", Trust.OWN
        trusted = all(each.trust is Trust.OWN for each in found)
        return "\n".join(map(shown, found)), Trust.OWN if trusted else Trust.UNTRUSTED

    return StructuredTool.from_function(
        recall,
        name="recall",
        description="Look for something that was remembered in earlier runs.",
        response_format="content_and_artifact",
        metadata=SPEC.metadata(),
    )


def shown(recollection: Recollection) -> str:
    """A record as one line, which says what it is and whether it is other people's text."""
    others = "" if recollection.trust is Trust.OWN else ", untrusted"
    source = f", from {_line(recollection.source)[:_SOURCE_CHARS]}" if recollection.source else ""
    return f"[{recollection.kind}{others}{source}] {_line(recollection.text)}"


def _line(text: str) -> str:
    return " ".join(text.split())
