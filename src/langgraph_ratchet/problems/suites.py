"""Suites by name or from a file. The built-in ones are the TOML files in `problems/suites/`."""

import tomllib
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from langgraph_ratchet.core.errors import BadInputError, UnknownNameError
from langgraph_ratchet.core.suite import Suite


def suites() -> tuple[str, ...]:
    """Names of the built-in suites, sorted."""
    folder = files("langgraph_ratchet.problems") / "suites"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def load_suite(name_or_path: str | Path) -> Suite:
    """The built-in suite of this name, or the one in this `.toml` file.

    Raises:
        UnknownNameError: there is neither.
        BadInputError: the file is not TOML or does not describe a suite.
    """
    if str(name_or_path) in suites():
        text = (files("langgraph_ratchet.problems") / "suites" / f"{name_or_path}.toml").read_text("utf-8")
    elif Path(name_or_path).is_file():
        text = Path(name_or_path).read_text("utf-8", errors="replace")
    else:
        raise UnknownNameError("suite", str(name_or_path), suites(), "Or give the path of a .toml file")
    try:
        return Suite.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadInputError(f"suite {name_or_path} is not TOML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
        raise BadInputError(f"suite {name_or_path} does not describe a suite: {faults}") from error
