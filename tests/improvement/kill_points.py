"""Kills this process at the side effects of an improvement run, one kind of effect of one node after another.

A point is a node, an effect and a file, as in `gate: before rename decision.json`. A process dies at the first point
that no process has died at before; so one run, begun and resumed again and again, dies once at each.
"""

import os
import re
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_NODES = f"{os.sep}improvement{os.sep}nodes{os.sep}"
_AUDITED = {"os.mkdir": "mkdir", "os.remove": "remove", "subprocess.Popen": "start"}


class KillPoints:
    """Armed in the process that is to die.

    Args:
        died: a file with the points that were died at, one a line.
        folder: of the run; what is written elsewhere does not count.
    """

    def __init__(self, died: Path, folder: Path) -> None:
        self._file, self._folder = died, str(folder)
        self._died = set(died.read_text(encoding="utf-8").splitlines()) if died.exists() else set()
        self._last = "start"
        self._dying = False

    def arm(self) -> None:
        """From now on, the first new point kills."""
        sys.addaudithook(self._audit)
        for name in ("fsync", "write"):
            self._wrap(name, lambda descriptor, *_: os.readlink(f"/proc/self/fd/{descriptor}"), after=False)
        for name in ("rename", "replace"):
            self._wrap(name, lambda _, target, **__: str(target), after=True)
        points = self
        connect = sqlite3.connect

        class Connection(sqlite3.Connection):
            path = ""

            def commit(self) -> None:
                if not self.in_transaction:
                    return super().commit()
                points.reach("before", "commit", self.path)
                super().commit()
                points.reach("after", "commit", self.path)
                return None

        def connected(database: Any, *args: Any, **kwargs: Any) -> sqlite3.Connection:
            connection = connect(database, *args, **{"factory": Connection, **kwargs})
            if isinstance(connection, Connection):
                connection.path = str(database)
            return connection

        sqlite3.connect = connected  # type: ignore[assignment]  # the same call, watched

    def reach(self, moment: str, effect: str, path: str) -> None:
        """Dies here, unless this was done before, or is none of the run's effects."""
        if self._dying or not path.startswith(self._folder):
            return
        name = re.sub(r"[0-9a-f]{8,}|\d+", "N", Path(path).name)
        point = f"{self._node()}: {moment} {effect} {name}"
        if point not in self._died:
            self._dying = True
            with self._file.open("a", encoding="utf-8") as file:
                file.write(point + "\n")
            os.kill(os.getpid(), signal.SIGKILL)

    def _node(self) -> str:
        """The node that is at work, in whichever thread; or that none is, and which one was."""
        for frame in sys._current_frames().values():
            at: Any = frame
            while at is not None:
                if _NODES in at.f_code.co_filename:
                    self._last = Path(at.f_code.co_filename).stem
                    return self._last
                at = at.f_back
        return f"after {self._last}"

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen":
            command = arguments[1] if isinstance(arguments[1], list) else []
            if "langgraph_ratchet.training" in command:
                self.reach("before", "start", f"{self._folder}/trainer")
        elif event == "open":
            self._node()  # a node that finds its work done only reads, and what comes after it is after it all the same
        elif event in _AUDITED and isinstance(arguments[0], (str, os.PathLike)):
            path = os.path.abspath(arguments[0])
            if os.path.exists(path) is (event == "os.remove"):  # else it changes nothing
                self.reach("before", _AUDITED[event], path)

    def _wrap(self, name: str, path_of: Callable[..., str], *, after: bool) -> None:
        function = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            path = path_of(*args, **kwargs)
            self.reach("before", name, path)
            result = function(*args, **kwargs)
            if after:
                self.reach("after", name, path)
            return result

        setattr(os, name, call)
