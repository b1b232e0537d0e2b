import random
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from langgraph_ratchet.core.errors import BadInputError, UnknownNameError
from langgraph_ratchet.core.ids import canonical_json
from langgraph_ratchet.core.problem import Problem, Split
from langgraph_ratchet.core.suite import Suite, SuiteSource
from langgraph_ratchet.problems import families, get_family
from langgraph_ratchet.problems.generate import ProblemStream, generate
from langgraph_ratchet.problems.splits import SHARES, split_of
from langgraph_ratchet.problems.suites import load_suite, suites


def suite(split: Split, seed: int, family: str, levels: tuple[int, ...], count: int) -> Suite:
    source = SuiteSource(family=family, levels=levels, count=count)
    return Suite(name="test", split=split, seed=seed, sources=(source,))


def parameters(problems: list[Problem]) -> set[tuple[str, bytes]]:
    return {(problem.family, canonical_json(problem.provenance)) for problem in problems}


@pytest.mark.parametrize("family", families())
def test_splits_share_no_problem_whatever_the_seed(family: str) -> None:
    levels = get_family(family).levels[:2]
    drawn = {
        split: parameters([p for seed in (1, 2) for p in generate(suite(split, seed, family, levels, 60))])
        for split in Split
    }
    assert not drawn[Split.TRAIN] & drawn[Split.HELD_OUT]
    assert not drawn[Split.TRAIN] & drawn[Split.PRETRAIN]
    assert not drawn[Split.HELD_OUT] & drawn[Split.PRETRAIN]


def test_splits_have_their_shares() -> None:
    counts = Counter(split_of("f", {"n": n}) for n in range(10_000))
    assert all(abs(counts[split] / 10_000 - share) < 0.02 for split, share in SHARES.items())
    assert sum(SHARES.values()) == pytest.approx(1)


def test_a_split_follows_from_what_the_item_is() -> None:
    assert split_of("f", {"a": 1, "b": 2}) is split_of("f", {"b": 2, "a": 1})
    # Pinned: if this changes, problems that were trained on become held-out ones.
    assert [split_of("weekday", {"date": f"2024-03-0{day}"}) for day in range(1, 7)] == [
        Split.TRAIN,
        Split.PRETRAIN,
        Split.PRETRAIN,
        Split.TRAIN,
        Split.HELD_OUT,
        Split.HELD_OUT,
    ]


@pytest.mark.parametrize("family", families())
def test_generate_is_deterministic_and_distinct(family: str) -> None:
    asked = suite(Split.TRAIN, 7, family, get_family(family).levels, 30)
    first, second = generate(asked), generate(asked)
    assert first == second
    assert len(first) == asked.size
    assert len(parameters(first)) == asked.size
    assert Counter(problem.difficulty for problem in first) == dict.fromkeys(get_family(family).levels, 30)
    assert {problem.split for problem in first} == {Split.TRAIN}
    other = generate(asked.model_copy(update={"seed": 8}))
    assert parameters(other) != parameters(first)


def test_a_longer_suite_goes_on_where_a_shorter_one_ends() -> None:
    short, long = (generate(suite(Split.TRAIN, 7, "date_shift", (2,), count)) for count in (10, 20))
    assert long[:10] == short


def test_a_problem_is_drawn_again_from_its_seed() -> None:
    for problem in generate(suite(Split.HELD_OUT, 3, "fact_chain", (3,), 5)):
        assert problem.seed is not None
        item = get_family("fact_chain").draw(3, random.Random(problem.seed))
        assert item.question == problem.question


def test_neighbouring_seeds_share_next_to_nothing() -> None:
    drawn = [parameters(generate(suite(Split.TRAIN, seed, "chain_sum", (3,), 100))) for seed in (0, 1)]
    assert len(drawn[0] & drawn[1]) <= 1


def test_a_level_too_small_is_refused_with_the_figures() -> None:
    with pytest.raises(BadInputError, match=r"weekday level 1 has about 5478 items .*2000 problems need at least 6000"):
        generate(suite(Split.TRAIN, 0, "weekday", (1,), 2_000))


def test_unknown_families_and_levels_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="known: chain_sum"):
        generate(suite(Split.TRAIN, 0, "riddles", (1,), 1))
    with pytest.raises(BadInputError, match="weekday has no level 2; it has 1"):
        generate(suite(Split.TRAIN, 0, "weekday", (2,), 1))


def test_a_stream_goes_on_without_end() -> None:
    stream = ProblemStream(get_family("weekday"), 1, Split.PRETRAIN, seed=1)
    problems = list(islice(stream, 500))
    assert {problem.split for problem in problems} == {Split.PRETRAIN}
    assert stream.discarded == 0
    again = ProblemStream(get_family("weekday"), 1, Split.PRETRAIN, seed=1)
    assert list(islice(again, 500)) == problems


def test_problems_survive_storing() -> None:
    for problem in generate(suite(Split.HELD_OUT, 3, "fact_chain", (2,), 3)):
        assert Problem.model_validate_json(problem.model_dump_json()) == problem


def test_the_built_in_suites_can_be_drawn_and_do_not_meet() -> None:
    assert suites() == ("first_light", "first_light_practice", "quick", "quick_practice")
    measured, practised = generate(load_suite("first_light")), generate(load_suite("first_light_practice"))
    assert len(measured) == 500
    assert len(practised) == 230
    assert len({problem.id for problem in measured}) == 500
    assert not parameters(measured) & parameters(practised)
    assert not {problem.id for problem in measured} & {problem.id for problem in practised}
    by_type = Counter(problem.question.type for problem in measured)
    assert by_type == dict.fromkeys(("mathematical", "temporal", "multi_hop", "logical", "spatial"), 100)


def test_a_suite_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\nsplit = "train"\nseed = 1\n[[sources]]\nfamily = "weekday"\nlevels = [1]\ncount = 4\n'
    )
    assert load_suite(path) == load_suite(str(path))
    assert len(generate(load_suite(path))) == 4


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name = ", "is not TOML"),
        ('name = "mine"\nsplit = "test"', "split: "),
        ('name = "mine"\nsplit = "train"\nseed = 1\nsources = []', "sources: "),
        ("\x00\ufffd", "is not TOML"),
    ],
)
def test_a_broken_suite_file_is_named(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(BadInputError, match=why):
        load_suite(path)


def test_an_unknown_suite_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match="known: first_light, first_light_practice, quick"):
        load_suite("second_light")
