"""What `--tools`, `--documents` and `--allow` name."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langgraph_ratchet.core.errors import BadInputError

if TYPE_CHECKING:  # LangChain is imported when a tool is used, not when help is shown
    from langchain_core.tools import BaseTool

    from langgraph_ratchet.core.settings import Settings

TOOLS_HELP = "Tools, with commas: names, web, memory, files, mcp:FILE; empty for none. Default: RATCHET_TOOLS."

Allow = Annotated[
    str | None,
    typer.Option(
        help="Tools, with commas, that may write or execute without asking, until the run has read other people's "
        "text. Default: RATCHET_ALLOW, else none."
    ),
]
Documents = Annotated[
    Path | None, typer.Option(help="Folder of .txt and .md files that the tool documents looks things up in.")
]


def chosen_tools(option: str | None, settings: "Settings", documents: Path | None = None) -> "list[BaseTool]":
    """The tools that the option lists, else the setting; with `documents` over a folder if one is given.

    Raises:
        RatchetError: as `get_tools`; and there is no such folder.
    """
    from langgraph_ratchet.core.settings import names_in
    from langgraph_ratchet.tools import get_tools
    from langgraph_ratchet.tools.documents import documents_tool

    listed = settings.tools if option is None else names_in(option)
    if documents is None:
        return get_tools(*listed) if listed else []
    if "documents" not in listed:
        listed.append("documents")
    collection = documents_tool(documents)
    return [collection if tool.name == collection.name else tool for tool in get_tools(*listed)]


def allowed(option: str | None, settings: "Settings", tools: "list[BaseTool]") -> list[str]:
    """The tools that may act without asking: by the option, else by the setting.

    Raises:
        BadInputError: the option names one that is not among `tools`: a misspelt name would never allow anything.
    """
    from langgraph_ratchet.core.settings import names_in

    if option is None:
        return settings.allow
    listed, known = names_in(option), [tool.name for tool in tools]
    if unknown := [name for name in listed if name not in known]:
        raise BadInputError(
            f"--allow names {', '.join(unknown)}, which this run does not have; its tools: {', '.join(known) or 'none'}"
        )
    return listed
