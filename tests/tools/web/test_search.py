"""`web_search` against a server on loopback that answers as Tavily documents, through Tavily's own client."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolCall

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools import web_search
from langgraph_ratchet.tools.runner import ToolResult, run_tool
from langgraph_ratchet.tools.spec import Effect, spec_of
from langgraph_ratchet.tools.web_search import web_search_tool

KEY = "tvly-dev-0123456789abcdef"
EXCESS = "Your request has been blocked due to excessive requests. Please reduce the rate of requests."
PLAN = "This request exceeds your plan's set usage limit. Please upgrade your plan or contact support@tavily.com"
PAID = "This request exceeds the pay-as-you-go limit. You can increase your limit on the Tavily dashboard."


def answer(status: int, body: Any) -> bytes:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} As It Is\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


class Tavily:
    """What the service does, on a loopback server: checks key and query as documented, then answers."""

    def __init__(self, site: Any) -> None:
        self.url = site.raw("/search", self._answer).removesuffix("/search")
        self.asked: list[dict[str, Any]] = []
        self.results: list[Any] = []

    def _answer(self, request: bytes) -> Iterator[bytes]:
        head, _, body = request.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        if not head.startswith(b"POST /search ") or fields["Authorization"] != f"Bearer {KEY}":
            yield answer(401, {"detail": {"error": "Unauthorized: missing or invalid API key."}})
            return
        asked = json.loads(body)
        self.asked.append(asked)
        if len(asked["query"]) > 400:
            yield answer(400, {"detail": {"error": "Query is too long. Max query length is 400 characters."}})
            return
        found = self.results[: asked.get("max_results", 5)]
        yield answer(200, {"query": asked["query"], "results": found, "response_time": 0.5, "request_id": "1"})


@pytest.fixture
def tavily(site: Any) -> Tavily:
    return Tavily(site)


def search(url: str, query: str = "how long is the river", key: str | None = KEY, **options: Any) -> ToolResult:
    tool = web_search_tool(key, base_url=url, **options)
    return run_tool(tool, ToolCall(name="web_search", args={"query": query}, id="1"))


def result(n: int) -> dict[str, Any]:
    return {"title": f"Page {n}", "url": f"https://pages.test/{n}?a=b#c", "content": f"Text {n}", "score": 0.9}


def test_finds_pages(tavily: Tavily) -> None:
    tavily.results = [result(n) for n in range(9)]
    found = search(tavily.url, " how long is the river ", max_results=2)
    assert (
        found.text == "1. Page 0\nhttps://pages.test/0?a=b#c\nText 0\n\n2. Page 1\nhttps://pages.test/1?a=b#c\nText 1"
    )
    assert found.trust is Trust.UNTRUSTED
    assert tavily.asked == [{"query": "how long is the river", "max_results": 2}]


def test_says_that_nothing_was_found(tavily: Tavily) -> None:
    found = search(tavily.url)
    assert (found.text, found.failed) == ("nothing found for 'how long is the river'", False)


def test_results_are_kept_to_a_size_and_odd_ones_are_left_out(tavily: Tavily) -> None:
    long = {"title": "t" * 9_000, "url": "https://pages.test/", "content": "c\n" * 9_000, "raw_content": None}
    odd = [
        None,
        "x",
        {},
        {"url": 3},
        {"url": "https://pages.test/" + "x" * 3_000},
        {"url": "https://p.test/", "title": None},
    ]
    tavily.results = [*odd, *[long] * 20]
    found = search(tavily.url, max_results=20)
    assert found.text.startswith("1. https://p.test/\nhttps://p.test/\n\n2. tttt")
    assert len(found.text) < spec_of(web_search_tool()).output_cap + 50


@pytest.mark.parametrize("key", [None, "", "  "])
def test_without_a_key_it_says_how_to_get_one_and_what_else_there_is(
    key: str | None, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)  # where no .env file is
    found = search("http://127.0.0.1:9", key=key)
    assert found.failed
    for said in ("https://app.tavily.com", "TAVILY_API_KEY", "'documents'"):
        assert said in found.text
    assert "…" not in found.text


def test_the_key_comes_from_the_settings(tavily: Tavily, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"TAVILY_API_KEY={KEY}\n")
    tavily.results = [result(1)]
    assert "Page 1" in search(tavily.url, key=None).text
    monkeypatch.setenv("TAVILY_API_KEY", "tvly-wrong")
    assert "does not know the key" in search(tavily.url, key=None).text


@pytest.mark.parametrize("key", ["tvly-\nX: y", "schlüssel", "a b", "\x00"])
def test_a_key_that_cannot_be_one_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(BadInputError, match="copy it anew") as caught:
        web_search_tool(key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, {"detail": {"error": "Invalid topic."}}, "does not take this query: Invalid topic."),
        (401, {"detail": {"error": "Unauthorized: missing or invalid API key."}}, "does not know the key"),
        (403, {"detail": {"error": "Not allowed."}}, "refuses: Not allowed."),
        (422, {"detail": [{"msg": "Field required"}]}, "failed with the status 422"),
        (429, {"detail": {"error": EXCESS}}, "had too many requests: search less often, or later"),
        (432, {"detail": {"error": PLAN}}, "refuses: This request exceeds your plan's set usage limit"),
        (433, {"detail": {"error": PAID}}, "refuses: This request exceeds the pay-as-you-go limit"),
        (432, b"", "refuses: the plan of the key is used up"),
        (500, {"detail": {"error": "Internal Server Error"}}, "failed with the status 500"),
        (502, b"<html>Bad gateway</html>", "failed with the status 502"),
        (200, b"<html>Welcome</html>", "did not answer as documented"),
        (200, [], "did not answer as documented"),
        (200, {"results": None}, "did not answer as documented"),
        (200, b"[" * 100_000, "did not answer as documented"),
        (204, b"", "did not answer as documented"),
        (200, b'{"results": [' + b" " * 4_000_000 + b"]}", "more than 4000000 bytes"),
    ],
)
def test_what_the_service_answers_else_is_an_error_that_says_what_to_do(
    site: Any, status: int, body: Any, said: str
) -> None:
    url = site.raw("/search", answer(status, body)).removesuffix("/search")
    found = search(url)
    assert found.failed
    assert said in found.text
    assert KEY not in found.text
    assert len(site.requests) == 1


def test_the_services_own_complaint_is_passed_on(tavily: Tavily) -> None:
    assert "Max query length is 400 characters" in search(tavily.url, "x" * 401).text


def test_a_wrong_key_is_said_and_not_shown(tavily: Tavily) -> None:
    found = search(tavily.url, key="tvly-wrong")
    assert "does not know the key" in found.text
    assert "tvly-wrong" not in found.text


def slowly(request: bytes) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    for _ in range(60):
        time.sleep(0.05)
        yield b" "


def silent(request: bytes) -> Iterator[bytes]:
    time.sleep(2)
    yield b""


@pytest.mark.parametrize("behaviour", [slowly, silent])
def test_a_service_that_does_not_answer_in_time_is_left(
    site: Any, behaviour: Callable[[bytes], Iterator[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_search, "_REQUEST_S", 0.15)
    found = search(site.raw("/search", behaviour).removesuffix("/search"))
    assert "did not answer in 0.15 seconds" in found.text
    assert found.seconds < 1.5


def test_a_service_that_is_not_there_is_said() -> None:
    found = search("http://127.0.0.1:1")
    assert "cannot be reached" in found.text


def test_a_redirect_takes_neither_query_nor_key_elsewhere(site: Any) -> None:
    site.page("/elsewhere", b"{}", "application/json")
    url = site.raw("/search", b"HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
    assert "did not answer as documented" in search(url.removesuffix("/search")).text
    assert len(site.requests) == 1


@pytest.mark.parametrize("query", ["", " \n", "\x00"])
def test_an_empty_query_is_not_sent(tavily: Tavily, query: str) -> None:
    assert "the query is empty" in search(tavily.url, query).text
    assert tavily.asked == []


def test_any_text_can_be_a_query(tavily: Tavily) -> None:
    for query in ("\ud800", "'; DROP TABLE", "Größe 川 \U0001f468", "%s{{7*7}}", '"\\', "\u2028\u202e"):
        assert not search(tavily.url, query).failed
    assert [asked["query"] for asked in tavily.asked[1:3]] == ["'; DROP TABLE", "Größe 川 \U0001f468"]


@pytest.mark.parametrize("options", [{"max_results": 0}, {"max_results": 21}, {"base_url": "tavily.com"}])
def test_arguments_that_cannot_be_used_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match="web_search_tool"):
        web_search_tool(KEY, **options)


def test_what_is_declared() -> None:
    spec = spec_of(web_search_tool(KEY))
    assert spec.effects == {Effect.READS, Effect.NETWORK}
    assert spec.trust is Trust.UNTRUSTED
