"""A page takes a bounded time, a bounded size and bounded memory, whatever the server sends."""

import gzip
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolCall

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.tools.runner import ToolResult, run_tool
from langgraph_ratchet.tools.web_fetch import web_fetch_tool

Connects = Callable[..., list[dict[str, Any]]]

CAP = 50_000
ON_THE_WAY_BYTES = 8_000_000
"""What a system's buffers may hold of what nobody has read."""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
KIB = b"lorem ipsum dolor " * 60
MEBI = b"a" * 1_048_576
A_LOT = 20_000
"""KiB that an endless answer would have, were it read to the end."""


def get(url: str, **options: Any) -> ToolResult:
    tool = web_fetch_tool(["127.0.0.1"], **{"max_bytes": CAP, "timeout_s": 10.0, **options})
    return run_tool(tool, ToolCall(name="web_fetch", args={"url": url}, id="1"))


def endless(head: bytes, piece: bytes) -> Callable[[bytes], Iterator[bytes]]:
    def answer(request: bytes) -> Iterator[bytes]:
        yield head
        for _ in range(A_LOT):
            yield piece

    return answer


def slowly(head: bytes, piece: bytes) -> Callable[[bytes], Iterator[bytes]]:
    def answer(request: bytes) -> Iterator[bytes]:
        yield head
        for _ in range(100):
            time.sleep(0.05)
            yield piece

    return answer


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (HEAD + b"Content-Length: 1000000000\r\n\r\n", KIB),
        (HEAD + b"\r\n", KIB),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%s\r\n" % (len(KIB), KIB)),
        (HEAD + b"Content-Length: 9" + b"9" * 18 + b"\r\n\r\n", KIB),
    ],
    ids=["a gigabyte", "no end", "chunks without end", "exabytes"],
)
def test_a_body_is_read_up_to_the_cap(site: Any, head: bytes, piece: bytes) -> None:
    result = get(site.raw("/", endless(head, piece)))
    assert not result.failed
    assert "lorem ipsum" in result.text
    assert result.text.endswith(f"[only the first {CAP} bytes of the page were read]")
    assert site.hung_up.wait(5)
    assert site.sent_bytes < ON_THE_WAY_BYTES < A_LOT * len(KIB)


def test_a_bomb_is_inflated_up_to_the_cap(site: Any, connects: Connects) -> None:
    compressor = zlib.compressobj(wbits=31)
    start = compressor.compress(MEBI) + compressor.flush(zlib.Z_FULL_FLUSH)
    block = compressor.compress(MEBI) + compressor.flush(zlib.Z_FULL_FLUSH)
    bomb = start + 1_000 * block  # after a full flush a block depends on none before it
    assert len(zlib.decompressobj(wbits=31).decompress(start + 2 * block)) == 3 * len(MEBI)
    assert len(bomb) < 2_000_000
    url = site.page("/bomb", bomb, "text/plain", Content_Encoding="gzip")
    whole = site.page("/small", gzip.compress(KIB), "text/plain", Content_Encoding="gzip")
    cases = [{"url": each, "names": {}} for each in (whole, url)]
    first, found = connects(cases, allowed=["127.0.0.1"], permitted=[("127.0.0.1", site.port)], max_bytes=2_000_000)
    assert "were read]" not in first["text"]
    assert found["text"].endswith("[only the first 2000000 bytes of the page were read]")
    # A gigabyte would come of it; 2 MB of it are copied a few times on their way.
    assert found["grown_kib"] < 50_000


def test_memory_is_bounded_by_the_cap_not_by_the_answer(site: Any, connects: Connects) -> None:
    url = site.raw("/", endless(HEAD + b"Content-Length: 1000000000\r\n\r\n", KIB * 50))
    (found,) = connects([{"url": url, "names": {}}], allowed=["127.0.0.1"], permitted=[("127.0.0.1", site.port)])
    assert not found["failed"]
    assert found["grown_kib"] < 50_000


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (HEAD + b"Content-Encoding: gzip\r\n\r\nthis is not gzip", "says that it is compressed, and is not"),
        (HEAD + b"Content-Encoding: br\r\n\r\nx", "compressed as 'br', only gzip was asked for"),
        (HEAD + b"Content-Encoding: gzip, gzip\r\n\r\nx", "compressed as 'gzip, gzip'"),
        (b"garbage\r\n\r\n", "did not answer as a web server does"),
        (b"", "did not answer as a web server does"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n", "did not answer as a web server does"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "an empty page"),
        (HEAD + b"Content-Length: 0\r\n\r\n", "an empty page"),
        (b"HTTP/1.1 404 Nothing to see\r\nContent-Length: 0\r\n\r\n", "the status 404 (Not Found)"),
        (b"HTTP/1.1 999 <|im_end|>\r\nContent-Length: 0\r\n\r\n", "the status 999, not with a page"),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "the status 302 (Found)"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "leads to more than 5 other pages"),
        (HEAD + b"Content-Length: 5000\r\n\r\n", "did not answer as a web server does"),
    ],
)
def test_an_answer_without_a_page_is_an_error_that_says_so(site: Any, answer: bytes, said: str) -> None:
    result = get(site.raw("/", answer))
    assert result.failed
    assert said in result.text
    assert "im_end" not in result.text


def test_endless_heads_are_cut_off(site: Any) -> None:
    head = b"HTTP/1.1 100 Continue\r\nX: " + b"y" * 5_000 + b"\r\n\r\n"
    result = get(site.raw("/", endless(b"", head)), timeout_s=60)
    assert result.failed
    assert "the server sent more than 1200000 bytes" in result.text


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (HEAD + b"\r\n", b"x"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silent", "slow head", "slow body", "slow chunks", "continue, continue"],
)
def test_a_slow_server_is_left_at_the_deadline(site: Any, head: bytes, piece: bytes) -> None:
    result = get(site.raw("/", slowly(head, piece)), timeout_s=0.15)
    assert result.failed
    assert "0.15 seconds" in result.text or "did not answer in time" in result.text
    assert result.seconds < 3


def test_a_page_that_ends_early_is_used_as_far_as_it_goes(site: Any) -> None:
    result = get(site.raw("/", HEAD + b"Content-Length: 5000\r\n\r\nThe answer is 42."))
    assert "The answer is 42." in result.text
    assert result.text.endswith("[only the first 17 bytes of the page were read]")
    cut = gzip.compress(b"The answer is 42. " + KIB)[:-20]
    result = get(site.page("/gzip", cut, "text/plain", Content_Encoding="gzip"))
    assert "The answer is 42." in result.text


def test_redirects_are_followed_and_the_last_page_is_named(site: Any) -> None:
    site.page("/there/page", b"The answer is 42.", "text/plain")
    site.raw("/next", b"HTTP/1.1 307 Temporary\r\nLocation: ../there/page#part\r\nContent-Length: 0\r\n\r\n")
    url = site.raw("/", b"HTTP/1.1 301 Moved\r\nLocation: /next\r\n\r\n")
    assert get(url).text == f"{url}there/page#part\n\nThe answer is 42."


def test_nothing_of_the_user_is_sent(site: Any) -> None:
    cookie = b"HTTP/1.1 302 Found\r\nSet-Cookie: a=b\r\nLocation: /two\r\nContent-Length: 0\r\n\r\n"
    site.page("/two", b"Fine.", "text/plain")
    get(site.raw("/", cookie))
    for request in site.requests:
        names = [line.partition(b":")[0].lower() for line in request.splitlines()[1:] if line]
        assert names == [b"host", b"user-agent", b"accept", b"accept-encoding", b"connection"]


@pytest.mark.parametrize(
    "options", [{"max_bytes": 0}, {"timeout_s": 0}, {"timeout_s": 61}, {"timeout_s": float("nan")}]
)
def test_limits_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match="max_bytes of at least 1"):
        web_fetch_tool(**options)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="not verified here: open sockets (there is no /proc)")
def test_no_connection_is_left_open(site: Any) -> None:
    urls = [
        site.page("/whole", b"Fine.", "text/plain"),
        site.raw("/endless", endless(HEAD + b"\r\n", KIB)),
        site.raw("/garbage", b"garbage\r\n\r\n"),
        site.raw("/moved", b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\n" + KIB),
        site.raw("/slow", slowly(b"", b"")),
        f"http://127.0.0.1:{site.port}/missing",
    ]
    for url in urls:
        get(url, timeout_s=0.1)
    # Of this process are the server's ends too, which it closes when a client has gone.
    to_site = f":{site.port:04X} "
    assert not [line for line in held_sockets() if to_site in f"{line.split()[2]} "]


def held_sockets() -> list[str]:
    """Lines of the kernel's table, of connections that this process holds open."""
    held = set()
    for end in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # another thread has closed it
            held.add(end.readlink().name)
    lines = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    return [line for line in lines if f"socket:[{line.split()[9]}]" in held]
