"""Where the text of a message came from, and how far it is trusted."""

from enum import StrEnum

from langgraph_ratchet.core.noun import Noun
from langgraph_ratchet.core.step import Trust


class OriginKind(StrEnum):
    """What kind of writer stands behind a text."""

    SYSTEM = "system"
    """The app's own instructions."""
    USER = "user"
    """Whoever asked."""
    MODEL = "model"
    """A chat model; `name` is the model."""
    TOOL = "tool"
    """A tool that computed it; `name` is the tool."""
    WEB = "web"
    """A web page or a search result; `name` is the domain, or the tool where there are several."""
    FILE = "file"
    """A file, a document or an attachment; `name` is its path or title."""
    MCP = "mcp"
    """A tool of an MCP server; `name` is the server."""
    MEMORY = "memory"
    """What was remembered; `name` is the record's source, if it has one."""
    UNKNOWN = "unknown"
    """Nobody said."""


class Origin(Noun):
    """Who wrote a text."""

    kind: OriginKind
    name: str | None = None
    """Which one of its kind; `None`: not said, or there is only one."""
    trust: Trust
