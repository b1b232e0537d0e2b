"""Versions go in whole or not at all, are never served damaged, and the champion changes only as asked."""

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet.core.errors import (
    BadInputError,
    CorruptFileError,
    SchemaVersionError,
    UnknownNameError,
)
from langgraph_ratchet.core.model_version import TrainingStatistics
from langgraph_ratchet.registry import Registry

WEIGHTS = "adapter_model.safetensors"


def test_an_empty_registry_has_no_champion_and_makes_no_folder(registry: Registry) -> None:
    assert registry.champion is None
    assert registry.versions() == registry.history() == []
    with pytest.raises(UnknownNameError, match="no model version exists yet"):
        registry.get("v_1")
    with pytest.raises(UnknownNameError, match="No version has been promoted yet"):
        registry.get("champion")
    assert not registry.root.exists()


def test_a_version_is_added_with_its_hashes_and_reads_back(registry: Registry, add: Any, make_adapter: Any) -> None:
    training = TrainingStatistics(
        examples=9, seconds=1.5, epochs=2, steps=8, tokens=70, first_loss=0.75, last_loss=0.125
    )
    version = add(training=training, parent="v_parent")
    staged = make_adapter()
    for name in (WEIGHTS, "adapter_config.json"):
        assert version.files[name] == hashlib.sha256((staged / name).read_bytes()).hexdigest()
        assert (registry.root / "versions" / version.id / name).read_bytes() == (staged / name).read_bytes()
    assert version.fingerprint.adapter == version.files[WEIGHTS]
    assert (version.base, version.parent, version.training) == ("pocket", "v_parent", training)
    other = Registry(registry.root)
    assert other.get(version.id) == version
    assert other.versions() == [version]
    other.verify(version.id)
    assert other.path(version.id) == registry.root / "versions" / version.id
    assert other.champion is None  # added is not promoted


def test_the_same_adapter_again_is_the_same_version(registry: Registry, add: Any) -> None:
    first = add(0)
    assert add(0, parent="another") == first
    assert add(1).id != first.id
    assert add(0, dataset_hash="e" * 64).id != first.id
    assert len(registry.versions()) == 3
    assert sorted(path.name for path in (registry.root / "versions").iterdir()) == sorted(
        version.id for version in registry.versions()
    )


def test_adding_what_was_damaged_since_says_so(add: Any, damage: Any, weights_of: Any) -> None:
    damage("flip_a_bit", weights_of(add(0)))
    with pytest.raises(CorruptFileError, match=WEIGHTS):
        add(0)


def test_versions_are_named_by_prefix(registry: Registry, add: Any) -> None:
    first, second = add(0), add(1)
    assert registry.get(first.id[:6]) == first
    for name, listed in (("v_", True), ("", True), ("v_nothing", True), ("../versions", True), (".staging-x", True)):
        with pytest.raises(UnknownNameError) as error:
            registry.get(name)
        assert (first.id in str(error.value) and second.id in str(error.value)) is listed


@pytest.mark.parametrize("name", ["adapter_model.bin", "model.pt", "evil.py", "weights.pkl", "README", ".hidden.json"])
def test_a_file_that_could_run_is_refused(name: str, registry: Registry, add: Any, make_adapter: Any) -> None:
    staged = make_adapter()
    (staged / name).write_bytes(b"{}")
    with pytest.raises(BadInputError, match=f"{name} does not belong in an adapter"):
        add(staged=staged)
    assert registry.versions() == []


def test_links_folders_and_a_forged_manifest_are_refused(
    registry: Registry, add: Any, make_adapter: Any, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text("{}")

    def link(folder: Path) -> None:
        (folder / "extra.json").symlink_to(secret)

    def link_weights(folder: Path) -> None:
        (folder / WEIGHTS).rename(tmp_path / "elsewhere.safetensors")
        (folder / WEIGHTS).symlink_to(tmp_path / "elsewhere.safetensors")

    def subfolder(folder: Path) -> None:
        (folder / "extra.json").mkdir()

    def manifest(folder: Path) -> None:
        (folder / "version.json").write_text("{}")

    def pipe(folder: Path) -> None:
        os.mkfifo(folder / "extra.json")

    for number, spoil in enumerate((link, link_weights, subfolder, manifest, pipe)):
        staged = make_adapter(number)
        spoil(staged)
        with pytest.raises(BadInputError, match="does not belong in an adapter"):
            add(staged=staged)
    assert registry.versions() == []


@pytest.mark.parametrize("how", ["cut", "lengthen", "empty", "flip_in_header"])
def test_weights_that_are_broken_before_they_are_added_are_refused(
    how: str, registry: Registry, add: Any, make_adapter: Any, damage: Any
) -> None:
    staged = make_adapter()
    damage(how, staged / WEIGHTS)
    with pytest.raises(BadInputError, match="train the adapter again"):
        add(staged=staged)
    assert registry.versions() == []


def test_what_is_no_adapter_is_refused(registry: Registry, add: Any, make_adapter: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="is not a folder"):
        add(staged=tmp_path / "nowhere")
    for number, (name, text, message) in enumerate(
        [
            (WEIGHTS, None, f"has no {WEIGHTS}"),
            ("adapter_config.json", None, "has no adapter_config.json"),
            ("adapter_config.json", "{", "is not JSON"),
            ("adapter_config.json", "[]", "must be an object"),
        ]
    ):
        staged = make_adapter(number)
        (staged / name).unlink()
        if text is not None:
            (staged / name).write_text(text)
        with pytest.raises(BadInputError, match=message):
            add(staged=staged)
    assert registry.versions() == []


@pytest.mark.parametrize("name", [WEIGHTS, "adapter_config.json"])
@pytest.mark.parametrize("how", ["cut", "flip_a_bit", "lengthen", "remove"])
def test_a_damaged_version_is_refused_and_the_champion_stays(
    name: str, how: str, registry: Registry, add: Any, damage: Any
) -> None:
    champion, candidate = add(0), add(1)
    registry.promote(champion.id, expected=None, reason="first")
    damage(how, registry.root / "versions" / candidate.id / name)
    for use in (
        registry.verify,
        registry.path,
        lambda id_: registry.promote(id_, expected=champion.id, reason="better"),
    ):
        with pytest.raises(CorruptFileError, match=rf"{name}.*was not loaded; restore"):
            use(candidate.id)
    assert registry.champion == champion
    assert registry.path("champion").name == champion.id
    assert len(registry.history()) == 1


def test_a_file_that_was_put_into_a_version_is_refused(registry: Registry, add: Any) -> None:
    version = add()
    (registry.root / "versions" / version.id / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(CorruptFileError, match="adapter_model.bin, which was not there"):
        registry.path(version.id)


def test_a_link_in_place_of_a_file_is_refused(registry: Registry, add: Any, tmp_path: Path) -> None:
    weights = registry.root / "versions" / add().id / WEIGHTS
    weights.rename(tmp_path / "same bytes")
    weights.symlink_to(tmp_path / "same bytes")
    with pytest.raises(CorruptFileError, match="not a plain file"):
        registry.path(weights.parent.name)


def test_a_manifest_cannot_be_made_to_fit_other_weights(registry: Registry, add: Any) -> None:
    version, other = add(0), add(1)
    folder = registry.root / "versions" / version.id
    (folder / WEIGHTS).write_bytes((registry.root / "versions" / other.id / WEIGHTS).read_bytes())
    manifest = json.loads((folder / "version.json").read_text())
    manifest["files"][WEIGHTS] = other.files[WEIGHTS]
    (folder / "version.json").write_text(json.dumps(manifest))
    with pytest.raises(CorruptFileError, match="does not belong to version"):
        registry.path(version.id)


def test_an_unreadable_version_hides_no_other(registry: Registry, add: Any, caplog: pytest.LogCaptureFixture) -> None:
    good, bad, newer = add(0), add(1), add(2)
    (registry.root / "versions" / bad.id / "version.json").write_text("{")
    path = registry.root / "versions" / newer.id / "version.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 99, "new": 1'))
    with caplog.at_level(logging.WARNING):
        assert registry.versions() == [good]
    assert len(caplog.records) == 2
    with pytest.raises(CorruptFileError, match="version.json cannot be read"):
        registry.get(bad.id)
    with pytest.raises(SchemaVersionError, match="99.*reads 1"):
        registry.get(newer.id)
