"""Whatever in the package runs an agent again does it inside `reruns.again`: a place that forgets to fails here."""

import ast
from collections.abc import Iterator
from pathlib import Path

import langgraph_ratchet

PACKAGE = Path(langgraph_ratchet.__file__).parent
RUNS = {"invoke", "ainvoke", "stream", "astream", "astream_events", "batch", "abatch", "transform", "atransform"}
NO_GRAPHS = {"chat_models", "core", "grading", "problems", "registry", "tools", "traces", "training"}
"""Packages below reasoning, and training, which may not import it: what they invoke is models and tools."""

LIVE = {
    "cli/app.py": "a command of the command line",
    "improvement/rounds.py": "the improvement graph itself",
    "reasoning/attended.py": "a user's question, asked now, with somebody who approves",
    "reasoning/conformance.py": "a strategy on a scripted model, without tools",
    "reasoning/driver.py": "the chat model",
}
"""Modules that call something live, and what."""


def _is_again(node: ast.AST) -> bool:
    return isinstance(node, ast.With) and any(
        isinstance(item.context_expr, ast.Call) and getattr(item.context_expr.func, "id", "") == "again"
        for item in node.items
    )


def _live_runs(node: ast.AST) -> Iterator[int]:
    """Lines that run something outside `with again(...)`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute) and child.func.attr in RUNS:
            yield child.lineno
        if not _is_again(child):
            yield from _live_runs(child)


def live_modules(package: Path) -> dict[str, list[int]]:
    found = {}
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        # What is served is live: it answers a user, now.
        if name.split("/")[0] not in NO_GRAPHS | {"serving"} and (
            lines := list(_live_runs(ast.parse(path.read_text("utf-8"))))
        ):
            found[name] = lines
    return found


def test_every_place_that_runs_an_agent_again_does_it_without_effects() -> None:
    found = live_modules(PACKAGE)
    forgotten = {name: lines for name, lines in found.items() if name not in LIVE}
    assert not forgotten, (
        f"{forgotten} run something outside `with reruns.again(...)`. What runs an agent again goes through roll_out, "
        "or does it in there; what answers a user now is named in LIVE"
    )
    assert set(LIVE) == set(found), f"LIVE names modules that run nothing: {set(LIVE) - set(found)}"


def test_a_place_that_forgets_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "improvement").mkdir()
    forgets = tmp_path / "improvement" / "again_please.py"
    forgets.write_text("def go(graph, asked):\n    return graph.batch(asked)\n", "utf-8")
    (tmp_path / "improvement" / "minds.py").write_text(
        "def go(graph, asked):\n    with again(recordings, id_):\n        return graph.invoke(asked)\n", "utf-8"
    )
    assert live_modules(tmp_path) == {"improvement/again_please.py": [2]}
