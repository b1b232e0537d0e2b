"""What the conformance checks of every kind of plugin have in common.

Each kind has its `conformance.py`: `CHECKS` is a tuple of functions of one plugin, which raise `ConformanceError`. They
run over the built-in plugins, and a package with a plugin of its own can run them too.
"""

from langgraph_ratchet.core.errors import ConformanceError


def require(holds: object, plugin: str, wanted: str, got: object = "") -> None:
    """Raises `ConformanceError` unless `holds`.

    Args:
        holds: what is to be true.
        plugin: the plugin's name.
        wanted: what it must do, said as a fact.
        got: what was found instead.
    """
    if not holds:
        found = f"; got {str(got)[:500]}" if str(got) else ""
        raise ConformanceError(f"{plugin}: {wanted}{found}")
