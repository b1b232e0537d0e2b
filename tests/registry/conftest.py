"""A registry, adapters as training leaves them, and child processes."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.registry import Registry

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "deep" / "models")


@pytest.fixture
def make_adapter(tmp_path: Path) -> Callable[..., Path]:
    """A folder with real safetensors in it; equal numbers give equal files."""

    def make(number: int = 0) -> Path:
        folder = tmp_path / f"staged_{number}"
        folder.mkdir(exist_ok=True)
        weights = {"lora_A": np.full((4, 8), number, dtype=np.float32), "lora_B": np.ones((8, 4), dtype=np.float32)}
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
        (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 4}')
        return folder

    return make


@pytest.fixture
def add(registry: Registry, make_adapter: Callable[..., Path]) -> Callable[..., ModelVersion]:
    """Adds an adapter to the registry."""

    def call(number: int = 0, *, staged: Path | None = None, into: Registry = registry, **fields: Any) -> ModelVersion:
        defaults: dict[str, Any] = {
            "base": "pocket",
            "parent": None,
            "dataset_hash": "d" * 64,
            "trace_ids": ["run_1", "run_2"],
            "fingerprint": Fingerprint(base="b" * 64, tokenizer="t" * 64, template="c" * 64),
            "training": None,
            "arguments": {"rank": 4, "lr": 1e-3},
        }
        return into.add(make_adapter(number) if staged is None else staged, **{**defaults, **fields})

    return call


@pytest.fixture
def weights_of(registry: Registry) -> Callable[[ModelVersion], Path]:
    """The weights of a version in the registry."""
    return lambda version: registry.root / "versions" / version.id / WEIGHTS


@pytest.fixture
def damage() -> Callable[[str, Path], None]:
    """Does to a file what may happen to one: `cut`, `empty`, `flip_a_bit`, `flip_in_header`, `lengthen`, `remove`."""
    ways: dict[str, Callable[[bytes], bytes]] = {
        "cut": lambda data: data[:-7],
        "empty": lambda data: b"",
        "flip_a_bit": lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:],
        "flip_in_header": lambda data: data[:7] + bytes([data[7] ^ 1]) + data[8:],
        "lengthen": lambda data: data + b"\0",
    }

    def call(how: str, path: Path) -> None:
        if how == "remove":
            path.unlink()
        else:
            path.write_bytes(ways[how](path.read_bytes()))

    return call


@pytest.fixture
def fork() -> Callable[[Callable[[], None]], int]:
    """Runs a function in a child process; gives its exit status, 1 if it raised, -9 if it was killed."""

    def run(function: Callable[[], None]) -> int:
        if child := os.fork():
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        status = 1
        try:
            function()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    return run
