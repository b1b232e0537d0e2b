import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from langchain_core.messages import ToolCall
from langchain_core.utils.function_calling import convert_to_openai_tool

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.question import Attachment
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools import get_tools
from langgraph_ratchet.tools.documents import Collection, Index, documents_tool
from langgraph_ratchet.tools.runner import ToolResult, run_tool
from langgraph_ratchet.tools.spec import Effect, spec_of

Use = Callable[..., ToolResult]


def facts(*texts: str) -> tuple[Attachment, ...]:
    return tuple(Attachment(name=f"fact {n}", text=text) for n, text in enumerate(texts))


def test_finds_the_fact_that_was_asked_for(use: Use) -> None:
    attachments = facts(
        "The manager of Cy is Ada.",
        "The manager of Di is Ada.",
        "The company of Cy is Orbis.",
        "The company of Di is Pyxis.",
        "The manager of Ada is Bo.",
        "The city of Borel is Lima.",
    )
    result = use("documents", attachments, query="manager of Ada")
    assert result.text.splitlines()[0] == "The manager of Ada is Bo."
    assert len(result.text.splitlines()) == 2
    assert result.trust is Trust.UNTRUSTED
    assert not result.failed


def test_shows_only_what_is_near_the_best(use: Use) -> None:
    attachments = facts(
        "Zebras live in herds.", "Lions live in prides.", "Tea is hot.", "Coffee is hot.", "Ice is cold."
    )
    assert use("documents", attachments, query="zebras and herds").text == "Zebras live in herds."


def test_same_look_up_same_text(use: Use) -> None:
    attachments = facts(*(f"Item {n} is {word}." for n, word in enumerate(["red", "blue", "red", "green"] * 5)))
    assert len({use("documents", attachments, query="red item").text for _ in range(5)}) == 1


@pytest.mark.parametrize("query", ["", "   ", "?!", "quux", "\ud800"])
def test_says_that_nothing_was_found(use: Use, query: str) -> None:
    result = use("documents", facts("The city of Borel is Lima."), query=query)
    assert result.text.startswith("nothing found for '")
    assert not result.failed


def test_without_documents_it_says_that_there_are_none(use: Use, tmp_path: Path) -> None:
    wanted = "nothing found for 'city of Borel': there are no documents, none came with the question"
    assert use("documents", query="city of Borel").text == wanted
    assert use("documents", facts("", " \n "), query="city of Borel").text == wanted
    tool = documents_tool(tmp_path)
    assert tool.invoke({"query": "city of Borel"}) == wanted


def test_passages_are_ranked_by_bm25() -> None:
    passages = (
        "The kiwi is a bird.",
        "A kiwi, a kiwi, a kiwi!",
        "The bird that cannot fly is the kiwi, and it lives in the woods.",
        "A plum is no bird.",
        "The moon",
    )
    # The figures of bm25s 0.3.16 (method="lucene", k1=1.5, b=0.75), which leaves out the constant factor k1 + 1.
    figures = {
        "kiwi": [0.5978, 0.9126, 0.3513, 0, 0],
        "kiwi bird": [1.1957, 0.9126, 0.7026, 0.5978, 0],
        "the plum": [0.5978, 0, 0.6927, 1.5377, 0.7804],
    }
    for query, wanted in figures.items():
        scores = Index.of(passages).scores(query.split())
        assert [scores.get(position, 0) for position in range(5)] == pytest.approx(wanted, abs=1e-4)
    collection = Collection(passages)
    assert collection.best("kiwi") == [passages[1], passages[0]]
    assert collection.best("kiwi bird") == [passages[0], passages[1]]
    assert collection.best("the plum") == [passages[3]]


def test_of_equal_passages_the_one_with_the_words_side_by_side_comes_first() -> None:
    passages = ("Ada of the manager is Bo.", "Tea is hot.", "The manager of Ada is Bo.", "Ice is cold.")
    assert Collection(passages).best("manager of Ada") == [passages[2], passages[0]]


def test_long_texts_are_looked_up_by_line_and_shown_in_parts(use: Use) -> None:
    text = "\n".join(["Nothing here."] * 20 + ["word " * 200 + "platypus " + "word " * 200])
    result = use("documents", facts(text), query="platypus")
    assert "platypus" in result.text
    assert len(result.text) <= 2 * 300 + 1


def test_a_megabyte_is_looked_through_in_time(use: Use) -> None:
    started = time.perf_counter()
    result = use("documents", facts("lorem ipsum dolor " * 60_000 + "platypus"), query="platypus")
    assert "platypus" in result.text
    assert time.perf_counter() - started < 5


def test_the_model_sees_only_the_query() -> None:
    (tool,) = get_tools("documents")
    assert list(convert_to_openai_tool(tool)["function"]["parameters"]["properties"]) == ["query"]


def test_the_model_cannot_bring_its_own_attachments(use: Use) -> None:
    result = use("documents", facts("The city is Lima."), query="city", attachments_=[])
    assert result.failed
    (tool,) = get_tools("documents")
    forged = {"query": "city", "attachments": [{"name": "x", "text": "The city is Oslo."}]}
    result = run_tool(tool, ToolCall(name="documents", args=forged, id="1"), facts("The city is Lima."))
    assert result.failed
    assert "no argument 'attachments'" in result.text


def test_looks_through_a_folder_too(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "notes.md").write_text("# Birds\nThe kiwi cannot fly.\n")
    (tmp_path / "other.bin").write_text("The kiwi can fly.")
    tool = documents_tool(tmp_path)
    result = run_tool(
        tool, ToolCall(name="documents", args={"query": "kiwi"}, id="1"), facts("A kiwi is green inside.")
    )
    assert set(result.text.splitlines()) == {"The kiwi cannot fly.", "A kiwi is green inside."}


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no folder"):
        documents_tool(tmp_path / "none")
    (tmp_path / "large.txt").write_bytes(b"x" * 1_000_001)
    with pytest.raises(BadInputError, match="1000001 bytes"):
        documents_tool(tmp_path)
    (tmp_path / "large.txt").unlink()
    for n in range(21):
        with (tmp_path / f"{n}.txt").open("wb") as file:
            file.truncate(1_000_000)
    with pytest.raises(BadInputError, match="have 21000000 bytes, documents_tool takes at most 20000000"):
        documents_tool(tmp_path)


def test_links_and_pipes_in_a_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("The kiwi is a secret.")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.txt").symlink_to("../secret.txt")
    (folder / "above").symlink_to("..")
    os.mkfifo(folder / "pipe.txt")
    (folder / "plain.txt").write_text("The kiwi is a bird.")
    assert documents_tool(folder).invoke({"query": "kiwi"}) == "The kiwi is a bird."


def test_only_a_tool_with_a_folder_declares_that_it_reads(tmp_path: Path) -> None:
    assert spec_of(documents_tool()).effects == set()
    assert spec_of(documents_tool(tmp_path)).effects == {Effect.READS}
