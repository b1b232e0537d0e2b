"""Models by name."""

import pytest
from langchain_core.language_models import FakeListChatModel

from langgraph_ratchet.chat_models.base import base_path, load_base
from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.chat_models.resolver import resolve_model
from langgraph_ratchet.core.errors import BadInputError, MissingExtraError, UnknownNameError
from langgraph_ratchet.registry import Registry


def test_names_and_their_models(model_folder, adapter_folders):
    pocket = resolve_model("pocket", temperature=0.5)
    assert isinstance(pocket, ChatTransformers)
    assert (pocket.model, pocket.adapter, pocket.temperature) == ("pocket", None, 0.5)
    local = resolve_model(f"local:{model_folder}@{adapter_folders[0]}")
    assert (local.model, local.adapter) == (f"local:{model_folder}", str(adapter_folders[0]))
    assert local.invoke("?", max_tokens=2).usage_metadata
    hub = resolve_model("hf:some-org/some-model")
    assert (hub.model, hub.adapter) == ("hf:some-org/some-model", None)


def test_a_path_may_hold_an_at_sign(model_folder, tmp_path):
    import shutil

    folder = shutil.copytree(model_folder, tmp_path / "tiny@home")
    assert resolve_model(f"local:{folder}").adapter is None


def test_a_chat_model_is_taken_as_it_is():
    model = FakeListChatModel(responses=["x"])
    assert resolve_model(model) is model
    with pytest.raises(BadInputError, match="temperature"):
        resolve_model(model, temperature=1.0)


def test_champion(model_folder, adapter_folders, base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODEL_SAVE_PATH", str(tmp_path / "models"))
    monkeypatch.setenv("RATCHET_MODEL", f"local:{model_folder}")
    nobody = resolve_model("champion", device="cpu")
    assert (nobody.model, nobody.adapter) == (f"local:{model_folder}", None)
    registry = Registry(tmp_path / "models")
    version = registry.add(
        adapter_folders[0],
        base=str(model_folder),
        parent=None,
        dataset_hash="d",
        trace_ids=(),
        fingerprint=base.fingerprint,
        training=None,
        arguments={},
    )
    registry.promote(version.id, expected=None, reason="test")
    champion = resolve_model("champion", device="cpu", max_tokens=2)
    assert champion.adapter_version == version.id
    assert champion.invoke("?").response_metadata["model_version"] == version.id
    # The name alone settles it too: the pocket's registry is the one of the environment.
    with pytest.raises(UnknownNameError, match=version.id):
        resolve_model("pocket@v_nothing")


@pytest.mark.parametrize("name", ["", "poket", "local:", "hf:", "org/name", "champion@x", "local:/nowhere/at/all"])
def test_unknown_names_list_the_forms(name):
    with pytest.raises(UnknownNameError, match="local:PATH"):
        resolve_model(name)


def test_a_provider_that_langchain_does_not_know():
    pytest.importorskip("langchain")
    with pytest.raises((UnknownNameError, MissingExtraError)):
        resolve_model("nobody:model-1")


def test_a_hub_model_that_is_not_there_offline():
    with pytest.raises(UnknownNameError, match="not in the local cache"):
        load_base("hf:nobody/nothing")


def test_broken_model_folders_say_what_is_wrong(model_folder, tmp_path):
    import shutil

    with pytest.raises(UnknownNameError, match=r"holds no config\.json"):
        base_path(f"local:{tmp_path}")
    pickled = shutil.copytree(model_folder, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(BadInputError, match="only safetensors are loaded"):
        load_base(str(pickled), device="cpu")
    cut = shutil.copytree(model_folder, tmp_path / "cut")
    (cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(BadInputError, match="could not be loaded"):
        load_base(str(cut), device="cpu")
    silent = shutil.copytree(model_folder, tmp_path / "silent")
    (silent / "chat_template.jinja").unlink()
    with pytest.raises(BadInputError, match="no chat template"):
        load_base(str(silent), device="cpu")
    with pytest.raises(UnknownNameError, match="float32, bfloat16, float16"):
        load_base(str(model_folder), dtype="int4")


def test_a_base_is_loaded_once_and_known_by_its_files(model_folder, tokenizer, tmp_path, make_model):
    one = load_base(str(model_folder), device="cpu")
    assert load_base(f"local:{model_folder}", device="cpu") is one
    twin = load_base(str(make_model(tmp_path / "twin", tokenizer)), device="cpu")
    assert twin.fingerprint == one.fingerprint
    other = load_base(str(make_model(tmp_path / "other", tokenizer, seed=1)), device="cpu")
    assert not other.fingerprint.same_base(one.fingerprint)
    # Padding in a call changes the tokenizer's state, not what its ids mean.
    twin.tokenizer(["a", "a b c"], padding=True, truncation=True, max_length=8)
    from langgraph_ratchet.chat_models.base import fingerprint_of

    assert fingerprint_of(twin.path, twin.tokenizer) == one.fingerprint
