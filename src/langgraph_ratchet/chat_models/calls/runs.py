"""Which run a call of a chat model belongs to, as its LangChain config says: the engine lets runs in turn by turn."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

RUN_KEY = "ratchet_run"
"""Key of a config's metadata whose value names the run."""


def run_of(metadata: Mapping[str, Any] | None, parent_run_id: UUID | None = None) -> str | None:
    """The run that a call belongs to: `ratchet_run` if somebody set it, else LangGraph's `thread_id`, else the caller.

    Args:
        metadata: of the call, as its callback manager has it.
        parent_run_id: LangChain's id of what made the call.
    """
    for key in (RUN_KEY, "thread_id"):
        if metadata and metadata.get(key) is not None:
            return str(metadata[key])
    return str(parent_run_id) if parent_run_id else None
