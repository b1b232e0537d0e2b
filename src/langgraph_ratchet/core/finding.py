"""What a check of the installation found: `ratchet doctor` prints these, and each part writes its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How it is with one thing."""

    OK = "ok"
    LACK = "lack"
    """Something optional is missing or unwise; what does not use it works."""
    BROKEN = "broken"
    """Something that Ratchet itself needs does not work."""


# A dataclass: what says that pydantic is missing must not need pydantic.
@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    part: str
    """What it is about, in one word: `python`, `extra`, `device`, `disk`."""
    name: str
    """Which of them: the extra's name, the folder's purpose."""
    state: State
    said: str
    """What was found, in one line."""
    fix: str | None = None
    """What to do about it; `None` when there is nothing to do."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The same for programs, as JSON. `None` inside means "not measured"."""
