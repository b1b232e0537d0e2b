"""Promotion and rollback, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from langgraph_ratchet.core.errors import (
    BadInputError,
    CorruptFileError,
    RegistryError,
)
from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.registry import Registry, registry as module

Add = Callable[..., ModelVersion]
WEIGHTS = "adapter_model.safetensors"


def flip_a_bit(path: Path, at: int = -5) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def test_promotion_and_rollback_walk_the_history(registry: Registry, add: Add) -> None:
    a, b, c = add(0), add(1), add(2)
    with pytest.raises(BadInputError, match="nothing to roll back"):
        registry.rollback("too early")
    registry.promote(a.id, expected=None, reason="first")
    registry.promote(b.id[:8], expected=a.id, reason="better")
    assert registry.champion == b
    assert registry.get("champion") == b
    assert registry.rollback("worse in use") == a
    registry.promote(c.id, expected=a.id, reason="better still")
    assert registry.rollback("worse too") == a  # not b, which was rolled back before
    assert registry.rollback("back to the start") is None
    assert registry.champion is None
    with pytest.raises(BadInputError, match="nothing to roll back"):
        registry.rollback("once more")
    changes = [(entry.change.value, entry.previous, entry.version, entry.reason) for entry in registry.history()]
    assert changes == [
        ("promote", None, a.id, "first"),
        ("promote", a.id, b.id, "better"),
        ("rollback", b.id, a.id, "worse in use"),
        ("promote", a.id, c.id, "better still"),
        ("rollback", c.id, a.id, "worse too"),
        ("rollback", a.id, None, "back to the start"),
    ]
    assert Registry(registry.root).history() == registry.history()


def test_promotion_against_another_champion_is_refused(registry: Registry, add: Add) -> None:
    a, b, c = add(0), add(1), add(2)
    registry.promote(a.id, expected=None, reason="first")
    for expected in (None, c.id):
        with pytest.raises(BadInputError, match=f"the champion is {a.id} now"):
            registry.promote(b.id, expected=expected, reason="stale")
    registry.rollback("worse")
    with pytest.raises(BadInputError, match=f"compared with {a.id}, but the champion is the bare base"):
        registry.promote(b.id, expected=a.id, reason="stale")
    assert registry.champion is None
    assert len(registry.history()) == 2


def test_promoting_again_what_was_just_promoted_changes_nothing(registry: Registry, add: Add) -> None:
    a, b = add(0), add(1)
    registry.promote(a.id, expected=None, reason="first")
    done = registry.promote(b.id, expected=a.id, reason="better")
    assert registry.promote(b.id, expected=a.id, reason="resumed") == done
    assert registry.promote(b.id, expected=b.id, reason="resumed") == done
    assert len(registry.history()) == 2
    registry.rollback("worse")
    with pytest.raises(BadInputError):  # the rollback must not be mistaken for a promotion that was done
        registry.promote(a.id, expected=b.id, reason="stale")


def test_rollback_to_a_damaged_version_is_refused(registry: Registry, add: Add) -> None:
    a, b = add(0), add(1)
    registry.promote(a.id, expected=None, reason="first")
    registry.promote(b.id, expected=a.id, reason="better")
    cut(registry.root / "versions" / a.id / WEIGHTS)
    with pytest.raises(CorruptFileError, match=a.id):
        registry.rollback("worse")
    assert registry.champion == b
    flip_a_bit(registry.root / "versions" / b.id / WEIGHTS)  # a damaged champion can be rolled back from
    add(0, into=Registry(registry.root.parent / "other"))
    (registry.root / "versions" / a.id / WEIGHTS).write_bytes(
        (registry.root.parent / "other" / "versions" / a.id / WEIGHTS).read_bytes()
    )
    assert registry.rollback("damaged") == a


def test_a_damaged_pointer_says_so(registry: Registry, add: Add) -> None:
    registry.promote(add().id, expected=None, reason="first")
    cut(registry.root / "champion.json")
    for use in (lambda: registry.champion, lambda: registry.get("champion"), lambda: registry.rollback("x")):
        with pytest.raises(CorruptFileError, match="champion.json cannot be read.*back to the bare base"):
            use()


def test_text_is_cleaned_at_the_door(registry: Registry, add: Add) -> None:
    version = add(arguments={"note": "a\ud800"})
    assert registry.get(version.id).arguments == {"note": "a\ufffd"}
    registry.promote(version.id, expected=None, reason="b\udfff\x00")
    assert registry.history()[0].reason == "b\ufffd"


def test_a_root_that_cannot_be_written_is_a_clear_error(add: Add, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryError, match="could not be written"):
        add(into=Registry(tmp_path / "file" / "models"))


def test_a_lock_held_for_too_long_is_a_clear_error(
    registry: Registry, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = add()
    monkeypatch.setattr(module, "_LOCK_SECONDS", 0.05)
    with registry._locked(), pytest.raises(RegistryError, match="locked by another process"):
        Registry(registry.root).promote(version.id, expected=None, reason="x")
    assert registry.champion is None
