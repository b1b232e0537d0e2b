"""Runs an agent again without its effects: whatever re-runs one does it inside `again`.

In there the nodes of every reasoning graph are given stand-ins (`tools.replay`) for the tools that declare effects, so
that no caller can forget to: `Services.under` asks here for the tools of each node it runs.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_core.tools import BaseTool

from langgraph_ratchet.tools.replay import ToolReplay
from langgraph_ratchet.tools.spec import spec_of

if TYPE_CHECKING:  # as in traces.recorder: it would load SQLAlchemy for graphs that record nothing
    from langgraph_ratchet.traces.store import TraceStore

Tools = Mapping[str, BaseTool]


class Recordings:
    """What answers for tools with effects: a replay, or what a store has recorded of them, read when first needed.

    Many runs may share one, from many threads.

    Args:
        store: a trace store.
        replay: takes its place.
    """

    def __init__(self, store: "TraceStore", replay: ToolReplay | None = None) -> None:
        self._store, self._replay = store, replay
        self._read: dict[frozenset[str], ToolReplay] = {}
        self._lock = threading.Lock()

    def over(self, tools: Tools, question_id: str) -> Tools:
        """The tools for one run about this question.

        Raises:
            StoreError: the store cannot be read.
        """
        names = frozenset(name for name, tool in tools.items() if spec_of(tool).effects)
        if not names:
            return tools
        stand_ins = self._of(names).over(tools.values(), question_id=question_id)
        return dict(zip(tools, stand_ins, strict=True))

    def _of(self, names: frozenset[str]) -> ToolReplay:
        if self._replay is not None:
            return self._replay
        with self._lock:
            if names not in self._read:
                self._read[names] = ToolReplay.of(self._store.traces_using(names))
            return self._read[names]


@dataclass
class _Rerun:
    """One run that is made again: its stand-ins know which call was made how often in it."""

    recordings: Recordings
    question_id: str
    stand_ins: dict[int, tuple[Tools, Tools]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def over(self, tools: Tools) -> Tools:
        with self.lock:
            if id(tools) not in self.stand_ins:
                self.stand_ins[id(tools)] = (tools, self.recordings.over(tools, self.question_id))
            return self.stand_ins[id(tools)][1]


_current: ContextVar[_Rerun | None] = ContextVar("ratchet_rerun", default=None)


@contextmanager
def again(recordings: Recordings, question_id: str) -> Iterator[None]:
    """In the block, and in the threads and tasks that are started in it, a run about this question is made again."""
    token = _current.set(_Rerun(recordings, question_id))
    try:
        yield
    finally:
        _current.reset(token)


def is_rerun() -> bool:
    """Whether the code that asks is part of a run that is made again."""
    return _current.get() is not None


def tools_to_use(tools: Tools) -> Tools:
    """`tools`, or where a run is made again their stand-ins."""
    rerun = _current.get()
    return rerun.over(tools) if rerun is not None else tools
