"""Paths that a model gives: taken apart and checked before the file system sees any of them.

A path is relative, its parts stand between slashes, and no part begins with a dot: neither `..` nor hidden files, which
programs take keys, settings and commands from (`.env`, `.git/hooks`). What is written has a plain name besides: one
that every system takes, and that does harm in no shell or list.
"""

import json

from langchain_core.tools import ToolException

from langgraph_ratchet.core.ids import clean_text

_MAX_CHARS = 1_000
_MAX_PARTS = 32
_NOT_PORTABLE = frozenset('\\<>:"|?*')
_NOT_FIRST = ("-", "~", " ")
_EXAMPLE = "give a path such as notes/plan.txt, inside the folder of files"


def parts_of(path: str) -> tuple[str, ...]:
    """The names that `path` leads through, from the root on; empty for the root itself ("", ".").

    Raises:
        ToolException: no path inside the root is meant; the message says why.
    """
    if len(path) > _MAX_CHARS:
        raise ToolException(f"the path has {len(path)} characters, it may have {_MAX_CHARS}: {_EXAMPLE}")
    if clean_text(path) != path:
        raise ToolException(f"the path holds what no file name holds: {_EXAMPLE}")
    if path.startswith("/"):
        raise ToolException(f"{shown(path)} is absolute: {_EXAMPLE}")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts:
        raise ToolException(f"{shown(path)} leads out of a folder with '..': {_EXAMPLE}")
    if hidden := next((part for part in parts if part.startswith(".")), None):
        raise ToolException(
            f"{shown(hidden)} begins with a dot, so it is hidden: the file tools leave such names alone"
        )
    if len(parts) > _MAX_PARTS:
        raise ToolException(f"the path is {len(parts)} folders deep, it may be {_MAX_PARTS}: {_EXAMPLE}")
    return parts


def file_parts(path: str) -> tuple[str, ...]:
    """`parts_of` a path that names a file: at least one, the last being the file's.

    Raises:
        ToolException: it cannot be a file's path; the message says why.
    """
    parts = parts_of(path)
    if not parts or path.endswith(("/", "/.")):
        raise ToolException(f"{shown(path)} names a folder, not a file: {_EXAMPLE}")
    return parts


def check_new_names(parts: tuple[str, ...]) -> None:
    """Raises `ToolException` unless each part is a name that may be given to a new file or folder."""
    for part in parts:
        odd = sorted({character for character in part if character in _NOT_PORTABLE or not character.isprintable()})
        if odd:
            raise ToolException(f"the name {shown(part)} holds {shown(odd[0])}: use letters, digits and . _ -")
        if part.startswith(_NOT_FIRST) or part.endswith((".", " ")):
            raise ToolException(f"the name {shown(part)} begins or ends with a sign that may not stand there")


def shown(name: str) -> str:
    """`name` in quotes and short, on one line, with what is unseen written out, as JSON does."""
    return quoted(name if len(name) <= 80 else f"{name[:80]}…")


def quoted(name: str) -> str:
    """`name` as a JSON string; a model that copies it into a call's arguments names the same file."""
    return json.dumps(name, ensure_ascii=not name.isprintable())


def listed(name: str) -> str:
    """`name` as it stands in a list: as it is, or quoted where it could be mistaken for something else."""
    plain = name.isprintable() and '"' not in name and name == " ".join(name.split())
    return name if plain else quoted(name)
