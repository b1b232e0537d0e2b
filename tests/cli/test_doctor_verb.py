"""`ratchet doctor`: each thing that is broken is found, says its fix, and decides the exit status."""

import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import Result

from langgraph_ratchet.chat_models import device
from langgraph_ratchet.chat_models.device import check_device
from langgraph_ratchet.core import disk, installation
from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.traces.store import TraceStore

Ratchet = Callable[..., Result]
Found = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture
def examine(ratchet: Ratchet) -> Callable[..., Found]:
    """Runs the doctor, checks the exit status, and gives the findings by part and name."""

    def run(*, status: int = 0, whole: bool = True) -> Found:
        done = ratchet("doctor", "--json", *([] if whole else ["--quick"]))
        said = json.loads(done.stdout)
        assert done.exit_code == status, done.stdout
        assert said["healthy"] == (status == 0)
        assert {each["state"] for each in said["findings"]} <= {"ok", "lack", "broken"}
        assert all(each["fix"] for each in said["findings"] if each["state"] != "ok")
        return {(each["part"], each["name"]): each for each in said["findings"]}

    return run


@pytest.fixture(autouse=True)
def torch_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes seconds, and the test of the wheel does it."""
    monkeypatch.setattr(device, "check_device", lambda ask: check_device(ask=False))


def test_a_whole_installation_is_healthy_and_nothing_is_written(examine: Callable[..., Found], folder: Path) -> None:
    found = examine()
    assert found["install", "base"]["facts"]["packages"]["pydantic"]
    assert {name for part, name in found if part == "extra"} >= {"local", "problems", "openai", "logic", "web"}
    assert found["extra", "local"]["state"] == "ok"
    assert found["python", "python"]["facts"]["executable"] == sys.executable
    assert found["device", "processor"]["facts"]["cores"] >= 1
    assert found["disk", "models"]["facts"] == {
        "path": str(folder / ".ratchet" / "models"),
        "exists": False,
        "writable": True,
        "free_bytes": found["disk", "models"]["facts"]["free_bytes"],
    }
    assert "nothing recorded yet" in found["store", "traces"]["said"]
    assert set(found["sandbox", "sandbox"]["facts"]) == {"bwrap", "unshare"}
    assert not list(folder.iterdir())


def test_what_people_see(ratchet: Ratchet) -> None:
    shown = ratchet("doctor", "--quick").stdout
    assert "pocket (from the default)" in shown
    assert "LANGGRAPH_STRICT_MSGPACK" in shown
    assert "Ratchet works" in shown or "All is well" in shown


def test_every_setting_says_where_it_came_from(
    examine: Callable[..., Found], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATCHET_MODEL", "champion")
    (folder / ".env").write_text("RATCHET_MODEL=pocket\nRATCHET_PROMOTION=never\n")
    found = examine()
    assert found["setting", "RATCHET_MODEL"]["facts"] == {"value": "champion", "origin": "the environment"}
    assert found["setting", "RATCHET_PROMOTION"]["facts"] == {"value": "never", "origin": str(folder / ".env")}
    assert found["setting", "MODEL_SAVE_PATH"]["facts"]["origin"] == "the default"


def test_an_unusable_setting_is_broken(examine: Callable[..., Found], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_PROMOTION", "perhaps")
    assert "RATCHET_PROMOTION='perhaps'" in examine(status=1)["setting", "settings"]["said"]


def test_keys_are_named_and_never_shown(ratchet: Ratchet, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-exported")
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    (folder / ".env").write_text("GROQ_API_KEY=sk-written\n")
    said = ratchet("doctor", "--quick", "--json").stdout
    found = {each["name"]: each for each in json.loads(said)["findings"]}
    assert found["OPENAI_API_KEY"]["facts"] == {"set": True, "in_dot_env": False}
    assert found["GROQ_API_KEY"]["facts"] == {"set": False, "in_dot_env": True}
    for text in (said, ratchet("doctor", "--quick").stdout):
        assert "sk-" not in text


def test_the_key_that_the_model_needs_is_lacking(
    examine: Callable[..., Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATCHET_MODEL", "openai:gpt-5")
    assert "export OPENAI_API_KEY" in examine()["key", "OPENAI_API_KEY"]["fix"]


def test_checkpoints_that_are_not_strict_are_unwise(
    examine: Callable[..., Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGGRAPH_STRICT_MSGPACK", "false")
    assert examine()["setting", "LANGGRAPH_STRICT_MSGPACK"]["state"] == "lack"


def test_a_folder_that_cannot_be_written_is_broken(
    examine: Callable[..., Found], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "taken").write_text("a file")
    monkeypatch.setenv("MODEL_SAVE_PATH", str(folder / "taken" / "models"))
    assert "is not a folder" in examine(status=1)["disk", "models"]["said"]


def test_a_disk_with_little_room_is_told(examine: Callable[..., Found], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "LITTLE_BYTES", 1 << 60)
    assert examine()["disk", "models"]["state"] == "lack"


def test_a_package_of_a_wrong_version_is_broken(examine: Callable[..., Found], monkeypatch: pytest.MonkeyPatch) -> None:
    real = installation.version
    monkeypatch.setattr(installation, "version", lambda name: "1.0" if name == "pydantic" else real(name))
    found = examine(status=1)["install", "base"]
    assert found["said"] == "pydantic 1.0 does not fit <3, >=2.14"
    assert found["fix"] == "pip install langgraph-ratchet"


def test_a_part_that_cannot_be_imported_is_a_finding(
    examine: Callable[..., Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "langgraph_ratchet.core.sandbox", None)
    found = examine(status=1)
    assert "could not be looked at" in found["sandbox", "sandbox"]["said"]
    assert found["install", "base"]["state"] == "ok"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (None, "cannot be read: file is not a database"),
        ("UPDATE schema_version SET version = 99", "schema version 99"),
        ("DROP TABLE schema_version", "no such table"),
    ],
)
def test_a_store_that_cannot_be_used_is_broken(
    examine: Callable[..., Found], store: TraceStore, solve: Callable[..., str], statement: str | None, said: str
) -> None:
    solve()
    store.close()
    path = Path(".ratchet/traces.db")
    if statement is None:
        path.write_bytes(b"no database" * 1_000)
        Path(f"{path}-wal").unlink(missing_ok=True)
    else:
        with sqlite3.connect(path) as connection:
            connection.execute(statement)
        connection.close()
    assert said in examine(status=1)["store", "traces"]["said"]


def test_a_store_is_counted_and_checked(examine: Callable[..., Found], solve: Callable[..., str]) -> None:
    solve()
    facts = examine()["store", "traces"]["facts"]
    assert (facts["traces"], facts["quick_check"]) == (1, ["ok"])
    assert examine(whole=False)["store", "traces"]["facts"]["quick_check"] is None


def test_a_page_that_was_damaged_is_found(
    examine: Callable[..., Found], store: TraceStore, solve: Callable[..., str]
) -> None:
    solve()
    store.close()
    path = Path(".ratchet/traces.db")
    pages = bytearray(path.read_bytes())
    page = int.from_bytes(pages[16:18], "big")
    for at in range(page, len(pages), page):  # the first page holds the tables' names, which are read in any case
        pages[at : at + 8] = b"\xff" * 8
    path.write_bytes(pages)
    assert examine(status=1)["store", "traces"]["state"] == "broken"


def test_a_champion_that_was_changed_is_broken(examine: Callable[..., Found], folder: Path) -> None:
    registry = Registry(folder / ".ratchet" / "models")
    staged = folder / "staged"
    staged.mkdir()
    save_file({"lora_A": np.zeros((2, 2), dtype=np.float32)}, staged / "adapter_model.safetensors")
    (staged / "adapter_config.json").write_text('{"r": 2}')
    version = registry.add(
        staged,
        base="pocket",
        parent=None,
        dataset_hash="d" * 64,
        trace_ids=[],
        fingerprint=Fingerprint(base="b" * 64, tokenizer="t" * 64, template="c" * 64),
        training=None,
        arguments={},
    )
    registry.promote(version.id, expected=None, reason="gate passed")
    found = examine()["registry", "models"]
    assert found["facts"]["champion"] == version.id
    assert "with their recorded hash" in found["said"]
    (registry.root / "versions" / version.id / "adapter_config.json").write_text('{"r": 3}')
    assert "adapter_config.json" in examine(status=1)["registry", "models"]["said"]


def test_a_torch_that_does_not_start_is_broken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "fake").mkdir()
    (folder / "fake" / "torch.py").write_text("raise OSError('libtorch.so: illegal instruction')")
    monkeypatch.setenv("PYTHONPATH", str(folder / "fake"))
    found = check_device()
    assert found.state.value == "broken"
    assert "illegal instruction" in found.said
