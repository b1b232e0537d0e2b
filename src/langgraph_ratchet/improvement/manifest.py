"""What a run began with, written down, so that a resumed run is the same run or is refused.

What decides a measurement must not change between its halves: the base, the suites, the tools, the budgets, the
prompts, the gate, the settings. What does not may change, and the run says so: code and library versions, the number
of cores, the name that the base goes by.
"""

import os
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ValidationError

from langgraph_ratchet.core.errors import BadInputError, CorruptFileError
from langgraph_ratchet.core.ids import content_hash
from langgraph_ratchet.core.noun import Stored
from langgraph_ratchet.core.progress import OnProgress, Progress
from langgraph_ratchet.improvement.services import Services, write
from langgraph_ratchet.improvement.state import ImprovementInput, ImprovementState
from langgraph_ratchet.problems.suites import load_suite
from langgraph_ratchet.reasoning.strategy import strategies

SETTINGS = tuple(name for name in ImprovementInput.__annotations__ if name != "run_id")
_LIBRARIES = ("langgraph-ratchet", "langgraph", "torch", "transformers", "peft")
_MAY_CHANGE = {"libraries": "library versions", "cores": "number of cores", "model": "name of the base"}


class Manifest(Stored):
    """Everything that a run depends on; see the module."""

    run_id: str
    started_at: float
    """Unix time, seconds."""
    settings: dict[str, Any]
    """`ImprovementInput` with its defaults filled in."""
    base: dict[str, str]
    """Hashes of the base's weights, tokenizer and chat template."""
    suites: dict[str, str]
    """Hashes of the suites measured and practised on."""
    setup: str
    """Hash of tools, budgets and prompts (`setup_hash`)."""
    gate: dict[str, Any]
    """What the gate requires."""
    model: str
    libraries: dict[str, str]
    cores: int | None

    @classmethod
    def now(cls, state: ImprovementState, services: Services) -> "Manifest":
        """The manifest of a run with these settings, if it began now."""
        base = services.fingerprint
        return cls(
            run_id=state["run_id"],
            started_at=time.time(),
            settings={name: state.get(name) for name in SETTINGS},
            base={"weights": base.base, "tokenizer": base.tokenizer, "template": base.template},
            suites={name: load_suite(str(state.get(name))).hash for name in ("suite", "practice")},
            setup=setup_hash(services),
            gate=services.gate.model_dump(mode="json"),
            model=services.base_name,
            libraries={name: found for name in _LIBRARIES if (found := _version(name))},
            cores=os.cpu_count(),
        )

    def changes(self, now: "Manifest") -> tuple[list[str], list[str]]:
        """What differs by now: what a run may go on with, and what it may not."""
        may = [
            f"{said}: {getattr(self, name)} → {getattr(now, name)}"
            for name, said in _MAY_CHANGE.items()
            if getattr(self, name) != getattr(now, name)
        ]
        pairs = {
            **{f"the base's {name}": (self.base[name], now.base[name]) for name in self.base},
            **{f"the {name}": (self.suites[name], now.suites[name]) for name in self.suites},
            "the tools, budgets or prompts": (self.setup, now.setup),
            "the gate's settings": (self.gate, now.gate),
            **{f"the setting {name!r}": (value, now.settings.get(name)) for name, value in self.settings.items()},
        }
        return may, [f"{said} ({_short(a)} → {_short(b)})" for said, (a, b) in pairs.items() if a != b]


def admit(state: ImprovementState, services: Services, say: OnProgress) -> None:
    """Writes the run's manifest, or compares it with what the run would go on with. Once per process and run.

    Raises:
        BadInputError: something has changed that must not; it says what, and what to do.
        CorruptFileError: the manifest cannot be read.
    """
    run_id = state["run_id"]
    if run_id in services.admitted:
        return
    path = services.run_folder(run_id) / "manifest.json"
    if path.exists():
        _compare(_read(path), Manifest.now(state, services), say)
    elif state.get("suite"):  # a state that was put together by hand has nothing to compare
        write(path, Manifest.now(state, services))
    services.admitted.add(run_id)


def setup_hash(services: Services) -> str:
    """Of what a rollout depends on beside its model, question and seed."""
    prompts = files("langgraph_ratchet.reasoning") / "prompts"
    return content_hash(
        [
            [convert_to_openai_tool(tool) for tool in services.tools],
            asdict(services.budgets),
            {entry.name: entry.read_text("utf-8") for entry in prompts.iterdir() if entry.name.endswith(".txt")},
            {name: asdict(strategy) for name, strategy in strategies().items()},
            *([services.replay.identity] if services.replay else []),
        ]
    )


def _compare(began: Manifest, now: Manifest, say: OnProgress) -> None:
    may, must_not = began.changes(now)
    if must_not:
        raise BadInputError(
            f"run {began.run_id!r} cannot go on, because what it measured would mean something else now. Changed: "
            f"{'; '.join(must_not)}. Put that back as it was and resume, or begin another run"
        )
    if may:
        say(Progress(phase="resume", done=0, message=f"changed since the run began: {'; '.join(may)}"))


def _read(path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise CorruptFileError(f"{path} is not the manifest of a run: {error}. Begin another run") from error


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 else text


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
