"""The command `ratchet`, one file per verb: parse, call the library, print.

Nothing is imported before it is needed: the list of verbs is shown without importing any of them.
"""


def main() -> None:
    """Runs the command; it ends the process with one of `exit_status.ExitStatus`."""
    from langgraph_ratchet.cli.app import app

    app()
