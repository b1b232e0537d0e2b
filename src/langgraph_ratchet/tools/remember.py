"""`remember`: keeps a fact or a lesson for later runs. It asks first, as everything that outlives a run."""

from typing import Annotated, Literal

from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool, ToolException

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.memory import Memory, settings_memory
from langgraph_ratchet.tools.runner import RunInfo
from langgraph_ratchet.tools.spec import Effect, ToolSpec

SPEC = ToolSpec(effects=frozenset({Effect.WRITES}), timeout_s=30.0, output_cap=400, trust=Trust.OWN)

_WRITER = "model"


def remember_tool(memory: Memory | None = None) -> BaseTool:
    """The tool `remember(text, kind, source)`.

    What it writes is untrusted, unless it is called in a run that has read no untrusted text.

    Args:
        memory: where it writes; `None`: the one in the settings.

    Raises:
        MissingExtraError: the extra `memory` is not installed.
        BadInputError: the embedding in the settings cannot be made.
    """
    kept = memory or settings_memory()

    def remember(
        text: str,
        kind: Literal["fact", "lesson"] = "fact",
        source: str = "",
        run: Annotated[RunInfo | None, InjectedToolArg] = None,
    ) -> str:
        own = run is not None and not run.untrusted
        try:
            id_ = kept.remember(
                text,
                kind=kind,
                writer=_WRITER,
                source=source.strip() or None,
                run=run.trace_id if run else None,
                trust=Trust.OWN if own else Trust.UNTRUSTED,
            )
        except BadInputError as error:
            raise ToolException(str(error)) from error
        return f"remembered as {id_}"

    return StructuredTool.from_function(
        remember,
        name="remember",
        description="Remember a fact or a lesson for later, complete in itself; say its source if it has one.",
        metadata=SPEC.metadata(),
    )
