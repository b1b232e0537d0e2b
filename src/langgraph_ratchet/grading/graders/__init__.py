"""The graders, one file each; a file here is a grader by its own name, and nothing else has to be told.

A grader file defines

- `VERSION: int`, raised whenever some answer would be judged otherwise than before;
- `GOLD: tuple[AnswerKey, ...]`, keys on which the conformance test proves it: each key's own value must be right,
  and empty text, filler and the list of all values must not be;
- `judge(key: AnswerKey, answer: str) -> Judgement`, pure. It never evaluates the answer, and raises `BadInputError`
  when the key cannot be used.

A package of one's own offers such a file (the module, or any object with these three) as an entry point in the group
`langgraph_ratchet.graders`, under the grader's name.

Graders run in a worker that opens no file, starts no process and imports nothing after its start, so a grader
imports what it needs at the top of its file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.plugins import Kind
from langgraph_ratchet.grading.judgement import Judgement

PACKAGE = __name__
"""The package whose files are the built-in graders."""


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


def _as_grader(name: str, module: Any) -> Grader:
    grader = Grader(name=name, version=module.VERSION, gold=module.GOLD, judge=module.judge)
    if not isinstance(grader.version, int) or not isinstance(grader.gold, tuple) or not callable(grader.judge):
        raise TypeError(f"VERSION {grader.version!r} is no integer, GOLD no tuple, or judge no function")
    return grader


@cache
def graders_of(package: str = PACKAGE) -> Kind[Grader]:
    """Where graders are found: in the files of `package`, and for our own also by other packages' entry points."""
    return Kind(
        noun="grader",
        folder=package,
        group="langgraph_ratchet.graders" if package == PACKAGE else None,
        attribute="",
        wanted="a module with VERSION, GOLD and judge, as `langgraph_ratchet.grading.graders` describes it",
        accept=_as_grader,
    )


def grader_names(package: str = PACKAGE) -> tuple[str, ...]:
    """Names of all graders, sorted."""
    return graders_of(package).names()


def get_grader(name: str, package: str = PACKAGE) -> Grader:
    """The grader called `name`.

    Raises:
        UnknownNameError: there is no such grader. The name comes from data, so it is looked up and never imported
            as it stands.
        PluginError: another package's grader cannot be used.
    """
    return graders_of(package).load(name)
