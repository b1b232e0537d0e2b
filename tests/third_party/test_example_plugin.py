"""A package of somebody else's works like the built-in plugins, and passes the same conformance checks."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet import AnswerKey, create_reasoner, get_tools
from langgraph_ratchet.chat_models.scripted import ScriptedChatModel
from langgraph_ratchet.core.plugins import Plugin
from langgraph_ratchet.core.problem import Split
from langgraph_ratchet.core.suite import Suite, SuiteSource
from langgraph_ratchet.grading import conformance as of_graders, get_grader, grade, grade_many, grader_names
from langgraph_ratchet.grading.graders import graders_of
from langgraph_ratchet.problems import FAMILIES, conformance as of_families, families, get_family
from langgraph_ratchet.problems.generate import generate
from langgraph_ratchet.reasoning import conformance as of_strategies
from langgraph_ratchet.reasoning.strategy import STRATEGIES, get_strategy, strategies, strategy_names
from langgraph_ratchet.tools import TOOLS, conformance as of_tools, tool_names
from langgraph_ratchet.training import conformance as of_trainers
from langgraph_ratchet.training.trainers import TRAINERS, trainer_names

_PLUGINS: list[tuple[str, Any, tuple[Callable[[Any], None], ...]]] = [
    ("count_letters", TOOLS, of_tools.CHECKS),
    ("backward", STRATEGIES, of_strategies.CHECKS),
    ("letter_count", FAMILIES, of_families.CHECKS),
    ("roman", graders_of(), of_graders.CHECKS),
]


@pytest.mark.parametrize(
    ("name", "kind", "check"),
    [
        pytest.param(name, kind, check, id=f"{name}-{check.__name__}")
        for name, kind, checks in _PLUGINS
        for check in checks
    ],
)
def test_it_keeps_what_its_kind_promises(example: str, name: str, kind: Any, check: Callable[[Any], None]) -> None:
    check(kind.load(name))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
@pytest.mark.parametrize("check", of_trainers.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", [*trainer_names(), "best_half"])
def test_trainers_keep_what_trainers_promise(example: str, name: str, check: Callable[[Any], None]) -> None:
    check(TRAINERS.load(name))


def test_it_is_listed_without_being_imported(example: str) -> None:
    listed = (tool_names(), strategy_names(), families(), grader_names(), trainer_names())
    named = ("count_letters", "backward", "letter_count", "roman", "best_half")
    assert all(name in names for name, names in zip(named, listed, strict=True))
    assert not [name for name in sys.modules if name.startswith(example)]


def test_it_is_gone_when_its_package_is() -> None:
    assert "count_letters" not in tool_names()
    assert "roman" not in grader_names()


def test_doctor_is_told_of_it(example: str) -> None:
    for kind, name in ((TOOLS, "count_letters"), (STRATEGIES, "backward"), (FAMILIES, "letter_count")):
        assert kind.others() == (Plugin(kind.noun, name, "ratchet-example-plugin 0.1.0", None),)


def test_a_model_selects_its_strategy_only_if_the_user_offers_it(example: str) -> None:
    assert "backward" not in strategies()
    assert get_strategy("backward").name == "backward"
    model = ScriptedChatModel.of("1. Think.", "direct", "The result is 4.", "4", "yes")
    create_reasoner(model, store=None).compile().invoke({"question": "What is 2 + 2?"})
    assert not any("backward" in str(message.content) for messages in model.asked for message in messages)


def test_its_family_makes_a_suite(example: str) -> None:
    source = SuiteSource(family="letter_count", levels=(1, 2), count=5)
    problems = generate(Suite(name="mine", split=Split.HELD_OUT, seed=1, sources=(source,)))
    assert len(problems) == 10
    assert {problem.required_tools for problem in problems} == {("count_letters",)}


def test_its_grader_judges_beside_the_built_in_ones(example: str) -> None:
    pairs = [(AnswerKey(value="XIV", grader="roman"), "It is XIV."), (AnswerKey(value="14", grader="number"), "14")]
    grades = grade_many([*pairs, *pairs, (pairs[0][0], None)])
    assert [verdict.score for verdict in grades] == [1.0, 1.0, 1.0, 1.0, 0.0]
    assert [verdict.grader for verdict in grades[:2]] == ["roman@1", "number@1"]
    assert get_grader("roman").version == 1


def test_it_is_found_in_another_process(example: str) -> None:
    code = (
        "import json, sys; from langgraph_ratchet import AnswerKey, get_tools;"
        "from langgraph_ratchet.grading import grade;"
        "score = grade(AnswerKey(value='XIV', grader='roman'), 'XIV').score;"
        "print(json.dumps([get_tools('count_letters')[0].invoke({'letter': 'a', 'text': 'banana'}), score]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert json.loads(done.stdout) == ["3", 1.0]


@pytest.mark.slow
def test_a_job_is_trained_by_it(example: str, tmp_path: Path) -> None:
    from langgraph_ratchet.training.conformance import small_job, small_rows
    from langgraph_ratchet.training.run import run_job

    with small_job(small_rows()) as job:
        trained = run_job(job.model_copy(update={"trainer": "best_half"}), folder=tmp_path / "job")
        assert trained.statistics.examples == 6
        assert (trained.folder / "adapter_model.safetensors").is_file()


@pytest.mark.slow
def test_pip_installs_it(example: str, tmp_path: Path) -> None:
    """What the other tests lay out by hand is what pip lays out."""
    project = Path(__file__).parent / example
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(tmp_path / "site"), str(project)]
    subprocess.run(command, check=True, cwd=tmp_path)
    code = (
        f"import sys; sys.path.append({str(tmp_path / 'site')!r});"
        "from langgraph_ratchet.tools import TOOLS; from langgraph_ratchet.problems import FAMILIES;"
        "print(*TOOLS.others(), *FAMILIES.others(), sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
    )
    assert done.stdout.count("ratchet-example-plugin 0.1.0") == 2
    assert done.stdout.count("fault=None") == 2


def test_it_works_through_the_public_names(example: str) -> None:
    (tool,) = get_tools("count_letters")
    assert tool.invoke({"letter": "a", "text": "banana"}) == "3"
    assert grade(AnswerKey(value="XIV", grader="roman"), "XVI").score == 0.0
    assert get_family("letter_count").levels == (1, 2, 3)
