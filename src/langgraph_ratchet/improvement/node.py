"""How a node of the improvement graph is run: alone, admitted, timed, its progress streamed, in sync and async form."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from langchain_core.runnables import RunnableLambda
from langgraph.config import get_stream_writer
from langgraph.types import Overwrite

from langgraph_ratchet.core.progress import OnProgress, Progress
from langgraph_ratchet.improvement.exclusive import exclusive
from langgraph_ratchet.improvement.manifest import admit
from langgraph_ratchet.improvement.services import Services
from langgraph_ratchet.improvement.state import ImprovementState

Update = dict[str, Any]
NodeFunction = Callable[[ImprovementState, Services, OnProgress], Update]

FIRST = "diagnose"
"""The node that a round begins with."""


def as_node(name: str, function: NodeFunction, services: Services) -> RunnableLambda[ImprovementState, Update]:
    """`function` as a LangGraph node. Its progress goes to the `custom` stream as `Progress` in JSON.

    The async form runs the same body in a thread: it computes and waits for processes, which would block a loop.
    """

    def run(state: ImprovementState) -> Update:
        write = get_stream_writer()

        def say(progress: Progress) -> None:
            write({"round": state.get("round"), **progress.model_dump(mode="json", exclude_none=True)})

        started = time.monotonic()
        with exclusive(services.registry.root, services.folder):
            if name != FIRST:  # which settles what is written into the manifest, and then asks itself
                admit(state, services, say)
            update = function(state, services, say)
        took = {name: round(time.monotonic() - started, 3)}
        return {**update, "seconds": Overwrite(took) if name == FIRST else took}

    async def arun(state: ImprovementState) -> Update:
        return await asyncio.to_thread(run, state)

    return RunnableLambda(run, afunc=arun, name=name)
