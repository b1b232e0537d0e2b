"""Answers tool calls from recordings, so that an agent can be run again without doing anything again.

A call is answered by what was recorded for the same tool with the same arguments, be it a result or a failure. What
depends on other calls too (a shopping cart) needs a simulator: a function of the user's, asked for what was not
recorded. Where nothing answers, `NotRecordedError` is raised; the tool itself is never called.

Arguments are the same when the tool's own schema reads them as the same (defaults filled in, "3" as 3 where it wants a
number), in whatever order; 1 is 1.0, and texts are compared in Unicode's composed form, white space included: to a
program or a file it matters.
"""

import json
import threading
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeGuard

from langchain_core.tools import BaseTool, ToolException
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from langgraph_ratchet.core.errors import NotRecordedError
from langgraph_ratchet.core.ids import content_hash
from langgraph_ratchet.core.step import Approval, Step
from langgraph_ratchet.core.trace import Trace
from langgraph_ratchet.tools.spec import ToolSpec, spec_of

Simulator = Callable[[str, Mapping[str, Any]], str | None]
"""Takes a tool's name and the arguments; gives a result, or `None` when it has none. A `ToolException` is a failure."""

_NOTE_CHARS = 40
"""The runner's note on what it cut from an output, which a recorded output ends with."""
_SHOWN_CHARS = 200


@dataclass(frozen=True)
class _Result:
    text: str
    failed: bool

    @classmethod
    def of(cls, step: Step) -> "_Result":
        text = step.output or ""
        return cls(text.removeprefix("error: ") if step.failed else text, step.failed)


@dataclass(frozen=True)
class _RecordedRun:
    question_id: str | None
    """`None`: not known."""
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class _Results:
    """What one run recorded for the repetitions of one call, in order."""

    question_id: str | None
    results: tuple[_Result, ...]

    def at(self, repetition: int) -> _Result | None:
        """That of a repetition, from 0. After the last one only what was always the same is known to be so again."""
        if repetition < len(self.results):
            return self.results[repetition]
        return self.results[0] if len(set(self.results)) == 1 else None


_Index = Mapping[str, Sequence[_Results]]
"""By the normal form of the arguments: what each run recorded, in the order of the runs."""


class ToolReplay:
    """Recordings that stand in for tools.

    Args:
        runs: what was recorded; `ToolReplay.of` makes it from traces.
        simulator: asked for what was not recorded.
    """

    def __init__(self, runs: Sequence[_RecordedRun] = (), simulator: Simulator | None = None) -> None:
        self.simulator = simulator
        self._runs = tuple(runs)
        # With the tool, so that its id is not given to another one.
        self._indices: dict[int, tuple[BaseTool, _Index]] = {}

    @classmethod
    def of(cls, recorded: Iterable[Trace | Step], *, simulator: Simulator | None = None) -> "ToolReplay":
        """From traces, each a run, or from the steps of one run.

        Left out are steps that were replayed themselves, and calls that were refused since nobody could be asked.
        """
        runs: list[_RecordedRun] = []
        loose: list[Step] = []
        for item in recorded:
            if isinstance(item, Trace):
                runs.append(_RecordedRun(item.question.id, _called(item.steps)))
            else:
                loose.append(item)
        if loose:
            runs.append(_RecordedRun(None, _called(loose)))
        return cls([run for run in runs if run.steps], simulator)

    @property
    def identity(self) -> str:
        """Equal for replays that answer alike, as far as the simulator's name tells."""
        name = getattr(self.simulator, "__qualname__", type(self.simulator).__name__)
        module = getattr(self.simulator, "__module__", "")
        steps = [[run.question_id, *(step.model_dump_json() for step in run.steps)] for run in self._runs]
        return content_hash([f"{module}.{name}", steps])

    def over(
        self, tools: Iterable[BaseTool], simulator: Simulator | None = None, *, question_id: str | None = None
    ) -> list[BaseTool]:
        """The tools for one run: those that declare no effects as they are, the others answered from recordings.

        A call that the run repeats is answered by the repetitions of one recorded run, in their order; of the runs
        that recorded it, the first of the same question, else the first. What is recorded later changes no answer.

        Args:
            tools: as the agent was given them.
            simulator: takes the place of the replay's own.
            question_id: of the question that the run is about.
        """
        asked = simulator or self.simulator
        return [
            ReplayedTool.of(tool, _Answers(tool, self._index(tool), asked, question_id))
            if spec_of(tool).effects
            else tool
            for tool in tools
        ]

    def _index(self, tool: BaseTool) -> _Index:
        if known := self._indices.get(id(tool)):
            return known[1]
        index: defaultdict[str, list[_Results]] = defaultdict(list)
        for run in self._runs:
            results: defaultdict[str, list[_Result]] = defaultdict(list)
            for step in run.steps:
                if step.tool == tool.name:
                    for arguments in _asked_with(step):
                        results[normal_form(tool, arguments)].append(_Result.of(step))
            for key, repetitions in results.items():
                index[key].append(_Results(run.question_id, tuple(repetitions)))
        self._indices[id(tool)] = (tool, index)
        return index


def _called(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Steps that a tool answered, or the person who was asked about the call."""
    unanswered = Approval.REFUSED
    return tuple(step for step in steps if step.tool and not step.replayed and step.approval is not unanswered)


def _asked_with(step: Step) -> list[Mapping[str, Any]]:
    """The arguments that the step's result answers: where a person changed them, what the model wrote as well."""
    return [step.input or {}] if step.proposed is None else [step.input or {}, step.proposed]


class _Answers:
    """Answers one run's calls of one tool. Any thread may ask."""

    def __init__(self, tool: BaseTool, index: _Index, simulator: Simulator | None, question_id: str | None) -> None:
        self._tool, self._index, self._simulator, self._question_id = tool, index, simulator, question_id
        self._asked: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def __call__(self, arguments: Mapping[str, Any]) -> str:
        """The result. Raises `ToolException` for a failure, `NotRecordedError` where nothing answers."""
        key = normal_form(self._tool, arguments)
        with self._lock:
            repetition = self._asked[key]
            self._asked[key] += 1
        recorded = self._index.get(key, ())
        best = next((each for each in recorded if each.question_id == self._question_id), None)
        best = best or (recorded[0] if recorded else None)
        result = best.at(repetition) if best else None
        if result is None:
            return self._simulated(arguments, key, times=len(best.results) if best else 0)
        if result.failed:
            raise ToolException(result.text)
        return result.text

    def _simulated(self, arguments: Mapping[str, Any], key: str, *, times: int) -> str:
        simulated = self._simulator(self._tool.name, arguments) if self._simulator else None
        if simulated is None:
            shown = key if len(key) <= _SHOWN_CHARS else key[:_SHOWN_CHARS] + "…"
            again = f" more than {times} times" if times else ""
            raise NotRecordedError(f"{self._tool.name}({shown})", again)
        return simulated


class ReplayedTool(BaseTool):
    """Stands in for a tool with effects: its name and schema, and answers from elsewhere."""

    answers: Callable[[Mapping[str, Any]], str]
    injected: frozenset[str]
    """Names of arguments that are not the model's, and so are no part of a recording."""

    @classmethod
    def of(cls, tool: BaseTool, answers: Callable[[Mapping[str, Any]], str]) -> "ReplayedTool":
        """A stand-in for `tool`, which declares that it has no effects."""
        spec = spec_of(tool)
        harmless = ToolSpec(timeout_s=spec.timeout_s, output_cap=spec.output_cap + _NOTE_CHARS, trust=spec.trust)
        return cls(
            name=tool.name,
            description=tool.description,
            args_schema=tool.args_schema or convert_to_openai_tool(tool)["function"]["parameters"],
            return_direct=tool.return_direct,
            metadata={**(tool.metadata or {}), **harmless.metadata()},
            tags=tool.tags,
            answers=answers,
            injected=_injected(tool),
        )

    def _run(self, *args: Any, **kwargs: Any) -> str:
        given = dict(zip(self.args, args, strict=False)) | kwargs
        return self.answers({name: value for name, value in given.items() if name not in self.injected})


def _injected(tool: BaseTool) -> frozenset[str]:
    every, visible = (
        schema.model_fields.keys() if _is_model(schema) else () for schema in (tool.args_schema, tool.tool_call_schema)
    )
    return frozenset(every).difference(visible)


def _is_model(schema: Any) -> TypeGuard[type[BaseModel]]:
    """Rather than a JSON schema, or a model of pydantic 1, whose validation is not asked."""
    return isinstance(schema, type) and issubclass(schema, BaseModel)


def normal_form(tool: BaseTool, arguments: Mapping[str, Any]) -> str:
    """Arguments of a call of `tool` as text, equal for calls that are the same (see the module)."""
    schema: Any = tool.tool_call_schema
    filled = _validated(schema, arguments) if _is_model(schema) else _with_defaults(schema, arguments)
    return json.dumps(_plain(filled), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _validated(schema: type[BaseModel], arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """As the schema reads them; as they are when it refuses them."""
    try:
        read = schema.model_validate(dict(arguments)).model_dump()
    except ValueError:
        return arguments
    known = {key for name, field in schema.model_fields.items() for key in (name, field.alias)}
    return {**{name: value for name, value in arguments.items() if name not in known}, **read}


def _with_defaults(schema: Any, value: Any) -> Any:
    """`value` with the defaults that a JSON schema gives for what is missing in objects."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(properties, Mapping):
        return value
    defaults = {
        name: each["default"] for name, each in properties.items() if isinstance(each, Mapping) and "default" in each
    }
    return {name: _with_defaults(properties.get(name), item) for name, item in {**defaults, **value}.items()}


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it, so that equal values are equal."""
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, BaseModel):
        return _plain(value.model_dump())
    if isinstance(value, Mapping):
        return {_plain(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return str(value)
