"""Answers of a web service, kept to a size and a time: what a client of `requests` would read without end."""

import io
import time
from collections.abc import Callable
from typing import Any

import requests
from langchain_core.tools import ToolException


def bounded_session(most_bytes: int, seconds: float) -> requests.Session:
    """A session whose answers are read here, up to their limits, before its user sees them.

    Proxies and certificates of the environment hold, as `requests` has it; redirects are not followed.

    Args:
        most_bytes: of an answer, decompressed.
        seconds: in which an answer's body has to arrive, from now.
    """
    session = requests.Session()
    # The user's reading comes later than the hook only if the answer is streamed.
    session.stream = True
    session.max_redirects = 0
    session.hooks["response"].append(_reader(most_bytes, time.monotonic() + seconds))
    return session


def _reader(most_bytes: int, end: float) -> Callable[..., None]:
    def read(response: requests.Response, **_: Any) -> None:
        body = bytearray()
        with response.raw as raw:
            # Not `read`: that waits until it has all it was asked for, however slowly it drips in.
            while chunk := raw.read1(65_536, decode_content=True):
                body += chunk
                if len(body) > most_bytes:
                    raise ToolException(f"the service's answer has more than {most_bytes} bytes")
                if time.monotonic() > end:
                    raise requests.exceptions.ReadTimeout("the answer came too slowly")
        response.raw = io.BytesIO(body)

    return read
