"""`web_fetch`: the text of a web page. Public pages only, a bounded time and size, read in a process of its own."""

import base64
import json
from collections.abc import Collection
from importlib.util import find_spec

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from langgraph_ratchet.core.errors import BadInputError, MissingExtraError, WorkerError
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.core.worker import Lost, Worker
from langgraph_ratchet.tools.spec import Effect, ToolSpec
from langgraph_ratchet.tools.web.addresses import Destinations, Resolver, system_resolver

_READING_S = 8.0
"""For one page. Ordinary ones take a tenth of a second, some hostile ones would take minutes."""
_SHOWN_CHARS = 6_000
_MOST_TIMEOUT_S = 60.0

# One for the whole process; it starts nothing until the first page.
_worker = Worker("extraction", "langgraph_ratchet.tools.web.page", (_READING_S,), timeout_s=_READING_S)


def web_fetch_tool(
    allow_private: Collection[str] = (),
    *,
    resolver: Resolver = system_resolver,
    max_bytes: int = 2_000_000,
    timeout_s: float = 20.0,
) -> BaseTool:
    """The tool `web_fetch(url, start=0)`.

    Args:
        allow_private: what else than the public internet may be fetched from, for an intranet: host names ("wiki.corp",
            whatever their addresses), addresses ("10.1.2.3") and networks ("10.1.0.0/16").
        resolver: gives the addresses of a host name; they are checked whoever gives them.
        max_bytes: of a page, decompressed, that are read.
        timeout_s: seconds that a page may take to arrive, redirects included.

    Raises:
        BadInputError: an argument cannot be used.
        MissingExtraError: httpx or trafilatura is not installed.
    """
    if find_spec("httpx") is None or find_spec("trafilatura") is None:
        raise MissingExtraError("the tool 'web_fetch'", "web")
    if max_bytes < 1 or not 0 < timeout_s <= _MOST_TIMEOUT_S:
        wanted = f"max_bytes of at least 1, timeout_s above 0 and up to {_MOST_TIMEOUT_S:g}"
        raise BadInputError(f"web_fetch_tool got max_bytes={max_bytes} and timeout_s={timeout_s:g}; it takes {wanted}")
    from langgraph_ratchet.tools.web.fetch import Limits, fetch

    destinations = Destinations.of(allow_private, resolver)
    limits = Limits(body_bytes=max_bytes, seconds=timeout_s)

    def get(url: str, start: int = 0) -> str:
        response = fetch(url, destinations, limits)
        title, text = _read(response.body, response.content_type)
        note = "" if response.whole else f"\n[only the first {len(response.body)} bytes of the page were read]"
        return "\n".join([*([title] if title else []), response.url, "", _part(text, start)]) + note

    return StructuredTool.from_function(
        get,
        name="web_fetch",
        description=(
            "Get the text of the web page at a URL. Of a long page a part is shown; "
            "`start` is the character to begin at."
        ),
        metadata=_spec(timeout_s).metadata(),
    )


def _spec(timeout_s: float) -> ToolSpec:
    return ToolSpec(
        effects=frozenset({Effect.READS, Effect.NETWORK}),
        # The page may have to wait for those of other threads, and for the process to start.
        timeout_s=timeout_s + 2 * _READING_S,
        output_cap=_SHOWN_CHARS + 3_000,
        targets=frozenset({"url"}),
        trust=Trust.UNTRUSTED,
    )


def _read(body: bytes, content_type: str) -> tuple[str, str]:
    """Title and text of a page, read in the worker process."""
    request = json.dumps({"body": base64.b64encode(body).decode("ascii"), "type": content_type}).encode()
    try:
        (reply,) = _worker.ask([request])
    except WorkerError as error:
        raise ToolException(str(error)) from error
    if reply is Lost.LATE:
        raise ToolException(f"the page could not be read in {_READING_S:g} seconds")
    if reply is Lost.DIED:
        raise ToolException("the page could not be read: the process that reads pages died on it")
    if "refused" in reply:
        raise ToolException(f"there is {reply['refused']} at that URL, not a page of text")
    return str(reply["title"]), str(reply["text"])


def _part(text: str, start: int) -> str:
    if not 0 <= start < len(text):
        raise ToolException(f"the page has {len(text)} characters, so start is from 0 to {len(text) - 1}, not {start}")
    end = min(start + _SHOWN_CHARS, len(text))
    more = f"; for more: start={end}" if end < len(text) else ""
    note = f"\n[characters {start} to {end} of {len(text)}{more}]" if start or more else ""
    return text[start:end] + note
