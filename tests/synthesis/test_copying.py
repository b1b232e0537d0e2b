"""Copy practice: everything that the reply says stands in the prompt, for any tool and any text."""

from itertools import islice
from typing import Any

import pytest

from langgraph_ratchet.synthesis.copying import Exercise, copy_practice

COUNT = 1_500


@pytest.fixture(scope="module")
def exercises() -> list[Exercise]:
    return list(islice(copy_practice(seed=3), COUNT))


def shown(exercise: Exercise) -> str:
    """What the prompt says, the tools left out."""
    return "\n".join(str(message.content) for message in exercise.messages)


def made_calls(exercises: list[Exercise]) -> list[tuple[Exercise, dict[str, Any]]]:
    return [(exercise, dict(call)) for exercise in exercises for call in exercise.reply.tool_calls]


def test_the_values_of_a_call_stand_in_the_prompt_verbatim(exercises: list[Exercise]) -> None:
    made = made_calls(exercises)
    assert len(made) > COUNT / 4
    for exercise, call in made:
        text = shown(exercise)
        assert call["name"] in text
        for name, value in call["args"].items():
            assert name in text
            assert str(value) in text


def test_a_call_fits_the_schema_of_a_tool_that_is_offered(exercises: list[Exercise]) -> None:
    kinds = {"string": str, "integer": int}
    for exercise, call in made_calls(exercises):
        schemas = [
            tool["function"]["parameters"] for tool in exercise.tools if tool["function"]["name"] == call["name"]
        ]
        assert any(
            schema["properties"].keys() == call["args"].keys() == set(schema["required"])
            and all(type(value) is kinds[schema["properties"][name]["type"]] for name, value in call["args"].items())
            for schema in schemas
        )


def test_what_else_is_said_stands_in_the_prompt_too(exercises: list[Exercise]) -> None:
    texts = [(shown(exercise), str(exercise.reply.text)) for exercise in exercises if exercise.reply.text]
    assert len(texts) > COUNT / 4
    for text, reply in texts:
        value = reply.removesuffix(".").partition(" is ")[2] if reply.startswith("The ") else reply
        assert value
        assert value in text


def test_tools_and_values_are_of_every_kind(exercises: list[Exercise]) -> None:
    made = [call for _, call in made_calls(exercises)]
    values = [value for call in made for value in call["args"].values()]
    texts = [value for value in values if isinstance(value, str)]
    assert len({call["name"] for call in made}) > 0.8 * len(made)  # names are not learned by heart
    assert len({len(exercise.tools) for exercise, _ in made_calls(exercises)}) == 3
    assert any(isinstance(value, int) and value < 0 for value in values)
    assert sum(not text.isascii() for text in texts) > 0.1 * len(texts)
    assert any(mark in text for text in texts for mark in '"\\')
    scripts = {
        min(ord(character) for character in text if ord(character) > 0x7F) >> 8 for text in texts if not text.isascii()
    }
    assert len(scripts) > 4  # Latin, Greek, Cyrillic, Hebrew, kana, Han


def test_equal_seeds_give_equal_practice(exercises: list[Exercise]) -> None:
    def content(seed: int) -> list[tuple[str, Any, Any]]:
        practice = islice(copy_practice(seed=seed), 20)
        return [(shown(exercise), exercise.reply.text, exercise.reply.tool_calls) for exercise in practice]

    assert content(3) == content(3)
    assert content(3) != content(4)
