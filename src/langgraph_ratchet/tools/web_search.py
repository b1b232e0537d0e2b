"""`web_search`: finds pages through Tavily's search service. Needs a key, and says how to get one."""

import re
from importlib.util import find_spec
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from langgraph_ratchet.core.errors import BadInputError, MissingExtraError
from langgraph_ratchet.core.settings import Settings
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.spec import Effect, ToolSpec

_REQUEST_S = 15.0
_ANSWER_BYTES = 4_000_000
_MOST_RESULTS = 20
"""The service gives no more."""
_TITLE_CHARS = 150
_URL_CHARS = 2_000
_CONTENT_CHARS = 600
_NO_REASON = "the plan of the key is used up, or does not include it"
_KEY = re.compile(r"[\x21-\x7e]+")

SPEC = ToolSpec(
    effects=frozenset({Effect.READS, Effect.NETWORK}),
    timeout_s=2 * _REQUEST_S,
    output_cap=6_000,
    trust=Trust.UNTRUSTED,
)

_NO_KEY = (
    "web_search needs a key of Tavily: get one at https://app.tavily.com (free for 1,000 searches a month) and set "
    "TAVILY_API_KEY. Without it, look things up in the documents that come with the question: the tool 'documents'"
)


def web_search_tool(key: str | None = None, *, base_url: str | None = None, max_results: int = 5) -> BaseTool:
    """The tool `web_search(query)`.

    Args:
        key: of Tavily; `None`: the setting `TAVILY_API_KEY`. Without either the tool can be made and offered, and every
            call says how to get a key.
        base_url: where the service is; `None`: Tavily's own address.
        max_results: pages per search, up to 20.

    Raises:
        BadInputError: an argument cannot be used.
        MissingExtraError: tavily-python is not installed.
    """
    if find_spec("tavily") is None:
        raise MissingExtraError("the tool 'web_search'", "web")
    if not 1 <= max_results <= _MOST_RESULTS:
        raise BadInputError(f"web_search_tool takes max_results from 1 to {_MOST_RESULTS}, got {max_results}")
    if base_url is not None and not base_url.startswith(("http://", "https://")):
        raise BadInputError(f"web_search_tool got base_url={base_url!r}; it takes an http:// or https:// URL")
    used = _key(key)

    def search(query: str) -> str:
        if used is None:
            raise ToolException(_NO_KEY)
        if not query.strip():
            raise ToolException("the query is empty: say what to search for")
        return _shown(_answer(used, base_url, query.strip(), max_results), query.strip())

    return StructuredTool.from_function(
        search,
        name="web_search",
        description="Search the web. Gives titles, URLs and excerpts of the pages found.",
        metadata=SPEC.metadata(),
    )


def _key(given: str | None) -> str | None:
    """The key to use, of what was given and what is set."""
    setting = Settings().tavily_api_key if given is None else None
    key = (given if setting is None else setting.get_secret_value()) or ""
    # Checked here: the HTTP library would quote the key in its complaint.
    if key.strip() and not _KEY.fullmatch(key.strip()):
        raise BadInputError(
            "the key of Tavily has characters that no key has: copy it anew from https://app.tavily.com"
        )
    return key.strip() or None


def _answer(key: str, base_url: str | None, query: str, max_results: int) -> Any:
    """What the service answers, as JSON."""
    import requests
    from tavily import TavilyClient, errors  # type: ignore[import-untyped]  # has no hints of its own

    from langgraph_ratchet.tools.web.bounded import bounded_session

    with bounded_session(_ANSWER_BYTES, _REQUEST_S) as session:
        client = TavilyClient(key, api_base_url=base_url and base_url.rstrip("/"), session=session)
        try:
            return client.search(query, max_results=max_results, timeout=_REQUEST_S)
        except ToolException:
            raise
        except errors.InvalidAPIKeyError as error:
            raise ToolException(
                "the search service does not know the key: see that TAVILY_API_KEY is one of https://app.tavily.com"
            ) from error
        except errors.UsageLimitExceededError as error:
            raise ToolException("the search service had too many requests: search less often, or later") from error
        except errors.ForbiddenError as error:
            raise ToolException(f"the search service refuses: {str(error) or _NO_REASON}") from error
        except errors.BadRequestError as error:
            raise ToolException(f"the search service does not take this query: {error}") from error
        except (errors.TimeoutError, requests.exceptions.Timeout) as error:
            raise ToolException(f"the search service did not answer in {_REQUEST_S:g} seconds") from error
        except requests.exceptions.HTTPError as error:
            status = getattr(error.response, "status_code", "unknown")
            raise ToolException(f"the search service failed with the status {status}") from error
        except requests.exceptions.ConnectionError as error:
            raise ToolException("the search service cannot be reached: is there a way to the internet?") from error
        except Exception as error:  # The client stumbles in ways of its own over what is no JSON object.
            raise ToolException(f"the search service did not answer as documented ({type(error).__name__})") from error


def _shown(answer: Any, query: str) -> str:
    """The results as text: number, title, URL and excerpt of each."""
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list):
        raise ToolException("the search service did not answer as documented: there is no list of results")
    shown: list[str] = []
    for result in results:
        url = _line(result, "url")
        if url and len(url) <= _URL_CHARS:  # a part of a URL leads nowhere
            title = _cut(_line(result, "title"), _TITLE_CHARS) or url
            excerpt = _cut(_line(result, "content"), _CONTENT_CHARS)
            shown.append(f"{len(shown) + 1}. {title}\n{url}\n{excerpt}".rstrip())
    return "\n\n".join(shown) or f"nothing found for '{query[:60]}'"


def _line(result: Any, field: str) -> str:
    """One field of a result on one line; empty if it is not there or no text."""
    value = result.get(field) if isinstance(result, dict) else None
    return " ".join(value.split()) if isinstance(value, str) else ""


def _cut(line: str, most: int) -> str:
    return line if len(line) <= most else line[:most] + "…"
