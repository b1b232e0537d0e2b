"""Models of the hub, from a cache folder as the hub's own library lays it out; nothing is downloaded."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from langgraph_ratchet.chat_models.base import base_fingerprint, load_base
from langgraph_ratchet.chat_models.resolver import resolve_model
from langgraph_ratchet.core.errors import BadInputError, UnknownNameError

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    import huggingface_hub.constants

    # HF_HUB_CACHE is read when the library is imported; `test_the_cache_of_the_environment` sets it before.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def lay_out(cache: Path, identifier: str, folder: Path, **changes: bytes | None) -> Path:
    """Puts the files of `folder` into `cache` as a download would; `changes` are other contents, `None` left out."""
    root = cache / f"models--{identifier.replace('/', '--')}"
    snapshot = root / "snapshots" / REVISION
    for part in (root / "blobs", root / "refs", snapshot):
        part.mkdir(parents=True)
    (root / "refs" / "main").write_text(REVISION)
    files: dict[str, bytes | None] = {file.name: file.read_bytes() for file in folder.iterdir()} | changes
    for name, content in files.items():
        if content is not None:
            blob = root / "blobs" / hashlib.sha256(content).hexdigest()
            blob.write_bytes(content)
            (snapshot / name).symlink_to(Path("../../blobs") / blob.name)
    return snapshot


def test_a_cached_model_runs(cache, model_folder, base):
    lay_out(cache, "some-org/tiny", model_folder)
    for name in ("hf:some-org/tiny", "some-org/tiny"):
        assert load_base(name, device="cpu").fingerprint == base.fingerprint
    model = resolve_model("hf:some-org/tiny", max_tokens=3, device="cpu")
    assert model.invoke("Hi").response_metadata["model_name"] == "hf:some-org/tiny"


def test_a_cached_model_with_an_adapter(cache, model_folder, adapter_folders):
    lay_out(cache, "some-org/adapted", model_folder)
    model = resolve_model(f"hf:some-org/adapted@{adapter_folders[0]}", max_tokens=3, device="cpu")
    tokens = model.invoke("Hi").response_metadata["tokens"]
    assert tokens["fingerprint"]["adapter"]
    assert tokens["fingerprint"]["base"] == base_fingerprint("hf:some-org/adapted").base


def test_weights_in_several_files(cache, model_folder, tmp_path, base):
    from transformers import AutoModelForCausalLM

    whole = AutoModelForCausalLM.from_pretrained(model_folder)
    whole.save_pretrained(tmp_path / "sharded", max_shard_size="100KB")
    for file in model_folder.glob("*token*"):
        (tmp_path / "sharded" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "sharded" / "chat_template.jinja").write_bytes((model_folder / "chat_template.jinja").read_bytes())
    shards = sorted(file.name for file in (tmp_path / "sharded").glob("*.safetensors"))
    assert len(shards) > 1
    lay_out(cache, "org/sharded", tmp_path / "sharded")
    loaded = load_base("hf:org/sharded", device="cpu")
    assert all(
        (one == other).all() for one, other in zip(loaded.model.parameters(), base.model.parameters(), strict=True)
    )
    lay_out(cache, "org/half", tmp_path / "sharded", **{shards[-1]: None})
    with pytest.raises(
        UnknownNameError, match=f"only in part \\({shards[-1]} is missing\\), and the hub did not give it"
    ):
        load_base("hf:org/half", device="cpu")


def test_a_download_that_was_cut_off(cache, model_folder):
    snapshot = lay_out(cache, "org/dangling", model_folder)
    (snapshot / "model.safetensors").resolve().unlink()
    with pytest.raises(UnknownNameError, match=r"model\.safetensors is missing"):
        load_base("hf:org/dangling", device="cpu")
    lay_out(cache, "org/no-config", model_folder, **{"config.json": None})
    with pytest.raises(UnknownNameError, match=r"config\.json is missing"):
        load_base("hf:org/no-config", device="cpu")
    lay_out(cache, "org/cut-index", model_folder, **{"model.safetensors.index.json": b'{"weight_map": {'})
    with pytest.raises(UnknownNameError, match=r"model\.safetensors\.index\.json is missing"):
        load_base("hf:org/cut-index", device="cpu")


def test_a_missing_model_lists_those_that_are_there(cache, model_folder):
    lay_out(cache, "org/here", model_folder)
    with pytest.raises(UnknownNameError, match=r"hf:org/here.*not in the local cache"):
        load_base("hf:org/elsewhere", device="cpu")
    for name in ("hf:not//an/id", "hf:org/..", "hf:"):
        with pytest.raises(UnknownNameError):
            load_base(name, device="cpu")


def test_only_safetensors_are_read(cache, model_folder):
    weights = {"model.safetensors": None, "pytorch_model.bin": b"\x80\x04cposix\nsystem\n."}
    lay_out(cache, "org/pickled", model_folder, **weights)
    for read in (load_base, base_fingerprint):
        with pytest.raises(BadInputError, match="only safetensors are loaded"):
            read("hf:org/pickled")


@pytest.mark.parametrize("model_type", ["llama", "evil"])
def test_code_of_a_model_is_never_run(cache, model_folder, tmp_path, model_type):
    trap = tmp_path / "was_run"
    config = json.loads((model_folder / "config.json").read_text()) | {"model_type": model_type}
    config["auto_map"] = {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"}
    tokenizer = json.loads((model_folder / "tokenizer_config.json").read_text())
    tokenizer["auto_map"] = {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    code = f"open({str(trap)!r}, 'w').close()\nclass Evil: ...\n"
    lay_out(
        cache,
        f"org/{model_type}",
        model_folder,
        **{
            "config.json": json.dumps(config).encode(),
            "tokenizer_config.json": json.dumps(tokenizer).encode(),
            "evil.py": code.encode(),
        },
    )
    if model_type == "evil":
        with pytest.raises(BadInputError, match="could not be loaded"):
            load_base("hf:org/evil", device="cpu")
    else:
        assert type(load_base("hf:org/llama", device="cpu").model).__name__ == "LlamaForCausalLM"
    assert not trap.exists()


def test_what_a_model_must_have(cache, model_folder):
    lay_out(cache, "org/silent", model_folder, **{"chat_template.jinja": None})
    with pytest.raises(BadInputError, match="no chat template"):
        load_base("hf:org/silent", device="cpu")
    config = json.loads((model_folder / "config.json").read_text())
    broken = {
        "cut": b'{"model_type": "lla',
        "list": b"[]",
        "heads": json.dumps(config | {"num_attention_heads": 0}).encode(),
        "text": json.dumps(config | {"hidden_size": "many"}).encode(),
        "wide": json.dumps(config | {"hidden_size": 48}).encode(),
        "deep": json.dumps(config | {"num_hidden_layers": 5}).encode(),
    }
    for name, content in broken.items():
        lay_out(cache, f"org/{name}", model_folder, **{"config.json": content})
        with pytest.raises(BadInputError, match=f"'hf:org/{name}'"):
            load_base(f"hf:org/{name}", device="cpu")
    lay_out(cache, "org/tokenizer", model_folder, **{"tokenizer.json": b"{"})
    with pytest.raises(BadInputError, match="tokenizer of model 'hf:org/tokenizer'"):
        load_base("hf:org/tokenizer", device="cpu")


def test_a_fingerprint_needs_no_weights_in_memory(cache, model_folder, base, tmp_path):
    lay_out(cache, "org/print", model_folder)
    assert base_fingerprint("hf:org/print") == base.fingerprint
    assert base_fingerprint(str(model_folder)) == base.fingerprint
    with pytest.raises(UnknownNameError):
        base_fingerprint(f"local:{tmp_path}/nowhere")


@pytest.mark.slow
def test_the_cache_of_the_environment(model_folder, tmp_path):
    lay_out(tmp_path / "hub", "org/tiny", model_folder)
    code = (
        "import langgraph_ratchet as r; print(r.resolve_model('hf:org/tiny', max_tokens=2).invoke('Hi').usage_metadata)"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "output_tokens" in ran.stdout
