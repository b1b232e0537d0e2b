"""What becomes of a page: its text, or one line that says what it is instead."""

import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolCall
from langchain_core.utils.function_calling import convert_to_openai_tool

from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.core.worker import Worker
from langgraph_ratchet.tools.runner import ToolResult, run_tool
from langgraph_ratchet.tools.spec import Effect, spec_of
from langgraph_ratchet.tools.web_fetch import web_fetch_tool

SENTENCES = " ".join(f"Sentence {n} of the article says that the river is {n} miles long." for n in range(12))
ARTICLE = f"""<!DOCTYPE html><html><head><title> The  river </title><script>track()</script></head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/about">About us</a></li></ul></nav>
<article><h1>The river</h1><p>{SENTENCES}</p><table><tr><th>Year</th><th>Level</th></tr><tr><td>2020</td><td>3</td></tr>
</table></article><footer>All rights reserved, cookie settings</footer></body></html>"""
OWN_SVG = '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1/x"/></svg>'


def get(url: str, **arguments: Any) -> ToolResult:
    return run_tool(web_fetch_tool(["127.0.0.1"]), ToolCall(name="web_fetch", args={"url": url, **arguments}, id="1"))


def test_a_page_is_its_title_address_and_article(site: Any) -> None:
    url = site.page("/", ARTICLE.encode())
    result = get(url)
    assert result.text.startswith(f"The river\n{url}\n\n# The river\n\nSentence 0 of the article")
    assert SENTENCES in result.text
    assert "2020" in result.text
    for left_out in ("track()", "About us", "cookie settings", "<p>"):
        assert left_out not in result.text
    assert result.trust is Trust.UNTRUSTED


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (b"<html><body><p>The answer is 42.</p></body></html>", "text/html", "The answer is 42."),
        (b"<p>The answer is 42.</p>", "application/octet-stream", "The answer is 42."),
        (ARTICLE.encode(), "image/png", SENTENCES),
        (ARTICLE.encode(), None, SENTENCES),
        (b"The answer is 42.", "text/html", "The answer is 42."),
        (b"# Title\n\nThe answer is 42.", "text/markdown", "# Title\n\nThe answer is 42."),
        (b'{"answer": 42}', "application/json", '{"answer": 42}'),
        (b"<rss><item>42</item></rss>", "application/rss+xml", "<rss><item>42</item></rss>"),
        (b"a,b\n1,2\n", "application/pdf", "a,b\n1,2"),
    ],
    ids=[
        "html",
        "html as binary",
        "html as an image",
        "undeclared",
        "text as html",
        "markdown",
        "json",
        "xml",
        "csv as pdf",
    ],
)
def test_what_a_page_is_shows_in_its_bytes(site: Any, body: bytes, content_type: str | None, text: str) -> None:
    result = get(site.page("/", body, content_type))
    assert not result.failed, result.text
    assert text in result.text


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "text/plain", None, "application/x-\xff"])
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "a PDF"),
        (b"\n\n%PDF-1.4 text", "a PDF"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "a PNG image"),
        (b"PK\x03\x04" + bytes(100), "a ZIP archive"),
        (b"\x1f\x8b\x08" + bytes(100), "a gzip archive"),
        (OWN_SVG.encode(), "an SVG image"),
        (b"\xef\xbb\xbf  <!-- x --><svg:svg/>", "an SVG image"),
        (bytes(range(256)) * 10, "binary data"),
        (random.Random(0).randbytes(5_000), "binary data"),
        (b"MZ" + bytes(200), "a program"),
        (b" \r\n\t ", "an empty page"),
    ],
)
def test_what_is_no_text_is_said_whatever_was_declared(
    site: Any, body: bytes, said: str, content_type: str | None
) -> None:
    result = get(site.page("/", body, content_type))
    assert result.failed
    assert f"there is {said}" in result.text
    assert result.text.endswith("at that URL, not a page of text")


def test_collected_svg_files_are_named_and_load_nothing(site: Any, connects: Any) -> None:
    folder = os.environ.get("RATCHET_TEST_DATA")
    if not folder:
        pytest.skip("not verified here: the collected SVG files (RATCHET_TEST_DATA is not set)")
    files = sorted((Path(folder) / "security" / "ssrf").glob("*.svg"))
    assert len(files) == 8
    urls = [site.page(f"/{file.name}", file.read_bytes(), "image/svg+xml") for file in files]
    cases = [{"url": url, "names": {}} for url in urls]
    for found in connects(cases, allowed=["127.0.0.1"], permitted=[("127.0.0.1", site.port)]):
        assert "there is an SVG image" in found["text"], found
        assert found["tried"] == [["127.0.0.1", site.port]]


@pytest.mark.parametrize(
    ("encoding", "content_type", "meta"),
    [
        ("utf-8", "text/html; charset=utf-8", ""),
        ("utf-8", "text/html", ""),
        ("utf-8", "text/html; charset=iso-8859-1", ""),
        ("utf-8", "text/html; charset=no-such-encoding", ""),
        ("utf-8", "text/html; charset=rot13", ""),
        ("utf-8", "text/html; charset=utf-16", ""),
        ("utf-8", "text/html; charset=shift_jis", ""),
        ("utf-8", "text/html; charset=unicode_escape", ""),
        ("utf-8-sig", "text/html; charset=cp1252", ""),
        ("utf-16", "text/html", ""),
        ("utf-16-le", "text/html; charset=utf-16", ""),
        ("cp1252", "text/html; charset=ISO-8859-1", ""),
        ("cp1252", "text/html", '<meta charset="windows-1252">'),
        ("cp1252", "text/html; charset=utf-8", ""),
        ("iso8859-15", "text/html", '<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-15">'),
        ("gb18030", "text/html; charset=GB18030", ""),
    ],
)
def test_the_encoding_is_found_also_when_it_is_declared_wrongly(
    site: Any, encoding: str, content_type: str, meta: str
) -> None:
    said = "Die Größe des Flusses überrascht: er ist früher für schmäler gehalten worden, außer im März."
    html = f"<html><head>{meta}<title>Größe</title></head><body><p>{said} {SENTENCES}</p></body></html>"
    result = get(site.page("/", html.encode(encoding), content_type))
    assert result.text.startswith("Größe\n")
    assert said in result.text


JAPANESE = "日本の川は短くて流れが速いことで知られています。信濃川は日本で一番長い川です。" * 5


@pytest.mark.parametrize(
    ("encoding", "content_type", "said"),
    [
        ("iso2022_jp", "text/plain; charset=ISO-2022-JP", JAPANESE),
        ("shift_jis", "text/plain; charset=Shift_JIS", JAPANESE),
        ("shift_jis", "text/plain", JAPANESE),
        ("euc_kr", "text/plain", "한강은 서울을 가로질러 흐르는 강이다. 강의 길이는 사백 구십 킬로미터이다. " * 5),
        ("koi8-r", "text/plain", "Волга является одной из крупнейших рек на Земле и самой длинной в Европе. " * 5),
    ],
)
def test_other_encodings_are_read_and_undeclared_ones_guessed(
    site: Any, encoding: str, content_type: str, said: str
) -> None:
    result = get(site.page("/", said.encode(encoding), content_type))
    assert said.strip() in result.text


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ("<html><head><script>app()</script></head><body><div id=app></div></body></html>", "a page without text"),
        ("<html></html>", "a page without text"),
        ("<div>" * 100_000, "a page without text"),
        ("<table>" * 100_000, "a page without text"),
        ("<!--" * 200_000, "not a page of text"),
    ],
)
def test_a_page_without_text_is_said(site: Any, html: str, said: str) -> None:
    result = get(site.page("/", html.encode()))
    assert result.failed
    assert said in result.text


def test_a_long_page_is_read_part_by_part(site: Any) -> None:
    words = " ".join(str(number) for number in range(5_000))
    url = site.page("/", words.encode(), "text/plain")
    parts, start = [], 0
    while True:
        text = get(url, start=start).text.removeprefix(f"{url}\n\n")
        part, _, note = text.rpartition("\n")
        parts.append(part)
        if "for more" not in note:
            break
        start = int(note.rpartition("=")[2].rstrip("]"))
        assert len(text) < spec_of(web_fetch_tool()).output_cap
    assert "".join(parts) == words
    assert note == f"[characters {start} to {len(words)} of {len(words)}]"
    for beyond in (len(words), -1, 10**30):
        assert f"start is from 0 to {len(words) - 1}, not" in get(url, start=beyond).text


@pytest.mark.slow
def test_what_keeps_the_reader_busy_is_stopped_and_the_next_page_is_read(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    brief = Worker("extraction", "langgraph_ratchet.tools.web.page", (1.0,), timeout_s=1.0)
    monkeypatch.setattr("langgraph_ratchet.tools.web_fetch._worker", brief)
    good = site.page("/good", ARTICLE.encode())
    assert not get(good).failed
    attributes = " ".join(f"a{n}=1" for n in range(150_000))
    result = get(site.page("/", f"<html><body><div {attributes}>x</div></body></html>".encode()))
    assert "the page could not be read in" in result.text
    assert SENTENCES in get(good).text
    brief.close()


def test_pages_are_fetched_at_once_by_many_threads(site: Any) -> None:
    def later(request: bytes) -> Any:
        time.sleep(0.2)
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nlate"

    urls = [site.raw(f"/{n}", later) for n in range(16)]
    results: list[ToolResult] = []
    threads = [threading.Thread(target=lambda url=url: results.append(get(url))) for url in urls]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.text.endswith("late") for result in results] == [True] * 16
    assert time.perf_counter() - started < 16 * 0.2


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "\x00",
        "example.com",
        "http://",
        "http:///x",
        "javascript:alert(1)",
        "x" * 100_000,
        "http://a b/",
        "http://user:secret@example.com/",
        "http://[::1",
        "http://x:99999/",
        "http://\ud800/",
    ],
)
def test_what_is_no_url_is_refused_in_one_line(url: str) -> None:
    result = get(url)
    assert result.failed
    assert "URL" in result.text
    assert "secret" not in result.text


def test_what_is_declared() -> None:
    spec = spec_of(web_fetch_tool())
    assert spec.effects == {Effect.READS, Effect.NETWORK}
    assert spec.targets == {"url"}
    assert spec.trust is Trust.UNTRUSTED
    assert list(convert_to_openai_tool(web_fetch_tool())["function"]["parameters"]["properties"]) == ["url", "start"]
