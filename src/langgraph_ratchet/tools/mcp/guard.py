"""Ends the process groups of MCP servers when the process that started them is gone, however it ended.

Run as a program of its own by `tools.mcp.groups`: isolated, with nothing but the standard library. It is told on its
standard input which groups live ("+123") and which have ended ("-123"), and acts when that input ends.
"""

import os
import signal
import sys


def watch() -> None:
    """Reads until the end of the input, then kills what is still listed."""
    alive: set[int] = set()
    for line in sys.stdin:
        (alive.add if line[0] == "+" else alive.discard)(int(line[1:]))
    for group in alive:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            continue  # it has ended on its own


if __name__ == "__main__":
    watch()
