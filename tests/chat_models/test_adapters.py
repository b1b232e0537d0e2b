"""Adapters by name, verified before they are loaded."""

import shutil

import pytest
from langchain_core.messages import AIMessage

from langgraph_ratchet.chat_models.adapters import Adapters, resolve_adapter
from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.core.errors import BadInputError, CorruptFileError, FingerprintError, UnknownNameError
from langgraph_ratchet.registry import Registry


@pytest.fixture
def registry(tmp_path) -> Registry:
    return Registry(tmp_path / "models")


def add(registry, folder, base, *, dataset: str = "d", **fingerprint):
    return registry.add(
        folder,
        base=base.name,
        parent=None,
        dataset_hash=dataset,
        trace_ids=(),
        fingerprint=base.fingerprint.model_copy(update=fingerprint),
        training=None,
        arguments={},
    )


@pytest.fixture
def model(model_folder, registry) -> ChatTransformers:
    return ChatTransformers(model=str(model_folder), device="cpu", max_tokens=12, registry=registry.root)


def ids(message: AIMessage) -> list[int]:
    return message.response_metadata["tokens"]["completion_ids"]


def test_an_adapter_by_id_prefix_champion_and_folder_is_the_same(model, registry, base, adapter_folders):
    first, second = (add(registry, folder, base) for folder in adapter_folders)
    registry.promote(first.id, expected=None, reason="test")
    prefix = next(first.id[:n] for n in range(3, len(first.id)) if not second.id.startswith(first.id[:n]))
    question = "What is 1 + 1?"
    replies = {name: model.invoke(question, adapter=name) for name in (first.id, prefix, "champion")}
    assert {message.response_metadata["model_version"] for message in replies.values()} == {first.id}
    fingerprint = replies[prefix].response_metadata["tokens"]["fingerprint"]
    assert fingerprint["adapter"] == first.files["adapter_model.safetensors"]
    folder = model.invoke(question, adapter=str(adapter_folders[0]))
    assert folder.response_metadata["model_version"] is None
    assert ids(folder) == ids(replies[first.id]) == ids(replies["champion"])
    assert ids(folder) != ids(model.invoke(question))
    assert ids(folder) != ids(model.invoke(question, adapter=second.id))


def test_champion_follows_promotions(model, registry, base, adapter_folders):
    follower = model.model_copy(update={"adapter": "champion"})
    assert follower.invoke("?").response_metadata["model_version"] is None
    first, second = (add(registry, folder, base) for folder in adapter_folders)
    registry.promote(first.id, expected=None, reason="test")
    assert follower.invoke("?").response_metadata["model_version"] == first.id
    registry.promote(second.id, expected=first.id, reason="test")
    assert follower.invoke("?").response_metadata["model_version"] == second.id
    assert follower.adapter_version == second.id


def test_an_unknown_adapter_lists_those_that_exist(model, registry, base, adapter_folders):
    version = add(registry, adapter_folders[0], base)
    with pytest.raises(UnknownNameError, match=f"'nope'; known: {version.id}"):
        model.invoke("?", adapter="nope")


@pytest.mark.parametrize("damage", ["cut", "flip"])
@pytest.mark.parametrize("after_use", [False, True])
def test_a_damaged_adapter_is_refused(model, registry, base, adapter_folders, damage, after_use):
    version = add(registry, adapter_folders[0], base)
    if after_use:
        model.invoke("?", adapter=version.id)
    path = registry.root / "versions" / version.id / "adapter_model.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-1] ^= 1
    path.write_bytes(content[:-100] if damage == "cut" else content)
    with pytest.raises(CorruptFileError, match="adapter_model.safetensors"):
        model.invoke("?", adapter=version.id)
    assert model.invoke("?").usage_metadata  # the base goes on


def test_an_adapter_of_another_base_is_refused(model, registry, base, adapter_folders):
    version = add(registry, adapter_folders[0], base, tokenizer="0" * 64)
    with pytest.raises(FingerprintError, match="another base"):
        model.invoke("?", adapter=version.id)


@pytest.mark.parametrize("merged_bytes", [0, 1 << 30])
def test_an_adapter_that_does_not_fit_is_refused(
    base, tokenizer, tmp_path, registry, adapter_folders, merged_bytes, make_model, make_adapter
):
    from langgraph_ratchet.chat_models import base as base_module

    wide = make_model(tmp_path / "wide", tokenizer, hidden_size=64)
    other = resolve_adapter(str(make_adapter(tmp_path / "adapter", wide, seed=1)), registry)
    own = base_module._load("tiny", base.path, "float32", "cpu")
    adapters = Adapters(own, merged_bytes=merged_bytes)
    with pytest.raises(BadInputError, match="does not fit the base"):
        adapters.select(other)
    # What failed leaves nothing behind.
    fits = resolve_adapter(str(adapter_folders[0]), registry)
    assert adapters.select(fits) is not None
    assert adapters.select(None) is own.model


@pytest.mark.parametrize("merged_bytes", [0, 1 << 30])
def test_a_folder_with_a_broken_file_is_refused(base, tmp_path, registry, adapter_folders, merged_bytes):
    from langgraph_ratchet.chat_models import base as base_module

    folder = shutil.copytree(adapter_folders[0], tmp_path / "broken")
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:50])
    adapters = Adapters(base_module._load("tiny", base.path, "float32", "cpu"), merged_bytes=merged_bytes)
    with pytest.raises(CorruptFileError, match="broken"):
        adapters.select(resolve_adapter(str(folder), registry))


def test_only_safetensors_are_loaded(tmp_path, registry, adapter_folders):
    folder = shutil.copytree(adapter_folders[0], tmp_path / "pickled")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(BadInputError, match="only safetensors"):
        resolve_adapter(str(folder), registry)


@pytest.mark.parametrize("merged_bytes", [0, 1 << 30])
def test_many_adapters_come_and_go(base, tmp_path, registry, adapter_folders, merged_bytes):
    """More than are kept: the first one still works when it is asked for again."""
    import torch

    from langgraph_ratchet.chat_models import base as base_module

    own = base_module._load("tiny", base.path, "float32", "cpu")
    adapters = Adapters(own, merged_bytes=merged_bytes)
    folders = [shutil.copytree(adapter_folders[0], tmp_path / f"copy{at}") for at in range(5)]
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        bare = own.model(input_ids=ids).logits.clone()
        logits = [
            adapters.select(resolve_adapter(str(folder), registry))(input_ids=ids).logits for folder in folders * 2
        ]
        again = adapters.select(None)(input_ids=ids).logits
    assert all(torch.allclose(one, logits[0], atol=1e-5) for one in logits)
    assert not torch.allclose(logits[0], bare, atol=1e-2)
    assert torch.equal(again, bare)
