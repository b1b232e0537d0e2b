"""Promotion and rollback, and what is refused."""

import resource
from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet.core.errors import (
    BadInputError,
    CorruptFileError,
    RegistryError,
)
from langgraph_ratchet.registry import Registry, registry as module


def test_promotion_and_rollback_walk_the_history(registry: Registry, add: Any) -> None:
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


def test_promotion_against_another_champion_is_refused(registry: Registry, add: Any) -> None:
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


def test_promoting_again_what_was_just_promoted_changes_nothing(registry: Registry, add: Any) -> None:
    a, b = add(0), add(1)
    registry.promote(a.id, expected=None, reason="first")
    done = registry.promote(b.id, expected=a.id, reason="better")
    assert registry.promote(b.id, expected=a.id, reason="resumed") == done
    assert registry.promote(b.id, expected=b.id, reason="resumed") == done
    assert len(registry.history()) == 2
    registry.rollback("worse")
    with pytest.raises(BadInputError):  # the rollback must not be mistaken for a promotion that was done
        registry.promote(a.id, expected=b.id, reason="stale")


def test_rollback_to_a_damaged_version_is_refused(registry: Registry, add: Any, damage: Any, weights_of: Any) -> None:
    a, b = add(0), add(1)
    registry.promote(a.id, expected=None, reason="first")
    registry.promote(b.id, expected=a.id, reason="better")
    whole = weights_of(a).read_bytes()
    damage("cut", weights_of(a))
    with pytest.raises(CorruptFileError, match=a.id):
        registry.rollback("worse")
    assert registry.champion == b
    damage("flip_a_bit", weights_of(b))  # a damaged champion can be rolled back from
    weights_of(a).write_bytes(whole)
    assert registry.rollback("damaged") == a


def test_a_damaged_pointer_says_so(registry: Registry, add: Any, damage: Any) -> None:
    registry.promote(add().id, expected=None, reason="first")
    damage("cut", registry.root / "champion.json")
    for use in (lambda: registry.champion, lambda: registry.get("champion"), lambda: registry.rollback("x")):
        with pytest.raises(CorruptFileError, match="champion.json cannot be read.*back to the bare base"):
            use()


def test_text_is_cleaned_at_the_door(registry: Registry, add: Any) -> None:
    version = add(arguments={"note": "a\ud800"})
    assert registry.get(version.id).arguments == {"note": "a\ufffd"}
    registry.promote(version.id, expected=None, reason="b\udfff\x00")
    assert registry.history()[0].reason == "b\ufffd"


def test_a_root_that_cannot_be_written_is_a_clear_error(add: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryError, match="could not be written"):
        add(into=Registry(tmp_path / "file" / "models"))


def test_a_full_disk_is_a_clear_error_and_the_champion_stays(registry: Registry, add: Any, make_adapter: Any) -> None:
    old, new, staged = add(0), add(1), make_adapter(2)
    registry.promote(old.id, expected=None, reason="first")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # no file may become longer
    try:
        for change in (
            lambda: registry.promote(new.id, expected=old.id, reason="better"),
            lambda: registry.rollback("worse"),
            lambda: add(staged=staged),
        ):
            with pytest.raises(RegistryError, match="Check that the disk has room"):
                change()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert registry.path("champion").name == old.id
    assert registry.versions() == [old, new]
    registry.promote(new.id, expected=old.id, reason="better")
    assert registry.champion == new


def test_a_lock_held_for_too_long_is_a_clear_error(
    registry: Registry, add: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = add()
    monkeypatch.setattr(module, "_LOCK_SECONDS", 0.05)
    with registry._locked(), pytest.raises(RegistryError, match="locked by another process"):
        Registry(registry.root).promote(version.id, expected=None, reason="x")
    assert registry.champion is None
