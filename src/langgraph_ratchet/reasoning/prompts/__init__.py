"""The prompts of the nodes, one text file each.

They are short because a small model reads them on every call, and fixed because a fixed prompt can be kept as a
prefix. Braces are filled in by the node of the same name.
"""

from functools import cache
from importlib.resources import files


@cache
def prompt(name: str) -> str:
    """The text of `prompts/<name>.txt`."""
    return files(__name__).joinpath(f"{name}.txt").read_text(encoding="utf-8").strip()
