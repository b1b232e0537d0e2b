"""What the pocket model learns from holds no text of published test suites, so that passing them means something."""

import ast
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import langchain_tests
import pytest

from langgraph_ratchet.core.call import Call
from langgraph_ratchet.synthesis.copying import copy_practice
from langgraph_ratchet.synthesis.corpus import as_exercise, texts

GRAM = 4


def grams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[at : at + GRAM]) for at in range(len(words) - GRAM + 1)}


def names_and_prompts() -> Iterator[tuple[str, str]]:
    """Tools that LangChain's chat model tests define, and every text in them that is not documentation."""
    for suite in ("unit_tests", "integration_tests"):
        tree = ast.parse((Path(langchain_tests.__file__).parent / suite / "chat_models.py").read_text(encoding="utf-8"))
        documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
                yield "text", node.value
            if isinstance(node, ast.FunctionDef) and any("tool" in ast.dump(made) for made in node.decorator_list):
                yield "name", node.name


@pytest.fixture(scope="module")
def learned(calls: list[Call]) -> list[str]:
    return list(texts([*map(as_exercise, calls), *islice(copy_practice(seed=3), 5_000)]))


def test_no_prompt_of_langchains_suite_is_learned(learned: list[str]) -> None:
    published = set().union(*(grams(text) for kind, text in names_and_prompts() if kind == "text"))
    assert len(published) > 100
    seen = set().union(*map(grams, learned))
    assert not published & seen


def test_no_tool_of_langchains_suite_is_learned(learned: list[str]) -> None:
    names = {text for kind, text in names_and_prompts() if kind == "name"}
    assert "magic_function" in names
    words = {word for text in learned for word in re.findall(r"\w+", text)}
    assert not names & words
