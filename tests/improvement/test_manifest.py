"""A run goes on as the run it was, or is refused with what to do."""

from dataclasses import replace
from typing import Any

import pytest

from langgraph_ratchet.core.errors import BadInputError, CorruptFileError, SchemaVersionError
from langgraph_ratchet.core.progress import Progress, silent
from langgraph_ratchet.improvement.manifest import Manifest, admit
from langgraph_ratchet.improvement.nodes.diagnose import settle
from langgraph_ratchet.improvement.services import write
from langgraph_ratchet.reasoning.budgets import Budgets


@pytest.fixture
def began(workplace: Any) -> tuple[Any, Any]:
    """A run whose manifest is written, and its settings."""
    state = settle(workplace.settings)
    admit(state, workplace.services, silent)
    return workplace.services, state


def resumed(services: Any, **changed: Any) -> Any:
    """The services of another process."""
    return replace(services, admitted=set(), **changed)


def change(services: Any, state: Any, **fields: Any) -> None:
    path = services.run_folder(state["run_id"]) / "manifest.json"
    manifest = Manifest.model_validate_json(path.read_bytes())
    write(path, manifest.model_copy(update=fields))


def test_what_is_unchanged_goes_on_in_silence(began: Any) -> None:
    services, state = began
    said: list[Progress] = []
    admit(state, resumed(services), said.append)
    assert said == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"base": {"weights": "0" * 64, "tokenizer": "t", "template": "c"}}, "the base's weights"),
        ({"suites": {"suite": "0" * 64, "practice": "0" * 64}}, "the suite"),
        ({"gate": {"alpha": 0.2}}, "the gate's settings"),
        ({"setup": "0" * 64}, "the tools, budgets or prompts"),
        ({"settings": {"samples": 9}}, "the setting 'samples' \\(9 → 4\\)"),
    ],
)
def test_what_would_mix_two_measurements_is_refused(began: Any, fields: Any, named: str) -> None:
    services, state = began
    change(services, state, **fields)
    with pytest.raises(BadInputError, match=f"cannot go on.*{named}.*begin another run"):
        admit(state, resumed(services), silent)


def test_other_budgets_are_another_setup(began: Any) -> None:
    services, state = began
    with pytest.raises(BadInputError, match="tools, budgets or prompts"):
        admit(state, resumed(services, budgets=Budgets(calls=3)), silent)


def test_other_libraries_and_cores_are_said_and_go_on(began: Any) -> None:
    services, state = began
    change(services, state, libraries={"torch": "1.0"}, cores=99)
    said: list[Progress] = []
    admit(state, resumed(services), said.append)
    assert "torch" in said[0].message
    assert "number of cores: 99" in said[0].message


def test_a_manifest_that_cannot_be_read_is_one_clear_error(began: Any) -> None:
    services, state = began
    path = services.run_folder(state["run_id"]) / "manifest.json"
    path.write_text(path.read_text().replace('"schema_version":1', '"schema_version":7'))
    with pytest.raises(SchemaVersionError, match="upgrade langgraph-ratchet"):
        admit(state, resumed(services), silent)
    path.write_text("{")
    with pytest.raises(CorruptFileError, match="Begin another run"):
        admit(state, resumed(services), silent)
