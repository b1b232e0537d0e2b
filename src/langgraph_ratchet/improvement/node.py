"""How a node of the improvement graph is run: timed, with its progress streamed, in a sync and an async form."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from langchain_core.runnables import RunnableLambda
from langgraph.config import get_stream_writer

from langgraph_ratchet.core.progress import OnProgress, Progress
from langgraph_ratchet.improvement.services import Services
from langgraph_ratchet.improvement.state import ImprovementState

Update = dict[str, Any]
NodeFunction = Callable[[ImprovementState, Services, OnProgress], Update]


def as_node(name: str, function: NodeFunction, services: Services) -> RunnableLambda[ImprovementState, Update]:
    """`function` as a LangGraph node. Its progress goes to the `custom` stream as `Progress` in JSON.

    The async form runs the same body in a thread: it computes and waits for processes, which would block a loop.
    """

    def run(state: ImprovementState) -> Update:
        write = get_stream_writer()

        def say(progress: Progress) -> None:
            write(progress.model_dump(mode="json", exclude_none=True))

        started = time.monotonic()
        update = function(state, services, say)
        return {**update, "seconds": {name: round(time.monotonic() - started, 3)}}

    async def arun(state: ImprovementState) -> Update:
        return await asyncio.to_thread(run, state)

    return RunnableLambda(run, afunc=arun, name=name)
