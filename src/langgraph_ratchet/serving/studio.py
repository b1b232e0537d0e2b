"""What LangGraph's development server needs to be durable: a checkpointer on disk, and its threads after a restart.

`langgraph.json` names `checkpointer` and `app`, through `graphs/studio.py`. The server itself keeps threads, runs and
assistants in memory and pickles them to `.langgraph_api/`; here the checkpoints are the only thing that is kept.
"""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiosqlite
from langgraph.checkpoint.memory import PersistentDict
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph_sdk import get_client
from starlette.applications import Starlette

from langgraph_ratchet.core.errors import StoreError
from langgraph_ratchet.core.settings import Settings


@asynccontextmanager
async def checkpointer() -> AsyncIterator[AsyncSqliteSaver]:
    """Checkpoints in `.ratchet/studio.db`: plain data and messages, nothing that a stored record could name and call.

    Raises:
        StoreError: the file cannot be read.
    """
    path = Settings().training_data_path / "studio.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    # `None` is LangGraph's own list of safe types, whatever LANGGRAPH_STRICT_MSGPACK says.
    serde = JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None)
    async with aiosqlite.connect(path) as connection:
        saver = AsyncSqliteSaver(connection, serde=serde)
        try:
            await saver.setup()
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"Studio's threads in {path} cannot be read ({error}): move the file away to begin without them"
            ) from error
        yield saver


@asynccontextmanager
async def restored(app: Starlette) -> AsyncIterator[None]:
    """Registers the threads that have checkpoints with the server, which forgot them when it stopped."""
    client = get_client()  # without an address: this server, in process
    async with checkpointer() as saver:
        rows = await saver.conn.execute_fetchall(
            "SELECT thread_id FROM checkpoints GROUP BY thread_id ORDER BY max(checkpoint_id)"
        )
        for (thread_id,) in rows:
            latest = await saver.aget_tuple({"configurable": {"thread_id": thread_id}})
            graph_id = latest.metadata.get("graph_id") if latest else None
            if isinstance(graph_id, str):  # as the server writes it
                await client.threads.create(thread_id=thread_id, graph_id=graph_id, if_exists="do_nothing")
    yield


def write_no_pickles() -> None:
    """Keeps what the server pickles in memory only, and reads no pickle that lies about.

    Its setting for this is overwritten by `langgraph dev`, and does not reach what is written when it stops.
    """

    def nothing(self: PersistentDict) -> None:
        pass

    PersistentDict.sync = nothing  # type: ignore[method-assign]  # meant: see above
    PersistentDict.load = nothing  # type: ignore[method-assign]  # meant: see above


# On import, not when the server starts: it reads its pickles before it runs what is in an app.
write_no_pickles()

app = Starlette(lifespan=restored)
