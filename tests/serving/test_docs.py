"""docs/studio.md shows the graphs as they are, docs/tools.md the tools: a line for every node, and for every tool."""

import re
from pathlib import Path

import pytest

from langgraph_ratchet import create_improver, create_reasoner
from langgraph_ratchet.chat_models.scripted import ScriptedChatModel
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools import GROUPS, TOOLS, get_tools
from langgraph_ratchet.tools.spec import spec_of

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


@pytest.fixture(scope="module")
def tools_page() -> str:
    return (ROOT / "docs" / "tools.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TOOLS.built_in())
def test_a_tools_line_is_its_declaration(
    name: str, tools_page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tool,) = get_tools(name)
    spec = spec_of(tool)
    (line,) = re.findall(rf"^\| `{name}` \| [^|]+ \| (.*) \| [^|]+ \|$", tools_page, re.MULTILINE)
    effects = ", ".join(sorted(spec.effects)) or "none"
    trust = {Trust.OWN: "computed", Trust.UNTRUSTED: "other people's text"}[spec.trust]
    assert line == f"{effects} | {trust} | {spec.timeout_s:g} | {spec.output_cap}"


def test_groups_are_described(tools_page: str) -> None:
    for group, names in GROUPS.items():
        described = tools_page.partition(f"`{group}` stands for")[2] or tools_page.partition(f"`{group}` for")[2]
        assert re.findall(r"`(\w+)`", described)[: len(names)] == list(names)


@pytest.mark.parametrize("name", ["studio", "tools"])
def test_files_that_a_page_links_to_exist(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    links = [link.partition("#") for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert links
    for path, _, section in links:
        target = ROOT / "docs" / path if path else ROOT / "docs" / f"{name}.md"
        headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        assert not section or section in {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}
