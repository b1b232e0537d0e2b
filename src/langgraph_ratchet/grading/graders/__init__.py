"""The graders, one file each; a file here is a grader by its own name, and nothing else has to be told.

A grader file defines

- `VERSION: int`, raised whenever some answer would be judged otherwise than before;
- `GOLD: tuple[AnswerKey, ...]`, keys on which the conformance test proves it: each key's own value must be right,
  and empty text, filler and the list of all values must not be;
- `judge(key: AnswerKey, answer: str) -> Judgement`, pure. It never evaluates the answer, and raises `BadInputError`
  when the key cannot be used.

Graders run in a worker that opens no file, starts no process and imports nothing after its start, so a grader
imports what it needs at the top of its file.
"""

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import UnknownNameError
from langgraph_ratchet.grading.judgement import Judgement

PACKAGE = __name__
"""The package whose files are the graders."""


@dataclass(frozen=True, slots=True)
class Grader:
    """One grader as its file defines it."""

    name: str
    version: int
    gold: tuple[AnswerKey, ...]
    judge: Callable[[AnswerKey, str], Judgement]

    @property
    def full_name(self) -> str:
        """`name@version`, as grades carry it."""
        return f"{self.name}@{self.version}"


@functools.cache
def grader_names(package: str = PACKAGE) -> tuple[str, ...]:
    """Names of all graders, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__)))


@functools.cache
def get_grader(name: str, package: str = PACKAGE) -> Grader:
    """The grader called `name`.

    Raises:
        UnknownNameError: there is no such grader. The name comes from data, so it is looked up and never imported
            as it stands.
    """
    known = grader_names(package)
    if name not in known:
        raise UnknownNameError("grader", name, known)
    module = importlib.import_module(f"{package}.{name}")
    return Grader(name=name, version=module.VERSION, gold=module.GOLD, judge=module.judge)
