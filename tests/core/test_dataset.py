"""A dataset is known by what it would teach, not by the order it stands in."""

import pytest
from pydantic import ValidationError

from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.example import Dataset, Drop, Example

FINGERPRINT = Fingerprint(base="b" * 64, tokenizer="t" * 64, template="c" * 64)


def make_example(id: str, **changes: object) -> Example:
    fields = {
        "id": id,
        "trace_id": "trace_1",
        "call_id": f"call_{id}",
        "node": "act",
        "question_type": "mathematical",
        "input_ids": (1, 2, 3),
        "loss_mask": (0, 0, 1),
        "weight": 0.5,
        "quality": None,
        "verified": True,
        "source": "procedural",
    }
    return Example.model_validate({**fields, **changes})


def make_dataset(*examples: Example, **changes: object) -> Dataset:
    return Dataset.model_validate({"examples": examples, "fingerprint": FINGERPRINT, "dropped": (), **changes})


def test_the_hash_does_not_depend_on_order() -> None:
    one, two = make_example("e_1"), make_example("e_2", input_ids=(4, 5, 6))
    assert make_dataset(one, two).hash == make_dataset(two, one).hash


@pytest.mark.parametrize(
    "changed",
    [{"input_ids": (1, 2, 4)}, {"loss_mask": (0, 1, 1)}, {"weight": 0.25}],
    ids=lambda changed: next(iter(changed)),
)
def test_the_hash_changes_with_what_is_learned(changed: dict[str, object]) -> None:
    assert make_dataset(make_example("e_1")).hash != make_dataset(make_example("e_1", **changed)).hash


def test_the_hash_changes_with_the_base_but_not_with_who_sampled() -> None:
    example = make_example("e_1")
    original = make_dataset(example).hash
    sampled_by_adapter = FINGERPRINT.model_copy(update={"adapter": "a" * 64})
    other_base = FINGERPRINT.model_copy(update={"base": "0" * 64})
    assert make_dataset(example, fingerprint=sampled_by_adapter).hash == original
    assert make_dataset(example, fingerprint=other_base).hash != original


def test_the_hash_says_nothing_of_what_was_dropped() -> None:
    drop = Drop(reason="wrong_answer", explanation="The answer was wrong.", count=3, unit="traces")
    assert make_dataset(make_example("e_1"), dropped=(drop,)).hash == make_dataset(make_example("e_1")).hash


def test_the_hash_survives_storing() -> None:
    dataset = make_dataset(make_example("e_1"), make_example("e_2", weight=1 / 3))
    assert Dataset.model_validate_json(dataset.model_dump_json()).hash == dataset.hash


def test_a_mask_of_another_length_is_refused() -> None:
    with pytest.raises(ValidationError, match="3 input ids but a loss mask of 2"):
        make_example("e_1", loss_mask=(0, 1))
