"""Which places a call may go to once other people's text was read: those that were given, whole."""

from typing import Any

import pytest
from langchain_core.messages import ToolCall

from langgraph_ratchet.core.step import Approval, Step, Trust
from langgraph_ratchet.reasoning.state import ReasoningState
from langgraph_ratchet.reasoning.targets import made_up_targets

URL = "https://a.example/x?q=1"


def step(output: str = "", tool: str = "page", /, given: Any = None, **more: Any) -> Step:
    trust = more.pop("trust", Trust.UNTRUSTED)
    return Step(number=1, description="", tool=tool, input=given or {}, output=output, call_id="c", trust=trust, **more)


def made_up(url: Any, *steps: Step, question: str = "?", context: str = "", first: int = 0) -> list[str]:
    state: ReasoningState = {
        "question": {"text": question, "context": context},
        "steps": [each.model_dump(mode="json") for each in steps],
        "first_step": first,
    }
    return made_up_targets({"url"}, ToolCall(name="fetch", args={"url": url, "other": "o"}, id="1"), state)


@pytest.mark.parametrize(
    "text",
    [
        URL,
        f"See {URL}.",
        f'See {URL}, or ({URL}); "{URL}"?',
        f"<a href='{URL}'>[x]({URL})</a>",
        f"is it {URL}?! Yes",
        f"`{URL}`\n",
        f'{{"url":"{URL}"}}',
    ],
)
def test_a_place_that_was_given_whole_is_no_matter(text: str) -> None:
    assert made_up(URL, question=text) == []
    assert made_up(URL, context=text) == []
    assert made_up(URL, step(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://a.example/x?q=",
        f"{URL}2",
        f"{URL}/more",
        f"{URL}.html",
        f"{URL}&r=2",
        f"{URL}%20",
        f"{URL}#part",
        f"{URL}?r",
        f"https://b.example/{URL}",
        "HTTPS://A.EXAMPLE/X?Q=1",
        "https://a.example/x ?q=1",
    ],
)
def test_a_part_of_a_place_or_another_one_is_made_up(text: str) -> None:
    assert made_up(URL, step(text), question=text or "?") == [URL]


@pytest.mark.parametrize(
    ("why", "shown"),
    [
        ("the model computed it", step(URL, trust=Trust.OWN)),
        ("an error is about the arguments", step(f"error: no page at {URL}", failed=True)),
        ("it repeats its argument", step(f"nothing found for {URL}", given={"query": f"{URL} "})),
        ("it completes its argument", step(f"looked at {URL}", given={"host": ["a.example/x?q=1"]})),
        ("it decodes its argument", step(f"looked at {URL}", given={"host": {"name": "A.example/x%3Fq%3D1/"}})),
    ],
)
def test_what_the_model_can_have_said_itself_gives_nothing(why: str, shown: Step) -> None:
    assert made_up(URL, shown) == [URL]


@pytest.mark.parametrize(
    ("before", "free"),
    [
        (step("text", "fetch", given={"url": URL}), True),
        (step("text", "fetch", given={"url": URL}, approval=Approval.APPROVED), True),
        (step("text", "fetch", given={"url": URL}, approval=Approval.REJECTED, failed=True), False),
        (step("text", "fetch", given={"url": URL}, approval=Approval.REFUSED, failed=True), False),
        (step("text", "fetch", given={"note": URL}), False),
        (step("text", "search", given={"url": URL}), False),
    ],
)
def test_where_the_run_has_been_it_may_go_again(before: Step, free: bool) -> None:
    assert (made_up(URL, before) == []) == free


def test_an_earlier_run_on_the_thread_gives_nothing() -> None:
    assert made_up(URL, step(URL), first=1) == [URL]


@pytest.mark.parametrize(
    ("value", "found"),
    [(None, []), ([URL, "b.example"], ["b.example"]), ({"to": ["b.example"]}, ["b.example"]), (8080, ["8080"])],
)
def test_every_text_in_the_argument_counts(value: Any, found: list[str]) -> None:
    assert made_up(value, question=URL) == found
