"""docs/studio.md shows the graphs as they are: their pictures, and a line for every node."""

import re
from pathlib import Path

import pytest

from langgraph_ratchet import create_improver, create_reasoner
from langgraph_ratchet.chat_models.scripted import ScriptedChatModel

ROOT = Path(__file__).parents[2]
GRAPHS = {
    "reasoning": lambda: create_reasoner(ScriptedChatModel.of(), store=None),
    "improvement": create_improver,
}


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "studio.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GRAPHS)
def test_the_picture_is_the_graphs_own(name: str, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    graph = GRAPHS[name]().compile().get_graph()
    section = page.partition(f"## The {name} graph")[2].partition("\n## ")[0]
    (picture,) = re.findall(r"```mermaid\n(.*?)\n```", section, re.DOTALL)
    wanted = graph.draw_mermaid().strip()
    assert picture == wanted, f"put this into docs/studio.md:\n{wanted}"
    described = set(re.findall(r"^\| `(\w+)` \| \w", section, re.MULTILINE))
    assert described == set(graph.nodes) - {"__start__", "__end__"}


def test_files_that_the_page_links_to_exist(page: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", page) if "://" not in link]
    assert links
    assert all((ROOT / "docs" / link).is_file() for link in links)
