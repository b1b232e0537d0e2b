"""Nouns are frozen, refuse unknown fields, and stored ones carry a schema version."""

import importlib
import pkgutil

import pytest
from pydantic import ValidationError

import langgraph_ratchet.core
from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import RatchetError, SchemaVersionError
from langgraph_ratchet.core.grade import Grade
from langgraph_ratchet.core.noun import Noun, Stored
from langgraph_ratchet.core.question import Question


def all_nouns() -> list[type[Noun]]:
    """Every noun of core, found by importing all of it."""
    for module in pkgutil.iter_modules(langgraph_ratchet.core.__path__):
        importlib.import_module(f"langgraph_ratchet.core.{module.name}")
    found, waiting = [], [Noun]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            if kind.__module__.startswith("langgraph_ratchet.core."):
                found.append(kind)
    return found


def stored_nouns() -> list[type[Stored]]:
    return [kind for kind in all_nouns() if issubclass(kind, Stored) and kind is not Stored]


def make_grade(**changes: object) -> Grade:
    fields = {"trace_id": None, "grader": "number@1", "score": 1.0, "strict": True, "lenient": True, "reason": "equal"}
    return Grade.model_validate({**fields, **changes})


def test_a_noun_is_frozen() -> None:
    key = AnswerKey(value="18", grader="number")
    with pytest.raises(ValidationError, match="frozen"):
        key.value = "19"  # type: ignore[misc]


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="tolerance"):
        AnswerKey.model_validate({"value": "18", "grader": "number", "tolerance": 0.1})


def test_every_kind_of_noun_is_found() -> None:
    names = {kind.__name__ for kind in stored_nouns()}
    assert {"Call", "Dataset", "Decision", "Grade", "ModelVersion", "Problem", "Report", "Suite", "Trace"} <= names


@pytest.mark.parametrize("kind", stored_nouns(), ids=lambda kind: kind.__name__)
def test_a_stored_noun_writes_its_schema_version(kind: type[Stored]) -> None:
    assert kind.model_fields["schema_version"].default == kind.SCHEMA_VERSION


@pytest.mark.parametrize(("found", "advice"), [(7, "upgrade langgraph-ratchet"), (0, "export it")])
def test_an_unknown_schema_version_names_both_numbers_and_what_to_do(found: int, advice: str) -> None:
    written = make_grade().model_dump_json().replace('"schema_version":1', f'"schema_version":{found}')
    with pytest.raises(SchemaVersionError, match=f"Grade has schema version {found}, .* reads 1: {advice}") as error:
        Grade.model_validate_json(written)
    assert isinstance(error.value, RatchetError)


def test_not_measured_survives_storing_and_is_not_zero() -> None:
    grade = make_grade(score=None, strict=None, lenient=None)
    read = Grade.model_validate_json(grade.model_dump_json())
    assert read == grade
    assert read.score is None
    assert not read.verified


@pytest.mark.parametrize(("score", "verified"), [(1.0, True), (0.5, False), (0.0, False)])
def test_only_a_full_score_is_verified(score: float, verified: bool) -> None:
    assert make_grade(score=score).verified is verified


def test_a_question_reads_back_with_its_derived_id() -> None:
    question = Question(text="What is 2 + 2?")
    assert '"id":"q_' in question.model_dump_json()
    assert Question.model_validate_json(question.model_dump_json()) == question


def test_a_forged_question_id_is_not_believed() -> None:
    question = Question(text="What is 2 + 2?")
    forged = Question.model_validate({**question.model_dump(), "id": "q_0"})
    assert forged.id == question.id
